"""Which weights belong to the group of a unit, and which unit owns each slice of them.

A unit's group is a set of slices of tensors (:class:`~gasl.structure.axes.Member`). ``filter`` takes the unit's own
filter, and for a unit that only linear layers produce its outgoing weights; ``channel`` what reads it, ``scale`` the
scale of the batch norm behind it; ``coupled`` takes everything that is removed with it, so that a weight between two
units lies in the groups of both.
"""

import torch
from torch import Tensor

from gasl.maths.norms import Orientation
from gasl.structure.axes import Axis, Member

__all__ = ["Slice", "Units", "group_followers", "group_members"]

Slice = tuple[str, int]  # a tensor's name, and the dimension that is sliced


def group_members(axis: Axis, scope: str, linear: Orientation) -> tuple[Member, ...]:
    """The members over which the norm of an axis' units is taken.

    Args:
        axis: The axis.
        scope: ``filter``, ``channel``, ``scale`` or ``coupled``.
        linear: For units that only linear layers produce: ``in`` takes the outgoing weights, ``out`` the neuron's row.

    Returns:
        The members; empty where the axis has no group of that kind (single input features with ``out``, units without
        a batch norm with ``scale``).
    """
    members = tuple(m for m in axis.members if m.role != "statistic" and m.trains)
    producers = tuple(m for m in members if m.role == "producer")
    consumers = tuple(m for m in members if m.role == "consumer")
    if scope == "channel":
        return consumers
    if scope == "scale":  # a layer without a norm would go on writing the unit
        return tuple(m for m in members if m.role == "norm" and m.scaled) if all(m.scaled for m in producers) else ()
    if axis.kind == "features":
        return consumers if linear == "in" else ()
    if scope in ("coupled", "depth"):
        return members
    if linear == "out" or not consumers or any(m.conv for m in producers):
        return producers
    return consumers


def group_followers(axis: Axis, scope: str, linear: Orientation) -> tuple[Member, ...]:
    """What is set to zero with a dead unit though it is not in its group: bias, norm scale and norm shift.

    Args:
        axis: The axis.
        scope: As in :func:`group_members`.
        linear: As in :func:`group_members`.

    Returns:
        The members.
    """
    grouped = group_members(axis, scope, linear)
    return tuple(m for m in axis.members if m.role in ("bias", "norm") and m not in grouped)


class Units:
    """Which unit of an axis owns each index of a dimension: sums over a unit, and one value for each index.

    Args:
        member: The slices.
        size: Number of units of the axis.

    Example:
        >>> units = Units(Member("fc1.weight", 1, torch.tensor([0, 0, 1, -1]), "consumer"), size=2)
        >>> units.collect(torch.tensor([1.0, 2.0, 4.0, 8.0]))
        tensor([3., 4.])
        >>> units.spread(torch.tensor([0.5, 0.0]))
        tensor([0.5000, 0.5000, 0.0000, 1.0000])
    """

    def __init__(self, member: Member, size: int) -> None:
        self.place: Slice = (member.tensor, member.dim)
        self._size = size
        self.plain = member.units.numel() == size and bool((member.units == torch.arange(size)).all())
        self._whole = bool((member.units >= 0).all())
        self._units = member.units

    def collect(self, each: Tensor) -> Tensor:
        """Sum over the indices of each unit."""
        if self.plain:
            return each
        units = self._on(each.device)
        owned = each if self._whole else torch.where(units >= 0, each, 0.0)
        return each.new_zeros(self._size).index_add(0, units.clamp(min=0), owned)

    def spread(self, factors: Tensor) -> Tensor:
        """Each index of the last dimension gets its unit's factor; one without a unit gets 1."""
        if self.plain:
            return factors
        units = self._on(factors.device)
        each = factors[..., units.clamp(min=0)]
        return each if self._whole else torch.where(units >= 0, each, 1.0)

    def over(self, factors: Tensor, tensor: Tensor) -> Tensor:
        """The same for a vector of factors, shaped to be broadcast over the sliced tensor."""
        shape = [1] * tensor.ndim
        shape[self.place[1]] = -1
        return self.spread(factors).view(shape)

    def _on(self, device: torch.device) -> Tensor:
        self._units = self._units.to(device)  # moved once: a copy from the host in each step would make it wait
        return self._units
