"""A removal as data: which indices of which tensor stay. It can be printed and tested without a model."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from gasl.removal.liveness import Liveness
from gasl.removal.resize import Attribute
from gasl.structure.affine import Affine
from gasl.structure.axes import Structure
from gasl.structure.claims import followed

__all__ = ["Fold", "Plan", "plan"]


@dataclass(frozen=True, eq=False)
class Fold:
    """Constants that removed units fed into one affine layer: ``bias += weight[:, columns].sum(kernel) @ value``.

    Args:
        weight: Name of the weight.
        bias: Name of its bias; made if the layer has none.
        columns: Removed columns with a non-zero constant.
        value: Their constants.
    """

    weight: str
    bias: str
    columns: Tensor
    value: Tensor


@dataclass(frozen=True, eq=False)
class Plan:
    """What :func:`gasl.shrink` does.

    Args:
        keep: For each (tensor, dimension) that gets smaller, the indices that stay. A row for each block of dimension 0
            where that has blocks of equal size, of which each keeps others.
        gathers: For each linear layer that reads single features, their indices in its smaller input.
        folds: Constants that go into biases first.
        attributes: New values of numbers that a forward reads from a module, by their path.
        scales: Factors of whole tensors, broadcast over them before anything is cut.
    """

    keep: dict[tuple[str, int], Tensor]
    gathers: dict[str, Tensor]
    folds: tuple[Fold, ...]
    attributes: dict[str, Attribute] = field(default_factory=dict)
    scales: dict[str, Tensor] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{name}[{dim}] keeps {index.shape[-1]}" for (name, dim), index in self.keep.items()]
        lines += [f"{module} gathers {index.numel()} features" for module, index in self.gathers.items()]
        lines += [f"{fold.bias} takes up {fold.columns.numel()} constants" for fold in self.folds]
        lines += [f"{name} is scaled" for name in self.scales]
        lines += [f"{name} becomes {value}" for name, value in self.attributes.items()]
        return "\n".join(lines) or "nothing to remove"


def plan(structure: Structure, live: Liveness) -> Plan:
    """Turn dead units into slices, gathers and folds.

    Args:
        structure: The trace.
        live: What can go.

    Returns:
        The plan; applying it changes no output.
    """
    keep = {
        key: (~live.removed[classes]).nonzero().flatten()
        for key, classes in structure.classes.items()
        if bool(live.removed[classes].any())
    }
    for matching in structure.relations.matchings:
        keep |= {key: index for key, index in matching.keep(live.removed).items() if key in keep}
    features = {axis.members[0].tensor: axis for axis in structure.axes if axis.kind == "features"}
    gathers: dict[str, Tensor] = {}
    folds = []
    for affine, folded in zip(structure.affines, live.folded, strict=True):
        stays = ~live.removed[affine.labels.clamp(min=0)]
        if (axis := features.get(affine.weight)) is not None and affine.module is not None:
            kept = live.kept[axis.name]
            if bool((kept != stays).any()) or affine.index is not None:
                keep[affine.weight, 1] = kept.nonzero().flatten()
                gathers[affine.module] = _positions(affine, live.removed)[kept]
        folds += _fold(affine, folded)
    relations = structure.relations
    attributes: dict[str, Attribute] = {**followed(relations.claims, relations.counts, relations.held, live.removed)[0]}
    scales: dict[str, Tensor] = {}
    for norm in structure.relations.norms:
        size, left = norm.classes.numel(), int((~live.removed[norm.classes]).sum())
        if left < size:
            scales[norm.gamma] = torch.tensor((size / left) ** 0.5, dtype=torch.float64)
            if norm.path is not None:
                attributes[norm.path] = norm.eps * size / left
    return Plan(keep, gathers, tuple(folds), attributes, scales)


def _positions(affine: Affine, removed: Tensor) -> Tensor:
    """Where each column finds its feature in the smaller input; columns whose class goes are not asked."""
    present = ~removed[affine.source.clamp(min=0)]
    position = present.cumsum(0) - 1
    return position if affine.index is None else position[affine.index]


def _fold(affine: Affine, folded: Tensor) -> list[Fold]:
    columns = (folded & (affine.value.cpu() != 0)).nonzero().flatten()
    if columns.numel() == 0:
        return []
    bias = affine.bias or f"{affine.weight.rpartition('.')[0]}.bias".lstrip(".")
    return [Fold(affine.weight, bias, columns, affine.value.detach()[columns])]
