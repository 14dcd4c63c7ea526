"""How much is left of a network, by what a target counts: units, parameters, multiply-accumulates or milliseconds."""

from collections.abc import Mapping

import torch
from torch import nn

from gasl.errors import InputError
from gasl.measure import Latency, count_macs, measure_latency
from gasl.removal.apply import duplicate
from gasl.sparsifier.look import Look
from gasl.sparsifier.target import Target
from gasl.structure.inputs import ExampleInputs

__all__ = ["Share"]

_SECONDS = 0.1  # for each of two networks, whenever a latency is looked at
_CAREFUL = 1.0  # for the whole network, on which the goal depends, and for one that seems to have reached it


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
        fixed: Of a latency what no removal takes, once it is known.
        costs: Where all units count, how many of them one of each axis takes with it; None elsewhere.

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
        self._whole, self.milliseconds, self._dense = 1.0, 0.0, None
        if target.kind == "latency":
            _check_usable(target.device)
            self._dense = duplicate(whole.model).to(target.device)
            self.milliseconds = self._time(_CAREFUL, {"whole": self._dense})["whole"]
        else:
            self._whole = self(whole)
        self.costs = None if target.sparsity is None or isinstance(target.sparsity, Mapping) else self._costs(whole)
        self.goal = target.goal(self.milliseconds)

    def __call__(self, look: Look) -> float:
        """The share of the whole that the removal would leave."""
        if self.target.kind == "units":
            return self._units(look.counts) / self._whole
        key = tuple(look.counts.values())
        if key not in self._known:
            small = look.smaller()
            self._known[key] = self._count(small, _SECONDS)
            if self._dense is not None and self._known[key] <= self.goal:  # a lucky moment is no goal reached
                self._known[key] = self._count(small, _CAREFUL)
        return self._known[key] / self._whole

    def final(self, small: nn.Module, widths: Mapping[str, int]) -> tuple[float, tuple[float, float] | None]:
        """The share that a smaller network is of the whole, and of a latency the milliseconds of both.

        Args:
            small: The network; a latency is measured on a copy, in this process alone.
            widths: Units of each axis.

        Returns:
            The share; the medians of the whole and of the smaller network, measured in turn.
        """
        if self.target.kind == "units":
            return self._units(widths) / self._whole, None
        if self._dense is None:
            return self._count(small, _CAREFUL) / self._whole, None
        found = self._measured(_CAREFUL, {"whole": self._dense, "small": duplicate(small).to(self.target.device)})
        whole, after = found["whole"].median, found["small"].median
        return after / whole, (whole, after)

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

    def units(self, share: float) -> float:
        """How many units a share of the whole is."""
        return share * self._whole

    def _costs(self, whole: Look) -> dict[str, int]:
        there = sum(whole.live.counts.values())
        return {name: max(1, there - sum(whole.without({name: [0]}).live.counts.values())) for name in whole.counts}

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
