"""Widths that are split: which classes must go together so that what is left is still a grid.

A view that splits a width into heads and head width arranges its classes in a grid. A class can only be removed with a
whole *slab* of the grid: all classes of one head, or the same place of every head. Grids that share classes constrain
each other; a *family* picks one direction of each, and its units are the smallest sets of classes that are whole slabs
everywhere. A multi-head attention has two families, the heads and the width inside them.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

__all__ = ["Family", "Grid", "families", "unique_grids"]

_TWO_WAYS = "split along two directions at once"


@dataclass(eq=False)
class Grid:
    """Classes that must stay a full grid.

    Args:
        cells: The classes, one dimension a direction, all > 0.
        headers: Classes that go with a slab and with nothing less: pairs of a direction and one class a slab.
        fixed: Directions whose number of slabs cannot change, with the reason.
    """

    cells: Tensor
    headers: list[tuple[int, Tensor]] = field(default_factory=list)
    fixed: dict[int, str] = field(default_factory=dict)

    def slabs(self, direction: int) -> list[list[int]]:
        """The classes of each slab of a direction, headers included."""
        rows = self.cells.movedim(direction, 0).flatten(1).tolist()
        for own, classes in self.headers:
            if own == direction:
                rows = [[*row, header] for row, header in zip(rows, classes.tolist(), strict=True)]
        return rows

    def classes(self, direction: int | None = None) -> list[int]:
        """The classes of the cells and of all headers, or of those of one direction."""
        headers = [c for own, h in self.headers if direction in (None, own) for c in h.tolist()]
        return [*self.cells.flatten().tolist(), *headers]

    def free(self) -> list[int]:
        """Directions along which slabs can be removed."""
        return [d for d in range(self.cells.ndim) if d not in self.fixed]


@dataclass(frozen=True, eq=False)
class Family:
    """Units that consist of several classes.

    Args:
        units: The classes of each unit.
    """

    units: list[list[int]]


class _Sets:
    """Union-find over classes, made on demand."""

    def __init__(self) -> None:
        self.parent: dict[int, int] = {}

    def find(self, a: int) -> int:
        parent = self.parent
        root = a
        while parent.setdefault(root, root) != root:
            root = parent[root]
        while parent[a] != root:
            parent[a], a = root, parent[a]
        return root

    def union(self, classes: Iterable[int]) -> None:
        parent, first = self.parent, None
        for c in classes:
            root = parent.get(c)
            if first is None:
                first = self.find(c)
            elif root is None:
                parent[c] = first
            elif root != first and (root := self.find(c)) != first:
                parent[root] = first


def families(grids: Sequence[Grid]) -> tuple[list[Family], dict[int, str]]:
    """All families of units of a set of grids.

    Args:
        grids: Grids over classes.

    Returns:
        The families, and for each class that is in a grid but in no family the reason.

    Example:
        >>> heads, width = families([Grid(torch.tensor([[1, 2], [3, 4]]))])[0]
        >>> heads.units, width.units
        ([[1, 2], [3, 4]], [[1, 3], [2, 4]])
    """
    touching: dict[int, list[int]] = defaultdict(list)
    for g, grid in enumerate(grids):
        for c in set(grid.classes()):
            touching[c].append(g)
    found: list[Family] = []
    seen: set[tuple[int, int]] = set()
    covered: set[int] = set()
    reasons: dict[int, str] = {}
    for g, grid in enumerate(grids):
        for direction in grid.free():
            if (g, direction) in seen:
                continue
            choice, units, reason = _grow(grids, touching, g, direction)
            seen.update(choice.items())
            if units is None:
                reasons.update(dict.fromkeys(grid.cells.flatten().tolist(), reason))
            elif len(units) > 1:
                found.append(Family(units))
                covered.update(c for unit in units for c in unit)
        if not grid.free():
            reason = next(iter(grid.fixed.values()))
            reasons.update(dict.fromkeys(grid.classes(), reason))
    uncovered = {c: "split into parts that have only whole widths in common" for c in touching if c not in covered}
    return found, {c: reasons.get(c, default) for c, default in uncovered.items()}


def _grow(
    grids: Sequence[Grid], touching: dict[int, list[int]], g: int, direction: int
) -> tuple[dict[int, int], list[list[int]] | None, str]:
    """Choose a direction of every grid that is touched; the units, or None and why there are none."""
    sets, chosen, queue = _Sets(), {g: direction}, [g]
    touched: set[int] = set()
    while queue:
        here = queue.pop()
        for slab in grids[here].slabs(chosen[here]):
            sets.union(slab)
            touched.update(slab)
        for other in dict.fromkeys(n for c in grids[here].classes(chosen[here]) for n in touching[c]):
            if other in chosen:
                continue
            grid = grids[other]
            cells = set(grid.cells.flatten().tolist())
            forced = {d for d, h in grid.headers if (touched - cells).intersection(h.tolist())}
            options = [d for d in (forced or range(grid.cells.ndim)) if d not in grid.fixed]
            if not options or len(forced) > 1:
                return chosen, None, next(iter(grid.fixed.values()), _TWO_WAYS)
            chosen[other] = max(options, key=partial(_count, sets, grid)) if len(options) > 1 else options[0]
            queue.append(other)
    if any(touched.intersection(h.tolist()) for n, d in chosen.items() for own, h in grids[n].headers if own != d):
        return {g: direction}, None, _TWO_WAYS
    units: dict[int, list[int]] = defaultdict(list)
    for c in touched:
        units[sets.find(c)].append(c)
    order = {c: k for k, c in enumerate(dict.fromkeys(grids[g].cells.movedim(direction, 0).flatten().tolist()))}
    far = len(order)
    return chosen, sorted(units.values(), key=lambda unit: min(order.get(c, far + c) for c in unit)), ""


def _count(sets: _Sets, grid: Grid, direction: int) -> int:
    """How many units are left among a grid's classes if its slabs are joined."""
    trial, seen = _Sets(), set()
    for slab in grid.slabs(direction):
        roots = {sets.find(c) for c in slab}
        trial.union(roots)
        seen |= roots
    return len({trial.find(root) for root in seen})


def unique_grids(grids: Iterable[Grid]) -> list[Grid]:
    """The same grids with those over the same cells merged into one."""
    merged: dict[tuple[object, ...], Grid] = {}
    for grid in grids:
        key = (tuple(grid.cells.shape), tuple(grid.cells.flatten().tolist()))
        known = merged.setdefault(key, Grid(grid.cells))
        known.headers += [
            (d, h) for d, h in grid.headers if not any(d == e and torch.equal(h, k) for e, k in known.headers)
        ]
        for d, reason in grid.fixed.items():
            known.fixed.setdefault(d, reason)
    return list(merged.values())
