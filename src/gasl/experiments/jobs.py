"""Named runs, many at a time: what is there already, what is missing, how long that would take, and doing it."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from gasl.errors import InUseError, RemovalError
from gasl.experiments.costs import Clock
from gasl.experiments.places import Place, as_record, joined, listed, read_text
from gasl.experiments.run import RunOptions
from gasl.experiments.spec import RunSpec
from gasl.experiments.store import dense_start, read_record, run_named
from gasl.measure import describe_device

__all__ = ["Job", "Plan", "Planned", "all_records", "plan", "run_jobs", "share_out"]

T = TypeVar("T")
_AGAIN = 20.0  # seconds until runs that another process was at are looked at again


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run with its name.

    Args:
        name: The path of its record.
        spec: What it does.
    """

    name: str
    spec: RunSpec

    def __str__(self) -> str:
        return f"{self.name}, seed {self.spec.seed}"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What there is to do for a run.

    Args:
        job: The run.
        done: Whether its record is there.
        phases: Those that are still to be trained; a dense start that an earlier run leaves is not among them.
        seconds: How long they would take; None if nothing like it was measured.
    """

    job: Job
    done: bool
    phases: tuple[str, ...]
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What there is to do for a table.

    Args:
        runs: All of its runs in their order.
    """

    runs: Sequence[Planned]

    @property
    def missing(self) -> list[Planned]:
        """Those without a record."""
        return [run for run in self.runs if not run.done]

    @property
    def seconds(self) -> float:
        """How long the missing runs take together, one after another, as far as it is known."""
        return sum(run.seconds or 0.0 for run in self.missing)


def all_records(records: Place) -> list[dict[str, Any]]:
    """Every record of a place that tells of a smaller network, whatever settings it is of.

    The demonstration, steps to a loss (the clip's) and runs whose target could not be met have others, which are left
    out: they have no name, or nothing to compare.

    Args:
        records: Folder or address.

    Returns:
        The records in the order of their names.

    Raises:
        FileError: If a file is no record.

    Example:
        >>> all_records("nowhere")
        []
    """
    found = []
    for name in listed(records, "*-seed*.json"):
        address = joined(records, name)
        with as_record(address):
            record = json.loads(read_text(address) or "")
            if {"recipe", "latency_ms"} <= record.keys():
                record["identity"], record["spec"]["method"]["class"]
                found.append(record)
    return found


def plan(jobs: Iterable[Job], out: Path, records: Place, complete: Callable[[Job], bool] = lambda job: True) -> Plan:
    """What there is to do.

    Args:
        jobs: The runs in the order in which they would be carried out.
        out: The folder of all runs, where dense starts lie.
        records: The folder of records, or an address; what they took tells how long others will take.
        complete: Whether a run that has a record has all else that is wanted of it.

    Returns:
        The plan.

    Example:
        >>> plan([Job(name="mlp/x", spec=RunSpec(model="mlp"))], Path("nowhere"), "nowhere").missing[0].phases
        ('dense', 'sparse', 'tune')
    """
    clock, runs = Clock.of(all_records(records), _here()), []
    starts: set[Path] = set()
    for job in jobs:
        done = read_record(records, job.name, job.spec) is not None and complete(job)
        phases: tuple[str, ...] = ()
        if not done:
            start = dense_start(job.spec, out)
            dense = job.spec.weights is None and start not in starts and not (start / "history.csv").is_file()
            starts.add(start)
            phases = (*(["dense"] if dense else []), "sparse", *(["tune"] if job.spec.tune else []))
        runs.append(Planned(job=job, done=done, phases=phases, seconds=clock.seconds_of(job.spec, phases)))
    return Plan(runs=runs)


def _here() -> str:
    """What Lightning takes where nothing is said, in a record's words."""
    return describe_device(torch.device("cuda")) if torch.cuda.is_available() else "cpu"


def run_jobs(
    jobs: Iterable[Job], out: Path, options: RunOptions | None = None, records: Place | None = None
) -> list[str]:
    """Carry out runs one after another; those that are there are skipped, those that were cut off go on.

    Several processes may be given the same runs, and share them out: what one is at, another leaves for later.

    Args:
        jobs: The runs.
        out: The folder of all runs.
        options: How.
        records: The folder of records, or an address; ``out/records`` by default.

    Returns:
        For each run whose removal failed a line with the reason.

    Raises:
        InputError: If the data are missing, or a folder cannot be used.

    Example:
        >>> run_jobs([], Path("runs"))
        []
    """
    options = options or RunOptions()
    todo = {str(job): job for job in jobs}
    failed: list[str] = []

    def carry_out(job: Job) -> None:
        try:
            run_named(job.name, job.spec, out, options, records)
        except RemovalError as error:
            failed.append(f"{job}: {error}")
            options.say(f"failed: {failed[-1]}")
        del todo[str(job)]

    share_out(lambda: list(todo.items()), carry_out, options.say)
    return failed


def share_out(
    missing: Callable[[], Sequence[tuple[str, T]]], carry_out: Callable[[T], None], say: Callable[[str], None]
) -> None:
    """Carry out what is missing until nothing is; what another process is at is left for later.

    Args:
        missing: Says what has no record by now, each with its name; asked again after every run.
        carry_out: Does one, after which it is not missing; raises :class:`gasl.errors.InUseError` if another is at it.
        say: Is told, in one line, what happens now.

    Example:
        >>> todo = [("mlp/x, seed 3", 3)]
        >>> share_out(lambda: list(todo), lambda seed: todo.clear(), print)
        mlp/x, seed 3; 1 are left
    """
    passed = 0  # runs in a row that others were at
    while todo := missing():
        if passed >= len(todo):
            passed = 0
            time.sleep(_AGAIN)
            continue
        name, what = todo[passed]
        say(f"{name}; {len(todo)} are left")
        try:
            carry_out(what)
            passed = 0
        except InUseError as error:
            say(f"later: {error}")
            passed += 1
