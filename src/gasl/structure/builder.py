"""The axes of a traced network, one writer of units after the other."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gasl.structure.affine import Affine
from gasl.structure.axes import Axis, Member, Protected, Role
from gasl.structure.claims import followed
from gasl.structure.classes import components
from gasl.structure.grids import Family
from gasl.structure.ledger import Ledger
from gasl.structure.relations import Relations

__all__ = ["Builder"]


class Builder:
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
