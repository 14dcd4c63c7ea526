"""The runs behind the paper's Figure 1: LeNet-5 made sparse without attention and with it."""

from dataclasses import replace
from pathlib import Path

from safetensors import safe_open

from gasl.errors import unknown_name
from gasl.experiments.identity import identity
from gasl.experiments.jobs import Job
from gasl.experiments.run import RunOptions, train_run
from gasl.experiments.store import dense_start
from gasl.experiments.tables import Choice, entries

__all__ = ["figure_jobs", "folder_of"]

_ROWS = {"without attention": "lenet5/group_lasso", "with guided attention": "lenet5/gasl"}


def figure_jobs(number: int, choice: Choice | None = None) -> dict[str, Job]:
    """The runs of a figure.

    Args:
        number: As in the paper: 1.
        choice: As for Table 1, whose rows they are; the seed is 0.

    Returns:
        What each shows, and the run.

    Raises:
        InputError: If there is no such figure.

    Example:
        >>> {title: str(job) for title, job in figure_jobs(1).items()}
        {'without attention': 'lenet5/group_lasso, seed 0', 'with guided attention': 'lenet5/gasl, seed 0'}
    """
    if number != 1:
        raise unknown_name("figure", str(number), ["1"])
    rows = {entry.key: entry for entry in entries(1, choice)}
    return {title: rows[key].jobs()[0] for title, key in _ROWS.items()}


def folder_of(job: Job, out: Path, options: RunOptions) -> Path:
    """The folder of a run with its arrays; the run is carried out where they are missing, whatever records there are.

    Args:
        job: The run.
        out: The folder of all runs.
        options: How.

    Returns:
        The folder.

    Raises:
        InputError: If the data are missing, or another process is at it.

    Example:
        >>> folder_of(figure_jobs(1)["with guided attention"], Path("runs"), RunOptions())  # doctest: +SKIP
        PosixPath('runs/lenet5/gasl-seed0-66775be957549be4')
    """
    name = f"{job.name}-seed{job.spec.seed}-{identity(job.spec)}"
    for folder in (out / name, out / "figures" / name):  # runs of former versions lack some of the arrays
        if _complete(folder):
            return folder
    options.say(str(job))
    train_run(job.spec, folder, replace(options, resume=True, dense=dense_start(job.spec, out)))
    return folder


def _complete(folder: Path) -> bool:
    path = folder / "arrays.safetensors"
    if not (path.is_file() and (folder / "result.json").is_file()):
        return False
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
    return any(name.startswith("norms/over/") for name in names)
