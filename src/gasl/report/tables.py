"""The paper's Tables 1 and 2 with our runs beside its values, made from records alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from gasl.experiments.places import Place
from gasl.experiments.store import read_record
from gasl.experiments.tables import Entry
from gasl.report.cells import Record, dashes, faster, fewer, machines, overall_sparsity, row, units_left, weights_share
from gasl.report.marks import spread
from gasl.report.printed import PRINTED_CIFAR, PUBLISHED_CIFAR
from gasl.report.published import PRINTED, PUBLISHED, Printed, Published
from gasl.report.targets import missed_target

__all__ = ["COLUMNS", "NOT_RUN", "Table", "found", "missed", "table"]

COLUMNS = (
    "method",
    "paper: error, % / sparsity, % / faster",
    "its own paper: error, % / left",
    "ours: error, %",
    "sparsity, %",
    "units left",
    "weights left, %",
    "parameters",
    "MACs",
    "faster, batch 1 / 128",
    "epochs",
    "seeds",
)
NOT_RUN = "not run"


@dataclass(frozen=True)
class Table:
    """One part of a table, ready to print.

    Args:
        title: Network and data.
        columns: Headings.
        rows: As many cells each.
        notes: What a reader must know besides.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """The table as Markdown, with its title as a heading of third order.

        Example:
            >>> print(Table("A", ("x", "y"), [("1", "")], ["None."]).markdown())
            ### A
            <BLANKLINE>
            | x | y |
            |---|---|
            | 1 | |
            <BLANKLINE>
            - None.
        """
        lines = [f"### {self.title}", "", row(*self.columns), "|---" * len(self.columns) + "|"]
        lines += [row(*cells) for cells in self.rows]
        return "\n".join([*lines, *([""] if self.notes else []), *(f"- {note}" for note in self.notes)])


def found(entries: Sequence[Entry], records: Place) -> dict[str, list[Record]]:
    """The records of rows, by name and in the order of the seeds; of a row that several tables have, all of them.

    Args:
        entries: The rows.
        records: The folder of records, or an address.

    Returns:
        For each row's name the records that are there.

    Example:
        >>> from gasl.experiments.tables import entries
        >>> found(entries(2), "nowhere")["cifar10/vgg16-0.25-short/gasl"]
        []
    """
    runs: dict[str, list[Record]] = {}
    for entry in entries:
        read = (read_record(records, job.name, job.spec) for job in entry.jobs())
        there: list[Record] = [record for record in read if record is not None]
        runs[entry.name] = max(runs.get(entry.name, []), there, key=len)
    return runs


def table(entries: Sequence[Entry], records: Mapping[str, Sequence[Record]]) -> list[Table]:
    """The rows as text, part by part.

    Args:
        entries: The rows.
        records: From :func:`found`.

    Returns:
        One table for each part.

    Example:
        >>> from gasl.experiments.tables import entries
        >>> table(entries(1), {})[0].rows[9][:4]
        ('SA + GASL', '0.92 / 76-88-86-95 / 2.41x', '', 'not run')
    """
    made = []
    for part in dict.fromkeys(entry.part for entry in entries):
        sources: list[str] = []
        rows = [_row(entry, records.get(entry.name, []), sources) for entry in entries if entry.part == part]
        ran = [run for entry in entries if entry.part == part for run in records.get(entry.name, ())]
        notes = [*(f"[{i}] {source}." for i, source in enumerate(sources, 1)), *machines(ran)]
        made.append(Table(part, COLUMNS, rows, notes))
    return made


def _row(entry: Entry, runs: Sequence[Record], sources: list[str]) -> tuple[str, ...]:
    printed = PRINTED.get(entry.key) or PRINTED_CIFAR.get(entry.key)
    published = PUBLISHED.get(entry.key) or PUBLISHED_CIFAR.get(entry.key, ())
    first = (entry.label, _printed(printed), "; ".join(_published(one, sources) for one in published))
    if not runs:
        return (*first, NOT_RUN, *[""] * (len(COLUMNS) - 4))
    small, dense = mean(r["macs"]["small"] for r in runs), runs[0]["macs"]["dense"]
    counts = [r["epochs"] for r in runs]  # a run may stop early
    return (
        *first,
        spread([r["error_small"] for r in runs], 2),
        _sparsity(runs),
        units_left(runs),
        f"{mean(weights_share(r) for r in runs):.1f}",
        f"{mean(r['params']['small'] for r in runs):,.0f}",
        fewer(small, dense) + missed(runs),
        faster(runs),
        " to ".join(map(str, sorted({min(counts), max(counts)}))),
        str(len(runs)),
    )


def missed(runs: Sequence[Record]) -> str:
    """Said where a run ended above its target, so that nobody compares it with those that met theirs.

    Args:
        runs: Of one row.

    Returns:
        Nothing if all met theirs.

    Example:
        >>> missed([{"macs": {"dense": 1000, "small": 260}, "spec": {"target": {"macs": 0.25}}}])
        ', target missed by 1 of 1'
    """
    over = sum(missed_target(run) for run in runs)
    return f", target missed by {over} of {len(runs)}" if over else ""


def _printed(printed: Printed | None) -> str:
    return "" if printed is None else f"{printed.error:.2f} / {dashes(printed.sparsity)} / {printed.speedup:.2f}x"


def _published(published: Published, sources: list[str]) -> str:
    if published.source not in sources:
        sources.append(published.source)
    weights = "-".join(f"{share:g}" for share in published.weights or ())
    left = dashes(published.widths) if published.widths else f"{weights} % of weights" if weights else ""
    return f"{published.error:.2f}{' / ' * bool(left)}{left} [{sources.index(published.source) + 1}]"


def _sparsity(runs: Sequence[Record]) -> str:
    """Percent of units removed: layer by layer where the paper prints it so, of all units for deeper networks."""
    layers = [r["layers"] for r in runs]
    if len(layers[0]) <= 4:
        columns = zip(*layers, strict=True)
        return "-".join(f"{mean(layer['sparsity_propagated'] for layer in column):.0f}" for column in columns)
    return spread([overall_sparsity(record) for record in runs], 1)
