"""A method at work beside an optimizer: before each step, once after each step that was taken, and when to stop."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gasl.errors import InputError
from gasl.groups.units import UnitGroups, versions
from gasl.groups.weights import WeightGroups
from gasl.methods.base import Method, State, check_number
from gasl.methods.calibration import calibrated_strength
from gasl.methods.posterior import Posterior
from gasl.sparsifier.control import Controller
from gasl.sparsifier.memory import copies
from gasl.sparsifier.optimizers import check_own, learning_rates, states_of
from gasl.sparsifier.setup import check_sizes
from gasl.sparsifier.single import WeightController
from gasl.sparsifier.watch import Watch

__all__ = ["Stepping"]

# Steps between two sweeps that zero the optimizer's state of dead units. No gradient renews it, so it would fade into
# denormal numbers, on which a CPU is ten times slower; momentum 0.9 gets there in 830 steps, 0.5 in 126.
_SWEEP = 64


class Stepping:
    """Calls a method's hooks in time with optimizers.

    Args:
        model: The network, the host of the method's own parameters.
        method: What acts.
        groups: On what.
        state: Its state.
        controller: Of a target; None for none.

    Example:
        >>> net = nn.Linear(2, 1)
        >>> groups, state = WeightGroups({"weight": net.weight}), State(strength=0.1, generator=torch.Generator())
        >>> stepping, optimizer = Stepping(net, Method(), groups, state), torch.optim.SGD(net.parameters(), lr=0.1)
        >>> _ = stepping.prepare(None), net(torch.ones(1, 2)).sum().backward(), optimizer.step()
        >>> stepping.step(optimizer), stepping.step(optimizer), state.step  # one step was taken
        (None, None, 1)
    """

    def __init__(
        self,
        model: nn.Module,
        method: Method,
        groups: UnitGroups | WeightGroups,
        state: State,
        controller: Controller | WeightController | None = None,
    ) -> None:
        self.frozen: list[Tensor] | None = None  # what is dead and stays so
        self._model, self._method, self._groups, self._state = model, method, groups, state
        self._controller = controller
        self._shapes = [tensor.shape for tensor in groups.tensors.values()]
        self._prepared: tuple[tuple[int, int], ...] | None = None  # versions of the weights whose rates are known
        self._watch = Watch(lambda: self.prepare(None), self.step)

    def prepare(self, loss: Tensor | None) -> None:
        """Act on the weights before a step, once for each of their versions; calibrate the strength if there is none.

        Args:
            loss: The task loss, for the calibration.

        Raises:
            InputError: If there is no strength and no loss to calibrate it with.
        """
        check_sizes(self._groups, self._shapes)
        if self.frozen is not None or self._watch.outstanding:
            return
        if math.isnan(self._state.strength):
            with torch.no_grad():
                strength = calibrated_strength(self._method, self._groups.norms(), loss)
            check_number("strength", strength)
            self._state.strength = strength
        current = versions(self._groups.tensors)
        if self._prepared != current:
            self._method.before_step(self._groups, self._state)
            self._prepared = current

    def step(self, optimizer: Optimizer) -> None:
        """Act after a step, if one was taken."""
        if optimizer in self._watch:
            taken = self._watch.take(optimizer)
        else:
            taken = self._prepared != versions(self._groups.tensors)
            self.add(optimizer)
        if taken:
            self._apply(optimizer)

    def add(self, optimizer: Optimizer, driving: bool = False) -> None:
        """Watch an optimizer from now on; a driving one's own hooks call :meth:`step`."""
        if not hasattr(optimizer, "register_step_post_hook"):
            raise InputError(f"an optimizer of PyTorch is wanted, the one that takes the steps; got {optimizer!r}")
        if isinstance(posterior := self._state.posterior, Posterior) and optimizer not in self._watch:
            check_own(optimizer, dict(posterior.named_parameters()))
        self._watch.add(optimizer, driving)

    def _apply(self, optimizer: Optimizer) -> None:
        groups, state = self._groups, self._state
        check_sizes(groups, self._shapes)
        before = state.dead
        if self.frozen is not None:
            groups.clear_(self.frozen)
        else:
            if self._prepared is None:
                self.prepare(None)
            self._method.after_step(groups, state, learning_rates(optimizer, groups.tensors))
        self._prepared = None
        state.step += 1
        if state.step % _SWEEP == 0 or state.dead is not before:
            dead = groups.dead() if self.frozen is None else self.frozen
            for kept in states_of(optimizer, groups.tensors):
                groups.clear_(dead, within=kept)
        if self._controller is not None and self.frozen is None and self._controller.check(groups, state):
            self._controller.ended = state.step
            self.freeze()

    def freeze(self) -> None:
        """From now on what is dead stays exactly zero, and the method does nothing else."""
        check_sizes(self._groups, self._shapes)
        self.frozen = self._groups.dead()
        self._prepared = None
        if isinstance(posterior := self._state.posterior, Posterior):
            posterior.freeze(dict(self._model.named_parameters()))

    def release(self) -> None:
        """Let go of every optimizer."""
        self._watch.clear()

    def state_dict(self) -> dict[str, Any]:
        """What lives: whether the rates are those of the weights, and what is frozen."""
        return {"ready": self._prepared is not None, "frozen": copies(self.frozen)}

    def load_state_dict(self, saved: Mapping[str, Any], device: torch.device) -> None:
        """Go on where :meth:`state_dict` was taken."""
        self.frozen = copies(saved["frozen"], device)
        self._prepared = versions(self._groups.tensors) if saved["ready"] else None
