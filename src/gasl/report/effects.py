"""What each reading alone does to the error: pairs of runs of the ablation that differ in one field.

``python -m gasl.report.effects`` in the repository writes the table of ``docs/readings.md`` again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gasl.experiments.ablation import TARGETS, catalogue
from gasl.experiments.ablation_run import met
from gasl.experiments.places import Place
from gasl.experiments.store import read_record
from gasl.methods import GASL, Method, StructuredAttention
from gasl.report.marks import between, spread

__all__ = ["BEGIN", "Effect", "effects", "effects_table"]

BEGIN = "<!-- from the records, by gasl.report.effects -->"
NO_GUIDANCE = "none"
_SEEDS = range(6)  # of all stages
# The reading, its field, the value that others are compared with, and which others; empty for all.
_READINGS: tuple[tuple[str, str, object, tuple[object, ...]], ...] = (
    ("R2", "scope", "coupled", ()),
    ("R3", "inverse", "standardised", ()),
    ("R4", "values", "norms", ()),
    ("R6", "mixing", 1.0, ()),
    ("R9", "beta", NO_GUIDANCE, ()),
    ("R9", "beta", "rank", ("fixed", "fresh")),  # LeNet-5 has no run without guidance
    ("R10", "conditional", True, ()),
    ("R12", "detach", True, ()),
    ("R15", "alpha", 1.0, ()),
    ("R15", "alpha", 10.0, (100.0,)),  # and none with alpha = 1
)
_GUIDANCE = {"beta": NO_GUIDANCE, "mixing": 1.0, "conditional": True, "detach": True}
_OTHERS = ("inverse", "values", "alpha", "scope", "linear")

# By the network and the form of the inverse: "log" ruins networks, and would hide what a field does to the others.
_COLUMNS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "784-500-300, standardised": ("mlp", ("standardised",)),
    "784-500-300, total, per_layer, cv": ("mlp", ("total", "per_layer", "cv")),
    "784-500-300, log": ("mlp", ("log",)),
    "LeNet-5-Caffe, standardised": ("lenet5", ("standardised",)),
}

Fields = dict[str, object]


@dataclass(frozen=True)
class Effect:
    """Two runs that differ in one field.

    Args:
        reading: The number in ``docs/readings.md``.
        field: Of the method.
        usual: The value of the first run.
        value: That of the second.
        model: mlp or lenet5.
        inverse: That of the second run.
        seed: Of both.
        points: Validation error after tuning of the second less that of the first, in percentage points; None where
            the second missed its target.
    """

    reading: str
    field: str
    usual: object
    value: object
    model: str
    inverse: str
    seed: int
    points: float | None


def effects(errors: Mapping[tuple[str, int], float | None], methods: Mapping[str, Method]) -> list[Effect]:
    """All pairs of runs that differ in one field.

    Args:
        errors: By name and seed the validation error after tuning; None where the target was missed.
        methods: By name what the run is of; presets and group lasso have no pair.

    Returns:
        The pairs whose first run met its target.

    Example:
        >>> runs = {"ablate/mlp/a": GASL(beta="fixed"), "ablate/mlp/b": StructuredAttention()}
        >>> errors = {("ablate/mlp/a", 0): 1.8, ("ablate/mlp/b", 0): 1.9}
        >>> [(e.reading, e.value, round(e.points, 2)) for e in effects(errors, runs)]
        [('R9', 'fixed', -0.1)]
    """
    known = {name: fields for name, method in methods.items() if (fields := _fields(method)) is not None}
    by_fields = {_key(name, fields): name for name, fields in known.items()}
    found = []
    for (name, seed), error in errors.items():
        fields = known.get(name)
        if fields is None:
            continue
        for reading, field, usual, others in _READINGS:
            compared = fields[field] in others if others else fields[field] != usual
            other = by_fields.get(_key(name, fields | {field: usual})) if compared else None
            if other is None or (first := errors.get((other, seed))) is None:
                continue
            points = None if error is None else error - first
            model, inverse = name.split("/")[1], str(fields["inverse"])
            found.append(Effect(reading, field, usual, fields[field], model, inverse, seed, points))
    return found


def effects_table(records: Place) -> str:
    """The effects as a table.

    Args:
        records: The folder of the ablation's records, or an address.

    Returns:
        Markdown, with an empty line on either side: mean and standard deviation over the pairs, their number, and how
            many of them missed the target.

    Example:
        >>> len(effects_table("nowhere").strip().splitlines())
        2
    """
    methods = {name: spec.method for name, spec in catalogue().items()}
    errors: dict[tuple[str, int], float | None] = {}
    for name, spec in catalogue().items():
        for seed in _SEEDS:
            record = read_record(records, name, replace(spec, seed=seed))
            if record is not None:
                reached = met(record, TARGETS[name.split("/")[1]])
                errors[name, seed] = record["error_validation"] if reached else None
    found = effects(errors, methods)
    lines = ["", f"| reading | {' | '.join(_COLUMNS)} |", "|---" * (1 + len(_COLUMNS)) + "|"]
    for reading, field, usual, _ in _READINGS:
        for value in sorted({e.value for e in found if (e.field, e.usual) == (field, usual)}, key=_rank):
            pairs = [e for e in found if (e.field, e.usual, e.value) == (field, usual, value)]
            cells = [
                _cell([e.points for e in pairs if e.model == model and e.inverse in forms])
                for model, forms in _COLUMNS.values()
            ]
            lines.append(f"| {reading}: `{field}` {_said(usual)} → {_said(value)} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _fields(method: Method) -> Fields | None:
    """What a reading says, without the strength with which the controller begins."""
    if not isinstance(method, StructuredAttention | GASL):
        return None
    own = _GUIDANCE | ({name: getattr(method, name) for name in _GUIDANCE} if isinstance(method, GASL) else {})
    return {name: getattr(method, name) for name in _OTHERS} | own


def _key(name: str, fields: Fields) -> tuple[object, ...]:
    return name.rpartition("/")[0], *(fields[name] for name in sorted(fields))


def _rank(value: object) -> tuple[bool, float, str]:
    return isinstance(value, float), value if isinstance(value, float) else 0.0, str(value)


def _said(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cell(points: Sequence[float | None]) -> str:
    done = [value for value in points if value is not None]
    missed = len(points) - len(done)
    return f"{spread(done, 2, '+')} ({len(done)}{f', {missed} missed' if missed else ''})" if points else ""


if __name__ == "__main__":
    page = Path("docs/readings.md")
    page.write_text(between(page.read_text(), BEGIN, effects_table("docs/records/ablation")))
