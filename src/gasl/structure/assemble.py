"""From a traced pass to axes: classes that one weight writes side by side are the units of one axis."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from gasl.structure.affine import Affine
from gasl.structure.axes import Axis, Member, Protected, Role, Structure
from gasl.structure.claims import Claim, followed, resolved
from gasl.structure.classes import components
from gasl.structure.gather import GatherLinear
from gasl.structure.grids import Family, Grid, families, unique_grids
from gasl.structure.labels import distinct
from gasl.structure.ledger import Ledger
from gasl.structure.matched import matched, recounted
from gasl.structure.matchings import Matching
from gasl.structure.parts import modules_of
from gasl.structure.relations import Relations

__all__ = ["assemble"]


def assemble(model: nn.Module, ledger: Ledger, tensors: Mapping[str, Tensor]) -> Structure:
    """Build the structure from what the pass has shown.

    Args:
        model: The traced model, asked only which module owns which weight.
        ledger: What it has shown.
        tensors: The model's parameters and buffers by name.

    Returns:
        Axes in execution order, protected widths, affine calls with their classes.
    """
    settle, notes = ledger.classes.roots, ledger.notes
    owners = _owners(model)
    for affine in ledger.affines:
        same = affine.source is affine.labels
        affine.rows, affine.labels = settle(affine.rows), settle(affine.labels)
        affine.source = affine.labels if same else settle(affine.source)
        affine.module = owners.get(affine.weight) if affine.plain else None
        if affine.index is not None and not (affine.sole and affine.module is not None):
            ledger.classes.protect(affine.source, "a gather that serves several calls")
    grids = unique_grids(Grid(settle(g.cells), [(d, settle(h)) for d, h in g.headers], g.fixed) for g in notes.grids)
    found, reasons = families(grids)
    claims, matchings = _matchings(resolved(notes.claims, settle), ledger, grids, reasons)
    for why in dict.fromkeys(reasons.values()):
        ledger.classes.protect(torch.tensor([c for c, reason in reasons.items() if reason == why]), why)
    relations = Relations(
        counts=dict(zip(notes.counts, ledger.classes.roots_of_all(list(notes.counts.values())), strict=True)),
        claims=_binding(claims, ledger, grids),
        flows=tuple((settle(a), settle(b), additive) for a, b, additive in notes.flows),
        scaled=tuple((settle(c), value) for c, value in notes.scaled),
        tables=tuple(dict.fromkeys(notes.tables)),
        sinks=tuple((settle(c), value) for c, value in notes.sinks),
        norms=tuple(replace(norm, classes=settle(norm.classes)) for norm in ledger.rms.norms),
        narrows=ledger.rms.narrows,
        held=frozenset(notes.holds),
        matchings=tuple(matchings),
    )
    gridded = torch.zeros(len(ledger.classes), dtype=torch.bool)
    gridded[[c for g in grids for c in g.classes()]] = True
    for matching in matchings:
        gridded[matching.units] = False
    builder = _Builder(ledger, tensors, relations, found, gridded)
    builder.build()
    protected = ledger.classes.reasons() >= 0
    fixed = torch.zeros_like(protected)
    for atoms in builder.roots.values():
        fixed[atoms[protected[atoms]]] = True
    mixed = frozenset(c for t in notes.mixed for c in settle(distinct(t)).unique().tolist() if c > 0)
    return Structure(
        tuple(builder.axes),
        tuple(builder.protected),
        tuple(ledger.affines),
        builder.roots,
        frozenset(fixed.nonzero().flatten().tolist()),
        mixed,
        relations,
        len(ledger.classes),
    )


def _matchings(
    claims: Sequence[Claim], ledger: Ledger, grids: Sequence[Grid], reasons: dict[int, str]
) -> tuple[Sequence[Claim], Sequence[Matching]]:
    """Widths of which single units can go though no slab can; their classes are taken out of ``reasons``."""
    if not reasons:
        return claims, ()
    settle, notes = ledger.classes.roots, ledger.notes
    used = [settle(classes) for pair in (*notes.scaled, *notes.sinks) for classes in pair[:1]]
    used += [settle(classes) for flow in notes.flows for classes in flow[:2]]
    used += [settle(distinct(classes)).flatten() for classes in notes.mixed]
    dims = {key: settle(atoms) for key, atoms in ledger.dims.items()}
    found = matched(grids, reasons.keys(), dims, ledger.affines, used, ledger.classes.fresh)
    claims, found = recounted(claims, found)
    for matching in found:
        for classes in (matching.units, *(places for layout in matching.layouts for places in layout.places)):
            for c in classes.tolist():
                reasons.pop(c, None)
    return claims, found


def _binding(claims: Sequence[Claim], ledger: Ledger, grids: Sequence[Grid]) -> tuple[Claim, ...]:
    """The claims about what belongs to the network: a tensor that was made and met nobody follows by itself."""
    own = torch.zeros(len(ledger.classes), dtype=torch.bool)
    for roots in ledger.classes.roots_of_all([*ledger.dims.values(), *ledger.notes.counts.values()]):
        own[roots] = True
    own[[c for grid in grids for c in grid.classes()]] = True
    return tuple(claim for claim in claims if bool(own[claim.labels[claim.labels > 0]].any()))


def _owners(model: nn.Module) -> dict[str, str]:
    """By weight the one plain layer that holds it, which may therefore be given a bias or a gather."""
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, GatherLinear)
    modules = modules_of(model)
    holders = Counter(id(p) for module in modules.values() for p in module._parameters.values() if p is not None)
    return {
        f"{name}.weight" if name else "weight": name
        for name, module in modules.items()
        if any(type(module).forward is kind.forward for kind in kinds) and holders[id(module.weight)] == 1
    }


class _Builder:
    """Axes, affine call by affine call."""

    def __init__(
        self,
        ledger: Ledger,
        tensors: Mapping[str, Tensor],
        relations: Relations,
        found: Sequence[Family],
        gridded: Tensor,
    ) -> None:
        self.axes: list[Axis] = []
        self.protected: list[Protected] = []
        every = ledger.classes.roots_of_all(list(ledger.dims.values()))
        self.roots = dict(zip(ledger.dims, every, strict=True))
        self._ledger = ledger
        self._tensors = tensors
        self._relations = relations
        self._gridded = gridded
        self._families = [([torch.tensor(unit) for unit in family.units], family) for family in found]
        self._convs = {affine.weight for affine in ledger.affines if affine.conv}
        gated = [affine for affine in ledger.affines if affine.sole and affine.gammas]
        self._scaled = {name for affine in gated for name in (affine.weight, *affine.gammas)}
        self._keys = list(self.roots)
        sizes = torch.tensor([classes.numel() for classes in self.roots.values()], dtype=torch.int64)
        flat = torch.cat([*self.roots.values(), torch.empty(0, dtype=torch.int64)])
        self._sorted, order = flat.sort()  # so that all places of a class lie side by side
        self._place = torch.repeat_interleave(torch.arange(len(self._keys)), sizes)[order]

    def build(self) -> None:
        """Go through what writes units, in execution order."""
        tables = [(name, self.roots[name, dim]) for name, dim in self._relations.tables]
        writers = [(affine.weight, affine.rows) for affine in self._ledger.affines]
        writers += tables  # what no layer writes: an embedding, a table of positions
        plain, first = self._plain([rows for _, rows in writers])
        touched = self._touched([rows for _, rows in writers])
        for k, (weight, rows) in enumerate(writers):
            if k < len(self._ledger.affines) and (features := self._features(self._ledger.affines[k])) is not None:
                self.axes.append(features)
            name = weight.removesuffix(".weight")
            for f in touched.get(k, ()):
                units, family = self._families[f]
                sizes = torch.tensor([unit.numel() for unit in units])
                unit_of = torch.repeat_interleave(torch.arange(len(units)), sizes)
                self._emit(self._name(name, family), torch.cat(units), unit_of)
            for classes in (c for c, at in zip(plain, first, strict=True) if at == k):
                self._emit(name, classes, torch.arange(classes.numel()))
            lost = rows[self._gridded[rows] & ~self._in_family[rows]].unique()
            if lost.numel() > 0 and name not in {p.name for p in self.protected}:
                reason = self._ledger.classes.first_reason(lost) or "split"
                self.protected.append(Protected(name, lost.numel(), reason))

    def _plain(self, rows: list[Tensor]) -> tuple[list[Tensor], list[int]]:
        """Classes in no grid, joined where one weight writes them side by side, and which writer comes first."""
        free = [r[~self._gridded[r]] for r in rows]
        table = torch.arange(len(self._ledger.classes))
        pairs = [torch.stack([r, r[:1].expand_as(r)]) for r in free if r.numel() > 0]
        if not pairs:
            return [], []
        table = components(table, *torch.cat(pairs, dim=1))
        every = torch.cat(free)
        writer = torch.repeat_interleave(torch.arange(len(free)), torch.tensor([r.numel() for r in free]))
        place = torch.arange(every.numel())
        earliest = torch.full_like(table, every.numel()).scatter_reduce(0, every, place, "amin")
        new = earliest[every] == place  # each class once, in order of first appearance
        every, writer = every[new], writer[new]
        sets, where = torch.unique(table[every], return_inverse=True)
        begin = torch.full_like(sets, every.numel()).scatter_reduce(0, where, torch.arange(every.numel()), "amin")
        order = where.argsort(stable=True)
        groups = every[order].split(torch.bincount(where, minlength=sets.numel()).tolist())
        return list(groups), writer[begin].tolist()

    def _touched(self, rows: list[Tensor]) -> dict[int, list[int]]:
        """Which families each writer is the first to touch."""
        self._in_family = torch.zeros_like(self._gridded)
        first = torch.full((len(self._ledger.classes),), len(rows))
        for k in reversed(range(len(rows))):
            first[rows[k]] = k
        touched: dict[int, list[int]] = {}
        for f, (units, _) in enumerate(self._families):
            classes = torch.cat(units)
            self._in_family[classes] = True
            touched.setdefault(int(first[classes].min()), []).append(f)
        return touched

    def _emit(self, name: str, classes: Tensor, unit_of: Tensor) -> None:
        size = int(unit_of[-1]) + 1
        reason = self._ledger.classes.first_reason(classes)
        if reason is None and self._relations.claims and size > 1:
            r = self._relations
            one = next((m for m in r.matchings if int(classes[0]) in m.units), None)
            removed = torch.zeros(len(self._ledger.classes), dtype=torch.bool)
            if one is not None:
                removed = one.example(removed.numel())
            else:
                removed[classes[unit_of == 0]] = True
            if followed(r.claims, r.counts, r.held, removed)[1]:
                reason = "the forward computes a size that would not follow"
        if reason is not None:
            if not any(p.name == name for p in self.protected):
                self.protected.append(Protected(name, size, reason))
            return
        self.axes.append(Axis(name, size, "width", self._members(classes, unit_of), classes, unit_of, self._tensors))

    def _name(self, base: str, family: Family) -> str:
        """The attribute that counts the units, where there is one; else the module, with a number if it has several."""
        own = {c for unit in family.units for c in unit}
        counted = [
            path
            for path, classes in self._relations.counts.items()
            if classes.numel() == len(family.units) and int(classes[0]) in own and set(classes.tolist()) <= own
        ]
        taken = {axis.name for axis in self.axes} | {p.name for p in self.protected}
        return next(name for name in [*counted, base, *(f"{base}.{k}" for k in range(99))] if name not in taken)

    def _members(self, classes: Tensor, unit_of: Tensor) -> tuple[Member, ...]:
        unit = torch.full((len(self._ledger.classes),), -1)
        unit[classes] = unit_of
        members = []
        first, after = (torch.searchsorted(self._sorted, classes, right=right) for right in (False, True))
        counts = after - first
        step = torch.arange(int(counts.sum())) - torch.repeat_interleave(counts.cumsum(0) - counts, counts)
        for place in self._place[torch.repeat_interleave(first, counts) + step].unique().tolist():
            name, dim = self._keys[place]
            role = self._ledger.roles.get((name, dim), "elementwise")
            trains = isinstance(self._tensors[name], nn.Parameter)
            units, scaled = unit[self.roots[name, dim]], name in self._scaled
            members.append(Member(name, dim, units, role, name in self._convs, trains, scaled))
        order: tuple[Role, ...] = ("producer", "bias", "norm", "statistic", "elementwise", "consumer")
        return tuple(sorted(members, key=lambda m: order.index(m.role)))

    def _features(self, affine: Affine) -> Axis | None:
        """Single inputs of a linear layer are units where they are input features or parts of a flattened map."""
        if affine.conv or affine.module is None or not affine.sole:
            return None
        positive = affine.labels[affine.labels > 0]
        if bool(self._gridded[positive].any()):
            return None
        gathers = affine.index is not None
        if gathers or bool((affine.labels < 0).any()) or positive.unique().numel() < positive.numel():
            size = affine.labels.numel()
            member = Member(affine.weight, 1, torch.arange(size), "consumer")
            name = f"{affine.module}.in" if affine.module else "in"
            return Axis(name, size, "features", (member,), tensors=self._tensors)
        return None
