"""The commands. Their signatures are the flags, their docstrings the help."""

from collections.abc import Callable, Mapping
from pathlib import Path

from gasl.cli.ablation import COMMANDS as ABLATION
from gasl.cli.methods import describe, overview
from gasl.cli.papers import COMMANDS as PAPERS
from gasl.cli.sizes import COMMANDS as SIZES
from gasl.experiments.spec import Options, RunSpec
from gasl.methods.base import Method
from gasl.sparsifier import Target
from gasl.training.config import Hardware, TrainConfig

_SPEC = RunSpec()
_TUNE = _SPEC.phase("tune")
__all__ = ["COMMANDS"]


def demo(out: Path = Path("runs/demo"), seed: int = 0, progress: bool = True) -> None:
    """Train LeNet-5 on real digits, remove what died, measure, report: under two minutes.

    Args:
        out: Folder for the result, the network, the ONNX file and the report.
        seed: Of everything random.
        progress: Show a progress bar.
    """
    from gasl.experiments.demo import run_demo

    _show(run_demo(out, seed, progress), out)


def train(
    out: Path,
    method: Method,
    model: str = "lenet5",
    model_args: Options | None = None,
    weights: Path | None = None,
    data: str = "mnist",
    data_dir: Path | None = None,
    dense: TrainConfig = _SPEC.dense,
    sparse: TrainConfig = _SPEC.sparse,
    tune: TrainConfig = _TUNE,
    from_scratch: bool = False,
    protect: list[str] | None = None,
    min_units: int | dict[str, int] = 1,
    round_to: int | None = None,
    target: Target | None = None,
    seed: int = 0,
    resume: bool = False,
    progress: bool = True,
    tensorboard: bool = False,
    hardware: Hardware = Hardware(),  # noqa: B008 - a frozen value
) -> None:
    """Train a network to be small: dense, with the method, and what is left; then measure and report.

    Args:
        out: The run's folder.
        method: What makes it small.
        model: lenet5, mlp, vgg16, resnet18, or package.module:factory.
        model_args: Keyword arguments of the factory in YAML, e.g. {width: 0.25}.
        weights: A safetensors file with a trained network's weights, the baseline; it is then not trained dense.
        data: mnist, fashion_mnist, cifar10, cifar100, mnist5k, a folder, or hub:NAME.
        data_dir: The folder that holds the data sets; GASL_DATA by default.
        dense: How the dense network, the baseline, is trained.
        sparse: How it is trained with the method.
        tune: How the smaller network is trained.
        from_scratch: Start the method with fresh weights, not with the baseline's.
        protect: Axes that the method leaves whole.
        min_units: Units that stay in each axis at least: one number, or one by axis name.
        round_to: Keep each width at a multiple of this, or whole.
        target: How small it is to become, e.g. --target.macs 0.25; the strength is then found while it trains.
        seed: Of everything random.
        resume: Go on with a run that was cut off.
        progress: Show a progress bar.
        tensorboard: Also write TensorBoard's files.
        hardware: What to train on.
    """
    from gasl.experiments.run import RunOptions, train_run

    spec = RunSpec(
        model=model,
        model_args=model_args or {},
        weights=None if weights is None else str(weights),
        data=data,
        method=method,
        dense=dense,
        sparse=sparse,
        tune=tune,
        from_scratch=from_scratch,
        protect=tuple(protect or ()),
        min_units=min_units,
        round_to=round_to,
        target=target,
        seed=seed,
    )
    options = RunOptions(
        data_dir=data_dir, resume=resume, progress=progress, tensorboard=tensorboard, hardware=hardware
    )
    if result := train_run(spec, out, options):  # there is none in the others of several processes
        _show(result, out)


def run(
    recipe: str,
    seed: int = 0,
    out: Path = Path("runs"),
    records: str | None = None,
    data_dir: Path | None = None,
    progress: bool = True,
    hardware: Hardware = Hardware(),  # noqa: B008 - a frozen value
) -> None:
    """Run a method by its own paper's recipe; what is complete is skipped, what was cut off goes on.

    Args:
        recipe: Network and method, e.g. lenet5/gasl; gasl recipes lists them. Or a run of gasl ablate --dry-run
            true; or target/mlp/gasl-64-80-95, target/lenet5/ssl-8x and the like.
        seed: Of everything random.
        out: The folder of all runs; dense networks in it are shared.
        records: The folder of their records, or an address such as s3://bucket/records; OUT/records by default.
        data_dir: The folder that holds the data sets; GASL_DATA by default.
        progress: Show a progress bar.
        hardware: What to train on.
    """
    from rich.console import Console

    from gasl.experiments.named import named
    from gasl.experiments.run import RunOptions
    from gasl.experiments.store import run_named
    from gasl.report import result_view

    options = RunOptions(data_dir=data_dir, progress=progress, hardware=hardware)
    if record := run_named(recipe, named(recipe, seed), out, options, records):
        Console().print(result_view(record))


def recipes(out: Path = Path("runs"), records: str | None = None) -> None:
    """List the recipes of gasl run, and the seeds that are there.

    Args:
        out: The folder of all runs.
        records: The folder of their records, or an address; OUT/records by default.
    """
    from gasl.experiments.store import overview

    for name, seeds in overview(records or out / "records").items():
        print(f"{name:36} {'seeds ' + ', '.join(map(str, seeds)) if seeds else '-'}")


def _show(result: Mapping[str, object], out: Path) -> None:
    """The table in the terminal and the page in the folder."""
    from rich.console import Console

    from gasl.report import ReportData, result_view, write_report

    Console().print(result_view(result))
    print(f"written: {write_report(out / 'report.html', ReportData.load(out))} and {out / 'model.safetensors'}")


def methods(name: str | None = None) -> None:
    """List the methods with their hyper-parameters and papers, or explain one.

    Args:
        name: The method to explain; all are listed without it.
    """
    print(overview() if name is None else describe(name))


def report(run: Path) -> None:
    """Write report.html of a finished run again, from the files in its folder.

    Args:
        run: The run's folder.
    """
    from gasl.report import ReportData, write_report

    print(write_report(run / "report.html", ReportData.load(run)))


COMMANDS: Mapping[str, Callable[..., None]] = {
    "demo": demo,
    "train": train,
    "run": run,
    "recipes": recipes,
    **PAPERS,
    **ABLATION,
    **SIZES,
    "methods": methods,
    "report": report,
}
