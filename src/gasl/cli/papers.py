"""The commands that run the paper's tables. Their signatures are the flags, their docstrings the help."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from gasl.cli.carry import carry_out, options_of, show_plan, show_tables
from gasl.experiments.resources import Resources
from gasl.training.config import Hardware

__all__ = ["COMMANDS"]


def table(
    number: int,
    seeds: int | None = None,
    epochs: int | None = None,
    width: float | None = None,
    data: str | None = None,
    preset: Literal["short", "paper"] | None = None,
    dry_run: bool = False,
    show: bool = False,
    out: Path = Path("runs"),
    records: str | None = None,
    data_dir: Path | None = None,
    progress: bool = True,
    hardware: Hardware = Hardware(),  # noqa: B008 - a frozen value
    engine: Literal["local", "ray"] = "local",
    ray: Resources = Resources(),  # noqa: B008 - a frozen value
) -> None:
    """Run a table of the paper, 1 to 4, and print it: what is there is skipped, what was cut off goes on.

    Args:
        number: Of the table.
        seeds: How many for each row.
        epochs: Of the dense network; the other phases change in proportion.
        width: Factor on the channels of VGG-16, 0.25 by default.
        data: cifar10 or cifar100; for Table 1 mnist, fashion_mnist or mnist5k.
        preset: For VGG-16: short (15 + 10 + 5 epochs; the default), or paper (the paper's protocol).
        dry_run: Only say what would run, and how long it would take by what was measured.
        show: Only print what the records have.
        out: The folder of all runs; dense networks in it are shared.
        records: The folder of records, or an address such as s3://bucket/records; OUT/records by default.
        data_dir: The folder that holds the data sets; GASL_DATA by default.
        progress: Show a progress bar.
        hardware: What to train on.
        engine: local runs one after another, ray many at a time, on this machine or a cluster.
        ray: What Ray is asked for.
    """
    from gasl.experiments.choice import Choice
    from gasl.experiments.tables import entries, jobs_of

    rows = entries(number, Choice(seeds=seeds, epochs=epochs, width=width, data=data, preset=preset))
    place = records or str(out / "records")
    if dry_run:
        show_plan(rows, out, place)
        return
    options = options_of(data_dir, progress, hardware)
    failed = [] if show else carry_out(jobs_of(rows), out, options, place, engine, ray)
    show_tables(rows, place, failed)


def frontier(
    seeds: int | None = None,
    dry_run: bool = False,
    show: bool = False,
    out: Path = Path("runs"),
    to: Path | None = None,
    records: str | None = None,
    data_dir: Path | None = None,
    progress: bool = True,
    hardware: Hardware = Hardware(),  # noqa: B008 - a frozen value
    engine: Literal["local", "ray"] = "local",
    ray: Resources = Resources(),  # noqa: B008 - a frozen value
) -> None:
    """Run group lasso and SA + GASL on MNIST at given sizes, print them, and draw error against multiply-accumulates.

    Args:
        seeds: How many for each row; 5 at the paper's units and 1 elsewhere by default.
        dry_run: Only say what would run, and how long it would take by what was measured.
        show: Only print and draw what the records have.
        out: The folder of all runs; dense networks in it are shared.
        to: Where frontier.svg and frontier.png go; OUT by default.
        records: The folder of records, or an address such as s3://bucket/records; OUT/records by default.
        data_dir: The folder that holds the data sets; GASL_DATA by default.
        progress: Show a progress bar.
        hardware: What to train on.
        engine: local runs one after another, ray many at a time, on this machine or a cluster.
        ray: What Ray is asked for.
    """
    from gasl.errors import MissingExtraError
    from gasl.experiments.at_target import target_entries
    from gasl.experiments.tables import entries, jobs_of
    from gasl.report.tables import found

    try:
        from gasl.report.frontier import write_frontier
    except ImportError as error:
        raise MissingExtraError(f'a figure needs {error.name}; pip install "gasl[report]"') from error
    rows = target_entries(seeds)
    place = records or str(out / "records")
    if dry_run:
        show_plan(rows, out, place)
        return
    options = options_of(data_dir, progress, hardware)
    failed = [] if show else carry_out(jobs_of(rows), out, options, place, engine, ray)
    show_tables(rows, place, failed)
    for path in write_frontier(to or out, found([*entries(1), *rows], place)):
        print(f"written: {path}")


def sweep(
    name: str,
    values: dict[str, list[Any]] | None = None,
    number: int | None = None,
    seed: int = 0,
    out: Path = Path("runs"),
    data_dir: Path | None = None,
    progress: bool = True,
    hardware: Hardware = Hardware(),  # noqa: B008 - a frozen value
    engine: Literal["local", "ray"] = "local",
    ray: Resources = Resources(),  # noqa: B008 - a frozen value
) -> None:
    """Search for hyper-parameters around a recipe or a table's row, on the validation part alone.

    Args:
        name: E.g. mlp/gasl or cifar10/vgg16-0.25-short/gasl.
        values: The values of each field, e.g. {method.strength: [0.1, 0.2], sparse.lr: [0.02, 0.05]}.
        number: How many choices to draw at random; all by default.
        seed: Of the draw and of the runs.
        out: The folder of all runs.
        data_dir: The folder that holds the data sets; GASL_DATA by default.
        progress: Show a progress bar.
        hardware: What to train on.
        engine: local runs one after another, ray many at a time, on this machine or a cluster.
        ray: What Ray is asked for.
    """
    from gasl.experiments.sweep import ranked, sweep_jobs, sweep_records

    values = values or {}
    jobs = sweep_jobs(name, values, number, seed)
    options = options_of(data_dir, progress, hardware, test=False)
    failed = carry_out(jobs, out, options, sweep_records(out), engine, ray)
    print("\n".join([*ranked(jobs, values, out), *(f"failed: {line}" for line in failed)]))


def figure(
    number: int,
    seed: int = 0,
    epochs: int | None = None,
    data: str | None = None,
    dry_run: bool = False,
    out: Path = Path("runs"),
    to: Path | None = None,
    records: str | None = None,
    data_dir: Path | None = None,
    progress: bool = True,
    hardware: Hardware = Hardware(),  # noqa: B008 - a frozen value
) -> None:
    """Draw the figure 1 of the paper: LeNet-5 made sparse without attention and with it; runs them where needed.

    Args:
        number: Of the figure.
        seed: Of its networks; it shows one of each kind.
        epochs: Of the dense network, 20 by default; the other phases change in proportion.
        data: mnist by default, fashion_mnist or mnist5k.
        dry_run: Only say what would run, and how long it would take by what was measured.
        out: The folder of all runs; dense networks in it are shared.
        to: Where figure1.svg and figure1.png go; OUT by default.
        records: The folder of records, or an address such as s3://bucket/records; OUT/records by default.
        data_dir: The folder that holds the data sets; GASL_DATA by default.
        progress: Show a progress bar.
        hardware: What to train on.
    """
    from gasl.errors import MissingExtraError
    from gasl.experiments.choice import Choice
    from gasl.experiments.figures import drawable, figure_jobs, folder_of
    from gasl.experiments.jobs import plan
    from gasl.report.console import print_plan

    try:
        from gasl.report.paper_figure import write_figure
    except ImportError as error:
        raise MissingExtraError(f'a figure needs {error.name}; pip install "gasl[report]"') from error
    jobs = figure_jobs(number, Choice(epochs=epochs, data=data), seed)
    place = records or str(out / "records")
    if dry_run:
        print_plan(plan(jobs.values(), out, place, lambda job: drawable(job, out) is not None))
        return
    options = options_of(data_dir, progress, hardware)
    folders = {title: folder_of(job, out, options, place) for title, job in jobs.items()}
    for path in write_figure(to or out, folders):
        print(f"written: {path}")


def records(records: str = "runs/records", to: str | None = None) -> None:
    """List all records, or write them as one table to a .csv or .parquet file.

    Args:
        records: The folder of records, or an address such as s3://bucket/records.
        to: The file; its path or address.
    """
    from gasl.report.frame import export_records, record_lines

    if to is None:
        print("\n".join(record_lines(records)))
    else:
        print(f"written: {to}, {export_records(records, to)} records")


COMMANDS: Mapping[str, Callable[..., None]] = {
    "table": table,
    "frontier": frontier,
    "figure": figure,
    "records": records,
    "sweep": sweep,
}
