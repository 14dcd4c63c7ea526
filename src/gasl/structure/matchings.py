"""Widths that are cut evenly in several ways that do not fit: each part keeps as many units, of its own choice.

A channel shuffle whose groups do not divide each other, between two grouped convolutions, leaves no slab of channels
that is whole on both sides. Single channels can go all the same. Both convolutions then need as many in each of their
groups, and each must come to lie in the groups that it had: when the shuffle deals out fewer channels, the one that
group a sends to group b must be one that it sent there before. So many units of each such pair stay, dead ones if need
be, and what stays is ordered anew within its groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import lcm, prod

import torch
from torch import Tensor

__all__ = ["Key", "Layout", "Matching", "shuffled"]

Key = tuple[str, int]  # a tensor and one of its dimensions


@dataclass(frozen=True, eq=False)
class Layout:
    """One way in which a width is cut into equal groups.

    Args:
        order: The shuffles that lead from the order of :attr:`Matching.units` to this one's, see :func:`shuffled`.
        groups: How many groups of neighbours there are; that number stays.
        places: Vectors of classes that count the places of a group: as many stay as units in each group.
    """

    order: tuple[int, ...]
    groups: int
    places: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Matching:
    """Units that every layout must have as many of in each of its groups.

    Args:
        units: The class of each unit.
        layouts: The ways in which the width is cut.
        orders: For each tensor that is cut along the units, in which order it has them.
        blocks: Tensors that hold the places of a group: the weight of a grouped convolution, whose columns belong to
            another unit in each of the groups that its rows make; with the layout.

    Example:
        >>> halves = Layout((), 2, ()), Layout((2,), 2, ())  # two groups, dealt out in turn to two groups
        >>> matching = Matching(torch.arange(1, 9), halves, {("weight", 0): ()}, {})
        >>> gone = torch.zeros(9, dtype=torch.bool)
        >>> gone[[1, 2, 3, 5]] = True
        >>> matching.pairs(8).tolist(), matching.pairs(6).tolist()  # 7 and 8 go the same way: 6 is the least size
        ([0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 1, 2, 3, 3])
        >>> matching.held(gone, ~gone).tolist()
        [1, 2]
    """

    units: Tensor
    layouts: tuple[Layout, ...]
    orders: Mapping[Key, tuple[int, ...]]
    blocks: Mapping[Key, Layout]

    def pairs(self, size: int) -> Tensor:
        """Through which groups each place goes if the width has this size, as one number; shape ``(size,)``."""
        number = torch.zeros(size, dtype=torch.int64)
        for layout in self.layouts:
            place = shuffled(torch.arange(size), layout.order)
            group = torch.empty_like(place).scatter_(0, place, torch.arange(size) * layout.groups // size)
            number = number * layout.groups + group
        return number

    def sizes(self) -> list[int]:
        """The sizes that the width could have, ascending, with its own as the last."""
        size = self.units.numel()
        step = lcm(*(layout.groups for layout in self.layouts), *(g for own in self.orders.values() for g in own))
        return [n for n in range(step, size + 1, step) if bool((self._counts(n) <= self._counts(size)).all())]

    def held(self, removed: Tensor, needed: Tensor) -> Tensor:
        """The removed classes that must stay after all, those first that nobody needs.

        Args:
            removed: Indexed by class.
            needed: Indexed by class.

        Returns:
            Classes; none where what stays fits.
        """
        own, alive = self.pairs(self.units.numel()), ~removed[self.units]
        have = torch.zeros_like(self._counts(own.numel())).index_add(0, own[alive], torch.ones_like(own[alive]))
        wanted = next(c for c in (self._counts(n) for n in self.sizes()) if bool((have <= c).all()))
        spare = (~alive).nonzero().flatten()
        spare = spare[needed[self.units[spare]].int().argsort(stable=True)]
        chosen = [spare[own[spare] == pair][:lack] for pair, lack in enumerate((wanted - have).tolist()) if lack > 0]
        return self.units[torch.cat(chosen)] if chosen else self.units[:0]

    def unused(self, removed: Tensor) -> Tensor:
        """The classes of the places that go with the removed units."""
        left = self.units.numel() - int(removed[self.units].sum())
        return torch.cat([places[left // layout.groups :] for layout in self.layouts for places in layout.places])

    def keep(self, removed: Tensor) -> dict[Key, Tensor]:
        """What stays of each tensor, in its new order; a matrix of columns by group where the groups differ.

        Args:
            removed: Indexed by class; what stays fits.

        Returns:
            Indices by tensor and dimension.
        """
        alive = (~removed[self.units]).nonzero().flatten()
        own, dealt = self.pairs(self.units.numel())[alive], self.pairs(alive.numel())
        unit = torch.empty_like(alive)
        unit[dealt.argsort(stable=True)] = alive[own.argsort(stable=True)]
        kept = {key: self._at(order)[shuffled(unit, order)] for key, order in self.orders.items()}
        for key, layout in self.blocks.items():
            place = self._at(layout.order)[shuffled(unit, layout.order)]
            kept[key] = place.reshape(layout.groups, -1) % (self.units.numel() // layout.groups)
        return kept

    def example(self, length: int) -> Tensor:
        """A removal of as few units as can go: which of so many classes."""
        removed, own = torch.zeros(length, dtype=torch.bool), self.pairs(self.units.numel())
        for pair, count in enumerate(self._counts(self.sizes()[-2]).tolist()):
            removed[self.units[own == pair][count:]] = True
        removed[self.unused(removed)] = True
        return removed

    def _counts(self, size: int) -> Tensor:
        return torch.bincount(self.pairs(size), minlength=prod(layout.groups for layout in self.layouts))

    def _at(self, order: tuple[int, ...]) -> Tensor:
        """Where each unit is in an order."""
        place = shuffled(torch.arange(self.units.numel()), order)
        return torch.empty_like(place).scatter_(0, place, torch.arange(place.numel()))


def shuffled(vector: Tensor, order: Sequence[int]) -> Tensor:
    """A vector after channel shuffles with these numbers of groups, one after the other.

    Example:
        >>> shuffled(torch.arange(6), (2,)).tolist()
        [0, 3, 1, 4, 2, 5]
    """
    for groups in order:
        vector = vector.reshape(groups, -1).t().reshape(-1)
    return vector
