"""The Lightning module of image classification."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from gasl.errors import InputError
from gasl.training.clipping import clip_value_
from gasl.training.config import TrainConfig
from gasl.training.layout import lay_out
from gasl.training.shell import lightning

__all__ = ["Classifier", "param_groups"]

_TEMPERATURE = 4.0  # of the softmax of teacher and pupil
_METHODS_OWN = "_gasl."  # what a sparsifier adds is the network's last child, of this name


def param_groups(model: nn.Module, weight_decay: float, own_lr: float | None = None) -> list[dict[str, Any]]:
    """The parameters of a network in groups: weights, which decay, and others, which do not.

    Others are biases and scales; and, in a group of their own, what a sparsity method has added to the network while it
    trains (gates, posteriors).

    Args:
        model: The network.
        weight_decay: Of the weights, which are the parameters with two or more dimensions.
        own_lr: Learning rate of what a method has added; None for that of all.

    Returns:
        What an optimizer takes; groups without a trainable parameter are left out.

    Example:
        >>> [len(group["params"]) for group in param_groups(nn.Linear(2, 3), 0.1)]
        [1, 1]
    """
    trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    plain = [p for name, p in trainable if not name.startswith(_METHODS_OWN)]
    own = [p for name, p in trainable if name.startswith(_METHODS_OWN)]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in plain if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in plain if p.ndim <= 1], "weight_decay": 0.0},
        {"params": own, "weight_decay": 0.0} | ({} if own_lr is None else {"lr": own_lr}),
    ]
    return [group for group in groups if group["params"]]


class Classifier(lightning.LightningModule):
    """Cross-entropy on class scores; logs ``train_loss``, ``val_loss`` and ``val_error`` (percent) once an epoch.

    Args:
        model: The network; what it learns stays in it.
        config: How it is trained.
        teacher: Gives the outputs that ``config.teacher`` is about; it is not changed.
        layout: In which the networks get their images.

    Raises:
        InputError: If one of teacher and ``config.teacher`` is given without the other.

    Example:
        >>> Classifier(nn.Linear(4, 2), TrainConfig()).model
        Linear(in_features=4, out_features=2, bias=True)
    """

    def __init__(
        self,
        model: nn.Module,
        config: TrainConfig,
        teacher: nn.Module | None = None,
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        super().__init__()
        if (teacher is None) != (config.teacher is None):
            raise InputError(f"a teacher and its part of the loss go together, got config.teacher={config.teacher}")
        # A copy in a list is no part of the module: it is in no optimizer and in no checkpoint.
        self._teachers = [] if teacher is None else [copy.deepcopy(teacher).eval().requires_grad_(False)]
        for own in self._teachers:
            lay_out(own, layout)
        self.model = model
        self.config = config
        self._layout = layout

    def forward(self, images: Tensor) -> Tensor:
        """The network's class scores.

        Raises:
            InputError: If it returns something else, as networks with auxiliary outputs do in training.
        """
        scores: object = self.model(images.to(memory_format=self._layout))
        if not isinstance(scores, Tensor):
            mode = "training" if self.model.training else "test"
            raise InputError(
                f"a classifier returns one tensor of class scores, this one a {type(scores).__name__} in {mode} mode; "
                "switch its other outputs off, or take gasl.Sparsifier in a loop of your own"
            )
        return scores

    def on_train_epoch_start(self) -> None:
        """Starts the epoch's mean."""
        self._loss = torch.zeros((), device=self.device)
        self._images = 0

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Cross-entropy of a batch."""
        images, labels = batch
        scores = self(images)
        loss = functional.cross_entropy(scores, labels)
        if self.config.teacher is not None:
            loss = torch.lerp(loss, self._divergence(images, scores), self.config.teacher)
        # Logging costs as much as a small network's layer, so it is done once.
        self._loss += loss.detach() * len(labels)
        self._images += len(labels)
        if self.trainer.is_last_batch:
            mean = self._loss / self._images
            self.log("train_loss", mean, on_step=False, on_epoch=True, batch_size=self._images, sync_dist=True)
        return loss

    def on_fit_start(self) -> None:
        """Puts the teacher where the network is, in its floating type."""
        for teacher in self._teachers:
            teacher.to(self.device, self.dtype)  # type: ignore[arg-type]  # Lightning allows a name

    def _divergence(self, images: Tensor, scores: Tensor) -> Tensor:
        """T^2 KL(teacher || pupil) of softmaxes at temperature T; its gradient is as large as a cross-entropy's."""
        with torch.no_grad():
            wanted = (self._teachers[0](images.to(memory_format=self._layout)) / _TEMPERATURE).log_softmax(1)
        pupil = (scores / _TEMPERATURE).log_softmax(1)
        return _TEMPERATURE**2 * functional.kl_div(pupil, wanted, reduction="batchmean", log_target=True)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Loss and error of a batch."""
        images, labels = batch
        scores = self(images)
        values = {
            "val_loss": functional.cross_entropy(scores, labels),
            "val_error": 100 * (scores.argmax(1) != labels).float().mean(),
        }
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(labels), sync_dist=True)

    def configure_optimizers(self) -> Optimizer:
        """SGD or Adam."""
        groups = param_groups(self.model, self.config.weight_decay, self.config.own_lr)
        if self.config.optimizer == "adam":
            return torch.optim.Adam(groups, lr=self.config.lr, betas=(self.config.momentum, 0.999))
        return torch.optim.SGD(groups, lr=self.config.lr, momentum=self.config.momentum)

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clips by value, in a range that follows the learning rate; the trainer's own clipping is not used."""
        if self.config.clip is not None:
            for group in optimizer.param_groups:
                clip_value_(group["params"], self.config.clip, group["lr"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps PyTorch's random state, which dropout and the like draw from."""
        checkpoint["random_state"] = torch.get_rng_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores PyTorch's random state."""
        torch.set_rng_state(checkpoint["random_state"])
