"""From a traced pass to axes: classes that one weight writes side by side are the units of one axis."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from gasl.structure.axes import Structure
from gasl.structure.builder import Builder
from gasl.structure.claims import Claim, resolved
from gasl.structure.gather import GatherLinear
from gasl.structure.grids import Grid, families, unique_grids
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
    builder = Builder(ledger, tensors, relations, found, gridded)
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
