"""A search for hyper-parameters: a run for each choice of values, judged on the validation part alone."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, get_type_hints

from jsonargparse import ArgumentError, ArgumentParser

from gasl.errors import InputError, unknown_name
from gasl.experiments.identity import identity
from gasl.experiments.jobs import Job, all_records
from gasl.experiments.named import named
from gasl.experiments.spec import RunSpec

__all__ = ["changed", "ranked", "sweep_jobs", "sweep_records"]

Values = Mapping[str, Sequence[Any]]


def changed(spec: RunSpec, values: Mapping[str, object]) -> RunSpec:
    """A run with some of its fields set otherwise, all at once: it is the whole that has to make sense.

    Args:
        spec: The run.
        values: The new values by path, names with dots between them, e.g. method.strength, sparse.lr or target.macs.

    Returns:
        The run.

    Raises:
        InputError: If there is no such field, or it does not take the value.

    Example:
        >>> changed(RunSpec(), {"method.strength": 0.25}).method.strength
        0.25
    """
    made = _set(spec, [(path.split("."), path, value) for path, value in values.items()])
    assert isinstance(made, RunSpec)  # as what went in
    return made


def _set(thing: Any, values: Sequence[tuple[Sequence[str], str, object]]) -> Any:
    """A dataclass with new values, each by the names that are left of its path."""
    inside: dict[str, list[tuple[Sequence[str], str, object]]] = {}
    for (first, *rest), path, value in values:
        if not is_dataclass(thing):
            raise InputError(f"{path} names a field of {thing!r}, which has none")
        if first not in (known := [f.name for f in fields(thing)]):
            raise unknown_name(f"field of {type(thing).__name__}", first, known)
        inside.setdefault(first, []).append((rest, path, value))
    new = {}
    for first, those in inside.items():
        deep = [one for one in those if one[0]]
        found = [_typed(get_type_hints(type(thing))[first], path, value) for rest, path, value in those if not rest]
        new[first] = found[-1] if found else getattr(thing, first)
        new[first] = _set(new[first], deep) if deep else new[first]
    return replace(thing, **new)


def _typed(kind: Any, path: str, value: object) -> object:
    """A value as a field of this type holds it: 1 for a float is 1.0."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=kind)
    try:
        return parser.parse_object({"value": value}).value
    except ArgumentError as error:
        wanted = getattr(kind, "__name__", None) if isinstance(kind, type) else str(kind).replace("typing.", "")
        raise InputError(f"{path} takes {wanted}, got {value!r}") from error


def sweep_jobs(name: str, values: Values, number: int | None = None, seed: int = 0) -> list[Job]:
    """The runs of a search: every choice of values, or some of them at random.

    Args:
        name: What is searched around, see :func:`gasl.experiments.named.named`.
        values: The values of each field, by its path.
        number: How many choices to draw; None takes all.
        seed: Of the draw, and of the runs.

    Returns:
        One run for each choice; its name has its identity in it.

    Raises:
        InputError: If there is nothing to search, or a field is unknown.

    Example:
        >>> runs = sweep_jobs("mlp/gasl", {"method.strength": [0.1, 0.2], "sparse.lr": [0.02, 0.05]})
        >>> len(runs), runs[1].spec.sparse.lr
        (4, 0.05)
    """
    if not values or not all(values.values()):
        raise InputError("a search needs values, e.g. --values '{method.strength: [0.1, 0.2]}'")
    if number is not None and number < 1:
        raise InputError(f"number must be 1 or more, got {number}")
    choices = list(product(*values.values()))
    if number is not None and number < len(choices):
        choices = random.Random(seed).sample(choices, number)
    jobs = []
    for choice in choices:
        spec = changed(named(name, seed), dict(zip(values, choice, strict=True)))
        jobs.append(Job(name=f"sweeps/{name}-{identity(spec)}", spec=spec))
    return jobs


def sweep_records(out: Path) -> Path:
    """Where the records of searches lie: away from the others, because their errors are those of validation.

    Example:
        >>> sweep_records(Path("runs")).as_posix()
        'runs/sweeps/records'
    """
    return out / "sweeps" / "records"


def ranked(jobs: Sequence[Job], values: Values, out: Path) -> list[str]:
    """The runs that are there, the lowest validation error first.

    Args:
        jobs: From :func:`sweep_jobs`.
        values: As there; their fields are shown.
        out: The folder of all runs.

    Returns:
        A line for each run.

    Example:
        >>> ranked([], {"method.strength": [0.1]}, Path("nowhere"))
        []
    """
    known = {record["identity"]: record for record in all_records(sweep_records(out))}
    there = [(known[identity(job.spec)], job.spec) for job in jobs if identity(job.spec) in known]
    lines = []
    for record, spec in sorted(there, key=lambda pair: float(pair[0]["error_small"])):
        chosen = ", ".join(f"{path}={_get(spec, path)!r}" for path in values)
        fewer = record["macs"]["dense"] / record["macs"]["small"]
        lines.append(f"{record['error_small']:6.2f} % validation, {fewer:5.1f}x fewer MACs: {chosen}")
    return lines


def _get(thing: Any, path: str) -> Any:
    for name in path.split("."):
        thing = getattr(thing, name)
    return thing
