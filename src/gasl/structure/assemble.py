"""From a traced pass to axes: classes that one weight writes side by side are the units of one axis."""

from collections import Counter

import torch
from torch import Tensor, nn

from gasl.structure.axes import Affine, Axis, Member, Protected, Role, Structure
from gasl.structure.gather import GatherLinear
from gasl.structure.labels import distinct
from gasl.structure.tracer import Tracer

__all__ = ["assemble"]


def assemble(model: nn.Module, tracer: Tracer) -> Structure:
    """Build the structure from what the tracer noted.

    Args:
        model: The traced model, asked only which module owns which weight.
        tracer: The tracer after the pass.

    Returns:
        Axes in execution order, protected widths, affine calls with their classes.
    """
    roots = {key: tracer.classes.roots(atoms) for key, atoms in tracer.dims.items()}
    owners = _owners(model)
    for affine in tracer.affines:
        affine.rows, affine.columns = roots[affine.weight, 0], roots[affine.weight, 1]
        affine.labels, affine.source = tracer.classes.roots(affine.labels), tracer.classes.roots(affine.source)
        affine.module = owners.get(affine.weight)
        if affine.index is not None and not (affine.sole and affine.module is not None):
            tracer.classes.protect(affine.source, "a gather that serves several calls")
    fixed = frozenset(c for atoms in roots.values() for c in atoms.unique().tolist() if tracer.classes.reason(c))
    touched = [tracer.classes.roots(distinct(labels).unique()) for labels in tracer.mixed]
    mixed = frozenset(c for classes in touched for c in classes.tolist() if c > 0)
    axes: list[Axis] = []
    protected: list[Protected] = []
    taken: set[int] = set()
    for affine in tracer.affines:
        if (features := _feature_axis(affine)) is not None:
            axes.append(features)
        classes = _connected(affine, tracer.affines)
        if taken & set(classes):
            continue
        taken.update(classes)
        name = affine.weight.removesuffix(".weight")
        if (reason := tracer.classes.first_reason(classes)) is not None:
            protected.append(Protected(name, len(classes), reason))
            continue
        axes.append(Axis(name, len(classes), "width", _members(classes, roots, tracer)))
    return Structure(tuple(axes), tuple(protected), tuple(tracer.affines), roots, fixed, mixed)


def _owners(model: nn.Module) -> dict[str, str]:
    """By weight the one plain layer that holds it, which may therefore be given a bias or a gather."""
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, GatherLinear)
    holders = Counter(id(p) for module in model.modules() for p in module._parameters.values() if p is not None)
    return {
        f"{name}.weight" if name else "weight": name
        for name, module in model.named_modules()
        if any(type(module).forward is kind.forward for kind in kinds) and holders[id(module.weight)] == 1
    }


def _connected(affine: Affine, affines: list[Affine]) -> list[int]:
    """Classes that the rows of weights link with this one's, in order of first appearance."""
    classes = list(dict.fromkeys(affine.rows.tolist()))
    grown = True
    while grown:
        grown = False
        for other in affines:
            rows = other.rows.tolist()
            if set(rows) & set(classes) and not set(rows) <= set(classes):
                classes = list(dict.fromkeys([*classes, *rows]))
                grown = True
    return classes


def _members(classes: list[int], roots: dict[tuple[str, int], Tensor], tracer: Tracer) -> tuple[Member, ...]:
    unit = {c: j for j, c in enumerate(classes)}
    convs = {affine.weight for affine in tracer.affines if affine.conv}
    weights = {affine.weight for affine in tracer.affines}
    members = []
    for (name, dim), atoms in roots.items():
        units = torch.tensor([unit.get(c, -1) for c in atoms.tolist()])
        if bool((units >= 0).any()):
            members.append(Member(name, dim, units, _role(name, dim, weights, tracer), name in convs))
    order: tuple[Role, ...] = ("producer", "bias", "norm", "statistic", "elementwise", "consumer")
    return tuple(sorted(members, key=lambda m: order.index(m.role)))


def _role(name: str, dim: int, weights: set[str], tracer: Tracer) -> Role:
    if name in weights:
        return "producer" if dim == 0 else "consumer"
    return tracer.roles.get(name, "elementwise")


def _feature_axis(affine: Affine) -> Axis | None:
    """Single inputs of a linear layer are units where they are input features or parts of a flattened map."""
    if affine.conv or affine.module is None or not affine.sole:
        return None
    positive = affine.labels[affine.labels > 0]
    gathers = affine.index is not None
    if gathers or bool((affine.labels < 0).any()) or positive.unique().numel() < positive.numel():
        size = affine.labels.numel()
        member = Member(affine.weight, 1, torch.arange(size), "consumer")
        return Axis(f"{affine.module}.in" if affine.module else "in", size, "features", (member,))
    return None
