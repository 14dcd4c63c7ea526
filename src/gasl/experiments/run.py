"""From a spec to a smaller network and its record: train, sparsify, remove, tune, measure, write."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gasl.data import DataSplits, ImageSet, default_preprocess, load
from gasl.errors import InputError
from gasl.experiments.beginning import beginning
from gasl.experiments.identity import described
from gasl.experiments.networks import factory, network
from gasl.experiments.record import Outcome, write_record
from gasl.experiments.spec import RunSpec
from gasl.files import save
from gasl.files.whole import whole_file
from gasl.measure import Example, compare
from gasl.sparsifier import Sparsifier
from gasl.structure.running import undisturbed
from gasl.training import error_percent
from gasl.training.config import Hardware
from gasl.training.folder import check_same, locked
from gasl.training.run import FitResult, fit
from gasl.training.shell import first_process, lightning
from gasl.training.spread import NormSpread

__all__ = ["SPARSE", "RunOptions", "train_dense", "train_run"]

SPEC = "spec.json"  # what a folder's run was asked to do
SPARSE = "sparse.safetensors"  # the network before removal and tuning, from which another run may go on


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a run is carried out; nothing here changes its result on one kind of machine.

    Args:
        data_dir: The folder that holds the data sets; None takes GASL_DATA.
        resume: Go on with a run that was cut off.
        dense: Where the dense phase is kept, for other runs that begin with the same one; None keeps it in the run's
            own folder.
        start: The network that the run's start left, see :data:`SPARSE`; needed where the spec has a start.
        test: Whether the errors at the end are those of the test part; else, in a search, of the validation part.
        progress: Show a progress bar.
        tensorboard: Also write TensorBoard's files.
        hardware: What to train on.
        say: Is told, in one line, what happens now.
    """

    data_dir: Path | None = None
    resume: bool = False
    dense: Path | None = None
    start: Path | None = None
    test: bool = True
    progress: bool = True
    tensorboard: bool = False
    hardware: Hardware = dataclasses.field(default_factory=Hardware)
    say: Callable[[str], None] = print


def train_run(spec: RunSpec, out: Path, options: RunOptions | None = None) -> dict[str, Any]:
    """Carry out a run. Each phase is kept in a folder of its own and can be gone on with.

    The validation part is all that training looks at. The test part is read at the end, once for the dense and once
    for the small network; both with the weights of their last epoch.

    Args:
        spec: What to do.
        out: The run's folder: ``result.json``, ``history.csv``, ``arrays.safetensors``, ``model.safetensors``.
        options: How; None for the defaults.

    Returns:
        The content of ``result.json``; nothing in the others of several processes on one run.

    Raises:
        InputError: If the data or the network are not to be had, or the folder is in use or holds another run.
        RemovalError: If the removal would have changed an output.

    Example:
        >>> train_run(RunSpec(data="mnist"), Path("runs/lenet5"))  # doctest: +SKIP
        {'error_dense': ...}
    """
    options = options or RunOptions()
    data = load(spec.data, options.data_dir)
    # Of several processes on one run, which Lightning starts, the first holds the folder for all, and speaks for all.
    first = first_process()
    options = options if first else dataclasses.replace(options, say=lambda _: None)
    with locked(out) if first else nullcontext(), torch.random.fork_rng():
        if first:
            _same_run(out / SPEC, spec, options.resume)
        torch.manual_seed(spec.seed)
        build = factory(spec.model, spec.model_args)
        dense = network(build, None if spec.weights is None else Path(spec.weights))
        example = default_preprocess(data.train.shape).evaluate(data.validation.images[:1])
        _check(dense, example, data.train)
        # What does not fit the network is refused here, not after hours of dense training.
        tried = Sparsifier(
            dense,
            spec.method,
            example,
            protect=spec.protect,
            min_units=spec.min_units,
            round_to=spec.round_to,
            target=spec.target,
        )
        tried.detach()
        for words in tried.structure.kept:
            options.say(words)
        history: list[tuple[str, list[dict[str, float]]]] = []
        if spec.weights is None:
            options.say("training the dense network")
            history.append(("dense", _fit(dense, data, options.dense or out / "dense", "dense", spec, options).history))
        sparse = beginning(spec, build, dense, options.start, example)
        options.say(f"training with {type(spec.method).__name__}")
        norms = NormSpread()
        trained = _fit(sparse, data, out / "sparse", "sparse", spec, options, [norms], dense)
        history.append(("sparse", trained.history))
        assert trained.sparsifier is not None  # there is a method
        before = error_percent(sparse, data.validation)
        sparse = trained.sparsifier.folded()
        save(sparse, out / SPARSE)
        small = trained.sparsifier.finish()
        after = error_percent(small, data.validation)
        options.say(f"removed the dead units: validation error {before:.2f} % before, {after:.2f} % after")
        if (reached := trained.sparsifier.reached) is not None:
            options.say(str(reached))
        if spec.tune is not None:
            options.say("training what is left")
            history.append(("tune", _fit(small, data, out / "tune", "tune", spec, options, (), dense).history))
        if not first:
            return {}  # not measured beside the first process, nor written twice
        outcome = Outcome(
            spec=spec,
            dense=dense,
            sparse=sparse,
            small=small,
            sparsifier=trained.sparsifier,
            history=history,
            removal_error=(before, after),
            norms=norms.arrays(),
            trained_on=trained.device,
        )
        options.say("measuring")
        costs = compare(dense, small, example)
        part = data.test if options.test else data.validation
        errors = error_percent(dense, part), error_percent(small, part)
        return write_record(out, outcome, costs, errors, part.images[:1])


def _same_run(path: Path, spec: RunSpec, resume: bool) -> None:
    """Refuse to go on with a run of other settings: its later phases would begin with what those made of it."""
    wanted = described(spec)
    if not any((path.parent / phase).exists() for phase in ("dense", "sparse", "tune")):
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(wanted, indent=1))
    elif resume and path.is_file():
        check_same(path, wanted)


def train_dense(spec: RunSpec, options: RunOptions) -> None:
    """The dense phase of a run alone, for all runs that begin with it.

    Args:
        spec: Any run that begins with it.
        options: How; ``dense`` says where it is kept.

    Raises:
        InputError: If the data or the network are not to be had, or another process is at it.

    Example:
        >>> train_dense(RunSpec(data="mnist"), RunOptions(dense=Path("runs/dense/x")))  # doctest: +SKIP
    """
    data = load(spec.data, options.data_dir)
    with torch.random.fork_rng():
        torch.manual_seed(spec.seed)
        model = network(factory(spec.model, spec.model_args), None)
        _check(model, default_preprocess(data.train.shape).evaluate(data.validation.images[:1]), data.train)
        assert options.dense is not None  # it would be kept nowhere
        options.say("training the dense network")
        _fit(model, data, options.dense, "dense", spec, options)


def _check(model: nn.Module, example: Tensor, images: ImageSet) -> None:
    """Refuse a network that does not take these images, or has too few outputs for their classes."""
    with undisturbed(model):
        scores = Example.of(example).run(model)
    if not isinstance(scores, Tensor) or scores.ndim != 2 or scores.shape[1] < images.num_classes:
        got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise InputError(
            f"{images.name} has {images.num_classes} classes, for which the network must return scores of shape "
            f"(batch, {images.num_classes}); for one image it returns {got}. See model_args, e.g. num_classes"
        )


def _fit(
    model: nn.Module,
    data: DataSplits,
    folder: Path,
    phase: str,
    spec: RunSpec,
    options: RunOptions,
    callbacks: Sequence[lightning.Callback] = (),
    dense: nn.Module | None = None,
) -> FitResult:
    sparse = phase == "sparse"
    result = fit(
        model.train(),
        data,
        folder,
        config=spec.phase(phase),
        method=spec.method if sparse else None,
        protect=spec.protect if sparse else (),
        min_units=spec.min_units if sparse else 1,
        round_to=spec.round_to if sparse else None,
        target=spec.target if sparse else None,
        hardware=options.hardware,
        resume=options.resume,
        tensorboard=options.tensorboard,
        progress=options.progress,
        callbacks=callbacks,
        teacher=None if spec.phase(phase).teacher is None else dense,
    )
    if not all(bool(tensor.isfinite().all()) for tensor in model.parameters()):
        raise InputError(f"the phase {phase} diverged: weights are infinite or no numbers; take a lower {phase}.lr")
    return result
