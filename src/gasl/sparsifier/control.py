"""The controller of a target: it looks how much is left, sets the strength, and lets no axis go past the target."""

from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf
from typing import Any, ClassVar

import torch
from torch import nn

from gasl.errors import InputError
from gasl.groups.units import UnitGroups
from gasl.groups.weights import WeightGroups
from gasl.maths.control import GATES_LATE, lag, next_strength, wanted_share
from gasl.methods.base import Groups, Method, State
from gasl.methods.posterior import UnitPosterior
from gasl.sparsifier.allowed import allowed
from gasl.sparsifier.floors import check_reachable, fair_floors, own_floors
from gasl.sparsifier.last import last_units, wide_unit
from gasl.sparsifier.living import alive_units, weakest
from gasl.sparsifier.look import Look
from gasl.sparsifier.memory import copies
from gasl.sparsifier.reached import Reached
from gasl.sparsifier.share import Share
from gasl.sparsifier.target import Target
from gasl.structure.inputs import ExampleInputs

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
        round_to: What each width is kept a multiple of; what is left counts as it will be then.

    Raises:
        InputError: If the target cannot be met, with the smallest share that can, or names an unknown axis. The first
            check raises it of a network with dead units: the state of its run, still to come, may know the whole.

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
        round_to: int = 1,
    ) -> None:
        self.target = target
        self.method = method
        self.every = max(_APART, target.horizon // self.checks)
        self._model = model
        self._example_inputs = example_inputs
        self._protect = protect
        self._round_to = round_to
        self.ended: int | None = None  # the step with which it had done
        self._errors: dict[str, float] = {}  # of the check before
        self._start = 0.0
        self._state = state
        self._gated = state is not None and state.posterior is not None
        self._now: dict[str, int] | None = None  # floors that were set
        whole = self._look()
        self._sizes = {axis.name: axis.size for axis in whole.structure.axes}
        self._floors = own_floors(target, self._sizes, floors, round_to)
        self._share = Share(target, whole, example_inputs, self._floors)
        free = set(self._sizes if names is None else names) - protect
        self._refusal: InputError | None = None
        try:
            check_reachable(self._share, whole, self._floors, free, round_to)
        except InputError as error:
            if whole.live.counts == self._sizes:
                raise
            self._refusal = error  # of a network that has lost units, perhaps in a run whose state is to come
        self._fair = fair_floors(self._share, whole, self._floors, free)

    def left(self) -> float:
        """The share that is left of what the target counts."""
        return self._share(self._look())

    def reached(
        self, groups: Groups, state: State, small: nn.Module | None = None, widths: Mapping[str, int] | None = None
    ) -> Reached:
        """What came of the target so far.

        Args:
            groups: What the method makes sparse.
            state: The method's state.
            small: The smaller network and its widths; None for what a removal would leave now.
            widths: Units of each of its axes.

        Returns:
            What was asked for, and what there is.
        """
        if small is None or widths is None:
            look = self._look()
            small, widths = look.smaller(), look.counts
        left, times = self._share.final(small, widths)
        return Reached(target=self.target, asked=self._share.goal, left=left, step=self.ended, milliseconds=times)

    @torch.no_grad()
    def check(self, groups: UnitGroups | WeightGroups, state: State) -> bool:
        """Look at the network every few steps, and set strength and floors for what comes.

        Args:
            groups: What the method makes sparse.
            state: The method's state.

        Returns:
            Whether it has done: the target is met, or nothing is left that may die.
        """
        if self._refusal is not None:
            raise self._refusal
        if state.step % self.every:
            return False
        assert isinstance(groups, UnitGroups)  # or there would be no controller
        look = self._look()
        left = self._share(look)
        met = left <= self._share.goal + 1e-9
        own = alive_units(groups, state, look.live)
        floors = own
        if not met:
            self._press(groups, state, left, look.live.counts)
            units = weakest(groups, state, look.live)
            floors = self._until_next(look, left, own, units)
            last = wide_unit(self._share, look, left, _spare(units, self._fair), self._round_to)
            if floors == own and last is None:
                tried = (_spare(units, least) for least in (self._fair, self._floors))
                found = (last_units(self._share, look, left, spare, self._round_to) for spare in tried)
                last = next(filter(None, found), None)
                met = last is None
            if last is not None:
                floors = own | {last[0]: own[last[0]] - last[1]}
        _hold_only_what_is_there(state, look)
        self._set_floors(floors, groups, state)
        if state.posterior is None:
            late = state.step > self.target.horizon
            state.due = [max(0, own[name] - floors[name]) for name in groups.names] if late else None
        return met

    def begin(self, groups: UnitGroups, state: State) -> None:
        """Hold what may not die before the first look, and all that is dead."""
        look = self._look()
        if state.posterior is None:
            state.gone = groups.dead()
        own, units = alive_units(groups, state, look.live), weakest(groups, state, look.live)
        _hold_only_what_is_there(state, look)
        self._set_floors(self._until_next(look, self._share(look), own, units), groups, state)

    def _until_next(
        self, look: Look, left: float, own: Mapping[str, int], units: Mapping[str, Sequence[int]]
    ) -> dict[str, int]:
        """The units of each axis that have to live until the next look."""
        going = allowed(self._share, look, left, self._fair, units, self._round_to)
        return {name: max(count - going[name], min(count, self._floors[name])) for name, count in own.items()}

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
        error = lag(left, wanted)
        late = max(0, step - self.target.horizon) // self.every
        before, self._errors[name] = self._errors.get(name, 0.0), error
        span, push = (_SPAN, _PUSH) if name == _WHOLE else (_AXES_APART, _PUSH / 2)
        most = GATES_LATE if self._gated else inf
        return next_strength(now, start, error, before, late, span=span, push=push, most=most)

    def state_dict(self) -> dict[str, Any]:
        """What lives."""
        own = {} if self._state is None else {name: getattr(self._state, name) for name in ("pressure", "due")}
        gone = None if self._state is None else copies(self._state.gone)
        known = {"errors": dict(self._errors), "start": self._start, "floors": self._now, "ended": self.ended}
        begun = {"whole": self._share.whole, "fair": dict(self._fair)}
        return {**known, **begun, "costs": self._share.counted, "gone": gone, **own}

    def load_state_dict(self, saved: Mapping[str, Any], groups: UnitGroups | WeightGroups, state: State) -> None:
        """Go on where :meth:`state_dict` was taken."""
        self._errors, self._start, self._refusal = dict(saved["errors"]), float(saved["start"]), None
        self.ended, self._share.counted = saved.get("ended"), saved.get("costs")
        # What is whole was counted anew when this was made, perhaps of a network whose units had died already.
        self._share.whole, self._fair = saved.get("whole", self._share.whole), saved.get("fair", self._fair)
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

    def _look(self) -> Look:
        return Look.now(self._model(), self._example_inputs, self._protect, self._round_to)


def _hold_only_what_is_there(state: State, look: Look) -> None:
    """Gates that a floor holds, none of them open, would change places: with its last feature a map goes, uncounted."""
    if isinstance(posterior := state.posterior, UnitPosterior):
        posterior.there = [look.live.kept[site.name].clone() for site in posterior.units]


def _spare(units: Mapping[str, Sequence[int]], floors: Mapping[str, int]) -> dict[str, Sequence[int]]:
    return {name: them[: max(0, len(them) - floors[name])] for name, them in units.items()}
