"""Runs and their records: what is there is not run again, what was cut off goes on."""

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from gasl.experiments import recipes
from gasl.experiments.identity import agree, described, identity
from gasl.experiments.networks import factory
from gasl.experiments.places import Place, as_record, joined, listed, read_text, write_text
from gasl.experiments.run import SPARSE, RunOptions, train_run
from gasl.experiments.spec import RunSpec
from gasl.files import load

__all__ = ["dense_start", "is_of", "overview", "read_record", "record_path", "run_named"]

_LEFT_OUT = ("model", "data", "method", "phases")  # of result.json: the spec says it


class Seeded(Protocol):
    """What names a run: a dataclass with a seed, such as :class:`RunSpec`."""

    @property
    def seed(self) -> int:
        """Of everything random."""


def record_path(records: Place, name: str, seed: int) -> str:
    """Where the record of a run lies.

    Example:
        >>> record_path("s3://bucket", "lenet5/gasl", 0)
        's3://bucket/lenet5/gasl-seed0.json'
    """
    return joined(records, f"{name}-seed{seed}.json")


def read_record(records: Place, name: str, spec: Seeded) -> dict[str, Any] | None:
    """The record of a run; None if there is none, or one of another spec under this name.

    Args:
        records: The folder of records, or an address such as s3://bucket/records.
        name: What the run is called.
        spec: What it does, its seed included.

    Returns:
        ``recipe``, ``identity``, ``spec``, and what the run found; see :func:`run_named`.

    Raises:
        FileError: If the file cannot be read.

    Example:
        >>> read_record(Path("nowhere"), "lenet5/gasl", recipes.RECIPES["lenet5/gasl"]) is None
        True
    """
    path = record_path(records, name, spec.seed)
    if (text := read_text(path)) is None:
        return None
    with as_record(path):
        record: dict[str, Any] = json.loads(text)
        return record if is_of(record, spec) else None


def is_of(record: Mapping[str, Any], spec: Seeded) -> bool:
    """Whether a record is of a run as it is now: by its identity, and by what its defaults were then.

    Args:
        record: From :func:`run_named`.
        spec: The run.

    Example:
        >>> spec = recipes.RECIPES["mlp/gasl"]
        >>> is_of({"identity": identity(spec)}, spec), is_of({"identity": identity(spec)}, spec.seeded(1))
        (True, False)
    """
    return bool(record["identity"] == identity(spec) and agree(record.get("spec", {}), described(spec)))


def overview(records: Place) -> dict[str, list[int]]:
    """Which runs are there.

    Args:
        records: The folder of records, or an address such as s3://bucket/records.

    Returns:
        For each recipe the seeds of which there is a record, of the recipe as it is now.

    Example:
        >>> overview(Path("nowhere"))["lenet5/gasl"]
        []
    """
    there: dict[str, list[int]] = {}
    files = listed(records, "*-seed*.json")
    for name in recipes.RECIPES:
        found = [f.removeprefix(f"{name}-seed").removesuffix(".json") for f in files if f.startswith(f"{name}-seed")]
        seeds = sorted(int(n) for n in found if n.isdecimal())
        there[name] = [n for n in seeds if read_record(records, name, recipes.RECIPES[name].seeded(n)) is not None]
    return there


def dense_start(spec: RunSpec, out: Path) -> Path:
    """Where the dense start of a run lies: one for all runs with the same network, data, settings and seed.

    Args:
        spec: The run.
        out: The folder of all runs.

    Returns:
        A folder as :func:`gasl.training.fit` writes it.

    Example:
        >>> l1, gasl = recipes.RECIPES["mlp/l1"], recipes.RECIPES["mlp/gasl"]
        >>> dense_start(l1, Path("runs")) == dense_start(gasl, Path("runs"))
        True
    """
    start = RunSpec(model=spec.model, model_args=spec.model_args, data=spec.data, dense=spec.dense, seed=spec.seed)
    return out / "dense" / identity(start)


def run_named(
    name: str, spec: RunSpec, out: Path, options: RunOptions | None = None, records: Place | None = None
) -> dict[str, Any]:
    """Carry out a run unless its record is there; go on with one that was cut off.

    The dense start is kept in :func:`dense_start`, where every run with the same one finds it.

    Args:
        name: What the run is called, e.g. a name of :data:`gasl.experiments.recipes.RECIPES`; its record's path.
        spec: What to do.
        out: The folder of all runs.
        options: How; ``resume`` and ``dense`` are set here.
        records: The folder of records, or an address; ``out/records`` by default.

    Returns:
        The record: ``recipe`` (the name), ``identity``, ``spec`` (every field), ``epochs`` and ``seconds`` of all
        phases, ``error_validation`` at the end, ``nonzero`` (for each weight tensor how many it had, and how many of
        the smaller network's are not 0), and the entries of :class:`gasl.report.ReportData`'s ``result``. Nothing in
        the others of several processes on the run.

    Raises:
        InputError: If the data are missing, or another process is at it.
        RemovalError: If the removal would have changed an output.

    Example:
        >>> run_named("lenet5/gasl", recipes.RECIPES["lenet5/gasl"], Path("runs"))  # doctest: +SKIP
        {'recipe': 'lenet5/gasl', 'identity': ...}
    """
    options, records = options or RunOptions(), records or out / "records"
    if (there := read_record(records, name, spec)) is not None:
        options.say(f"{name}, seed {spec.seed}: complete in {record_path(records, name, spec.seed)}")
        return there
    folder = out / f"{name}-seed{spec.seed}-{identity(spec)}"
    if not (result := train_run(spec, folder, _ready(spec, out, options))):
        return {}
    record = {"recipe": name, "identity": identity(spec), "spec": described(spec), **_history(folder)}
    record |= {"nonzero": _nonzero(spec, folder), **{k: v for k, v in result.items() if k not in _LEFT_OUT}}
    write_text(record_path(records, name, spec.seed), json.dumps(record, indent=1) + "\n")
    return record


def _ready(spec: RunSpec, out: Path, options: RunOptions) -> RunOptions:
    """With the dense start, and with the network of the run that it goes on from, which is run if it is not there."""
    begun = None
    if (start := spec.start) is not None:
        end = f"seed{start.seed}-{identity(start)}"
        folder = next((path for path in out.rglob(f"*-{end}") if path.is_dir()), out / "starts" / f"start-{end}")
        begun = folder / SPARSE
        if not begun.is_file():
            options.say("the run that this one goes on from")
            train_run(start, folder, _ready(start, out, options))
    return replace(options, resume=True, dense=dense_start(spec, out), start=begun)


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
