"""The weights that each unit owns: their norms, and the multiplication that shrinks them.

A weight between two units may lie in the groups of both; see :mod:`gasl.structure.membership`.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import add

import torch
from torch import Tensor

from gasl.errors import InputError
from gasl.maths.norms import Orientation
from gasl.maths.proximal import shrink_factors
from gasl.maths.slices import joint_factors, root, scale_slices_, square_sums
from gasl.structure.axes import Axis
from gasl.structure.floors import Floors
from gasl.structure.membership import Slice, Units, group_followers, group_members

__all__ = ["UnitGroups", "WeightGroups", "versions"]


def versions(tensors: Mapping[str, Tensor]) -> tuple[tuple[int, int], ...]:
    """Where each tensor lies and how often it was changed in place: equal as long as nobody wrote to any.

    Args:
        tensors: The tensors.

    Returns:
        Something to compare. What is written through ``.data`` or by a foreign kernel is not seen.

    Example:
        >>> weight = torch.zeros(2)
        >>> before = versions({"w": weight})
        >>> _ = weight.add_(1)
        >>> versions({"w": weight}) == before
        False
    """
    return tuple((tensor.data_ptr(), tensor._version) for tensor in tensors.values())


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
        floors = dict(zip((axis.name for axis in axes), min_units or [0] * len(axes), strict=True))
        self.axes = tuple(axis for axis in axes if group_members(axis, scope, linear))
        self._floors = Floors([axis.size for axis in self.axes], [floors[axis.name] for axis in self.axes])
        self._members = [[Units(m, a.size) for m in group_members(a, scope, linear)] for a in self.axes]
        self._followers = [
            [Units(m, a.size) for m in group_followers(a, scope, linear)] if a.name in silenced else []
            for a in self.axes
        ]
        self._dims: dict[str, list[int]] = defaultdict(list)  # of each tensor the dimensions along which it is read
        for name, dim in dict.fromkeys(units.place for members in self._members for units in members):
            self._dims[name].append(dim)
        self.tensors = {name: tensors[name] for name in self._dims}
        self._silent = {units.place[0]: tensors[units.place[0]] for follow in self._followers for units in follow}
        self._known: tuple[tuple[tuple[int, int], ...] | None, list[Tensor]] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Axis names."""
        return tuple(axis.name for axis in self.axes)

    def parameters(self) -> list[list[str]]:
        """For each axis the names of the tensors that its groups are made of."""
        return [[units.place[0] for units in members] for members in self._members]

    def zero(self) -> Tensor:
        """A 0-dim zero where the norms live."""
        return next(iter(self.tensors.values())).new_zeros(())

    def norms(self) -> list[Tensor]:
        """One ``(M,)`` tensor of norms an axis."""
        if not torch.is_grad_enabled() and (known := self.known) is not None:
            return known
        return self._norms(self._square_sums())

    @property
    def known(self) -> list[Tensor] | None:
        """The norms that :meth:`shrink_` left, without reading a weight again; None once a weight was written to.

        They follow from the norms before it and the factors, and so differ from :meth:`norms` in the last bits. Set
        them to go on to the bit where a run was interrupted: the weights then at hand are taken to be theirs.
        """
        if self._known is None:
            return None
        at, norms = self._known
        now = versions(self.tensors)
        if at is None:
            self._known = now, norms
        return list(norms) if at is None or at == now else None

    @known.setter
    def known(self, norms: list[Tensor] | None) -> None:
        self._known = None if norms is None else (None, norms)

    @torch.no_grad()
    def dead(self) -> list[Tensor]:
        """One bool tensor an axis: which groups have a norm of 0, read from the weights."""
        return [norms == 0 for norms in self._norms(self._square_sums())]

    @torch.no_grad()
    def shrink_(self, rates: Sequence[Tensor], lr: Callable[[Tensor], float]) -> None:
        """W <- w * max(0, 1 - lr(w) * r_j / n_j) for every member tensor w of group j, of all groups at once.

        All norms are those of the weights as they come in. A weight in several groups is treated as
        :func:`~gasl.maths.slices.scale_slices_` says.
        """
        steps = {name: lr(tensor) for name, tensor in self.tensors.items()}
        sums = self._square_sums()
        norms = self._norms(sums)
        by_step = {step: self._floors.factors(norms, rates, step) for step in set(steps.values())}
        factors: dict[str, list[tuple[int, Tensor]]] = defaultdict(list)
        for axis, (members, followers) in enumerate(zip(self._members, self._followers, strict=True)):
            for units in members:
                name, dim = units.place
                factors[name].append((dim, units.spread(by_step[steps[name]][axis])))
            if followers:
                largest = [by_step[step][axis] for step in {steps[units.place[0]] for units in members}]
                alive = (reduce(torch.maximum, largest) > 0).to(norms[axis].dtype)
                for units in followers:
                    name, dim = units.place
                    factors[name].append((dim, units.spread(alive)))
        self._scale_(factors, sums)

    @torch.no_grad()
    def clear_(self, dead: Sequence[Tensor], within: Mapping[str, Tensor] | None = None) -> None:
        """Set the groups of the given units to zero; ``dead`` is one bool tensor an axis.

        With ``within``, do so in other tensors of the same names and shapes (an optimizer's state), not in the weights.
        """
        factors: dict[str, list[tuple[int, Tensor]]] = defaultdict(list)
        for members, followers, gone in zip(self._members, self._followers, dead, strict=True):
            for units in [*members, *followers]:
                name, dim = units.place
                factors[name].append((dim, units.spread((~gone).to(self.zero().dtype))))
        if within is None:
            self._scale_(factors, None)
        else:
            for name, tensor in within.items():
                scale_slices_(tensor, factors[name])

    def _square_sums(self) -> dict[Slice, Tensor]:
        each = {name: square_sums(self.tensors[name], dims) for name, dims in self._dims.items()}
        return {(name, dim): s for name, dims in self._dims.items() for dim, s in zip(dims, each[name], strict=True)}

    def _norms(self, sums: Mapping[Slice, Tensor]) -> list[Tensor]:
        return [root(reduce(add, [units.collect(sums[units.place]) for units in members])) for members in self._members]

    def _scale_(self, factors: Mapping[str, list[tuple[int, Tensor]]], before: Mapping[Slice, Tensor] | None) -> None:
        after: dict[Slice, Tensor] = {}
        for name, tensor in (self._silent | self.tensors).items():
            dims = self._dims.get(name, []) if before is not None else []
            if before is not None and len(dims) == 1 and all(dim == dims[0] for dim, _ in factors[name]):
                joint = joint_factors([factor for _, factor in factors[name]])
                scale_slices_(tensor, [(dims[0], joint)])
                after[name, dims[0]] = before[name, dims[0]] * joint.square()  # no need to read it again
            else:
                after.update(
                    zip([(name, dim) for dim in dims], scale_slices_(tensor, factors[name], dims), strict=True)
                )
        self._known = (versions(self.tensors), self._norms(after)) if before is not None else None


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
        self.tensors = dict(tensors)
        self.known: list[Tensor] | None = None  # norms cost no more than a copy of them: never kept

    @property
    def names(self) -> tuple[str, ...]:
        """Weight names."""
        return tuple(self.tensors)

    def parameters(self) -> list[list[str]]:
        """For each axis the names of the tensors that its groups are made of."""
        return [[name] for name in self.tensors]

    def zero(self) -> Tensor:
        """A 0-dim zero where the weights live."""
        return next(iter(self.tensors.values())).new_zeros(())

    def norms(self) -> list[Tensor]:
        """Absolute values, flattened."""
        return [tensor.flatten().abs() for tensor in self.tensors.values()]

    @torch.no_grad()
    def dead(self) -> list[Tensor]:
        """One flat bool tensor a weight: which are 0."""
        return [tensor.flatten() == 0 for tensor in self.tensors.values()]

    @torch.no_grad()
    def shrink_(self, rates: Sequence[Tensor], lr: Callable[[Tensor], float]) -> None:
        """W <- w * max(0, 1 - lr(w) * r / |w|)."""
        for tensor, rate in zip(self.tensors.values(), rates, strict=True):
            tensor.mul_(shrink_factors(tensor.flatten().abs(), rate, lr(tensor)).reshape(tensor.shape))

    @torch.no_grad()
    def clear_(self, dead: Sequence[Tensor], within: Mapping[str, Tensor] | None = None) -> None:
        """Set the given weights to zero, or the same places of tensors ``within``; one flat bool tensor a weight."""
        for name, gone in zip(self.tensors, dead, strict=True):
            tensor = (self.tensors if within is None else within).get(name)
            if tensor is not None:
                tensor.mul_((~gone).reshape(tensor.shape).to(tensor.dtype))
