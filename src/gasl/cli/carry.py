"""What the commands of many runs have in common: show the plan, run it by an engine, show the tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gasl.errors import InputError
from gasl.experiments.places import Place
from gasl.experiments.resources import Resources
from gasl.training.config import Hardware

if TYPE_CHECKING:
    from gasl.experiments.jobs import Job
    from gasl.experiments.run import RunOptions
    from gasl.experiments.tables import Entry

__all__ = ["carry_out", "options_of", "show_plan", "show_tables"]


def options_of(data_dir: Path | None, progress: bool, hardware: Hardware, test: bool = True) -> "RunOptions":
    """What the flags of a command say of each run; no run may take several devices, each is for a run of its own."""
    from gasl.experiments.run import RunOptions

    if hardware.devices * hardware.nodes > 1:
        raise InputError(
            f"many runs are shared out one to a device (--engine ray), got {hardware}; "
            "one run on several devices is for gasl run and gasl train"
        )
    return RunOptions(data_dir=data_dir, progress=progress, hardware=hardware, test=test)


def show_plan(rows: "list[Entry]", out: Path, records: Place) -> None:
    """Print what would run, and how long."""
    from gasl.experiments.jobs import plan
    from gasl.experiments.tables import jobs_of
    from gasl.report.console import print_plan

    print_plan(plan(jobs_of(rows), out, records))


def carry_out(
    jobs: "list[Job]", out: Path, options: "RunOptions", records: Place, engine: str, resources: Resources
) -> list[str]:
    """Run what is missing by one engine or the other; a line for each that failed."""
    from gasl.experiments.jobs import run_jobs
    from gasl.experiments.on_ray import run_on_ray

    if engine == "ray":
        return run_on_ray(jobs, out, options, records, resources)
    return run_jobs(jobs, out, options, records)


def show_tables(rows: "list[Entry]", records: Place, failed: Sequence[str]) -> None:
    """Print the tables of what is there, and what failed."""
    from gasl.report.console import print_tables
    from gasl.report.stages import made_of
    from gasl.report.tables import found

    print_tables(made_of(rows, found(rows, records)))
    for line in failed:
        print(f"failed: {line}")
