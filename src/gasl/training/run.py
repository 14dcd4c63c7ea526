"""``fit``: a network, data and a method in, a trained network and its history out."""

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import torch
from torch import nn

from gasl.data import Batches, DataSplits, Preprocess, default_preprocess
from gasl.errors import InputError, MissingExtraError
from gasl.measure import describe_device
from gasl.methods.base import Method
from gasl.sparsifier import Sparsifier, Target
from gasl.training.callback import SparsityCallback
from gasl.training.classifier import Classifier
from gasl.training.config import Hardware, TrainConfig
from gasl.training.folder import CHECKPOINT, begin, locked
from gasl.training.layout import lay_out, layout_for
from gasl.training.norms import FreshNorms
from gasl.training.record import History, Schedule
from gasl.training.shell import MisconfigurationException, lightning, quiet, told

__all__ = ["FitResult", "fit"]

_EVALUATION_BATCH = 500
_UNTIL_MET = 0.6  # of the optimizer steps a target may take; the rest is for what is left


@dataclass(frozen=True)
class FitResult:
    """What a training run leaves.

    Args:
        model: The trained network, the object that was given, with the weights of the last epoch.
        sparsifier: What drove the method, ready for ``finish``; ``None`` for plain training.
        history: One row for each epoch: ``epoch``, ``lr``, ``seconds``, ``train_loss``, ``val_loss``, ``val_error``
            (percent), and with a method ``strength``, ``sparsity_own/AXIS`` and ``sparsity_propagated/AXIS`` (percent).
        device: What it was trained on: the GPU's own name, or "cpu".

    Example:
        >>> FitResult(nn.Identity(), None, [{"epoch": 0, "val_error": 9.0}]).history[-1]["val_error"]
        9.0
    """

    model: nn.Module
    sparsifier: Sparsifier | None
    history: list[dict[str, float]]
    device: str = "cpu"


def fit(
    model: nn.Module,
    data: DataSplits,
    out: str | Path,
    *,
    config: TrainConfig | None = None,
    method: Method | None = None,
    protect: Sequence[str] = (),
    min_units: int | Mapping[str, int] = 1,
    round_to: int | None = None,
    target: Target | None = None,
    preprocess: Preprocess | None = None,
    hardware: Hardware | None = None,
    resume: bool = False,
    tensorboard: bool = False,
    progress: bool = True,
    callbacks: Sequence[lightning.Callback] = (),
    teacher: nn.Module | None = None,
) -> FitResult:
    """Trains a classifier; looks at the training and the validation part, never at the test part.

    The folder gets ``run.json`` (what was run), ``history.csv`` and ``checkpoints/last.ckpt``, each written whole after
    every epoch. A run that was killed goes on from its last whole epoch with ``resume=True``; on a CPU the result is
    the same to the bit.

    Args:
        model: The network; it is trained in place, in the floating type of ``config.precision``.
        data: The images.
        out: The run's folder.
        config: Hyper-parameters; ``None`` for the defaults.
        method: The sparsity method; ``None`` for plain training.
        protect: Axes that the method leaves whole.
        min_units: Units that stay in each axis at least.
        round_to: What each width of the smaller network is to be a multiple of, unless it is whole.
        target: How small the network is to become.
        preprocess: What is done to the images; ``None`` for what their kind usually gets.
        hardware: What to run on; ``None`` for one device, the best there is.
        resume: Go on with the run in the folder, if there is one.
        tensorboard: Also write TensorBoard's files.
        progress: Show a progress bar.
        callbacks: More callbacks for Lightning's trainer.
        teacher: Whose outputs ``config.teacher`` is about.

    Returns:
        The network, the sparsifier and the history.

    Raises:
        InputError: If the folder is in use, or holds another run; or there is a teacher and no ``config.teacher``.
        FileError: If the checkpoint to go on from is damaged.
        MissingExtraError: If TensorBoard is asked for and not installed.

    Example:
        >>> fit(LeNet5(), load("mnist5k"), "runs/lenet5", method=gasl.GASL(strength=0.1))  # doctest: +SKIP
        FitResult(...)
    """
    config, hardware = config or TrainConfig(), hardware or Hardware()
    preprocess = preprocess or default_preprocess(data.train.shape)
    folder = Path(out)
    history = History(folder / "history.csv")
    sparsity = None
    if target is not None and target.steps is None:
        processes = hardware.devices * hardware.nodes
        steps = config.epochs * ceil(len(data.train) / (config.batch_size * processes))
        target = dataclasses.replace(target, steps=max(1, int(_UNTIL_MET * steps)))
    example = preprocess.evaluate(data.validation.images[:1])
    if method is not None:
        sparsity = SparsityCallback(
            method,
            example,
            protect=protect,
            min_units=min_units,
            round_to=round_to,
            target=target,
            seed=config.seed,
        )
    norms = [FreshNorms(data.train, config, preprocess)] if config.fresh_norms else []
    trainer_callbacks = [*([sparsity] if sparsity else []), *norms, Schedule(config), history, *callbacks]
    with ExitStack() as stack:
        stack.enter_context(quiet())
        trainer = _trainer(folder, config, hardware, tensorboard, progress, trainer_callbacks)
        first = trainer.is_global_zero
        if first:
            stack.enter_context(locked(folder))
        description = _describe(model, data, config, method, protect, min_units, round_to, target, preprocess)
        if first:
            begin(folder, description, resume)
        checkpoint = folder / CHECKPOINT if (folder / CHECKPOINT).is_file() else None
        device = trainer.strategy.root_device
        stack.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
        model.to(torch.float64 if config.precision == "64-true" else torch.float32)
        layout = layout_for([model] if teacher is None else [model, teacher], example)
        torch.manual_seed(config.seed)
        training = Batches(data.train, config.batch_size, preprocess, train=True, seed=config.seed, device=device)
        validation = Batches(data.validation, _EVALUATION_BATCH, preprocess, device=device)
        lay_out(model, layout)
        stack.callback(lay_out, model, torch.contiguous_format)
        classifier = Classifier(model, config, teacher, layout)
        with told():
            trainer.fit(classifier, training, validation, ckpt_path=checkpoint, weights_only=True)
    trained_on = "cpu" if device.type == "cpu" else describe_device(device)
    return FitResult(model, sparsity.sparsifier if sparsity else None, history.rows, trained_on)


def _trainer(
    folder: Path,
    config: TrainConfig,
    hardware: Hardware,
    tensorboard: bool,
    progress: bool,
    callbacks: Sequence[lightning.Callback],
) -> lightning.Trainer:
    keeper = lightning.callbacks.ModelCheckpoint(
        dirpath=folder / CHECKPOINT.parent,
        filename=CHECKPOINT.stem,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    bar = [lightning.callbacks.RichProgressBar(refresh_rate=10)] if progress else []
    try:
        return lightning.Trainer(
            accelerator=hardware.accelerator,
            devices=hardware.devices,
            num_nodes=hardware.nodes,
            strategy=hardware.strategy,
            precision=config.precision or "32-true",
            max_epochs=config.epochs,
            callbacks=[*callbacks, *bar, keeper],
            logger=_tensorboard(folder) if tensorboard else False,
            log_every_n_steps=1 if tensorboard else None,
            default_root_dir=folder,
            num_sanity_val_steps=0,
            enable_progress_bar=progress,
            enable_model_summary=False,
        )
    except (MisconfigurationException, TypeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(f"{hardware}, precision {config.precision or '32-true'}: {first}") from error


def _tensorboard(folder: Path) -> lightning.loggers.Logger:
    try:
        return lightning.loggers.TensorBoardLogger(folder, name="", version="tensorboard")
    except ModuleNotFoundError as error:
        raise MissingExtraError("TensorBoard's files need tensorboard; pip install tensorboard") from error


def _describe(
    model: nn.Module,
    data: DataSplits,
    config: TrainConfig,
    method: Method | None,
    protect: Sequence[str],
    min_units: int | Mapping[str, int],
    round_to: int | None,
    target: Target | None,
    preprocess: Preprocess,
) -> dict[str, object]:
    parts = (data.train, data.validation)
    return {
        **dataclasses.asdict(config),
        # Epochs may grow on resume unless the learning rate is to be 0 after the last.
        "decay_to": None if config.decay_from is None and config.one_cycle is None else config.epochs,
        "model": f"{type(model).__name__}, {sum(p.numel() for p in model.parameters())} parameters",
        "data": f"{data.train.name}, {' + '.join(str(len(part)) for part in parts)} images",
        "method": repr(method),
        "protect": list(protect),
        "min_units": min_units if isinstance(min_units, int) else dict(min_units),
        "preprocess": repr(preprocess),
        **({} if round_to is None else {"round_to": round_to}),
        **({} if target is None else {"target": repr(target)}),
    }
