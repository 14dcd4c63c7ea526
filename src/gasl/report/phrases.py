"""Turns of phrase that findings share: an error with its price, how two rows differ, which runs may be ranked."""

from collections.abc import Mapping, Sequence
from statistics import mean

from gasl.experiments.tables import LABELS
from gasl.report.cells import Record, matched
from gasl.report.marks import spread
from gasl.report.targets import missed_target

__all__ = ["Runs", "error_at", "gap", "gaps", "listed", "mean_error", "mean_macs", "met_only", "seeds", "times_fewer"]

Runs = Mapping[str, Sequence[Record]]


def mean_error(runs: Sequence[Record]) -> float:
    """The test error of a row.

    Example:
        >>> mean_error([{"error_small": 1.0}, {"error_small": 2.0}])
        1.5
    """
    return float(mean(r["error_small"] for r in runs))


def mean_macs(runs: Sequence[Record]) -> float:
    """The multiply-accumulates that a row leaves.

    Example:
        >>> mean_macs([{"macs": {"small": 200}}, {"macs": {"small": 300}}])
        250.0
    """
    return float(mean(r["macs"]["small"] for r in runs))


def seeds(runs: Sequence[object]) -> str:
    """How many there are.

    Example:
        >>> seeds([0]), seeds([0, 1])
        ('1 seed', '2 seeds')
    """
    return f"{len(runs)} seed{'s' if len(runs) > 1 else ''}"


def error_at(runs: Sequence[Record]) -> str:
    """Error, how many times fewer MACs, seeds.

    Example:
        >>> error_at([{"error_small": 1.0, "macs": {"dense": 1000, "small": 250}}])
        '1.00 % at 4.0x fewer MACs (1 seed)'
    """
    fewer = runs[0]["macs"]["dense"] / mean_macs(runs)
    return f"{spread([r['error_small'] for r in runs], 2)} % at {fewer:.1f}x fewer MACs ({seeds(runs)})"


def times_fewer(runs: Sequence[Record]) -> str:
    """The mean of how many times fewer MACs each run has.

    Example:
        >>> times_fewer([{"macs": {"dense": 1000, "small": 250}}])
        '4.0x'
    """
    return f"{mean(r['macs']['dense'] / r['macs']['small'] for r in runs):.1f}x"


def listed(names: Sequence[str]) -> str:
    """Words in a row.

    Example:
        >>> listed(["a", "b", "c"]), listed([])
        ('a, b and c', 'none')
    """
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1] if names else "none"


def gaps(runs: Sequence[Record], others: Sequence[Record]) -> list[float]:
    """By how much errors differ, seed by seed; of means where two rows share no seed.

    Example:
        >>> gaps([{"seed": 0, "error_small": 1.5}], [{"seed": 0, "error_small": 1.0}])
        [0.5]
    """
    found = [run["error_small"] - other["error_small"] for run, other in matched(runs, others)]
    return found or [mean_error(runs) - mean_error(others)]


def gap(runs: Sequence[Record], others: Sequence[Record]) -> str:
    """The difference of two rows' errors in words.

    Example:
        >>> gap([{"seed": 0, "error_small": 1.5}], [{"seed": 0, "error_small": 1.0}])
        '0.50 points above'
    """
    each = gaps(runs, others)
    return f"{spread(each, 2).lstrip('-')} points {'above' if mean(each) > 0 else 'below'}"


def met_only(rows: Runs) -> tuple[dict[str, list[Record]], str]:
    """The runs that met their target, by method; and which were left out.

    Example:
        >>> run = {"macs": {"dense": 1000, "small": 260}, "spec": {"target": {"macs": 0.25}}}
        >>> met_only({"l0": [run]})
        ({}, '; left out, as above their target: l0 regularisation (1 of 1 runs)')
    """
    kept = {name: [run for run in runs if not missed_target(run)] for name, runs in rows.items()}
    out = {name: len(runs) - len(kept[name]) for name, runs in rows.items() if len(runs) > len(kept[name])}
    said = listed([f"{LABELS[name]} ({count} of {len(rows[name])} runs)" for name, count in out.items()])
    return {name: runs for name, runs in kept.items() if runs}, f"; left out, as above their target: {said}" * bool(out)
