"""The controller of methods that cut: no strength makes their units die, so it says how many go, and when.

In each of 25 rounds the fewest groups go, by the method's own ranking, that bring the share left down to what the
schedule wants (DepGraph's "small steps up to a number of operations", pruning with retraining in between). Where a
latency would fall far below its target with them, the axis that leaps is left out. Nothing is cut later.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import ClassVar

import torch
from torch import Tensor

from gasl.groups.units import UnitGroups
from gasl.groups.weights import WeightGroups
from gasl.maths.control import wanted_share
from gasl.methods.base import State
from gasl.sparsifier.control import Controller
from gasl.sparsifier.look import Look

__all__ = ["CuttingController"]


class CuttingController(Controller):
    """Cuts along the schedule; arguments as for :class:`gasl.sparsifier.control.Controller`.

    Example:
        >>> import gasl
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(4, 20), nn.ReLU(), nn.Linear(20, 3))
        >>> target = gasl.Target(sparsity=0.5, steps=5)
        >>> sparsifier = gasl.Sparsifier(net, gasl.DepGraphNorm(), torch.zeros(2, 4), target=target)
        >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> for _ in range(10):
        ...     loss = net(torch.randn(16, 4)).square().mean() + sparsifier.penalty()
        ...     optimizer.zero_grad(); loss.backward(); optimizer.step()
        ...     sparsifier.step(optimizer)
        >>> sum(axis.alive for axis in sparsifier.sparsity())
        12
    """

    checks: ClassVar[int] = 25

    @torch.no_grad()
    def check(self, groups: UnitGroups | WeightGroups, state: State) -> bool:
        """Cut what the schedule wants; whether the target is met."""
        if state.step % self.every:
            return False
        assert isinstance(groups, UnitGroups)  # or there would be no such controller
        assert state.gone is not None  # begin() was called
        look = self._look()
        if self._share(look) > self._wanted(state.step):
            chosen = self._fewest(groups, state.step, look)
            state.gone = [old.to(new.device) | new for old, new in zip(state.gone, chosen, strict=True)]
            groups.clear_(state.gone)
            look = self._look()
        return self._share(look) <= self._share.goal + 1e-9

    def _wanted(self, step: int, goal: float | None = None) -> float:
        return wanted_share(step, self.target.horizon, self._share.goal if goal is None else goal) + 1e-9

    def _fewest(self, groups: UnitGroups, step: int, look: Look) -> list[Tensor]:
        norms, sizes = groups.norms(), [self._sizes[name] for name in groups.names]
        floors = [self._floors[name] for name in groups.names]
        if isinstance(self.target.sparsity, Mapping):
            wanted = [self._wanted(step, floor / size) for floor, size in zip(floors, sizes, strict=True)]
            parts = [1 - max(floor, ceil(w * m - 1e-6)) / m for floor, w, m in zip(floors, wanted, sizes, strict=True)]
            return [self.method.chosen([n], [f], p)[0] for n, f, p in zip(norms, floors, parts, strict=True)]

        by_name = dict(zip(groups.names, norms, strict=True))
        found, left = self._search(by_name, floors, step, look)
        if self.target.kind == "latency" and left < self._share.lowest:  # one axis may leap there
            for i, each in enumerate(norms):
                holding = [*floors[:i], int(each.count_nonzero()), *floors[i + 1 :]]
                others, less = self._search(by_name, holding, step, look)
                if left < less <= self._wanted(step):
                    found, left = others, less
        return found

    def _search(
        self, norms: Mapping[str, Tensor], floors: Sequence[int], step: int, look: Look
    ) -> tuple[list[Tensor], float]:
        """The fewest groups that are enough, or else all that may go; and the share that they leave."""
        size = sum(self._sizes[name] for name in norms)

        def tried(count: int) -> tuple[list[Tensor], float]:
            masks = self.method.chosen(list(norms.values()), floors, count / size)
            gone = {name: _places(mask) for name, mask in zip(norms, masks, strict=True)}
            return masks, self._share(look.without(gone))

        low, high = 0, size - sum(floors)  # the share at low is too much, that at high is not
        while high - low > 1:
            count = (low + high) // 2
            low, high = (low, count) if tried(count)[1] <= self._wanted(step) else (count, high)
        return tried(high)


def _places(mask: Tensor) -> Sequence[int]:
    return [int(i) for i in mask.nonzero()]
