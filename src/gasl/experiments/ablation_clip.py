"""Does the gradient clip of the paper's section 5 speed training up? Steps to a given loss, with it and without.

Plain training from fresh weights at a constant learning rate, and with the paper's regulariser as a term of the loss;
clipped to [-0.1 / lr, 0.1 / lr] (the paper), to a fixed [-0.1, 0.1] (what it departs from), or not at all. The first
2,000 validation images say the loss, ten times in an epoch.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gasl.data import Batches, ImageSet, load
from gasl.experiments.identity import described, identity
from gasl.experiments.jobs import share_out
from gasl.experiments.networks import factory
from gasl.experiments.places import Place, write_text
from gasl.experiments.run import RunOptions
from gasl.experiments.store import read_record, record_path
from gasl.methods import GASL, Method, StructuredAttention
from gasl.training import TrainConfig
from gasl.training.clipping import clip_value
from gasl.training.folder import locked
from gasl.training.run import fit
from gasl.training.shell import lightning

__all__ = ["LOSSES", "SEEDS", "ClipSpec", "Probe", "clip_catalogue", "missing_clips", "run_clips"]

SEEDS = (0, 1, 2)
_RATES = (0.01, 0.05, 0.1, 0.2, 0.4)
_EPOCHS = {"mlp": 3, "lenet5": 2}
_EVERY, _IMAGES, _BATCH = 54, 2000, 500
LOSSES = {"mlp": (0.2, 0.1), "lenet5": (0.1, 0.06)}  # of the validation part
_PLAIN = TrainConfig(drop_after=None, stop_after=None, clip=None)


@dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """One training of the comparison.

    Args:
        model: mlp or lenet5.
        config: How it is trained.
        method: The regulariser, as a term of the loss; None for none.
        data: A name that :func:`gasl.data.load` takes.
        seed: Of everything random.

    Example:
        >>> ClipSpec(model="mlp").config.lr
        0.05
    """

    model: str
    config: TrainConfig = _PLAIN
    method: Method | None = None
    data: str = "mnist"
    seed: int = 0


@cache
def clip_catalogue() -> Mapping[str, ClipSpec]:
    """All trainings of the comparison, of seed 0, by name.

    Example:
        >>> clip_catalogue()["clip/mlp/plain-lr0.1-paper"].config.clip
        0.1
    """
    methods: dict[str, Method | None] = {
        "plain": None,
        "sa": StructuredAttention.preset("paper", strength=1e-3),
        "gasl": GASL.preset("paper", strength=1e-3),
    }
    found = {}
    for model, epochs in _EPOCHS.items():
        for lr in _RATES:
            for label, method in methods.items():
                if method is not None and (lr != 0.05 or model != "mlp"):
                    continue
                for how, clip in (("none", None), ("paper", 0.1), ("fixed", 0.1 * lr)):
                    config = replace(_PLAIN, lr=lr, epochs=epochs, clip=clip)
                    found[f"clip/{model}/{label}-lr{lr:g}-{how}"] = ClipSpec(model=model, config=config, method=method)
    return found


class Probe(lightning.Callback):
    """Notes the losses every few steps, and how often the paper's clip acts or would act.

    Args:
        images: On these the validation loss is measured.
        every: Steps between two looks.

    Example:
        >>> Probe(ImageSet(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.zeros(1).long(), ("a",), "x")).rows
        []
    """

    def __init__(self, images: ImageSet, every: int = _EVERY) -> None:
        self.rows: list[list[float | int | None]] = []
        self._batches = Batches(images, _BATCH)
        self._every = every
        self._losses: list[Tensor] = []
        self._over: list[Tensor] = []

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Before the gradient is clipped: whether any entry lies beyond 0.1 / lr."""
        bound = clip_value(0.1, optimizer.param_groups[0]["lr"])
        over = [p.grad.abs().amax() > bound for p in pl_module.parameters() if p.grad is not None]
        self._over.append(torch.stack(over).any().float())

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """A row: step, mean training loss since the last one, validation loss, share of steps with a clipped entry."""
        self._losses.append(outputs["loss"].detach())
        if len(self._losses) < self._every:
            return
        pl_module.eval()
        with torch.no_grad():
            sums = [functional.cross_entropy(pl_module(x), y, reduction="sum") for x, y in self._batches]
            validation = torch.stack(sums).sum() / sum(len(y) for _, y in self._batches)
        pl_module.train()
        numbers = [torch.stack(self._losses).mean(), validation, torch.stack(self._over).mean()]
        self.rows.append([trainer.global_step, *(_number(value) for value in numbers)])
        self._losses, self._over = [], []


def _number(value: Tensor) -> float | None:
    return float(f"{float(value):.4g}") if bool(value.isfinite()) else None


def missing_clips(records: Place) -> list[tuple[str, ClipSpec]]:
    """The trainings that have no record.

    Args:
        records: The folder of the ablation's records, or an address.

    Returns:
        Names, and specs with their seeds.

    Example:
        >>> len(missing_clips("nowhere"))
        108
    """
    runs = [(name, replace(spec, seed=seed)) for seed in SEEDS for name, spec in clip_catalogue().items()]
    return [(name, spec) for name, spec in runs if read_record(records, name, spec) is None]


def run_clips(out: Path, options: RunOptions | None = None, records: Place | None = None) -> None:
    """Carry out all that is missing; what was cut off begins anew, and several processes share it out.

    Args:
        out: The folder of all runs.
        options: How.
        records: The folder of the ablation's records, or an address; ``out/records/ablation`` by default.

    Raises:
        InputError: If the data are missing.

    Example:
        >>> run_clips(Path("runs"))  # doctest: +SKIP
    """
    options = options or RunOptions()
    place: Place = records or out / "records" / "ablation"

    def todo() -> list[tuple[str, tuple[str, ClipSpec]]]:
        return [(f"{name}, seed {spec.seed}", (name, spec)) for name, spec in missing_clips(place)]

    def carry_out(run: tuple[str, ClipSpec]) -> None:
        name, spec = run
        rows = _train(spec, out / f"{name}-seed{spec.seed}-{identity(spec)}", options)
        record = {"recipe": name, "identity": identity(spec), "seed": spec.seed, "rows": rows}
        text = json.dumps(record | {"spec": described(spec)})
        write_text(record_path(place, name, spec.seed), text + "\n")

    share_out(todo, carry_out, options.say)


def _train(spec: ClipSpec, out: Path, options: RunOptions) -> list[list[float | int | None]]:
    data = load(spec.data, options.data_dir)
    few = replace(data.validation, images=data.validation.images[:_IMAGES], labels=data.validation.labels[:_IMAGES])
    probe = Probe(few)
    config = replace(spec.config, seed=spec.seed)
    with torch.random.fork_rng():
        torch.manual_seed(spec.seed)
        model = factory(spec.model, {})()
    with locked(out):
        shutil.rmtree(out / "run", ignore_errors=True)  # the rows of a run that was cut off are lost
        fit(
            model.train(),
            data,
            out / "run",
            config=config,
            method=spec.method,
            hardware=options.hardware,
            progress=options.progress,
            callbacks=[probe],
        )
    return probe.rows
