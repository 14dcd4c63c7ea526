"""The closed-form step on whole units: which factor multiplies which weight, and when.

On a CPU a weight is multiplied as soon as the factors of all its groups are known, while it is still in a cache. Where
a unit dies, or one norm may be zero, its axis waits for the end, when the floors are looked at for all axes at once.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import zip_longest
from operator import add

import torch
from torch import Tensor

from gasl.groups.floors import Floors
from gasl.groups.membership import Units
from gasl.groups.rounds import rounds
from gasl.maths.passes import Pass
from gasl.maths.slices import root

__all__ = ["Step", "unit_norms"]

Sums = Mapping[str, Sequence[Tensor]]


def unit_norms(members: Sequence[Sequence[Units]], dims: Mapping[str, Sequence[int]], sums: Sums) -> list[Tensor]:
    """The norms of units from the sums of squares of their weights' slices.

    Args:
        members: The slices of each axis.
        dims: Of each weight the dimensions along which it was summed.
        sums: Of each weight as many vectors.

    Returns:
        One ``(M,)`` tensor an axis, differentiable.

    Example:
        >>> from gasl.structure.axes import Member
        >>> units = Units(Member("w", 0, torch.tensor([0, 1]), "producer"), size=2)
        >>> unit_norms([[units]], {"w": [0]}, {"w": [torch.tensor([9.0, 16.0])]})
        [tensor([3., 4.])]
    """
    squares: list[Tensor] = []
    for level in zip_longest(*members):  # the first members of all axes, the second ones, ...: one operation for each
        axes = [axis for axis, units in enumerate(level) if units is not None]
        more = [
            units.collect(sums[units.place[0]][dims[units.place[0]].index(units.place[1])]) for units in level if units
        ]
        if not squares:
            squares = more
            continue
        for axis, total in zip(axes, torch._foreach_add([squares[axis] for axis in axes], more), strict=True):
            squares[axis] = total
    return [root(s) for s in squares] if torch.is_grad_enabled() else list(torch._foreach_sqrt(squares))


class Step:
    """W <- w * max(0, 1 - lr(w) * r_j / n_j) for every weight w of group j, again and again.

    Args:
        weights: All weights that are read or set, by name.
        dims: Of those that are read the dimensions along which groups are slices.
        members: Of each axis the slices that its norms are taken over.
        followers: Of each axis the slices that become zero with its units.
        floors: How many units stay.

    Example:
        >>> from gasl.structure.axes import Member
        >>> units = Units(Member("w", 0, torch.tensor([0, 1]), "producer"), size=2)
        >>> weight = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
        >>> Step({"w": weight}, {"w": [0]}, [[units]], [[]], Floors([2], [1])).shrink_([torch.ones(2)], {"w": 1.0})
        [tensor([4., 0.])]
        >>> weight
        tensor([[2.4000, 3.2000],
                [0.0000, 0.0000]])
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        dims: Mapping[str, Sequence[int]],
        members: Sequence[Sequence[Units]],
        followers: Sequence[Sequence[Units]],
        floors: Floors,
    ) -> None:
        self._pass, self._dims, self._floors = Pass(weights, dims), dims, floors
        self._members = members
        self._ones: dict[torch.dtype, Tensor] = {}
        self._owners: dict[str, list[tuple[int, int, Units]]] = defaultdict(list)
        self._following: dict[str, list[tuple[int, int, Units]]] = defaultdict(list)
        for found, slices in ((self._owners, members), (self._following, followers)):
            for axis, each in enumerate(slices):
                for units in each:
                    found[units.place[0]].append((units.place[1], axis, units))
        self._needs = {
            name: {axis for _, axis, _ in (*self._owners[name], *self._following[name])}
            for name in (*self._owners, *self._following)
        }
        matrices = [name for name in dims if weights[name].ndim > 1]
        reads, writes = (
            [[units.place[0] for units in each] for each in slices]
            for slices in (members, [[*a, *b] for a, b in zip(members, followers, strict=True)])
        )
        # An optimizer has touched the last ones last: they may still be in a cache.
        self._rounds = rounds(matrices[::-1], reads, writes)

    @property
    def current(self) -> bool:
        """Whether the weights are still where they were found."""
        return self._pass.current

    def shrink_(self, rates: Sequence[Tensor], steps: Mapping[str, float]) -> list[Tensor]:
        """Do it.

        Args:
            rates: One ``(M,)`` tensor an axis.
            steps: lr of each weight that is read.

        Returns:
            The norms afterwards.
        """
        self._pass.begin()
        norms: dict[int, Tensor] = {}
        early: dict[int, Tensor] = {}
        growing: set[int] = set()
        left: list[str] = []
        for now in self._rounds:
            for axis in now.axes:
                norms[axis] = self._norms(axis)
                if (known := self._known(axis, norms[axis], rates[axis], steps)) is not None:
                    early[axis], grows = known
                    if grows:
                        growing.add(axis)
            for name in now.write:
                if not self._needs[name] <= early.keys():
                    left.append(name)
                elif pairs := [(dim, units.spread(early[axis])) for dim, axis, units in self._owners[name]]:
                    self._pass.scale_(name, pairs, not growing.isdisjoint(self._needs[name]))
        if left:
            self._finish_(left, [norms[axis] for axis in range(len(norms))], rates, steps)
        return unit_norms(self._members, self._dims, self._pass.finish())

    def _norms(self, axis: int) -> Tensor:
        members = self._members[axis]
        name, _ = members[0].place
        if len(members) == 1 and members[0].plain and (norms := self._pass.norms(name)) is not None:
            return norms
        places = [(units, *units.place) for units in members]
        squares = [units.collect(self._pass.read(name)[self._dims[name].index(dim)]) for units, name, dim in places]
        return reduce(add, squares).sqrt()

    def _known(self, axis: int, norms: Tensor, rates: Tensor, steps: Mapping[str, float]) -> tuple[Tensor, bool] | None:
        """The factors of an axis, and whether one is above 1; None if the floors may have a say."""
        step, *others = {steps[units.place[0]] for units in self._members[axis]}
        if others or norms.device.type != "cpu" or not self._floors.free(axis):  # other devices are not waited for
            return None
        one = self._ones.get(norms.dtype)
        if one is None:
            one = self._ones[norms.dtype] = norms.new_ones(())
        factors = torch.addcdiv(one, rates, norms, value=-step)
        low, high = (float(end) for end in torch.aminmax(factors))
        return (factors, high > 1) if low > 0 and high < math.inf else None  # not where a norm is 0: infinite or NaN

    def _finish_(
        self, names: Sequence[str], norms: Sequence[Tensor], rates: Sequence[Tensor], steps: Mapping[str, float]
    ) -> None:
        found = {step: self._floors.factors(norms, rates, step) for step in set(steps.values())}
        alive: dict[int, Tensor] = {}
        for name in names:
            pairs = [(dim, units.spread(found[steps[name]][axis])) for dim, axis, units in self._owners[name]]
            for dim, axis, units in self._following[name]:
                if axis not in alive:
                    largest = reduce(torch.maximum, [found[steps[u.place[0]]][axis] for u in self._members[axis]])
                    alive[axis] = (largest > 0).to(largest.dtype)
                pairs.append((dim, units.spread(alive[axis])))
            self._pass.scale_(name, pairs)
