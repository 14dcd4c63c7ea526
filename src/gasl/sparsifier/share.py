"""How much is left of a network, by what a target counts: units, parameters, multiply-accumulates or milliseconds."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from gasl.errors import InputError
from gasl.measure import Latency, count_macs, measure_latency
from gasl.removal.apply import duplicate
from gasl.sparsifier.look import Look
from gasl.sparsifier.target import Target
from gasl.structure.inputs import ExampleInputs

__all__ = ["Share"]

_LEAP = 0.05  # how far a latency may fall below its goal at once
_STALE = 0.95  # the part that must be left of what was when costs were counted, or they are again
_TRIED = 32  # about so many units of an axis, where what they take is not the same
_SECONDS = 0.1  # for each of two networks, whenever a latency is looked at
_CAREFUL = 1.0  # for the whole network, on which the goal depends, and for one that seems to have reached it
_READINGS = 3  # of the whole network, of which the least counts: the others were disturbed


class Share:
    """The share that is left, 1 for the whole network, and the goal that it is to reach.

    A latency is measured: what is left runs in turn with a copy of the whole network, so that a machine that is busy
    for a while does not look like a network that grew, and of each the lower quartile counts, which other work on the
    machine moves least. Under several processes the first one's figure holds for all.

    Args:
        target: The target.
        whole: The network as it is now, which counts as whole.
        example_inputs: What it takes.
        floors: Units that each axis keeps; what is above them counts where each axis has a target of its own.

    Attributes:
        goal: The share that is wanted.
        whole: What the whole network counts; of a latency 1.
        fixed: Of a latency what no removal takes, once it is known.
        product: Whether it is made of products of widths, so that :meth:`costs` bound what units take together.
        counted: Costs of an earlier look, and the share that was left then.

    Raises:
        InputError: If the whole network is fast enough as it is, or there is no such device here.

    Example:
        >>> model, x = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3)), torch.zeros(2, 4)
        >>> whole = Look.now(model, x)
        >>> share = Share(Target(macs=0.5), whole, x, {})
        >>> share(whole), share.goal
        (1.0, 0.5)
    """

    def __init__(
        self,
        target: Target,
        whole: Look,
        example_inputs: ExampleInputs,
        floors: Mapping[str, int],
    ) -> None:
        self.target = target
        self.fixed = 0.0
        self._example_inputs = example_inputs
        self._floors = floors
        self._known: dict[tuple[int, ...], float] = {}
        self.whole, self.milliseconds, self._dense = 1.0, 0.0, None
        if target.kind == "latency":
            _check_usable(target.device)
            self._dense = duplicate(whole.model).to(target.device)
            readings = [self._time(_CAREFUL, {"whole": self._dense}) for _ in range(_READINGS)]
            self.milliseconds = min(found["whole"] for found in readings)
        else:
            self.whole = self(whole)
        self.product = target.kind != "latency" and not isinstance(target.sparsity, Mapping)
        self.counted: tuple[float, dict[str, float]] | None = None
        self.goal = target.goal(self.milliseconds)

    @property
    def lowest(self) -> float:
        """Where a latency that falls below the goal has leapt, and not just arrived."""
        return self.goal * (1 - _LEAP)

    def __call__(self, look: Look) -> float:
        """The share of the whole that the removal would leave."""
        if self.target.kind == "units":
            return self._of_whole(self._units(look.counts))
        key = tuple(look.counts.values())
        if key not in self._known:
            small = look.smaller()
            self._known[key] = self._count(small, _SECONDS)
            if self._dense is not None and self._known[key] <= self.goal:  # a lucky moment is no goal reached
                self._known[key] = self._count(small, _CAREFUL)
        return self._known[key] / self.whole

    def costs(self, look: Look, left: float, units: Mapping[str, Sequence[int]], at_once: int = 1) -> dict[str, float]:
        """What one unit of each axis takes at most.

        It takes less, the fewer others there are; so what an earlier look found still holds, if little went since. Not
        in it: what dies because the last that read it went together.

        Args:
            look: The network.
            left: Its share.
            units: The units of each axis that are there, the next to die first.
            at_once: Where widths are rounded, what they are multiples of.

        Returns:
            The share, by axis.
        """
        if self.counted is None or left < _STALE * self.counted[0]:
            self.counted = left, {name: self._cost(look, left, name, them, at_once) for name, them in units.items()}
        return self.counted[1]

    def _cost(self, look: Look, left: float, name: str, units: Sequence[int], at_once: int) -> float:
        """What the weakest unit takes, and then the strongest; where they differ, as maps of many features, some more.

        The first of all may take less than those that follow, or cost: single input features are gathered. One unit
        stays in each: without the last, all that reads it would go, too.
        """

        def without(*some: Sequence[int]) -> float:
            return self(look.without({name: [unit for them in some for unit in them]}))

        first, others = units[:at_once], units[at_once:]
        less = without(first)
        taken = [left - less]
        if 0 < len(others) <= at_once:
            taken.append(left - without(others[-at_once:]))
        elif others:
            taken.append(less - without(first, others[-at_once:]))
            if abs(taken[0] - taken[1]) > 1e-12:
                places = range(0, len(others), max(at_once, len(others) // _TRIED))
                taken += [less - without(first, others[k : k + at_once]) for k in places]
        return max(taken) / at_once

    def final(self, small: nn.Module, widths: Mapping[str, int]) -> tuple[float, tuple[float, float] | None]:
        """The share that a smaller network is of the whole, and of a latency the milliseconds of both.

        Args:
            small: The network; a latency is measured on a copy, in this process alone.
            widths: Units of each axis.

        Returns:
            The share; the medians of the whole and of the smaller network, measured in turn.
        """
        if self.target.kind == "units":
            return self._of_whole(self._units(widths)), None
        if self._dense is None:
            return self._count(small, _CAREFUL) / self.whole, None
        found = self._measured(_CAREFUL, {"whole": self._dense, "small": duplicate(small).to(self.target.device)})
        whole, after = found["whole"].median, found["small"].median
        return after / whole, (whole, after)

    def _of_whole(self, units: float) -> float:
        """Nothing is left of nothing: of axes that are at their targets already."""
        return units / self.whole if self.whole else 0.0

    def _count(self, small: nn.Module, seconds: float) -> float:
        if self.target.kind == "params":
            return float(sum(parameter.numel() for parameter in small.parameters()))
        if self.target.kind == "macs":
            return float(count_macs(small, self._example_inputs).total)
        assert self._dense is not None  # it is a latency
        times = self._time(seconds, {"whole": self._dense, "small": small.to(self.target.device)})
        return times["small"] / times["whole"]

    def _time(self, seconds: float, models: Mapping[str, nn.Module]) -> dict[str, float]:
        found = self._measured(seconds, models)
        times = torch.tensor([found[name].lower for name in models], dtype=torch.float64)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.broadcast(times, src=0)
        return dict(zip(models, times.tolist(), strict=True))

    def _measured(self, seconds: float, models: Mapping[str, nn.Module]) -> dict[str, Latency]:
        batch, threads = self.target.batch, self.target.threads
        return measure_latency(models, self._example_inputs, batch=batch, threads=threads, seconds=seconds)

    def _units(self, counts: Mapping[str, int]) -> float:
        if isinstance(wanted := self.target.sparsity, Mapping):
            return float(sum(max(0, counts[name] - self._floors[name]) for name in wanted))
        return float(sum(counts.values()))


def _check_usable(device: str) -> None:
    try:
        torch.zeros(1, device=device)
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"a latency cannot be measured on {device!r} here: {reason}; take device='cpu'") from error
