"""Which units are dead, by their own weights or because nobody feeds or reads them.

Two fixed points over what the trace noted:

* a class *varies* if some row that writes it has a non-zero weight on a column that varies (and no zero norm scale
  behind it), or something that varies is added to it; a class that does not vary is a constant, whatever the input;
* a class is *needed* if some column that reads it has a non-zero weight in a row that is needed, or another needed
  class depends on it.

A unit all of whose classes are not needed goes. One that is constant goes if its constant can be folded exactly into
the biases of its readers: the same at every position, and zero where a reader pads its input, or something else
multiplies it. What stays for another reason (it is protected, or the last one of a tensor, or only a part of a unit)
needs what it reads, so that it stays as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gasl.removal.pattern import pattern_of
from gasl.structure.affine import Affine
from gasl.structure.axes import Axis, Structure
from gasl.structure.claims import followed

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

    @property
    def counts(self) -> dict[str, int]:
        """How many units of each axis stay."""
        return {name: int(kept.sum()) for name, kept in self.kept.items()}


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
    facts = _Facts(tensors, structure)
    free = [axis for axis in structure.axes if axis.kind == "width" and axis.name not in protect]
    fixed = torch.ones(facts.size, dtype=torch.bool)
    for axis in free:
        fixed[axis.classes] = False
    fixed[list(structure.fixed)] = True
    constant = ~facts.varies() & facts.foldable() & ~fixed
    held = torch.zeros_like(fixed) if held is None else held.clone()
    while True:
        needed = facts.needed(fixed, constant)
        candidates = (constant | ~needed) & ~fixed & ~held
        removed = torch.zeros_like(fixed)
        for axis in free:
            removed[axis.classes[~_alive(axis, candidates)[axis.unit_of]]] = True
        stays = constant & needed & ~removed
        more = [] if bool(stays.any()) else _held(structure, removed, needed)
        if not bool(stays.any()) and not more:
            break
        held[more] = True
        constant &= ~stays & ~(held & needed)
    kept = {axis.name: _alive(axis, removed) for axis in structure.axes if axis.kind == "width"}
    for axis in structure.axes:
        if axis.kind == "features":
            kept[axis.name] = facts.features(axis, removed, gather and axis.name not in protect)
    folded = tuple(
        (constant & removed)[affine.labels.clamp(min=0)] & pattern.read(~removed[affine.rows])
        for affine, pattern in zip(structure.affines, facts.patterns, strict=True)
    )
    return Liveness(removed, {axis.name: kept[axis.name] for axis in structure.axes}, folded)


def _alive(axis: Axis, removed: Tensor) -> Tensor:
    """Which units of an axis have a class that stays, shape ``(size,)``."""
    alive = torch.zeros(axis.size, dtype=torch.int64)
    return alive.index_add_(0, axis.unit_of, (~removed[axis.classes]).long()) > 0


def _held(structure: Structure, removed: Tensor, needed: Tensor) -> list[int]:
    """Classes that must stay after all: what groups lack, the last of a tensor, and so on.

    So do classes behind a size that would not follow. What fits is completed: places of a group go with its units.
    """
    counts, claims = structure.relations.counts, structure.relations.claims
    matchings = structure.relations.matchings
    if short := [c for matching in matchings for c in matching.held(removed, needed).tolist()]:
        return short
    for matching in matchings:
        removed[matching.unused(removed)] = True
    widths = [*structure.classes.values(), *counts.values()]
    held = [int(c[needed[c].int().argmin()]) for c in widths if bool(removed[c].all())]
    if not held:
        for claim in followed(claims, counts, structure.relations.held, removed)[1]:
            held += [c for c in claim.labels[claim.labels > 0].tolist() if bool(removed[c])]
    return held


class _Facts:
    """What weights and trace say about every class."""

    def __init__(self, tensors: Mapping[str, Tensor], structure: Structure) -> None:
        self.size = structure.size
        self.structure = structure
        self.tensors = tensors
        self.patterns = [pattern_of(affine, tensors[affine.weight]) for affine in structure.affines]
        self.open = [_ungated(affine, tensors) for affine in structure.affines]

    def varies(self) -> Tensor:
        """Which classes change with the input."""
        structure, relations = self.structure, self.structure.relations
        varies = torch.ones(self.size, dtype=torch.bool)
        for affine in structure.affines:
            varies[affine.rows] = False
        for name, dim in relations.tables:
            varies[structure.classes[name, dim]] = False
        for _, targets, additive in relations.flows:
            if additive:
                varies[targets] = False
        varies[[0, *structure.mixed, *structure.fixed]] = True  # a protected unit may be made by more than its rows
        for name, dim in relations.tables:
            classes, table = structure.classes[name, dim], self.tensors[name].detach()
            if bool(varies[classes].all()):
                continue
            others = [d for d in range(table.ndim) if d != dim]
            least, largest = (table.amin(others), table.amax(others)) if others else (table, table)
            varies[classes[(least != largest).cpu()]] = True
        while True:
            before = int(varies.sum())
            for affine, pattern, gate in zip(structure.affines, self.patterns, self.open, strict=True):
                rows = pattern.written(varies[affine.labels.clamp(min=0)]) & gate
                varies[affine.rows[rows]] = True
            for sources, targets, additive in relations.flows:
                if additive:
                    varies[targets[varies[sources]]] = True
            if int(varies.sum()) == before:
                return varies

    def foldable(self) -> Tensor:
        """Which classes, if they are constants, could be taken up by everybody who reads them."""
        good = torch.ones(self.size, dtype=torch.bool)
        for affine, pattern in zip(self.structure.affines, self.patterns, strict=True):
            good[affine.labels.clamp(min=0)[~_folds(affine) & pattern.columns]] = False
        for classes, largest in (*self.structure.relations.sinks, *self.structure.relations.scaled):
            good[classes[largest != 0]] = False
        return good

    def needed(self, fixed: Tensor, folded: Tensor) -> Tensor:
        """Which classes somebody needs, if those that are folded need nothing themselves."""
        needed = fixed.clone()
        needed[0] = False
        for classes, _ in self.structure.relations.sinks:
            needed[classes] = True
        while True:
            before = int(needed.sum())
            for sources, targets, _ in self.structure.relations.flows:
                needed[sources[needed[targets] & ~folded[targets]]] = True
            calls = zip(self.structure.affines, self.patterns, self.open, strict=True)
            for affine, pattern, gate in reversed(list(calls)):
                rows = needed[affine.rows] & ~folded[affine.rows] & gate
                needed[affine.labels.clamp(min=0)[pattern.read(rows)]] = True
            needed[0] = False
            if int(needed.sum()) == before:
                return needed

    def features(self, axis: Axis, removed: Tensor, gather: bool) -> Tensor:
        """Which single inputs of a linear layer stay."""
        position = next(i for i, a in enumerate(self.structure.affines) if a.weight == axis.members[0].tensor)
        affine = self.structure.affines[position]
        present = ~removed[affine.labels.clamp(min=0)]
        if not gather:
            return present
        kept = present & self.patterns[position].read(~removed[affine.rows])
        if not bool(kept.any()):
            kept[present.nonzero()[0]] = True
        return kept


def _ungated(affine: Affine, tensors: Mapping[str, Tensor]) -> Tensor:
    open_rows = torch.ones(affine.rows.numel(), dtype=torch.bool)
    for gamma in affine.gammas:
        open_rows &= (tensors[gamma] != 0).cpu()
    return open_rows


def _folds(affine: Affine) -> Tensor:
    """Whether a constant on each column can go into the bias exactly."""
    value, spread = affine.value.cpu(), affine.spread.cpu()
    flat = spread <= 16 * torch.finfo(value.dtype).eps * value.abs()
    named = affine.bias is not None or affine.module is not None
    can_carry = named and affine.plain and affine.sole and not affine.padded
    return flat & ((value == 0) | can_carry)
