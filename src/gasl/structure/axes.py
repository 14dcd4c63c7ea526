"""The structure of a traced network as data: axes, their members, and what is protected and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from gasl.errors import InputError, unknown_name
from gasl.structure.affine import Affine
from gasl.structure.relations import Relations

__all__ = ["OUTPUT", "Axis", "Member", "Protected", "Role", "Structure"]

OUTPUT = "model output"  # why a width is protected that the caller sees

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
        trains: Whether it is a parameter, not a buffer.
        scaled: Of a batch norm, its scale where that is right behind a layer; of a layer, whether all it writes goes
            through such a scale.
    """

    tensor: str
    dim: int
    units: Tensor
    role: Role
    conv: bool = False
    trains: bool = True
    scaled: bool = False


@dataclass(frozen=True, eq=False)
class Axis:
    """The units of one width of the network.

    Args:
        name: The first module that produces it (``conv1``), ``<module>.in`` for single input features; where a width is
            split (``attn.q.num_heads``), with the attribute that counts the units.
        size: Number of units.
        kind: ``width`` (units are produced and read) or ``features`` (single inputs of one linear layer, removed by a
            gather).
        members: Everything that is sliced with the units.
        classes: The classes that the units are made of; several where a width is split into a grid.
        unit_of: For each of them its unit.
        tensors: The network's parameters and buffers by name.

    Example:
        >>> norm = Member("bn.weight", dim=0, units=torch.arange(2), role="norm")
        >>> Axis("conv", size=2, kind="width", members=(norm,)).normed
        True
    """

    name: str
    size: int
    kind: Literal["width", "features"]
    members: tuple[Member, ...]
    classes: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    unit_of: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    tensors: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def normed(self) -> bool:
        """Whether a normalisation acts on the units, so that a zero filter does not mean a zero output."""
        return any(member.role == "norm" for member in self.members)

    @property
    def scope(self) -> str:
        """The innermost module that holds all members, e.g. ``encoder.layer.0``; empty for the whole network."""
        paths = [member.tensor.split(".")[:-1] for member in self.members]
        common = []
        for parts in zip(*paths, strict=False):
            if len(set(parts)) > 1:
                break
            common.append(parts[0])
        return ".".join(common)

    @torch.no_grad()
    def zero_(
        self, units: Sequence[int] | Tensor, *, readers: bool = False, within: Mapping[str, Tensor] | None = None
    ) -> None:
        """Make units emit a constant 0 in the traced network: what writes, shifts or scales them becomes zero.

        Args:
            units: Their numbers; single input features are no longer read instead.
            readers: Whether what reads them becomes zero as well.
            within: Tensors to change in place of the network's own, by name.

        Raises:
            InputError: If one is no whole number or not one of the axis, or what was given is a mask.

        Example:
            >>> from gasl.structure.trace import trace
            >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 3))
            >>> trace(model, torch.zeros(2, 4)).axis("0").zero_([0, 5])
            >>> model[0](torch.ones(1, 4))[0, [0, 5]].tolist()
            [0.0, 0.0]
        """
        chosen = self._numbers(units)
        dead = torch.zeros(self.size + 1, dtype=torch.bool)
        dead[chosen] = True
        dead[self.size] = False
        for member in self.members:
            if member.role == "statistic" or (member.role == "consumer" and self.kind == "width" and not readers):
                continue
            tensor = (self.tensors if within is None else within)[member.tensor]
            gone = dead[member.units].nonzero().flatten()  # -1 is the entry that is never dead
            tensor.index_fill_(member.dim, gone.to(tensor.device), 0)

    def _numbers(self, units: Sequence[int] | Tensor) -> Tensor:
        wanted = f"axis {self.name!r} has units 0..{self.size - 1}"
        try:
            chosen = torch.as_tensor(units).flatten()
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise InputError(f"{wanted}; zero_ takes their numbers, got {units!r}") from error
        if chosen.dtype == torch.bool:
            raise InputError(
                f"{wanted}; zero_ takes their numbers, got a mask of {len(chosen)} truth values: make it a tensor and "
                "give mask.nonzero().flatten().tolist()"
            )
        if len(chosen) and (chosen.is_floating_point() or chosen.is_complex()):
            raise InputError(f"{wanted}; zero_ takes whole numbers, got {chosen.tolist()}")
        if bool(((chosen < 0) | (chosen >= self.size)).any()):
            raise InputError(f"{wanted}, got {chosen.tolist()}")
        return chosen.to("cpu", torch.int64)


@dataclass(frozen=True)
class Protected:
    """A width that cannot be removed, and the reason.

    Example:
        >>> print(Protected("conv2", 16, "aten.view holds its size as the number 256"))
        conv2 keeps its 16 units: aten.view holds its size as the number 256
    """

    name: str
    size: int
    reason: str

    def __str__(self) -> str:
        return f"{self.name} keeps its {self.size} units: {self.reason}"


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
        relations: What ties classes together beyond axes.
        size: One more than the largest class.

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
    relations: Relations = field(default_factory=Relations)
    size: int = 1

    def axis(self, name: str) -> Axis:
        """The axis of this name.

        Raises:
            InputError: If there is none; the message names the nearest.
        """
        for axis in self.axes:
            if axis.name == name:
                return axis
        raise unknown_name("axis", name, [axis.name for axis in self.axes])

    @property
    def kept(self) -> list[str]:
        """What is protected but for the network's outputs, in words."""
        return [str(width) for width in self.protected if width.reason != OUTPUT]

    def units_of(self, axis: Axis) -> Tensor:
        """The class of each unit of an axis whose units are single classes, shape ``(size,)``."""
        return axis.classes

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
