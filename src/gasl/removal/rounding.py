"""Dead units that are held: to keep a width that hardware likes, or a network as it is in training mode."""

from collections.abc import Mapping
from dataclasses import replace
from math import gcd

import torch
from torch import Tensor

from gasl.errors import InputError
from gasl.removal.liveness import Liveness, liveness
from gasl.structure.affine import Affine
from gasl.structure.axes import Axis, Member, Structure

__all__ = ["check_round_to", "round_features", "rounding_units", "statistic_units", "what_stays"]


def check_round_to(round_to: int | None) -> int:
    """The multiple that widths are kept at, 1 for any.

    Example:
        >>> check_round_to(None), check_round_to(8)
        (1, 8)
    """
    if round_to is None:
        return 1
    if isinstance(round_to, bool) or not isinstance(round_to, int) or round_to < 1:
        raise InputError(f"round_to must be a whole number of units, at least 1, got {round_to!r}")
    return round_to


def rounding_units(live: Liveness, structure: Structure, round_to: int) -> Tensor:
    """Which removed classes have to be held so that each width is a multiple.

    That is the width of every tensor of an axis (the branches of a concatenation, for one), or its full size. Of units
    that own several neighbours everywhere, as heads do, so many stay that these are a multiple. Units that nobody reads
    are taken first, then those that emit a constant; among these the first.

    Args:
        live: What can go.
        structure: The trace.
        round_to: The multiple.

    Returns:
        A bool tensor over classes: empty of True where nothing is left to do.
    """
    axes = [axis for axis in structure.axes if axis.kind == "width" and not bool(live.kept[axis.name].all())]
    constant, held = _constants(live, structure), torch.zeros_like(live.removed)
    dead = sum(
        (_owned(axis, structure, ~live.kept[axis.name], held).int() for axis in axes), torch.zeros_like(held).int()
    )
    for axis in axes:
        kept = live.kept[axis.name].clone()
        multiple = round_to // gcd(round_to, min(_run(member) for member in axis.members))
        order = _by_class(axis, structure, constant).int().argsort(stable=True)
        before = -1
        while int(kept.sum()) != before:
            before = int(kept.sum())
            for units in _widths(axis):
                stay = int(kept[units].sum())
                spare = order[(units & ~kept)[order]]
                kept[spare[: -stay % multiple]] = True
        again = _owned(axis, structure, kept & ~live.kept[axis.name], held)
        held |= again & (dead == 1)  # not what a dead unit of another direction, as a place in every head, has of it
    return held & live.removed


def round_features(live: Liveness, structure: Structure, round_to: int) -> Liveness:
    """Let as many single features stay in front of each linear layer that their number is a multiple, too.

    Args:
        live: What can go.
        structure: The trace.
        round_to: The multiple.

    Returns:
        The same classes; more features, or all that there are, the first first.
    """
    kept = dict(live.kept)
    for axis in structure.axes:
        if axis.kind == "features":
            affine = next(a for a in structure.affines if a.weight == axis.members[0].tensor)
            spare = ~live.removed[affine.labels.clamp(min=0)] & ~kept[axis.name]
            more = kept[axis.name].clone()
            more[spare.nonzero().flatten()[: -int(more.sum()) % round_to]] = True
            kept[axis.name] = more
    return replace(live, kept=kept)


def statistic_units(live: Liveness, structure: Structure, tensors: Mapping[str, Tensor]) -> Tensor:
    """Which removed classes emit a constant that a batch norm's running statistics have a part in.

    In training mode the norm takes the batch's statistics, and the constant may be another; so may be what is made of
    it alone.

    Args:
        live: What can go.
        structure: The trace.
        tensors: The network's parameters and buffers.

    Returns:
        Indexed by class.
    """
    normed = torch.zeros_like(live.removed)
    for axis in structure.axes:
        scaled: list[Tensor] = []
        tracked = torch.zeros_like(live.removed)
        for member in axis.members:
            classes = structure.classes.get((member.tensor, member.dim))
            if classes is not None and member.role == "statistic":
                tracked[classes] = True
            if classes is not None and member.role == "norm":
                open_units = torch.zeros_like(live.removed)
                open_units[classes[(tensors[member.tensor] != 0).cpu()]] = True
                scaled.append(open_units)
        normed |= tracked & torch.stack(scaled).any(dim=0) if scaled else tracked
    while True:
        before = int(normed.sum())
        for affine in structure.affines:
            rows = (_reads(affine, tensors) & normed[affine.labels.clamp(min=0)]).any(dim=1)
            normed[affine.rows[rows]] = True
        if int(normed.sum()) == before:
            return normed & _constants(live, structure)


def what_stays(
    tensors: Mapping[str, Tensor],
    structure: Structure,
    protect: frozenset[str] = frozenset(),
    gather: bool = True,
    round_to: int = 1,
    hold: bool = False,
) -> Liveness:
    """What can go with each width at a multiple; the first arguments as for :func:`gasl.removal.liveness.liveness`.

    Args:
        tensors: The traced model's parameters and buffers by name.
        structure: The trace.
        protect: Axes that are left whole.
        gather: Whether single features may go.
        round_to: The multiple.
        hold: Whether what emits another constant in training mode stays too.

    Returns:
        The classes to remove and the units that stay.
    """
    held: Tensor | None = None
    while True:
        live = liveness(tensors, structure, protect, gather, held)
        more = statistic_units(live, structure, tensors) if hold else torch.zeros_like(live.removed)
        if round_to > 1 and not bool(more.any()):
            more = rounding_units(live, structure, round_to)
        if not bool(more.any()):
            return round_features(live, structure, round_to)
        held = more if held is None else held | more


def _constants(live: Liveness, structure: Structure) -> Tensor:
    """Removed classes that somebody reads: they emit a constant, which may be 0."""
    constant = torch.zeros_like(live.removed)
    for affine, folded in zip(structure.affines, live.folded, strict=True):
        constant[affine.labels[folded].clamp(min=0)] = True
    return constant & live.removed


def _by_class(axis: Axis, structure: Structure, classes: Tensor) -> Tensor:
    """Which units of an axis have one of the given classes."""
    units = torch.zeros(axis.size, dtype=torch.bool)
    for member in axis.members:
        units[member.units[(member.units >= 0) & classes[structure.classes[member.tensor, member.dim]]]] = True
    return units


def _owned(axis: Axis, structure: Structure, units: Tensor, like: Tensor) -> Tensor:
    """The classes of some units of an axis."""
    owned = torch.zeros_like(like)
    for member in axis.members:
        chosen = units[member.units.clamp(min=0)] & (member.units >= 0)
        owned[structure.classes[member.tensor, member.dim][chosen]] = True
    return owned


def _widths(axis: Axis) -> list[Tensor]:
    """Which units each tensor of an axis has, the narrowest first."""
    sets = {tuple(sorted(set(member.units[member.units >= 0].tolist()))) for member in axis.members}
    masks = torch.zeros(len(sets), axis.size, dtype=torch.bool)
    for mask, units in zip(masks, sorted(sets, key=lambda units: (len(units), units)), strict=True):
        mask[list(units)] = True
    return list(masks)


def _run(member: Member) -> int:
    """How many neighbours each unit owns at least, wherever it has any."""
    ends = (member.units[1:] != member.units[:-1]).nonzero().flatten() + 1
    lengths = torch.diff(torch.cat([torch.tensor([0]), ends, torch.tensor([member.units.numel()])]))
    owned = member.units[torch.cat([torch.tensor([0]), ends])] >= 0
    return int(lengths[owned].min()) if bool(owned.any()) else 1


def _reads(affine: Affine, tensors: Mapping[str, Tensor]) -> Tensor:
    """Which column has a part in which row; none where a norm scale of 0 follows."""
    mask = affine.matrix(tensors[affine.weight].detach() != 0).cpu()
    for gamma in affine.gammas:
        mask = mask & (tensors[gamma] != 0).cpu().unsqueeze(1)
    return mask
