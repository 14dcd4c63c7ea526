"""Which units are dead, by their own weights or because nobody feeds or reads them.

Two fixed points over the affine calls:

* a class *varies* if some row that writes it has a non-zero weight on a column that varies (and no zero norm scale
  behind it); a class that does not vary is a constant, whatever the input;
* a class is *needed* if some column that reads it has a non-zero weight in a row that is needed.

A unit that is not needed goes. A unit that is constant goes if its constant can be folded exactly into the biases of
its readers: the same at every position, and zero where a reader pads its input. What stays for another reason (it is
protected, or the last one of a tensor) needs what it reads, so that it stays as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gasl.structure.axes import Affine, Axis, Structure

__all__ = ["Liveness", "liveness"]


@dataclass(frozen=True, eq=False)
class Liveness:
    """What can go.

    Args:
        removed: Indexed by class: whether the class is removed.
        kept: For each axis a bool tensor over its units.
        folded: For each affine call, which of its columns read a removed constant that counts.
    """

    removed: Tensor
    kept: dict[str, Tensor]
    folded: tuple[Tensor, ...]


def liveness(
    tensors: Mapping[str, Tensor],
    structure: Structure,
    protect: frozenset[str] = frozenset(),
    gather: bool = True,
    held: Tensor | None = None,
) -> Liveness:
    """Decide which units can be removed without changing an output.

    Args:
        tensors: The traced model's parameters and buffers by name.
        structure: The trace that belongs to these very weights (constants are read from it).
        protect: Axes that are left whole.
        gather: Whether single features in front of a linear layer may go; else only whole maps.
        held: Classes that stay although they are dead, as a bool tensor: as they are where somebody reads them.

    Returns:
        The classes to remove and, for each axis, the units that stay (never none).
    """
    size = 1 + max((int(c.max()) for c in structure.classes.values()), default=0)
    nonzero = [_nonzero(tensors[a.weight]) for a in structure.affines]
    widths = {axis.name: structure.units_of(axis) for axis in structure.axes if axis.kind == "width"}
    fixed = torch.ones(size, dtype=torch.bool)
    for name, units in widths.items():
        fixed[units] = name in protect
    constant = ~_varies(structure, nonzero, tensors, size)
    for affine, mask in zip(structure.affines, nonzero, strict=True):
        read = affine.labels.clamp(min=0)
        constant[read[~_folds(affine) & mask.any(dim=0)]] = False
    while True:
        foldable = constant & ~fixed
        needed = _needed(structure, nonzero, tensors, fixed, foldable)
        removed = (foldable | ~needed) & ~fixed
        if held is not None:
            if bool((read := foldable & needed & held).any()):
                constant &= ~read
                continue
            removed &= ~held
        last = [_last(units, needed) for units in structure.classes.values() if bool(removed[units].all())]
        if not any(bool(needed[unit]) for unit in last):
            break
        constant[last] = False
    removed[last] = False
    kept = {name: ~removed[units] for name, units in widths.items()}
    for axis in structure.axes:
        if axis.kind == "features":
            kept[axis.name] = _features(axis, structure, nonzero, removed, gather and axis.name not in protect)
    folded = tuple(
        (foldable & removed)[affine.labels.clamp(min=0)] & mask[~removed[affine.rows]].any(dim=0)
        for affine, mask in zip(structure.affines, nonzero, strict=True)
    )
    return Liveness(removed, {axis.name: kept[axis.name] for axis in structure.axes}, folded)


def _nonzero(weight: Tensor) -> Tensor:
    mask = weight != 0
    return (mask.flatten(2).any(dim=2) if mask.ndim > 2 else mask).cpu()


def _ungated(affine: Affine, tensors: Mapping[str, Tensor]) -> Tensor:
    open_rows = torch.ones(affine.rows.numel(), dtype=torch.bool)
    for gamma in affine.gammas:
        open_rows &= (tensors[gamma] != 0).cpu()
    return open_rows


def _varies(structure: Structure, nonzero: list[Tensor], tensors: Mapping[str, Tensor], size: int) -> Tensor:
    varies = torch.ones(size, dtype=torch.bool)
    for affine in structure.affines:
        varies[affine.rows] = False
    varies[[0, *structure.mixed, *structure.fixed]] = True  # a protected unit may be made by more than its rows
    while True:
        before = int(varies.sum())
        for affine, mask in zip(structure.affines, nonzero, strict=True):
            rows = (mask & varies[affine.labels.clamp(min=0)]).any(dim=1) & _ungated(affine, tensors)
            varies[affine.rows[rows]] = True
        if int(varies.sum()) == before:
            return varies


def _last(units: Tensor, needed: Tensor) -> int:
    """Which unit stays where a tensor would be left without: one that nobody needs need not stay as it is."""
    return int(units[needed[units].int().argmin()])


def _folds(affine: Affine) -> Tensor:
    """Whether a constant on each column can go into the bias exactly."""
    value, spread = affine.value.cpu(), affine.spread.cpu()
    flat = spread <= 16 * torch.finfo(value.dtype).eps * value.abs()
    can_carry = not affine.padded and affine.sole and (affine.bias is not None or affine.module is not None)
    return flat & ((value == 0) | can_carry)


def _needed(
    structure: Structure, nonzero: list[Tensor], tensors: Mapping[str, Tensor], fixed: Tensor, foldable: Tensor
) -> Tensor:
    needed = fixed.clone()
    while True:
        before = int(needed.sum())
        for affine, mask in zip(reversed(structure.affines), reversed(nonzero), strict=True):
            rows = (needed & ~foldable)[affine.rows] & _ungated(affine, tensors)
            needed[affine.labels.clamp(min=0)[mask[rows].any(dim=0)]] = True
        needed[0] = False
        if int(needed.sum()) == before:
            return needed


def _features(axis: Axis, structure: Structure, nonzero: list[Tensor], removed: Tensor, gather: bool) -> Tensor:
    position = next(i for i, a in enumerate(structure.affines) if a.weight == axis.members[0].tensor)
    affine = structure.affines[position]
    present = ~removed[affine.labels.clamp(min=0)]
    if not gather:
        return present
    kept = present & nonzero[position][~removed[affine.rows]].any(dim=0)
    if not bool(kept.any()):
        kept[present.nonzero()[0]] = True
    return kept
