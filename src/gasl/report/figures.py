"""The figures of a report, each a pure function from plain data to an SVG element."""

from collections.abc import Mapping, Sequence
from math import ceil, sqrt

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gasl.report.data import Array
from gasl.report.svg import AFTER, BEFORE, figure_style, to_svg

__all__ = ["curves", "draw_maps", "draw_spread", "feature_maps", "norms", "spread"]

_SPARSITY = "sparsity_propagated/"
_LEGEND_COLUMNS = 3


def curves(history: Sequence[Mapping[str, float]]) -> str:
    """Loss, error and sparsity over the epochs, side by side; only those that the history has.

    Args:
        history: One mapping per epoch, see :class:`gasl.report.ReportData`.

    Returns:
        An SVG element; the empty text when the history has none of them.

    Example:
        >>> curves([{"epoch": 0, "train_loss": 2.0}, {"epoch": 1, "train_loss": 1.0}])[:4]
        '<svg'
        >>> curves([])
        ''
    """
    names = list(dict.fromkeys(name for row in history for name in row))
    panels = {
        "loss": [name for name in names if name.endswith("loss")],
        "error, %": [name for name in names if name.endswith("error")],
        "sparsity, %": [name for name in names if name.startswith(_SPARSITY)],
    }
    shown = {title: series for title, series in panels.items() if series}
    if not shown:
        return ""
    with figure_style("curves"):
        lines = ceil(max(len(series) for series in shown.values()) / _LEGEND_COLUMNS)
        figure = Figure(figsize=(9.9, 2.5 + 0.17 * lines))
        grid = _row(figure, len(panels))
        for axes, (title, series) in zip(grid, shown.items(), strict=False):
            for name in series:
                points = [(row.get("epoch", i), row[name]) for i, row in enumerate(history) if name in row]
                axes.plot(*zip(*points, strict=True), label=name.removeprefix(_SPARSITY))
            axes.set(title=title, xlabel="epoch")
            axes.set_ylim(bottom=0)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=_LEGEND_COLUMNS, columnspacing=1)
        for axes in grid[len(shown) :]:
            axes.set_visible(False)
        return to_svg(figure)


def norms(pairs: Mapping[str, tuple[Array, Array]]) -> str:
    """Norms of the units of each axis, sorted, before and after: dead units are the flat part at zero.

    Args:
        pairs: Axis to the norms before and after.

    Returns:
        An SVG element; the empty text when there is no axis.

    Example:
        >>> norms({"conv1": (np.array([1.0, 2.0]), np.array([0.0, 2.0]))})[:4]
        '<svg'
    """
    if not pairs:
        return ""
    columns = min(4, len(pairs))
    rows = ceil(len(pairs) / columns)
    with figure_style("norms"):
        figure = Figure(figsize=(2.5 * columns, 2.1 * rows))
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, (axis, (before, after)) in zip(grid, pairs.items(), strict=False):
            for values, colour, label in ((before, BEFORE, "before"), (after, AFTER, "after")):
                axes.plot(np.sort(values)[::-1], color=colour, label=label, drawstyle="steps-mid")
            axes.set_title(f"{axis}: {np.count_nonzero(after == 0)} of {len(after)} at zero")
            axes.set_ylim(bottom=0)
        for axes in grid[len(pairs) :]:
            axes.set_visible(False)
        grid[0].legend()
        return to_svg(figure)


def feature_maps(without: Array, with_method: Array) -> str:
    """The maps of one layer as two grids: without the method on the left, with it on the right.

    Both share one scale; a map that is zero everywhere stays empty.

    Args:
        without: Shape (channels, height, width).
        with_method: The same; the number of channels may differ.

    Returns:
        An SVG element.

    Example:
        >>> feature_maps(np.ones((4, 2, 2)), np.zeros((4, 2, 2)))[:4]
        '<svg'
    """
    with figure_style("features"):
        figure = Figure(figsize=(8.4, 4.2))
        draw_maps(_row(figure, 2), {"without the method": without, "with the method": with_method})
        return to_svg(figure)


def draw_maps(places: Sequence[Axes], maps: Mapping[str, Array]) -> None:
    """Feature maps, one grid each, all in one scale.

    Args:
        places: Where to draw.
        maps: Titles, to which the number of maps that are alive is added, and (channels, height, width) arrays.

    Example:
        >>> draw_maps([Figure().subplots()], {"all": np.ones((4, 2, 2))})
    """
    largest = max(float(np.abs(each).max(initial=0)) for each in maps.values()) or 1.0
    for axes, (title, each) in zip(places, maps.items(), strict=True):
        alive = sum(bool(np.any(one)) for one in each)
        axes.imshow(_mosaic(each), cmap="viridis", vmin=0, vmax=largest, interpolation="nearest")
        axes.set_title(f"{title}: {alive} of {len(each)} maps alive")
        axes.grid(visible=False)
        axes.set_axis_off()


def spread(deciles: Mapping[str, Array]) -> str:
    """How the norms of the units of each axis are spread, epoch by epoch.

    Args:
        deciles: Axis to a (1 + epochs, 11) array of minimum, deciles and maximum.

    Returns:
        An SVG element; the empty text when there is no axis.

    Example:
        >>> spread({"conv1": np.ones((3, 11))})[:4]
        '<svg'
    """
    if not deciles:
        return ""
    columns = min(4, len(deciles))
    rows = ceil(len(deciles) / columns)
    with figure_style("spread"):
        figure = Figure(figsize=(2.5 * columns, 2.1 * rows))
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, (axis, each) in zip(grid, deciles.items(), strict=False):
            draw_spread(axes, each, AFTER)
            axes.set_title(axis)
        for axes in grid[len(deciles) :]:
            axes.set_visible(False)
        return to_svg(figure)


def draw_spread(axes: Axes, deciles: Array, colour: str) -> None:
    """Bands between a decile and its opposite, the median, and the largest as a thin line, over the epochs.

    Args:
        axes: Where to draw.
        deciles: Shape (1 + epochs, 11).
        colour: Of all of it.

    Example:
        >>> draw_spread(Figure().subplots(), np.ones((3, 11)), "#2f7fd1")
    """
    epochs = np.arange(len(deciles))
    for low in range(1, 5):
        axes.fill_between(epochs, deciles[:, low], deciles[:, 10 - low], color=colour, alpha=0.18, linewidth=0)
    axes.plot(epochs, deciles[:, 5], color=colour)
    axes.plot(epochs, deciles[:, 10], color=colour, linewidth=0.7)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _row(figure: Figure, count: int) -> list[Axes]:
    return list(figure.subplots(1, count, squeeze=False)[0])


def _mosaic(maps: Array) -> Array:
    """Channels side by side in a nearly square grid; gaps and maps without any value are NaN, hence transparent."""
    count, height, width = maps.shape
    columns = ceil(sqrt(count))
    rows = ceil(count / columns)
    picture = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for i, one in enumerate(maps):
        top, left = (i // columns) * (height + 1), (i % columns) * (width + 1)
        picture[top : top + height, left : left + width] = one if np.any(one) else np.nan
    return picture
