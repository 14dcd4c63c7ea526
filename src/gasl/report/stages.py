"""The paper's Tables 3 and 4: by how much the error rises at each level of sparsity, from records alone."""

from collections.abc import Mapping, Sequence
from statistics import mean

from gasl.experiments.stages import LEVELS
from gasl.experiments.tables import Entry
from gasl.report.cells import Record, faster, fewer, machines, matched, overall_sparsity, units_left, weights_share
from gasl.report.marks import spread
from gasl.report.printed import PRINTED_RISE
from gasl.report.tables import NOT_RUN, Table, missed, table

__all__ = ["COLUMNS", "made_of", "rises"]

COLUMNS = (
    "method",
    "sparsity asked for, %",
    "paper: rise of the error",
    "ours: rise",
    "error, %",
    "sparsity, %",
    "units left",
    "MACs",
    "faster, batch 1 / 128",
    "seeds",
)
_NOTE = (
    "The rise is in points, above the baseline of the same seed, which has the epochs of the first stage without a "
    "penalty; the paper's is for CIFAR-100. A level's network is the one that the level before left, trained on. "
    "Methods of single weights (l1, sparse variational dropout) are at a level when as many weights are zero."
)


def rises(runs: Sequence[Record], baselines: Sequence[Record]) -> list[float]:
    """Points of test error above the baseline of the same seed, where there is one.

    Args:
        runs: Of a method at one level.
        baselines: Of the network without a penalty.

    Returns:
        One number for each seed that both have.

    Example:
        >>> rises([{"seed": 0, "error_small": 10.5}, {"seed": 1, "error_small": 9}], [{"seed": 0, "error_small": 10.0}])
        [0.5]
    """
    return [run["error_small"] - baseline["error_small"] for run, baseline in matched(runs, baselines)]


def made_of(entries: Sequence[Entry], records: Mapping[str, Sequence[Record]]) -> list[Table]:
    """Any of the paper's tables, with our runs beside its values.

    Args:
        entries: The rows; those of Tables 3 and 4 have levels.
        records: From :func:`gasl.report.tables.found`.

    Returns:
        One table for each part.

    Example:
        >>> from gasl.experiments.tables import entries
        >>> [row[:4] for row in made_of(entries(3), {})[0].rows if row[0] == "SA + GASL"][0]
        ('SA + GASL', '60', '0.71', 'not run')
    """
    if not any(entry.level for entry in entries):
        return table(entries, records)
    baselines = [run for entry in entries if entry.level is None for run in records.get(entry.name, ())]
    staged = sorted((e for e in entries if e.level), key=_place)
    rows = [_row(entry, records.get(entry.name, ()), baselines) for entry in staged]
    errors = [run["error_small"] for run in baselines]
    known = f"Baseline: {spread(errors, 2)} % ({len(errors)} seeds)." if errors else "The baseline has not been run."
    ran = [*baselines, *(run for entry in staged for run in records.get(entry.name, ()))]
    return [Table(entries[0].part, COLUMNS, rows, [_NOTE, known, *machines(ran)])]


def _reached(runs: Sequence[Record]) -> str:
    """Percent of units that were removed; of weights that are zero for a method of single weights."""
    if runs[0]["spec"]["method"]["granularity"] == "weight":
        return f"{spread([100 - weights_share(run) for run in runs], 1)} of weights"
    return spread([overall_sparsity(run) for run in runs], 1)


def _place(entry: Entry) -> int:
    """Where the paper has the row."""
    return list(PRINTED_RISE).index(entry.key)


def _row(entry: Entry, runs: Sequence[Record], baselines: Sequence[Record]) -> tuple[str, ...]:
    assert entry.level is not None  # it is a row of levels
    printed = PRINTED_RISE[entry.key][LEVELS.index(entry.level)]
    first = (entry.label, str(entry.level), f"{printed:.2f}")
    if not runs:
        return (*first, NOT_RUN, *[""] * (len(COLUMNS) - 4))
    above = rises(runs, baselines)
    return (
        *first,
        spread(above, 2) if above else "no baseline",
        spread([run["error_small"] for run in runs], 2),
        _reached(runs),
        units_left(runs),
        fewer(mean(run["macs"]["small"] for run in runs), runs[0]["macs"]["dense"]) + missed(runs),
        faster(runs),
        str(len(runs)),
    )
