"""The weights that each unit owns: their norms, and the multiplication that shrinks them.

A weight between two units may lie in the groups of both; see :mod:`gasl.groups.membership`.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from gasl.groups.floors import Floors
from gasl.groups.membership import Units, group_followers, group_members
from gasl.groups.step import Step, unit_norms
from gasl.maths.norms import Orientation
from gasl.maths.slices import scale_slices_, square_sums
from gasl.structure.axes import Axis

__all__ = ["UnitGroups", "versions"]


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
        scope: As in :func:`~gasl.groups.membership.group_members`.
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
        self._least_units = [floors[axis.name] for axis in self.axes]
        self._step: Step | None = None
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
    def inputs(self) -> Mapping[str, int]:
        """Empty: groups of units lie along several dimensions."""
        return {}

    @property
    def floors(self) -> list[int]:
        """How many units of each axis stay at least; may be set while training goes on."""
        return list(self._least_units)

    @floors.setter
    def floors(self, floors: Sequence[int]) -> None:
        if list(floors) != self._least_units:
            self._least_units = list(floors)
            self._step = None

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
        return self._norms()

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
        return [norms == 0 for norms in self._norms()]

    @torch.no_grad()
    def shrink_(self, rates: Sequence[Tensor], lr: Callable[[Tensor], float]) -> None:
        """W <- w * max(0, 1 - lr(w) * r_j / n_j) for every member tensor w of group j, of all groups at once.

        All norms are those of the weights as they come in. A weight in several groups is treated as
        :func:`~gasl.maths.slices.scale_slices_` says.
        """
        if self._step is None or not self._step.current:
            floors = Floors([axis.size for axis in self.axes], self._least_units)
            self._step = Step(self._silent | self.tensors, self._dims, self._members, self._followers, floors)
        norms = self._step.shrink_(rates, {name: lr(tensor) for name, tensor in self.tensors.items()})
        self._known = versions(self.tensors), norms

    @torch.no_grad()
    def clear_(self, dead: Sequence[Tensor], within: Mapping[str, Tensor] | None = None) -> None:
        """Set the groups of the given units to zero; ``dead`` is one bool tensor an axis.

        With ``within``, do so in other tensors of the same names and shapes (an optimizer's state), not in the weights.
        """
        factors: dict[str, list[tuple[int, Tensor]]] = defaultdict(list)
        like = self.zero()
        for members, followers, gone in zip(self._members, self._followers, dead, strict=True):
            kept = (~gone).to(like)  # which may have moved since it was marked
            for units in [*members, *followers]:
                name, dim = units.place
                factors[name].append((dim, units.spread(kept)))
        if within is None:
            self._known = None
        for name, tensor in (self._silent | self.tensors if within is None else within).items():
            scale_slices_(tensor, factors[name])

    def _norms(self) -> list[Tensor]:
        sums = {name: square_sums(self.tensors[name], dims) for name, dims in self._dims.items()}
        return unit_norms(self._members, self._dims, sums)
