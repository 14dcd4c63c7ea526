"""The Lightning callback that brings a sparsity method into any Lightning training."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from gasl.errors import InputError
from gasl.methods.base import Method
from gasl.sparsifier import Sparsifier, Target
from gasl.structure.inputs import ExampleInputs
from gasl.training.shell import lightning

__all__ = ["SparsityCallback", "add_gradient_"]


def add_gradient_(term: Tensor, parameters: Sequence[Tensor]) -> None:
    """Adds the gradient of a term of the loss to ``.grad``, as if it had been in the loss.

    Args:
        term: 0-dim; one without a graph, such as a plain zero, adds nothing.
        parameters: The tensors to differentiate by; those that the term does not depend on are left alone.

    Example:
        >>> weight = torch.tensor([3.0], requires_grad=True)
        >>> weight.grad = torch.tensor([1.0])
        >>> add_gradient_(weight.square().sum(), [weight])
        >>> weight.grad
        tensor([7.])
    """
    if not term.requires_grad:
        return
    for parameter, gradient in zip(parameters, torch.autograd.grad(term, parameters, allow_unused=True), strict=True):
        if gradient is not None:
            parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)


class SparsityCallback(lightning.Callback):
    """Drives a :class:`gasl.Sparsifier` from a trainer; the LightningModule needs no change.

    The sparsifier is built in ``setup`` and acts through the hooks of the optimizers that hold the network's weights,
    so skipped and accumulated steps are counted right. A loss term's gradient is added just before the optimizer's
    step: after the mean over processes and the unscaling of mixed precision, before clipping. At the end of each epoch
    own and propagated sparsity of every axis, and the strength, are logged. Checkpoints keep the sparsifier's state.

    Args:
        method: What to do.
        example_inputs: What the network takes, on the CPU; see :func:`gasl.trace`.
        module: The name of the network within the LightningModule; ``""`` for the LightningModule itself.
        protect: Axes to leave whole.
        min_units: Units that stay in each axis at least.
        round_to: What each width of the smaller network is to be a multiple of, unless it is whole.
        target: How small the network is to become; the strength is then found while it trains.
        seed: Of the method's own random numbers; the same in every process.

    Attributes:
        sparsifier: There from ``setup`` on, and after training for ``finish``.

    Example:
        >>> import gasl
        >>> callback = SparsityCallback(gasl.GroupLasso(strength=0.1), torch.zeros(1, 1, 28, 28))
        >>> trainer = lightning.Trainer(callbacks=[callback])  # doctest: +SKIP
        >>> trainer.fit(module, loader); small = callback.sparsifier.finish()  # doctest: +SKIP
    """

    def __init__(
        self,
        method: Method,
        example_inputs: ExampleInputs,
        *,
        module: str = "model",
        protect: Sequence[str] = (),
        min_units: int | Mapping[str, int] = 1,
        round_to: int | None = None,
        target: Target | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._method = method
        self._example_inputs = example_inputs
        self._module = module
        self._protect = protect
        self._min_units = min_units
        self._round_to = round_to
        self._target = target
        self._seed = seed
        self._sparsifier: Sparsifier | None = None
        self._optimizers: list[Optimizer] = []

    @property
    def sparsifier(self) -> Sparsifier:
        """The sparsifier.

        Raises:
            InputError: If no training has begun.
        """
        if self._sparsifier is None:
            raise InputError("there is no sparsifier yet: it is built when trainer.fit begins")
        return self._sparsifier

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Builds the sparsifier, before optimizers are made and a checkpoint is read."""
        if stage != "fit" or self._sparsifier is not None:
            return
        try:
            network = pl_module.get_submodule(self._module)
        except AttributeError as error:
            known = ", ".join(repr(name) for name, _ in pl_module.named_children())
            raise InputError(
                f"{type(pl_module).__name__} has no module {self._module!r}, it has {known}; give SparsityCallback "
                'its name with module=..., or module="" for the whole'
            ) from error
        self._sparsifier = Sparsifier(
            network,
            self._method,
            self._example_inputs,
            protect=self._protect,
            min_units=self._min_units,
            round_to=self._round_to,
            target=self._target,
            seed=self._seed,
        )

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Finds the optimizers that hold weights of the network, and attaches to them."""
        own = {id(p) for p in self.sparsifier.model.parameters()}
        self._optimizers = [o for o in trainer.optimizers if own & {id(p) for p in _parameters(o)}]
        if not self._optimizers:
            raise InputError("no optimizer holds a weight of the network that is to become sparse")
        if not math.isnan(self.sparsifier.strength):
            self._attach()

    def on_before_backward(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, loss: Tensor
    ) -> None:
        """Calibrates a method without a strength on the first loss; every process takes the mean loss."""
        if math.isnan(self.sparsifier.strength):
            mean = trainer.strategy.reduce(loss.detach() / _scale(trainer), reduce_op="mean")
            assert isinstance(mean, Tensor)
            self.sparsifier.penalty(mean * trainer.accumulate_grad_batches)
            self._attach()

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, optimizer: Optimizer
    ) -> None:
        """Adds the gradient of the method's loss term, if it has one."""
        with torch.enable_grad():
            add_gradient_(self.sparsifier.penalty(), _parameters(optimizer))

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Logs ``sparsity_own/AXIS``, ``sparsity_propagated/AXIS`` (percent) and ``strength``."""
        values = {"strength": self.sparsifier.strength}
        for axis in self.sparsifier.sparsity():
            values[f"sparsity_own/{axis.name}"] = axis.sparsity_own
            values[f"sparsity_propagated/{axis.name}"] = axis.sparsity_propagated
        pl_module.log_dict(values, on_step=False, on_epoch=True, sync_dist=True)

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Lets go of the optimizers; the sparsifier stays for ``finish``."""
        if stage == "fit" and self._sparsifier is not None:
            self._sparsifier.release()
            self._optimizers = []

    def state_dict(self) -> dict[str, Any]:
        """The sparsifier's state."""
        return self.sparsifier.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the sparsifier's state."""
        self.sparsifier.load_state_dict(state_dict)

    def _attach(self) -> None:
        for optimizer in self._optimizers:
            self.sparsifier.attach(optimizer)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]


def _scale(trainer: lightning.Trainer) -> float:
    """What mixed precision has multiplied the loss with."""
    plugin = trainer.precision_plugin
    if isinstance(plugin, lightning.plugins.MixedPrecision) and plugin.scaler is not None:
        return float(plugin.scaler.get_scale())
    return 1.0
