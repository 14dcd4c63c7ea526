"""The runs of the ablation: a stage is carried out, and of each run what the comparison needs is kept.

A run is kept in full under ``OUT/records``, as every named run is. The place of the ablation's own records has a few
numbers of each: the error when the target was met, just after the removal, and at the end; and the widths. A run that
could not be finished leaves a record that says so.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gasl.data import load
from gasl.errors import InputError, InUseError, RemovalError
from gasl.experiments.ablation import stage_runs
from gasl.experiments.identity import described, identity
from gasl.experiments.jobs import share_out
from gasl.experiments.named import named
from gasl.experiments.places import Place, write_text
from gasl.experiments.run import RunOptions
from gasl.experiments.spec import RunSpec
from gasl.experiments.store import read_record, record_path, run_named

__all__ = ["met", "missing", "run_stage", "score", "shortened"]

_COPIED = ("recipe", "identity", "seed", "epochs", "error_validation", "error_dense", "error_small", "versions")


def shortened(record: Mapping[str, Any], course: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """What the comparison needs of a run.

    Args:
        record: From :func:`gasl.experiments.store.run_named`.
        course: The rows of its ``history.csv``.

    Returns:
        ``error_removed`` is the validation error just after the removal, before any tuning; ``error_met`` that of the
        epoch in which the last unit died, in percent, and ``met_epoch`` that epoch, counted from 1; ``widths`` has the
        units left and of how many, by axis; ``macs`` those left and of how many.

    Example:
        >>> shortened({"layers": [], "macs": {"small": 1, "dense": 4}, "error_after_removal": 2.0}, [])["macs"]
        [1, 4]
    """
    short = {name: record[name] for name in _COPIED if name in record}
    columns = [f"sparsity_propagated/{layer['name']}" for layer in record["layers"]]
    sparse = [row for row in course if all(row.get(column) for column in columns)] if columns else []
    last = next((i for i, row in enumerate(sparse) if [row[c] for c in columns] == [sparse[-1][c] for c in columns]), 0)
    return short | {
        "error_removed": record["error_after_removal"],
        "error_met": float(sparse[last]["val_error"]) if sparse else None,
        "met_epoch": last + 1,
        "widths": {layer["name"]: [layer["alive"], layer["size"]] for layer in record["layers"]},
        "macs": [record["macs"]["small"], record["macs"]["dense"]],
    }


def met(record: Mapping[str, Any], sparsity: Mapping[str, float]) -> bool:
    """Whether no axis has more units than its target leaves.

    Args:
        record: From :func:`shortened`; one of a run that failed did not.
        sparsity: Part of each axis that was to go.

    Example:
        >>> met({"widths": {"fc1": [100, 500]}}, {"fc1": 0.8}), met({"widths": {"fc1": [101, 500]}}, {"fc1": 0.8})
        (True, False)
    """
    widths = record.get("widths", {})
    return bool(widths) and all(widths[n][0] <= int((1 - s) * widths[n][1] + 1e-9) for n, s in sparsity.items())


def score(name: str, seed: int, records: Place) -> float | None:
    """By what a stage chooses: the validation error at the end.

    Args:
        name: Of the run.
        seed: Its seed.
        records: The folder of the ablation's records, or an address.

    Returns:
        Percent; infinite if the target was not met or the run failed, None if there is no record.

    Example:
        >>> score("ablate/mlp/ssl-coupled", 0, "nowhere") is None
        True
    """
    spec = named(name, seed)
    if (record := read_record(records, name, spec)) is None:
        return None
    assert spec.target is not None
    assert isinstance(spec.target.sparsity, Mapping)
    return float(record["error_validation"]) if met(record, spec.target.sparsity) else float("inf")


def missing(stage: str, records: Place) -> list[tuple[str, int]]:
    """The runs of a stage that are known by now and have no record.

    Args:
        stage: A name of :data:`gasl.experiments.ablation.STAGES`.
        records: The folder of the ablation's records, or an address.

    Returns:
        Names and seeds, in the order in which they are to be run.

    Example:
        >>> missing("screen", "nowhere")[0]
        ('ablate/mlp/ssl-coupled', 0)
    """
    runs = stage_runs(stage, lambda name, seed: score(name, seed, records))
    return [(name, seed) for name, seed in runs if read_record(records, name, named(name, seed)) is None]


def run_stage(stage: str, out: Path, options: RunOptions | None = None, records: Place | None = None) -> None:
    """Carry out a stage; what is there is skipped, what was cut off goes on.

    Several processes may be given the same folders: what one is at, another leaves for later.

    Args:
        stage: A name of :data:`gasl.experiments.ablation.STAGES`.
        out: The folder of all runs.
        options: How.
        records: The folder of the ablation's records, or an address; ``out/records/ablation`` by default.

    Raises:
        InputError: If there is no such stage, or the data are missing.

    Example:
        >>> run_stage("screen", Path("runs"))  # doctest: +SKIP
    """
    options = options or RunOptions()
    place: Place = records or out / "records" / "ablation"
    load("mnist", options.data_dir)  # if it is missing, that is no run's failure

    def todo() -> list[tuple[str, tuple[str, int]]]:
        return [(f"{name}, seed {seed}", (name, seed)) for name, seed in missing(stage, place)]

    def carry_out(run: tuple[str, int]) -> None:
        record = _run(run[0], named(*run), out, options)
        write_text(record_path(place, *run), json.dumps(record, indent=1) + "\n")

    share_out(todo, carry_out, options.say)


def _run(name: str, spec: RunSpec, out: Path, options: RunOptions) -> dict[str, Any]:
    said = {"spec": described(spec)}
    try:
        record = run_named(name, spec, out, replace(options, resume=True))
    except InUseError:
        raise
    except (InputError, RemovalError) as error:
        failed = {"recipe": name, "identity": identity(spec), "seed": spec.seed, "failed": str(error)}
        return failed | said
    with (out / f"{name}-seed{spec.seed}-{identity(spec)}" / "history.csv").open(newline="") as file:
        return shortened(record, list(csv.DictReader(file))) | said
