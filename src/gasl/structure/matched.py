"""Which of the widths that leave no whole slab can lose single units after all: see :mod:`gasl.structure.matchings`."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gasl.structure.affine import Affine
from gasl.structure.claims import Claim
from gasl.structure.grids import Grid
from gasl.structure.labels import spread
from gasl.structure.matchings import Key, Layout, Matching, shuffled
from gasl.structure.numbers import Extent

__all__ = ["matched", "recounted"]

_SHUFFLES = 2  # one after the other, in one width


def matched(
    grids: Sequence[Grid],
    lost: Collection[int],
    dims: Mapping[Key, Tensor],
    affines: Sequence[Affine],
    foreign: Iterable[Tensor],
    fresh: Callable[[int], Tensor],
) -> list[Matching]:
    """Find widths that are cut in several ways, each into a fixed number of groups, and in which no place is named.

    Args:
        grids: All grids, over classes.
        lost: The classes that are in no family.
        dims: The class of each index, for every dimension of every tensor.
        affines: The calls of convolutions and linear layers.
        foreign: Classes that something else depends on.
        fresh: Makes new classes.

    Returns:
        The matchings.
    """
    by_cells: dict[frozenset[int], list[Grid]] = {}
    for grid in grids:
        by_cells.setdefault(frozenset(grid.cells.flatten().tolist()), []).append(grid)
    grouped = {(affine.weight, 1) for affine in affines if affine.conv and not affine.plain}
    taken = {c for classes in foreign for c in classes.tolist()}
    found = []
    for cells, own in by_cells.items():
        others = {c for grid in grids if grid not in own for c in grid.classes()}
        even = all(grid.cells.ndim == 2 and grid.cells.numel() == len(cells) for grid in own)
        if even and cells <= set(lost) and not cells & others:
            found.append(_matching(own, cells, lost, others | taken, dims, grouped, fresh))
    return [matching for matching in found if matching is not None and len(matching.sizes()) > 1]


def _matching(
    grids: Sequence[Grid],
    cells: frozenset[int],
    lost: Collection[int],
    taken: Collection[int],
    dims: Mapping[Key, Tensor],
    grouped: Collection[Key],
    fresh: Callable[[int], Tensor],
) -> Matching | None:
    units = grids[0].cells.flatten()
    orders = _orders(units, {grid.cells.shape[0] for grid in grids})
    layouts: list[Layout] = []
    blocks: dict[Key, Layout] = {}
    places: set[int] = set()
    for grid in grids:
        order = _order(grid.cells.flatten(), orders)
        counts, ranks = ([h for d, h in grid.headers if d == own] for own in (0, 1))
        anchored = 0 in grid.fixed or bool(counts)
        kept = all(c in lost and c not in cells for header in counts for c in header.tolist())
        names = {c for header in ranks for c in header.tolist()}
        if order is None or not (anchored and kept) or 1 in grid.fixed or names & ({*taken} | cells | places):
            return None
        places |= names
        layout = Layout(order, grid.cells.shape[0], (*ranks, fresh(grid.cells.shape[1])))
        layouts.append(layout)
        for key, classes in dims.items():
            if names & set(classes.tolist()):
                if key not in grouped or not any(torch.equal(classes, header) for header in ranks):
                    return None
                blocks[key] = layout
    found = {}
    for key, classes in dims.items():
        if cells & set(classes.tolist()):
            order = _order(classes, orders)
            if order is None or (order and key[1] == 0 and _returns(classes, units, orders)):
                return None
            found[key] = order
    return Matching(units, tuple(layouts), found, blocks)


def _orders(units: Tensor, groups: Collection[int]) -> dict[tuple[int, ...], Tensor]:
    """All orders that some shuffles make, the shortest first."""
    known: dict[tuple[int, ...], Tensor] = {(): units}
    last = dict(known)
    for _ in range(_SHUFFLES):
        last = {(*order, g): shuffled(now, (g,)) for order, now in last.items() for g in sorted(groups)}
        known |= last
    return known


def _returns(classes: Tensor, units: Tensor, orders: Collection[tuple[int, ...]]) -> bool:
    """Whether one shuffle leads back: what is written in such an order may come before the shuffle, not behind it."""
    return any(len(order) == 1 and torch.equal(shuffled(classes, order), units) for order in orders)


def _order(classes: Tensor, orders: Mapping[tuple[int, ...], Tensor]) -> tuple[int, ...] | None:
    return next((order for order, known in orders.items() if torch.equal(classes, known)), None)


def recounted(claims: Sequence[Claim], matchings: Sequence[Matching]) -> tuple[list[Claim], list[Matching]]:
    """Sizes of groups, counted by their places; matchings with another kind of size in them are dropped."""
    for matching in matchings:
        ours = set(matching.units.tolist())
        changed = []
        for claim in claims:
            labels = _places(claim.labels, claim.dim, matching, ours)
            extents = {
                leaf: _places(own, leaf.dim, matching, ours)
                for leaf, own in (claim.extents or {}).items()
                if isinstance(leaf, Extent)
            }
            if labels is None or any(own is None for own in extents.values()):
                return recounted(claims, [other for other in matchings if other is not matching])
            known = {leaf: own for leaf, own in extents.items() if own is not None}
            changed.append(replace(claim, labels=labels, extents=known))
        claims = changed
    return list(claims), list(matchings)


def _places(labels: Tensor, dim: int, matching: Matching, ours: Collection[int]) -> Tensor | None:
    """Labels that are as many along a dimension as there are units there; None if that cannot be said."""
    wide = [d for d, n in enumerate(labels.shape) if n > 1]
    if len(wide) < 2 or not set(labels.flatten().tolist()) & set(ours):
        return labels
    for layout in matching.layouts:
        cells = shuffled(matching.units, layout.order).reshape(layout.groups, -1)
        for turned in (cells, cells.t()):
            if torch.equal(labels.reshape([labels.shape[d] for d in wide]), turned):
                ranks = turned is not cells if dim == wide[0] else turned is cells
                return spread(layout.places[-1], dim, labels.shape) if ranks and dim in wide else labels
    return None
