"""The controller of a target: it looks how much is left, sets the strength, and lets no axis go past the target."""

from collections.abc import Callable, Collection, Mapping, Sequence
from math import log
from typing import Any, ClassVar

import torch
from torch import nn

from gasl.errors import InputError
from gasl.groups.units import UnitGroups
from gasl.groups.weights import WeightGroups
from gasl.maths.control import allowance, next_strength, wanted_share
from gasl.methods.base import Method, State
from gasl.methods.posterior import UnitPosterior
from gasl.removal.liveness import Liveness, liveness
from gasl.sparsifier.living import alive_units, scores, weakest
from gasl.sparsifier.memory import copies
from gasl.sparsifier.share import Share
from gasl.sparsifier.target import TOLERANCE, Target
from gasl.structure.axes import Structure
from gasl.structure.running import ExampleInputs, named_tensors
from gasl.structure.trace import trace

__all__ = ["Controller"]

_APART = 5  # steps between two checks at least
_WHOLE = ""  # the name under which the error of the whole network is kept
_PUSH = 0.1  # by how much the logarithm of the strength grows in each check when it is late
_SPAN = 20.0  # how far the strength may go from where it began, before it is late
_AXES_APART = 1000.0  # and how far that of one axis: input features with data need a hundred times what others need


class Controller:
    """Drives the share that is left along a schedule to the target.

    Args:
        target: The target.
        method: The method.
        model: Gives the network as it is in test mode, with nothing of a method in it.
        example_inputs: What the network takes.
        floors: Units that each axis keeps whatever happens.
        protect: Axes that stay whole.
        state: The method's state, of which it keeps what it sets.
        names: The axes whose units the method can kill; all if it is not said.

    Raises:
        InputError: If the target cannot be met, with the smallest share that can, or names an unknown axis.

    Example:
        >>> net, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), torch.zeros(2, 4)
        >>> floors = {"0.in": 1, "0": 1}
        >>> controller = Controller(Target(params=0.5), Method(), lambda: net, x, floors, frozenset())
        >>> controller.left()
        1.0
    """

    checks: ClassVar[int] = 100  # over the target's steps

    def __init__(
        self,
        target: Target,
        method: Method,
        model: Callable[[], nn.Module],
        example_inputs: ExampleInputs,
        floors: Mapping[str, int],
        protect: frozenset[str],
        state: State | None = None,
        names: Collection[str] | None = None,
    ) -> None:
        self.target = target
        self.method = method
        self.every = max(_APART, target.horizon // self.checks)
        self._model = model
        self._example_inputs = example_inputs
        self._protect = protect
        self._errors: dict[str, float] = {}  # of the check before
        self._start = 0.0
        self._state = state
        self._now: dict[str, int] | None = None  # floors that were set
        whole = self._look()
        self._sizes = {axis.name: axis.size for axis in whole[1].axes}
        self._floors = self._own_floors(floors)
        self._share = Share(target, *whole, example_inputs, self._floors)
        self._check_reachable(*whole[:2], self._sizes if names is None else names)

    def left(self) -> float:
        """The share that is left of what the target counts."""
        return self._share(*self._look())

    @torch.no_grad()
    def check(self, groups: UnitGroups | WeightGroups, state: State) -> bool:
        """Look at the network every few steps, and set strength and floors for what comes.

        Args:
            groups: What the method makes sparse.
            state: The method's state.

        Returns:
            Whether the target is met: nothing is to die any more.
        """
        if state.step % self.every:
            return False
        assert isinstance(groups, UnitGroups)  # or there would be no controller
        model, structure, live = self._look()
        left = self._share(model, structure, live)
        alive = {name: int(kept.sum()) for name, kept in live.kept.items()}
        met = left <= self._share.goal + 1e-9
        own = alive_units(groups, state)
        floors = own
        if not met:
            self._press(groups, state, left, alive)
            floors = self._allowed(left, alive, own)
            if floors == own:
                last = self._last_unit(model, structure, left, weakest(scores(groups, state), live))
                met, floors = last is None, own if last is None else own | {last: own[last] - 1}
        self._set_floors(floors, groups, state)
        if state.posterior is None:
            late = state.step > self.target.horizon
            state.due = [max(0, own[name] - floors[name]) for name in groups.names] if late else None
        return met

    def begin(self, groups: UnitGroups, state: State) -> None:
        """Hold what may not die before the first look, and all that is dead."""
        _, _, live = look = self._look()
        if state.posterior is None:
            state.gone = groups.dead()
        alive = {name: int(kept.sum()) for name, kept in live.kept.items()}
        self._set_floors(self._allowed(self._share(*look), alive, alive_units(groups, state)), groups, state)

    def _allowed(self, left: float, alive: Mapping[str, int], own: Mapping[str, int]) -> dict[str, int]:
        """The units of each axis that have to live until the next look."""
        counts = allowance(left, self._share.goal - TOLERANCE / 2, [alive[name] for name in own])
        counts = [min(c, alive[name] - self._floors[name]) for name, c in zip(own, counts, strict=True)]
        return {name: count - max(0, c) for (name, count), c in zip(own.items(), counts, strict=True)}

    def _press(self, groups: UnitGroups, state: State, left: float, alive: Mapping[str, int]) -> None:
        """Set the strength; where axes have targets of their own, how hard each of them is pressed."""
        if isinstance(wanted := self.target.sparsity, Mapping) and state.posterior is None:
            pressed = state.pressure or [1.0] * len(groups.names)
            state.pressure = [
                self._next(n, p, 1.0, alive[n] / self._sizes[n], self._floors[n] / self._sizes[n], state.step)
                if n in wanted
                else p
                for n, p in zip(groups.names, pressed, strict=True)
            ]
        else:
            self._start = self._start or state.strength
            state.strength = self._next(_WHOLE, state.strength, self._start, left, self._share.goal, state.step)

    def _next(self, name: str, now: float, start: float, left: float, goal: float, step: int) -> float:
        wanted = wanted_share(step, self.target.horizon, goal)
        error = left - wanted if name == _WHOLE else log(left / wanted)
        late = max(0, step - self.target.horizon) // self.every
        before, self._errors[name] = self._errors.get(name, 0.0), error
        span, push = (_SPAN, _PUSH) if name == _WHOLE else (_AXES_APART, _PUSH / 2)
        return next_strength(now, start, error, before, late, span=span, push=push)

    def state_dict(self) -> dict[str, Any]:
        """What lives."""
        own = {} if self._state is None else {name: getattr(self._state, name) for name in ("pressure", "due")}
        gone = None if self._state is None else copies(self._state.gone)
        return {"errors": dict(self._errors), "start": self._start, "floors": self._now, "gone": gone, **own}

    def load_state_dict(self, saved: Mapping[str, Any], groups: UnitGroups | WeightGroups, state: State) -> None:
        """Go on where :meth:`state_dict` was taken."""
        self._errors, self._start = dict(saved["errors"]), float(saved["start"])
        state.pressure, state.due = saved["pressure"], saved["due"]
        state.gone = copies(saved["gone"], groups.zero().device)
        if saved["floors"] is not None:
            self._set_floors(saved["floors"], groups, state)

    def _set_floors(self, floors: Mapping[str, int], groups: UnitGroups | WeightGroups, state: State) -> None:
        assert isinstance(groups, UnitGroups)  # or there would be no controller
        self._now = dict(floors)
        groups.floors = [floors[name] for name in groups.names]
        if isinstance(state.posterior, UnitPosterior):
            state.posterior.floors = [floors[site.name] for site in state.posterior.units]

    def _own_floors(self, floors: Mapping[str, int]) -> dict[str, int]:
        sizes, wanted = self._sizes, self.target.sparsity
        if not isinstance(wanted, Mapping):
            return dict(floors)
        if unknown := wanted.keys() - sizes.keys():
            raise InputError(f"the target names {sorted(unknown)}, the network has the axes {sorted(sizes)}")
        return {n: max(floors[n], int((1 - wanted[n]) * m + 1e-9)) if n in wanted else m for n, m in sizes.items()}

    def _look(self) -> tuple[nn.Module, Structure, Liveness]:
        """The network, and what can go from it; the constants that dead units emit are read from a pass of now."""
        model = self._model()
        structure = trace(model, self._example_inputs)
        return model, structure, liveness(named_tensors(model), structure, self._protect)

    def _without(self, model: nn.Module, structure: Structure, gone: Mapping[str, Sequence[int]]) -> Liveness:
        """What could go if some units were zero, with all that makes and reads them."""
        tensors = named_tensors(model)
        axes = [axis for axis in structure.axes if gone.get(axis.name)]
        changed = {m.tensor: tensors[m.tensor].detach().clone() for axis in axes for m in axis.members}
        for axis in axes:
            axis.zero_(gone[axis.name], readers=True, within=changed)
        return liveness(tensors | changed, structure, self._protect)

    def _last_unit(
        self, model: nn.Module, structure: Structure, left: float, weakest: Mapping[str, tuple[int, int]]
    ) -> str | None:
        """The axis whose weakest unit takes most and yet not too much; where each takes too much, the least.

        None if there is nothing left that may go.
        """
        if self.target.kind == "latency":  # no clock sees a single unit
            return next((name for name, (_, alive) in weakest.items() if alive > self._floors[name]), None)
        shares = {
            name: self._share(model, structure, self._without(model, structure, {name: [unit]}))
            for name, (unit, alive) in weakest.items()
            if alive > self._floors[name]
        }
        shares = {name: share for name, share in shares.items() if share < left - 1e-12}
        near = {name: share for name, share in shares.items() if share >= self._share.goal - TOLERANCE}
        if near:
            return min(near, key=lambda name: near[name])
        return max(shares, key=lambda name: shares[name]) if shares else None

    def _in_words(self, share: float, live: Liveness) -> str:
        if isinstance(wanted := self.target.sparsity, Mapping):
            stay = {name: (int(live.kept[name].sum()), self._floors[name]) for name in wanted}
            return ", ".join(f"{name} keeps {n} units, not {m}" for name, (n, m) in stay.items() if n > m)
        if self.target.kind == "latency":
            return f"a pass takes {share * self._share.milliseconds:.3g} ms of {self._share.milliseconds:.3g}"
        return f"{self.target.kind} are at {share:.3g} of the whole"

    def _check_reachable(self, model: nn.Module, structure: Structure, names: Collection[str]) -> None:
        """Refuse a target that is not met even where all units are dead that the method can kill."""
        free = [a for a in structure.axes if a.name not in self._protect and a.name in names]
        live = self._without(model, structure, {a.name: range(self._floors[a.name], a.size) for a in free})
        least = self._share(model, structure, live)
        if least > self._share.goal + 1e-9:
            units = sum(self._floors[a.name] if a in free else a.size for a in structure.axes)
            raise InputError(
                f"the target {self.target} cannot be met: with {units} units left, the fewest that the method, "
                f"min_units and protect allow, {self._in_words(least, live)}; ask for no less"
            )
