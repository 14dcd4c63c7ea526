"""The structure of a traced network as data: axes, their members, and what is protected and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from gasl.errors import unknown_name

__all__ = ["Affine", "Axis", "Member", "Protected", "Role", "Structure"]

Role = Literal["producer", "bias", "norm", "statistic", "elementwise", "consumer"]


@dataclass(frozen=True, eq=False)
class Member:
    """One dimension of one tensor that is sliced together with an axis.

    Args:
        tensor: Name of the parameter or buffer, as in ``model.state_dict()``.
        dim: The dimension that is sliced.
        units: For each index of that dimension the unit that owns it, or -1. Shape ``(size of dim,)``.
        role: What the tensor does to the unit. A ``consumer`` reads it, a ``statistic`` is a buffer.
        conv: Whether the tensor is the weight of a convolution.
    """

    tensor: str
    dim: int
    units: Tensor
    role: Role
    conv: bool = False


@dataclass(frozen=True, eq=False)
class Axis:
    """The units of one width of the network.

    Args:
        name: The first module that produces it (``conv1``), or ``<module>.in`` for single input features.
        size: Number of units.
        kind: ``width`` (units are produced and read) or ``features`` (single inputs of one linear layer, removed by a
            gather).
        members: Everything that is sliced with the units.

    Example:
        >>> norm = Member("bn.weight", dim=0, units=torch.arange(2), role="norm")
        >>> Axis("conv", size=2, kind="width", members=(norm,)).normed
        True
    """

    name: str
    size: int
    kind: Literal["width", "features"]
    members: tuple[Member, ...]

    @property
    def normed(self) -> bool:
        """Whether a normalisation acts on the units, so that a zero filter does not mean a zero output."""
        return any(member.role == "norm" for member in self.members)


@dataclass(frozen=True)
class Protected:
    """A width that cannot be removed, and the reason."""

    name: str
    size: int
    reason: str


@dataclass(eq=False)
class Affine:
    """One call of a convolution or linear layer: which classes its rows write and its columns read.

    Args:
        weight: Name of the weight.
        bias: Name of the bias, or None.
        module: Name of the owning ``nn.Linear``/``nn.Conv*`` module, or None for a functional call.
        conv: Convolution or linear.
        rows: Class of each output, shape ``(out,)``.
        columns: Class of each input index, shape ``(in,)``.
        labels: What each column reads: a class, ``< 0`` an input feature, ``0`` nothing removable.
        padded: A convolution that adds zeros at the border.
        gammas: Names of norm scales applied to the output and nothing else reads it before them.
        sole: Weight and bias are used by this call alone.
        value: Input of each column at one position of the example.
        spread: Largest difference of that input over batch and positions.
        source: Labels of the tensor that a gather in front of the layer selects from, with ``index``; else ``labels``.
        index: The gather's indices, or None.
    """

    weight: str
    bias: str | None
    module: str | None
    conv: bool
    rows: Tensor
    columns: Tensor
    labels: Tensor
    padded: bool
    value: Tensor
    spread: Tensor
    source: Tensor
    index: Tensor | None = None
    gammas: list[str] = field(default_factory=list)
    sole: bool = True


@dataclass(frozen=True, eq=False)
class Structure:
    """What :func:`gasl.trace` found. Printing it shows the axes and what is protected.

    Args:
        axes: Everything that can be removed, in the order in which the network computes it.
        protected: What cannot, with the reason.
        affines: The convolutions and linear calls, in execution order.
        classes: For each sliced (tensor, dimension) the class of every index.
        fixed: Classes that must stay.
        mixed: Classes whose value also depends on something without a label.

    Example:
        >>> from gasl.structure.trace import trace
        >>> structure = trace(torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 3)), torch.zeros(2, 4))
        >>> structure.axis("0").size, structure.protected
        (8, (Protected(name='1', size=3, reason='model output'),))
    """

    axes: tuple[Axis, ...]
    protected: tuple[Protected, ...]
    affines: tuple[Affine, ...]
    classes: dict[tuple[str, int], Tensor]
    fixed: frozenset[int]
    mixed: frozenset[int]

    def axis(self, name: str) -> Axis:
        """The axis of this name.

        Raises:
            InputError: If there is none; the message names the nearest.
        """
        for axis in self.axes:
            if axis.name == name:
                return axis
        raise unknown_name("axis", name, [axis.name for axis in self.axes])

    def units_of(self, axis: Axis) -> Tensor:
        """The class of each unit of a width axis, shape ``(size,)``."""
        classes = torch.empty(axis.size, dtype=torch.int64)
        for m in axis.members:
            owned = m.units >= 0
            classes[m.units[owned]] = self.classes[m.tensor, m.dim][owned]
        return classes

    def __str__(self) -> str:
        rows = [("axis", "size", "kind", "members")]
        rows += [(a.name, str(a.size), a.kind, ", ".join(f"{m.tensor}[{m.dim}]" for m in a.members)) for a in self.axes]
        text = _table(rows)
        if self.protected:
            text += "\n\nprotected\n" + _table([(p.name, str(p.size), p.reason) for p in self.protected])
        return text


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]]))
    return "\n".join(lines)
