"""Runs of recipes and their records: what is there is not run again, what was cut off goes on."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from gasl.errors import FileError
from gasl.experiments import recipes
from gasl.experiments.identity import described, identity
from gasl.experiments.networks import factory
from gasl.experiments.run import RunOptions, train_run
from gasl.experiments.spec import RunSpec
from gasl.files import load, whole_file

__all__ = ["overview", "read_record", "record_path", "run_recipe"]

_LEFT_OUT = ("model", "data", "method", "phases")  # of result.json: the spec says it


def record_path(records: Path, name: str, seed: int) -> Path:
    """Where the record of a recipe's run lies.

    Example:
        >>> record_path(Path("records"), "lenet5/gasl", 0).as_posix()
        'records/lenet5/gasl-seed0.json'
    """
    return records / f"{name}-seed{seed}.json"


def read_record(records: Path, name: str, seed: int) -> dict[str, Any] | None:
    """The record of a recipe's run; None if there is none, or one of other settings than the recipe's now.

    Args:
        records: The folder of records.
        name: The recipe.
        seed: Its seed.

    Returns:
        ``recipe``, ``identity``, ``spec``, and what the run found; see :func:`run_recipe`.

    Raises:
        InputError: If there is no such recipe.
        FileError: If the file cannot be read.

    Example:
        >>> read_record(Path("nowhere"), "lenet5/gasl", 0) is None
        True
    """
    path = record_path(records, name, seed)
    spec = recipes.recipe(name, seed)
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text())
        return record if record["identity"] == identity(spec) else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(f"{path} is no record of a run ({error!r}); delete it to run the recipe again") from error


def overview(records: Path) -> dict[str, list[int]]:
    """Which runs are there.

    Args:
        records: The folder of records.

    Returns:
        For each recipe the seeds of which there is a record, of the recipe as it is now.

    Example:
        >>> overview(Path("nowhere"))["lenet5/gasl"]
        []
    """
    there: dict[str, list[int]] = {}
    for name in recipes.RECIPES:
        found = [path.stem.rpartition("-seed")[2] for path in records.glob(f"{name}-seed*.json")]
        there[name] = sorted(int(n) for n in found if n.isdecimal() and read_record(records, name, int(n)) is not None)
    return there


def run_recipe(
    name: str, seed: int, out: Path, options: RunOptions | None = None, records: Path | None = None
) -> dict[str, Any]:
    """Carry out a recipe unless its record is there; go on with a run that was cut off.

    The dense start is kept in ``out/dense/IDENTITY``, where every run with the same network, data, settings and seed
    finds it.

    Args:
        name: A name of :data:`gasl.experiments.recipes.RECIPES`.
        seed: Of everything random.
        out: The folder of all runs.
        options: How; ``resume`` and ``dense`` are set here.
        records: The folder of records; ``out/records`` by default.

    Returns:
        The record: ``recipe``, ``identity``, ``spec`` (every field), ``epochs`` and ``seconds`` of all phases,
        ``error_validation`` at the end, ``nonzero`` (for each weight tensor how many it had, and how many of the
        smaller network's are not 0), and the entries of :class:`gasl.report.ReportData`'s ``result``.

    Raises:
        InputError: If there is no such recipe, the data are missing, or another process is at it.
        RemovalError: If the removal would have changed an output.

    Example:
        >>> run_recipe("lenet5/gasl", 0, Path("runs"))  # doctest: +SKIP
        {'recipe': 'lenet5/gasl', 'identity': ...}
    """
    options, records = options or RunOptions(), records or out / "records"
    if (there := read_record(records, name, seed)) is not None:
        options.say(f"{name}, seed {seed}: complete in {record_path(records, name, seed)}")
        return there
    spec = recipes.recipe(name, seed)
    start = RunSpec(model=spec.model, model_args=spec.model_args, data=spec.data, dense=spec.dense, seed=seed)
    folder = out / f"{name}-seed{seed}-{identity(spec)}"
    result = train_run(spec, folder, replace(options, resume=True, dense=out / "dense" / identity(start)))
    record = {"recipe": name, "identity": identity(spec), "spec": described(spec), **_history(folder)}
    record |= {"nonzero": _nonzero(spec, folder), **{k: v for k, v in result.items() if k not in _LEFT_OUT}}
    with whole_file(record_path(records, name, seed)) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
    return record


def _history(folder: Path) -> dict[str, float]:
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    seconds = round(sum(float(row["seconds"]) for row in rows))
    return {"epochs": len(rows), "seconds": seconds, "error_validation": float(rows[-1]["val_error"])}


def _nonzero(spec: RunSpec, folder: Path) -> dict[str, list[int]]:
    dense = _weights(factory(spec.model, spec.model_args)())
    small = _weights(load(folder / "model.safetensors", factory(spec.model, spec.model_args)))
    return {name: [w.numel(), int(small[name].count_nonzero()) if name in small else 0] for name, w in dense.items()}


def _weights(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.ndim > 1}
