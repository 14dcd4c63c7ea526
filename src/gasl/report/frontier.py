"""Error against multiply-accumulates in one picture: our runs, and the points that papers print."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gasl.experiments.at_target import target_entries
from gasl.experiments.tables import NETWORKS, entries
from gasl.report.cells import Record
from gasl.report.labels import Label, write_labels
from gasl.report.published import OTHERS, PRINTED, PUBLISHED, SIZES, macs, printed_widths
from gasl.report.svg import AFTER, BEFORE, SERIES, figure_style, write_both
from gasl.report.targets import missed_target

__all__ = ["Point", "our_points", "printed_points", "write_frontier"]

Point = tuple[float, float, float]  # times fewer MACs, error and its standard deviation in percent
Spot = tuple[float, float]

_COLOURS = {"ssl": SERIES[1], "gasl": AFTER}
_TITLES = {"ssl": "group lasso", "gasl": "SA + GASL"}
_SHORT = {
    "l1": "l1",
    "magnitude_pruning": "Han",
    "magnitude_pruning_units": "Han, units",
    "bayesian_compression": "BC",
    "bayesian_compression_horseshoe": "BC, horseshoe",
    "structured_bp": "SBP",
    "group_lasso": "SSL",
    "sparse_vd": "SVD",
    "l0": "L0",
    "l0_separate": "L0, separate",
    "structured_attention": "SA",
    "unstructured_attention": "SA, weights",
    "gasl": "GASL",
    "generalized_dropout": "GD",
}


def our_points(runs: Mapping[str, Sequence[Record]], names: Sequence[str]) -> dict[str, Point]:
    """Where our runs lie.

    Args:
        runs: Records by name, from :func:`gasl.report.tables.found`.
        names: Of which runs.

    Returns:
        A point for each that was run: means over its seeds.

    Example:
        >>> record = {"macs": {"dense": 8, "small": 2}, "error_small": 0.5}
        >>> our_points({"a": [record], "b": []}, ["a", "b"])
        {'a': (4.0, 0.5, 0.0)}
    """
    points = {}
    for name in names:
        if records := runs.get(name):
            errors = [float(r["error_small"]) for r in records]
            fewer = records[0]["macs"]["dense"] / mean(r["macs"]["small"] for r in records)
            points[name] = (fewer, mean(errors), stdev(errors) if len(errors) > 1 else 0.0)
    return points


def printed_points(network: str) -> dict[str, Point]:
    """Where the papers' rows lie: each method's own paper, and the GASL paper's rows of its own methods.

    Args:
        network: lenet5 or mlp.

    Returns:
        A point for each row with units, by the method's name.

    Example:
        >>> {name: round(fewer, 1) for name, (fewer, _, _) in printed_points("mlp").items()}
        {'structured_bp': 11.2, 'group_lasso': 6.1, 'sparse_vd': 3.7, 'structured_attention': 2.2, 'gasl': 18.3}
    """
    whole = macs(network, SIZES[network])
    points = {}
    for key, row in {**{key: rows[0] for key, rows in PUBLISHED.items()}, **OTHERS}.items():
        place, name = key.split("/")
        if place == network and name != "baseline" and row.widths:
            points[name] = (whole / macs(network, row.widths), row.error, 0.0)
    for name in ("structured_attention", "gasl"):
        printed = PRINTED[f"{network}/{name}"]
        points[name] = (whole / macs(network, printed_widths(network, printed)), printed.error, 0.0)
    return points


def write_frontier(folder: Path, runs: Mapping[str, Sequence[Record]], name: str = "frontier") -> list[Path]:
    """Draw both networks and write the picture as SVG and PNG; runs above their target are left out.

    Args:
        folder: Where to.
        runs: The records of Table 1 and of the runs at a given size, by name.
        name: Of the files, without their ending.

    Returns:
        Their paths.

    Example:
        >>> write_frontier(Path("docs/figures"), {})  # doctest: +SKIP
        [PosixPath('docs/figures/frontier.svg'), PosixPath('docs/figures/frontier.png')]
    """
    with figure_style(name):
        figure = Figure(figsize=(9.9, 4.6))
        places = dict(zip(NETWORKS, figure.subplots(1, len(NETWORKS)), strict=True))
        drawn = {network: _draw(axes, network, runs) for network, axes in places.items()}
        handles = {
            title: line
            for axes in places.values()
            for line, title in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles))
        figure.draw_without_rendering()  # where everything is, is known from here on
        for network, axes in places.items():
            write_labels(axes, *drawn[network])
        return write_both(figure, folder, name)


def _draw(axes: Axes, network: str, runs: Mapping[str, Sequence[Record]]) -> tuple[list[Label], list[list[Spot]]]:
    """Draw one network; the names that are still to be written, and the lines that they should not lie on."""
    targets = [row.name for row in target_entries() if row.name.split("/")[1] == network]
    met = {name: [run for run in runs.get(name, ()) if not missed_target(run)] for name in targets}
    labels, lines = [], []
    for short, title in _TITLES.items():
        own = our_points(met, [name for name in targets if name.split("/")[2].startswith(short)])
        if line := sorted(point for name, point in own.items() if name.endswith("x")):
            lines.append([(fewer, error) for fewer, error, _ in line])
            _errorbars(axes, line, _COLOURS[short], "o", f"{title}, at a target", linestyle="-", linewidth=1.2)
        if units := {name: point for name, point in own.items() if not name.endswith("x")}:
            _errorbars(axes, list(units.values()), _COLOURS[short], "D", "at the paper's units", linestyle="none")
        for name, point in units.items():
            aid = name.rpartition("-")[2]
            labels.append(Label(aid if aid.isalpha() else short.upper(), *point, _COLOURS[short]))
    recipes = [entry.name for entry in entries(1) if entry.name.split("/")[0] == network]
    for points, colour, marker, title in (
        (our_points(runs, recipes), SERIES[2], "s", "each method's own recipe, ours"),
        (printed_points(network), BEFORE, "x", "as the papers print it"),
    ):
        if points:
            _errorbars(axes, list(points.values()), colour, marker, title, linestyle="none")
        for key, (fewer, error, spread) in points.items():
            labels.append(Label(_SHORT.get(key.rpartition("/")[2], "dense"), fewer, error, spread, colour))
    axes.set_xscale("log", base=2)
    ticks = [1, 2, 4, 8, 16, 32, 64]
    axes.set_xticks(ticks, [f"{tick}x" for tick in ticks])
    axes.set(title=NETWORKS[network], xlabel="fewer multiply-accumulates", ylabel="test error, %", xlim=(0.85, 75))
    axes.margins(y=0.08)
    return labels, lines


def _errorbars(axes: Axes, points: Sequence[Point], colour: str, marker: str, title: str, **line: Any) -> None:
    """Points, with a bar where there is a spread."""
    fewer, errors, _ = zip(*points, strict=True)
    axes.plot(fewer, errors, color=colour, marker=marker, markersize=4, label=title, **line)
    for x, y, spread in points:
        if spread:
            axes.errorbar([x], [y], [spread], color=colour, linestyle="none", capsize=2, linewidth=1.0)
