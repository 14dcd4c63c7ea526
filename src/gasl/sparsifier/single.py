"""The controller of single weights, and of columns: the share of them that is not zero, along the same schedule."""

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

import torch
from torch import Tensor, nn

from gasl.errors import InputError
from gasl.groups.weights import WeightGroups
from gasl.maths.control import GATES_LATE, lag, next_strength, wanted_share
from gasl.methods.base import Groups, Method, State
from gasl.sparsifier.memory import copies
from gasl.sparsifier.reached import Reached
from gasl.sparsifier.target import Target
from gasl.structure.running import named_tensors

__all__ = ["WeightController"]

_CHECKS, _APART = 200, 2


class WeightController:
    """Drives the share of the groups that are not zero to the target; of what a method makes sparse, weight by weight.

    Args:
        target: The target, a sparsity.
        method: The method.
        groups: What it makes sparse.
        model: Gives the network as it is in test mode, with nothing of a method in it.
        state: The method's state, of which it keeps what it sets.

    Raises:
        InputError: If the target is none of single weights, or asks for the last one of a layer.

    Example:
        >>> groups, state = WeightGroups({"weight": torch.ones(4)}), State(strength=1.0, generator=torch.Generator())
        >>> controller = WeightController(Target(sparsity=0.5), Method(), groups, nn.Identity, state)
        >>> controller.left(groups, state)
        1.0
    """

    def __init__(
        self,
        target: Target,
        method: Method,
        groups: WeightGroups,
        model: Callable[[], nn.Module],
        state: State,
    ) -> None:
        if target.kind != "units" or isinstance(target.sparsity, Mapping):
            raise InputError(
                f"single weights have one target, the part of them that is to be zero, got {target}; "
                "give sparsity=0.9, or take a method with granularity='unit'"
            )
        sizes = [norms.numel() for norms in groups.placeholders()]
        if target.goal() * sum(sizes) < sum(groups.floors) - 1e-6:
            least = sum(groups.floors) / sum(sizes)
            raise InputError(
                f"the target {target} cannot be met: of {sum(sizes)} weights {sum(groups.floors)} stay, one in each "
                f"layer, which is a share of {least:.3g}; ask for sparsity={1 - least:.6g} at most"
            )
        self.target = target
        self.method = method
        self.every = max(_APART, target.horizon // _CHECKS)
        self._model = model
        self._state = state
        self.ended: int | None = None  # the step with which it had done
        self._error = 0.0
        self._start = state.strength
        if method.cuts:
            state.gone = groups.dead()
        groups.least = int(target.goal() * sum(sizes) + 1e-6)

    @torch.no_grad()
    def left(self, groups: Groups, state: State) -> float:
        """The share of the groups that are not zero, in test mode."""
        assert isinstance(groups, WeightGroups)  # or there would be no such controller
        if state.posterior is None:
            dead = [int(d.sum()) for d in groups.dead()]
            whole = sum(d.numel() for d in groups.dead())
        else:
            tensors = named_tensors(self._model())
            dead = [int((tensors[name] == 0).sum()) for name in groups.names]
            whole = sum(tensor.numel() for tensor in groups.tensors.values())
        return 1 - sum(dead) / whole

    def reached(
        self, groups: Groups, state: State, small: nn.Module | None = None, widths: Mapping[str, int] | None = None
    ) -> Reached:
        """What came of the target so far; a removal of units changes nothing in it."""
        return Reached(target=self.target, asked=self.target.goal(), left=self.left(groups, state), step=self.ended)

    @torch.no_grad()
    def check(self, groups: Groups, state: State) -> bool:
        """Look every few steps, and set the strength for what comes, or cut.

        Args:
            groups: What the method makes sparse.
            state: The method's state.

        Returns:
            Whether the target is met: nothing is to die any more.
        """
        if state.step % self.every:
            return False
        goal = self.target.goal()
        wanted = wanted_share(state.step, self.target.horizon, goal)
        if self.method.cuts:
            assert isinstance(groups, WeightGroups)  # or there would be no such controller
            state.gone = self._cut(groups, state, wanted)
            groups.clear_(state.gone)
        left = self.left(groups, state)
        if left <= goal + 1e-9:
            return True
        late = max(0, state.step - self.target.horizon) // self.every
        before, self._error = self._error, lag(left, wanted)
        most = inf if state.posterior is None else GATES_LATE
        state.strength = next_strength(state.strength, self._start, self._error, before, late, most=most)
        return False

    def _cut(self, groups: WeightGroups, state: State, wanted: float) -> list[Tensor]:
        """What is dead when no more is left than wanted; a part of each layer is rounded, so more may be asked for."""
        assert state.gone is not None
        norms = groups.norms()
        whole = sum(n.numel() for n in norms)
        needed, more = whole - int(wanted * whole + 1e-6), 0
        while True:
            part = min(1.0, (needed + more) / whole)
            chosen = self.method.chosen(norms, groups.floors, part)
            gone = [old.to(new.device) | new for old, new in zip(state.gone, chosen, strict=True)]
            if part == 1.0 or sum(int(dead.sum()) for dead in gone) >= needed:
                return gone
            more = 2 * more or 1

    def state_dict(self) -> dict[str, Any]:
        """What lives."""
        return {"error": self._error, "start": self._start, "ended": self.ended, "gone": copies(self._state.gone)}

    def load_state_dict(self, saved: Mapping[str, Any], groups: Groups, state: State) -> None:
        """Go on where :meth:`state_dict` was taken."""
        self._error, self._start = float(saved["error"]), float(saved["start"])
        self.ended = saved.get("ended")
        state.gone = copies(saved["gone"], groups.zero().device)
