"""The hyper-parameters of a training run, and what it runs on."""

from dataclasses import dataclass
from typing import Literal, get_args

from gasl.errors import InputError, unknown_name
from gasl.methods.base import check_seed

__all__ = ["Hardware", "Precision", "TrainConfig"]

Precision = Literal["32-true", "64-true", "bf16-mixed", "16-mixed"]  # of Lightning's Trainer


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a network is trained.

    Args:
        optimizer: "sgd" (with momentum) or "adam".
        lr: Learning rate at the start.
        momentum: Of SGD; of Adam the first beta, its second is 0.999.
        weight_decay: L2 penalty on weights; biases and normalisation layers have none.
        epochs: Passes over the training images at most.
        batch_size: Images in a training step, per process.
        clip: zeta: each entry of the gradient is clipped to [-zeta / lr, zeta / lr]; null for no clipping.
        drop_after: Epochs in a row without a lower validation error after which lr is dropped; null for never.
        drop_factor: What lr is then multiplied with.
        stop_after: Epochs in a row without a lower validation error after which training stops; null for never.
        decay_from: Epoch, counted from 0, from which lr falls linearly, to reach 0 after the last; null for never.
        one_cycle: Part of all optimizer steps in which lr rises, from near 0, before it falls to 0; null for no cycle.
        watch_from: Epoch, counted from 0, from which the validation error counts for drops and the stop; null for the
            first.
        own_lr: Learning rate at the start of a method's own parameters (gates, posteriors), which have a long way to go
            in a short training; null for lr.
        fresh_norms: Whether batch norms measure their statistics anew before each validation, see
            :class:`gasl.training.norms.FreshNorms`; for methods with random factors or noise.
        teacher: Part of the loss that is the divergence from a teacher's outputs, at temperature 4 (Hinton et al.
            2015), the rest being the labels' cross-entropy; null for none.
        precision: Of Lightning's ``Trainer``: "bf16-mixed" keeps weights in single precision and multiplies in
            bfloat16, which is faster where the machine has it; null for "32-true".
        seed: Of the order of the images, their augmentation and every draw of the network and the method.

    Raises:
        InputError: If a number is out of its range.

    Example:
        >>> TrainConfig(lr=0.05).clip
        0.1
    """

    optimizer: Literal["sgd", "adam"] = "sgd"
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    epochs: int = 300
    batch_size: int = 100
    clip: float | None = 0.1
    drop_after: int | None = 5
    drop_factor: float = 0.1
    stop_after: int | None = 20
    decay_from: int | None = None
    own_lr: float | None = None
    one_cycle: float | None = None
    watch_from: int | None = None
    fresh_norms: bool | None = None
    teacher: float | None = None
    precision: Precision | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimizer not in ("sgd", "adam"):
            raise InputError(f"optimizer must be 'sgd' or 'adam', got {self.optimizer!r}")
        if self.precision is not None and self.precision not in get_args(Precision):
            raise unknown_name("precision", str(self.precision), get_args(Precision))
        for name in ("lr", "epochs", "batch_size", "clip", "drop_after", "drop_factor", "stop_after", "own_lr"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{name} must be positive and finite, got {value}")
        check_seed(self.seed)
        for name in ("momentum", "weight_decay", "watch_from"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise InputError(f"{name} must be 0 or more and finite, got {value}")
        if self.decay_from is not None and not 0 <= self.decay_from < self.epochs:
            raise InputError(f"decay_from must be 0 or more and below epochs = {self.epochs}, got {self.decay_from}")
        ways = [name for name in ("decay_from", "one_cycle", "drop_after") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise InputError(
                "lr falls from decay_from on, in one_cycle, or is dropped at a plateau by drop_after; "
                f"got {' and '.join(ways)}, set all but one to null"
            )
        if self.teacher is not None and not 0 < self.teacher <= 1:
            raise InputError(f"teacher must be above 0 and at most 1, got {self.teacher}")
        if self.one_cycle is not None and not 0 <= self.one_cycle < 1:
            raise InputError(f"one_cycle must be 0 or more and below 1, got {self.one_cycle}")
        if self.momentum >= 1 or self.drop_factor >= 1:
            raise InputError(f"momentum and drop_factor must be below 1, got {self.momentum} and {self.drop_factor}")


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What a run runs on, in the words of Lightning's ``Trainer``.

    Args:
        accelerator: "cpu", "gpu", ... or "auto".
        devices: How many of them on each machine.
        nodes: How many machines.
        strategy: How they work together, e.g. "ddp"; or "auto".

    Example:
        >>> Hardware().devices
        1
    """

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
