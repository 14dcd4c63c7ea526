"""The weights that each unit owns: their norms, and the multiplication that shrinks them.

A unit's group is a set of slices of tensors (:class:`~gasl.structure.axes.Member`). ``filter`` takes the unit's own
filter, and for a unit that only linear layers produce its outgoing weights; ``coupled`` takes everything that is
removed with it.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from gasl.errors import InputError
from gasl.maths.norms import Orientation, group_norms
from gasl.maths.proximal import shrink_factors
from gasl.structure.axes import Axis, Member

__all__ = ["UnitGroups", "WeightGroups", "group_members"]


def group_members(axis: Axis, scope: str, linear: Orientation) -> tuple[Member, ...]:
    """The members over which the norm of an axis' units is taken.

    Args:
        axis: The axis.
        scope: ``filter`` or ``coupled``.
        linear: For units that only linear layers produce: ``in`` takes the outgoing weights, ``out`` the neuron's row.

    Returns:
        The members; empty where the axis has no group of that kind (single input features with ``out``).
    """
    members = tuple(m for m in axis.members if m.role != "statistic")
    producers = tuple(m for m in members if m.role == "producer")
    consumers = tuple(m for m in members if m.role == "consumer")
    if axis.kind == "features":
        return consumers if linear == "in" else ()
    if scope == "coupled":
        return members
    if linear == "out" or not consumers or any(m.conv for m in producers):
        return producers
    return consumers


class _Slices:
    """One member of one axis: per-unit norms, and multiplication by one factor a unit."""

    def __init__(self, member: Member, size: int) -> None:
        self.name, self.dim, self.size = member.tensor, member.dim, size
        self.plain = member.units.numel() == size and bool((member.units == torch.arange(size)).all())
        self.units = member.units
        self.owned = member.units >= 0

    def norms(self, tensor: Tensor) -> Tensor:
        """Norm of each unit's slice, shape ``(size,)``."""
        each = group_norms(tensor, self.dim)
        if self.plain:
            return each
        units = self.units.to(tensor.device)
        owned = self.owned.to(tensor.device)
        return _root(each.new_zeros(self.size).index_add(0, units[owned], each[owned].square()))

    def scale_(self, tensor: Tensor, factors: Tensor) -> None:
        """Multiply each unit's slice with its factor; slices without a unit stay."""
        if not self.plain:
            units = self.units.to(tensor.device)
            factors = torch.where(
                self.owned.to(tensor.device), factors[units.clamp(min=0)], torch.ones_like(factors[:1])
            )
        tensor.mul_(factors.reshape([-1 if d == self.dim else 1 for d in range(tensor.ndim)]))


def _root(squares: Tensor) -> Tensor:
    """Square root with zero gradient at zero."""
    positive = squares > 0
    return torch.where(positive, torch.where(positive, squares, 1.0).sqrt(), 0.0)


class UnitGroups:
    """The groups of whole units, axis by axis.

    Args:
        tensors: The model's parameters by name.
        axes: The axes to group.
        scope: ``filter`` or ``coupled``.
        linear: Orientation of linear layers.
        min_units: How many units of each axis must stay; that many largest ones are never shrunk to zero, and an
            axis with no more than that many left is not shrunk at all.
        silenced: Names of axes whose dead units must also lose bias, norm scale and norm shift, because their constant
            output could not be folded into what reads them.

    Example:
        >>> from gasl.structure.trace import trace
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
        >>> _ = torch.nn.init.ones_(model[1].weight)
        >>> axis = trace(model, torch.zeros(1, 2)).axis("0")
        >>> UnitGroups(dict(model.named_parameters()), [axis], "filter", "in").norms()[0].tolist()
        [1.0, 1.0]
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        axes: Sequence[Axis],
        scope: str,
        linear: Orientation,
        min_units: Sequence[int] | None = None,
        silenced: frozenset[str] = frozenset(),
    ) -> None:
        grouped = [(axis, members) for axis in axes if (members := group_members(axis, scope, linear))]
        floors = dict(zip((axis.name for axis in axes), min_units or [0] * len(axes), strict=True))
        self._tensors = tensors
        self.axes = tuple(axis for axis, _ in grouped)
        self._slices = [[_Slices(m, axis.size) for m in members] for axis, members in grouped]
        self._floors = [min(floors[axis.name], axis.size) for axis in self.axes]
        self._followers = [
            [_Slices(m, axis.size) for m in axis.members if m.role in ("bias", "norm") and m not in members]
            if axis.name in silenced
            else []
            for axis, members in grouped
        ]

    @property
    def names(self) -> tuple[str, ...]:
        """Axis names."""
        return tuple(axis.name for axis in self.axes)

    def parameters(self) -> list[list[str]]:
        """For each axis the names of the tensors that its groups are made of."""
        return [[s.name for s in slices] for slices in self._slices]

    def zero(self) -> Tensor:
        """A 0-dim zero where the norms live."""
        return self._tensors[self._slices[0][0].name].new_zeros(())

    def norms(self) -> list[Tensor]:
        """One ``(M,)`` tensor of norms an axis."""
        return [self._axis_norms(slices) for slices in self._slices]

    def _axis_norms(self, slices: Sequence[_Slices]) -> Tensor:
        each = [s.norms(self._tensors[s.name]) for s in slices]
        return each[0] if len(each) == 1 else torch.linalg.vector_norm(torch.stack(each), dim=0)

    @torch.no_grad()
    def shrink_(self, rates: Sequence[Tensor], lr: Callable[[Tensor], float]) -> None:
        """W <- w * max(0, 1 - lr(w) * r_j / n_j) for every member tensor w of group j."""
        for slices, followers, rate, floor in zip(self._slices, self._followers, rates, self._floors, strict=True):
            norms = self._axis_norms(slices)
            alive = norms > 0
            if floor:
                spared = norms >= norms.topk(floor).values[-1]
                rate = torch.where(alive.sum() <= floor, torch.zeros_like(rate), rate)
            for s in slices:
                tensor = self._tensors[s.name]
                factors = shrink_factors(norms, rate, lr(tensor))
                if floor:
                    factors = torch.where(spared & alive & (factors == 0), torch.ones_like(factors), factors)
                s.scale_(tensor, factors)
                alive = alive & (factors > 0)
            for s in followers:
                s.scale_(self._tensors[s.name], alive.to(norms.dtype))

    @torch.no_grad()
    def clear_(self, dead: Sequence[Tensor]) -> None:
        """Set the groups of the given units to zero; ``dead`` is one bool tensor an axis."""
        for slices, followers, gone in zip(self._slices, self._followers, dead, strict=True):
            for s in [*slices, *followers]:
                s.scale_(self._tensors[s.name], (~gone).to(self._tensors[s.name].dtype))


class WeightGroups:
    """Every single weight a group of its own; its norm is its absolute value.

    Args:
        tensors: The weights by name.

    Example:
        >>> WeightGroups({"w": torch.tensor([-2.0, 1.0])}).norms()
        [tensor([2., 1.])]
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        if not tensors:
            raise InputError("there is no weight to group")
        self._tensors = dict(tensors)

    @property
    def names(self) -> tuple[str, ...]:
        """Weight names."""
        return tuple(self._tensors)

    def parameters(self) -> list[list[str]]:
        """For each axis the names of the tensors that its groups are made of."""
        return [[name] for name in self._tensors]

    def zero(self) -> Tensor:
        """A 0-dim zero where the weights live."""
        return next(iter(self._tensors.values())).new_zeros(())

    def norms(self) -> list[Tensor]:
        """Absolute values, flattened."""
        return [tensor.flatten().abs() for tensor in self._tensors.values()]

    @torch.no_grad()
    def shrink_(self, rates: Sequence[Tensor], lr: Callable[[Tensor], float]) -> None:
        """W <- w * max(0, 1 - lr(w) * r / |w|)."""
        for tensor, rate in zip(self._tensors.values(), rates, strict=True):
            tensor.mul_(shrink_factors(tensor.flatten().abs(), rate, lr(tensor)).reshape(tensor.shape))

    @torch.no_grad()
    def clear_(self, dead: Sequence[Tensor]) -> None:
        """Set the given weights to zero; ``dead`` is one flat bool tensor a weight."""
        for tensor, gone in zip(self._tensors.values(), dead, strict=True):
            tensor.mul_((~gone).reshape(tensor.shape).to(tensor.dtype))
