"""What the ablation found, as tables in Markdown: each reading beside group lasso at the same units left.

``python -m gasl.report.ablation`` in the repository writes ``docs/ablation.md`` again, between two marks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Any

from gasl.experiments.ablation import REFERENCES, STAGES, TARGETS, stage_runs
from gasl.experiments.ablation_clip import LOSSES, SEEDS, clip_catalogue
from gasl.experiments.ablation_run import met, score
from gasl.experiments.named import named
from gasl.experiments.places import Place
from gasl.experiments.store import read_record
from gasl.report.marks import between, spread

__all__ = ["BEGIN", "clip_table", "table", "with_tables"]

BEGIN = "<!-- from the records, by gasl.report.ablation -->"
_HEAD = (
    "| reading | seeds | when met | removed | tuned | test | against group lasso | units left |",
    "|---|---|---|---|---|---|---|---|",
)
_TITLES = {
    "screen": "Screen: 784-500-300, seed 0",
    "seeds": "The best of the screen: 784-500-300, seeds 1 to 5",
    "lenet5": "The best of those: LeNet-5-Caffe, seeds 0 to 4",
}

Record = Mapping[str, Any]


def table(stage: str, records: Place) -> str:
    """One stage as far as it was run, the best reading first.

    Args:
        stage: A name of :data:`gasl.experiments.ablation.STAGES`.
        records: The folder of the ablation's records, or an address.

    Returns:
        Markdown. ``when met``, ``removed`` and ``tuned`` are validation errors in percent: in the epoch in which the
        last unit died, just after the removal, and at the end; ``test`` is the test error at the end. ``against group
        lasso`` is tuned minus that of the best group lasso, in points, seed by seed. All with standard deviations.

    Example:
        >>> table("screen", "nowhere")
        'Screen: 784-500-300, seed 0: 0 of 103 runs.'
    """
    runs = stage_runs(stage, lambda name, seed: score(name, seed, records))
    found: dict[str, list[Record]] = {}
    for name, seed in runs:
        if (record := read_record(records, name, named(name, seed))) is not None:
            found.setdefault(name, []).append(record)
    count = sum(map(len, found.values()))
    title = f"{_TITLES[stage]}: {count} of {len(runs) or '?'} runs."
    if not count:
        return title
    whole = {name: each for name, each in found.items() if all(_met(record) for record in each)}
    ours = [name for name in whole if name.rpartition("/")[2] in REFERENCES]
    lasso = min(ours, key=lambda name: _mean(whole[name]), default=None)
    rows = [
        _row(name, whole[name], whole.get(lasso or "", [])) for name in sorted(whole, key=lambda n: _mean(whole[n]))
    ]
    rest = [_row(name, each, []) for name, each in found.items() if name not in whole]
    return "\n".join([title, "", *_HEAD, *rows, *rest])


def with_tables(text: str, records: Place) -> str:
    r"""A page with the tables of all stages between its two marks.

    Args:
        text: The page as it is.
        records: The folder of the ablation's records, or an address.

    Returns:
        The page as it should be.

    Example:
        >>> page = with_tables(f"Before.\n{BEGIN}\nold\n<!-- end -->\nAfter.\n", "nowhere")
        >>> page.splitlines()[0], page.splitlines()[3], page.splitlines()[-1]
        ('Before.', 'Screen: 784-500-300, seed 0: 0 of 103 runs.', 'After.')
    """
    parts = "\n\n".join([*(table(stage, records) for stage in STAGES), clip_table(records)])
    return between(text, BEGIN, f"\n{parts}\n")


def _row(name: str, records: Sequence[Record], lasso: Sequence[Record]) -> str:
    """One reading; of one that missed its target the widths tell how far it came."""
    done = [record for record in records if "failed" not in record]
    cells = [name.rpartition("/")[2], str(len(records))]
    cells += [
        spread([r[key] for r in done if r[key] is not None], 2)
        for key in ("error_met", "error_removed", "error_validation", "error_small")
    ]
    other = {r["seed"]: r["error_validation"] for r in lasso}
    both = [r["error_validation"] - other[r["seed"]] for r in done if r["seed"] in other]
    missed = [record for record in records if not _met(record)]
    against = f"target missed by {len(missed)} of {len(records)}" if missed else spread(both, 2, "+")
    axes = [[left for left, _ in r["widths"].values()] for r in done]
    widths = "-".join(f"{mean(counts):.0f}" for counts in zip(*axes, strict=True)) or str(records[0].get("failed", "-"))
    return f"| {' | '.join([*cells, against, widths])} |"


def _mean(records: Sequence[Record]) -> float:
    return float(mean(record["error_validation"] for record in records))


def _met(record: Record) -> bool:
    return met(record, TARGETS[record["recipe"].split("/")[1]])


def clip_table(records: Place) -> str:
    """What was found, as far as it was run.

    Args:
        records: The folder of the ablation's records, or an address.

    Returns:
        Markdown: for each learning rate and clip the median of the steps to a validation loss (a dash where fewer than
        half of the seeds reached it), the validation loss at the end, and the share of steps in which the paper's clip
        acts or would have acted.

    Example:
        >>> clip_table("nowhere")
        'The clip of section 5: 0 of 108 runs.'
    """
    found: dict[str, list[list[list[float | None]]]] = {}
    for name, spec in clip_catalogue().items():
        each = [read_record(records, name, replace(spec, seed=seed)) for seed in SEEDS]
        if rows := [record["rows"] for record in each if record is not None]:
            found[name] = rows
    count = sum(map(len, found.values()))
    title = f"The clip of section 5: {count} of {len(clip_catalogue()) * len(SEEDS)} runs."
    if not count:
        return title
    lines = [
        title,
        "",
        "| training | clip | seeds | steps to the losses | loss at the end | steps with an entry beyond 0.1 / lr, % |",
        "|---|---|---|---|---|---|",
    ]
    for name, runs in found.items():
        _, model, label = name.split("/")
        training, _, how = label.rpartition("-")
        steps = ", ".join(f"{_steps(runs, loss)} to {loss:g}" for loss in LOSSES[model])
        ends = [end for run in runs if (end := run[-1][2]) is not None]
        last = f"{mean(ends):.3f}" if len(ends) == len(runs) else "no number"
        clipped = 100 * mean(row[3] or 0.0 for run in runs for row in run)
        lines.append(f"| {model}, {training} | {how} | {len(runs)} | {steps} | {last} | {clipped:.1f} |")
    return "\n".join(lines)


def _steps(runs: Sequence[Sequence[Sequence[float | None]]], loss: float) -> str:
    """The median of the first steps with at most this validation loss."""
    first = [next((row[0] for row in run if row[2] is not None and row[2] <= loss), None) for run in runs]
    reached = [step for step in first if step is not None]
    if 2 * len(reached) < len(first):
        return "-"
    late = [float("inf")] * (len(first) - len(reached))
    return f"{median([*reached, *late]):.0f}"


if __name__ == "__main__":
    page = Path("docs/ablation.md")
    page.write_text(with_tables(page.read_text(), "docs/records/ablation"))
