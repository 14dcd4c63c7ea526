"""The same runs as tasks of Ray: on this machine, or on a cluster by its address.

Each run is a task with resources of its own. A dense start is a task that all runs with the same one wait for, and so
is the run that another goes on from. A task whose worker or machine is lost begins again, and goes on from its last
whole epoch, if the folder of runs is one that all machines see. Records may lie in a bucket.
"""

import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gasl.errors import InputError, MissingExtraError
from gasl.experiments.identity import identity
from gasl.experiments.jobs import Job
from gasl.experiments.places import Place
from gasl.experiments.resources import Resources
from gasl.experiments.run import RunOptions, train_dense
from gasl.experiments.store import dense_start, read_record, run_named

__all__ = ["run_on_ray"]

Work = Callable[[Job, Path, RunOptions, Place], None]  # what a task does

_LOOK = 1.0  # seconds between two looks at what the workers say
_KNOCK = 5.0  # seconds in which somebody must answer at an address


def run_on_ray(
    jobs: Iterable[Job],
    out: Path,
    options: RunOptions | None = None,
    records: Place | None = None,
    resources: Resources | None = None,
    work: Work | None = None,
) -> list[str]:
    """Carry out runs as tasks of Ray.

    Args:
        jobs: The runs.
        out: The folder of all runs, which all machines see.
        options: How; what workers say is passed on.
        records: The folder of records, or an address; ``out/records`` by default.
        resources: What each run gets.
        work: What a task does; a run by default.

    Returns:
        For each run that failed a line with the reason; what waited for it fails with it.

    Raises:
        InputError: If there is no Ray at the address, or it cannot be started.
        MissingExtraError: If Ray is not installed.

    Example:
        >>> run_on_ray(jobs, Path("/shared/runs"), resources=Resources(address="auto", gpus=1))  # doctest: +SKIP
        []
    """
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError('the engine ray needs Ray; pip install "gasl[ray]"') from error
    options, resources = options or RunOptions(), resources or Resources()
    place: Place = records or out.resolve() / "records"
    if "://" not in str(place):
        place = Path(place).resolve()
    missing = [job for job in jobs if read_record(place, job.name, job.spec) is None]
    if not missing:
        return []
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        _knock(resources.address)
        ray.init(address=resources.address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        where = "on this machine" if resources.address is None else f"at {resources.address}"
        raise InputError(
            f"there is no Ray to be had {where}; change --ray.address, or leave it out ({error})"
        ) from error
    try:
        return _run(ray, missing, out.resolve(), options, place, resources, work or _work)
    finally:
        ray.shutdown()


def _knock(address: str | None) -> None:
    """Raise an OSError after seconds where nobody listens: Ray itself would wait for minutes."""
    place = urlsplit(address if address and "://" in address else f"//{address or ''}")
    if place.hostname and place.port:
        socket.create_connection((place.hostname, place.port), timeout=_KNOCK).close()


def _run(
    ray: Any,
    jobs: list[Job],
    out: Path,
    options: RunOptions,
    place: Place,
    resources: Resources,
    work: Work,
) -> list[str]:
    board = ray.remote(num_cpus=0)(_Board).remote()
    data_dir = None if options.data_dir is None else options.data_dir.resolve()
    quiet = replace(options, progress=False, data_dir=data_dir, say=_nothing)
    settings: Mapping[str, Any] = {
        "num_cpus": resources.cpus,
        "num_gpus": resources.gpus,
        "max_retries": resources.retries,
    }
    task = ray.remote(**settings)(_task)
    starts: dict[Path, Any] = {}
    running: dict[Any, Job] = {}
    by_identity: dict[str, Any] = {}
    for job in jobs:
        start = dense_start(job.spec, out)
        if job.spec.weights is None and start not in starts:
            starts[start] = task.remote(_dense, board, f"dense start {start.name}", job, out, quiet, place)
        before = [starts[start]] if start in starts else []
        if job.spec.start is not None and (earlier := by_identity.get(identity(job.spec.start))) is not None:
            before.append(earlier)
        reference = task.remote(work, board, str(job), job, out, quiet, place, *before)
        by_identity[identity(job.spec)] = reference
        running[reference] = job
    return _followed(ray, board, running, options.say)


def _followed(ray: Any, board: Any, running: dict[Any, Job], say: Callable[[str], None]) -> list[str]:
    """Wait for all tasks, and pass on what their workers say meanwhile."""
    failed, total, left = [], len(running), list(running)
    while left:
        done, left = ray.wait(left, timeout=_LOOK)
        for line in ray.get(board.take.remote()):
            say(line)
        for reference in done:
            job = running[reference]
            try:
                ray.get(reference)
                say(f"{total - len(left)} of {total} done: {job}")
            except ray.exceptions.RayError as error:
                reason = " ".join(str(error.__cause__ or error).split())[-300:]
                failed.append(f"{job}: {reason}")
                say(f"failed: {failed[-1]}")
    return failed


class _Board:
    """What the workers say, until the driver takes it."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def say(self, line: str) -> None:
        self._lines.append(line)

    def take(self) -> list[str]:
        lines, self._lines = self._lines, []
        return lines


def _task(
    work: Work,
    board: Any,
    title: str,
    job: Job,
    out: Path,
    options: RunOptions,
    place: Place,
    *before: Any,
) -> None:
    """Run in a worker; ``before`` is what Ray waits for."""
    options = replace(options, say=lambda line: board.say.remote(f"{title}: {line}"))
    work(job, out, options, place)


def _nothing(line: str) -> None:
    """What a worker would say is passed on another way."""


def _work(job: Job, out: Path, options: RunOptions, place: Place) -> None:
    run_named(job.name, job.spec, out, options, place)


def _dense(job: Job, out: Path, options: RunOptions, place: Place) -> None:
    train_dense(job.spec, replace(options, resume=True, dense=dense_start(job.spec, out)))
