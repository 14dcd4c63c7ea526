"""The runs behind the paper's Figure 1: LeNet-5 made sparse without attention and with it."""

from dataclasses import replace
from pathlib import Path

from safetensors import safe_open

from gasl.errors import unknown_name
from gasl.experiments.choice import Choice
from gasl.experiments.identity import identity
from gasl.experiments.jobs import Job
from gasl.experiments.places import Place
from gasl.experiments.run import RunOptions, train_run
from gasl.experiments.store import dense_start, run_named
from gasl.experiments.tables import entries

__all__ = ["drawable", "figure_jobs", "folder_of"]

_ROWS = {"without attention": "lenet5/group_lasso", "with guided attention": "lenet5/gasl"}


def figure_jobs(number: int, choice: Choice | None = None, seed: int = 0) -> dict[str, Job]:
    """The runs of a figure.

    Args:
        number: As in the paper: 1.
        choice: As for Table 1, whose rows they are.
        seed: Of both; a figure shows one network of each kind.

    Returns:
        What each shows, and the run.

    Raises:
        InputError: If there is no such figure, or the seed is negative.

    Example:
        >>> {title: str(job) for title, job in figure_jobs(1).items()}
        {'without attention': 'lenet5/group_lasso, seed 0', 'with guided attention': 'lenet5/gasl, seed 0'}
    """
    if number != 1:
        raise unknown_name("figure", str(number), ["1"])
    rows = {entry.key: entry for entry in entries(1, choice)}
    return {title: Job(name=rows[key].name, spec=rows[key].spec.seeded(seed)) for title, key in _ROWS.items()}


def folder_of(job: Job, out: Path, options: RunOptions, records: Place | None = None) -> Path:
    """The folder of a run with its arrays; the run is carried out where it is missing, as for a table.

    A run with a record whose folder is not here, or is of a former version and lacks some of the arrays, is carried out
    once more, in ``out/figures``.

    Args:
        job: The run.
        out: The folder of all runs.
        options: How.
        records: The folder of records, or an address; ``out/records`` by default.

    Returns:
        The folder.

    Raises:
        InputError: If the data are missing, or another process is at it.
        RemovalError: If the removal would have changed an output.

    Example:
        >>> folder_of(figure_jobs(1)["with guided attention"], Path("runs"), RunOptions())  # doctest: +SKIP
        PosixPath('runs/lenet5/gasl-seed0-66775be957549be4')
    """
    run_named(job.name, job.spec, out, options, records)
    if (folder := drawable(job, out)) is None:
        folder = _folders(job, out)[-1]
        options.say(f"{job}: once more, for the arrays that are not here")
        train_run(job.spec, folder, replace(options, resume=True, dense=dense_start(job.spec, out)))
    return folder


def drawable(job: Job, out: Path) -> Path | None:
    """The folder of a run that is complete and has all arrays; None if there is none.

    Example:
        >>> drawable(figure_jobs(1)["with guided attention"], Path("nowhere")) is None
        True
    """
    return next((folder for folder in _folders(job, out) if _complete(folder)), None)


def _folders(job: Job, out: Path) -> tuple[Path, Path]:
    name = f"{job.name}-seed{job.spec.seed}-{identity(job.spec)}"
    return out / name, out / "figures" / name


def _complete(folder: Path) -> bool:
    path = folder / "arrays.safetensors"
    if not (path.is_file() and (folder / "result.json").is_file()):
        return False
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
    return any(name.startswith("norms/over/") for name in names)
