"""Dead units that stay after all: to keep a width that hardware likes, or a network as it is in training mode.

Both put units back into a liveness. A unit that nobody reads may then emit anything. One that emits a constant keeps
emitting it, so it must not be folded as well, and what it is made of must stay as it was.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from gasl.errors import InputError
from gasl.removal.liveness import Liveness
from gasl.structure.axes import Affine, Axis, Structure

__all__ = ["check_round_to", "rounding_units", "statistic_units", "with_units"]


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
    """Which removed classes have to stay so that each width is a multiple.

    That is the width of every tensor of an axis (the branches of a concatenation, for one), or its full size. Units
    that nobody reads are taken first, then those that emit a constant; among these the first.

    Args:
        live: What can go.
        structure: The trace.
        round_to: The multiple.

    Returns:
        Indexed by class.
    """
    stay = torch.zeros_like(live.removed)
    constant = _constants(live, structure)
    while True:
        before = int(stay.sum())
        for axis in structure.axes:
            if axis.kind == "width":
                for classes in _widths(axis, structure):
                    gone = classes[(live.removed & ~stay)[classes]]
                    wanted = -(-(classes.numel() - gone.numel()) // round_to) * round_to
                    order = gone[constant[gone].int().argsort(stable=True)]
                    stay[order[: max(0, wanted - (classes.numel() - gone.numel()))]] = True
        if int(stay.sum()) == before:
            return stay


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


def with_units(
    live: Liveness, structure: Structure, tensors: Mapping[str, Tensor], stay: Tensor, round_to: int = 1
) -> Liveness | str:
    """A liveness in which more units stay.

    Args:
        live: What can go.
        structure: The trace.
        tensors: The network's parameters and buffers.
        stay: Which classes stay, indexed by class.
        round_to: What the number of single features is a multiple of.

    Returns:
        The new liveness; or the name of an axis of which a unit cannot come back without more than itself, and that
        should rather be protected.
    """
    removed = live.removed & ~stay
    needed = _needed(live, structure, tensors, stay & live.removed)
    if isinstance(needed, int):
        return next(a.name for a in structure.axes if a.kind == "width" and needed in structure.units_of(a).tolist())
    folded = tuple(
        fold & removed[affine.labels.clamp(min=0)] for affine, fold in zip(structure.affines, live.folded, strict=True)
    )
    kept = {}
    for axis in structure.axes:
        if axis.kind == "width":
            kept[axis.name] = ~removed[structure.units_of(axis)]
            continue
        position = next(i for i, a in enumerate(structure.affines) if a.weight == axis.members[0].tensor)
        affine = structure.affines[position]
        labels = affine.labels.clamp(min=0)
        present = ~removed[labels]
        if bool((live.kept[axis.name] == ~live.removed[labels]).all()):
            kept[axis.name] = present
        else:
            again = _reads(affine, tensors)[needed[affine.rows]].any(dim=0) & present
            read = live.kept[axis.name] | again | (live.folded[position] & ~folded[position])
            spare = (present & ~read).nonzero().flatten()
            kept[axis.name] = read.clone()
            kept[axis.name][spare[: -int(read.sum()) % round_to]] = True
    return Liveness(removed, kept, folded)


def _constants(live: Liveness, structure: Structure) -> Tensor:
    """Removed classes that somebody reads: they emit a constant, which may be 0."""
    constant = torch.zeros_like(live.removed)
    for affine, folded in zip(structure.affines, live.folded, strict=True):
        constant[affine.labels[folded].clamp(min=0)] = True
    return constant & live.removed


def _widths(axis: Axis, structure: Structure) -> list[Tensor]:
    """The classes of each tensor of an axis, small sets first."""
    sets = {tuple(sorted(set(structure.classes[m.tensor, m.dim][m.units >= 0].tolist()))) for m in axis.members}
    return [torch.tensor(classes, dtype=torch.int64) for classes in sorted(sets, key=lambda c: (len(c), c))]


def _needed(live: Liveness, structure: Structure, tensors: Mapping[str, Tensor], back: Tensor) -> Tensor | int:
    """Which of the units that come back must emit what they did; or a unit that cannot, as a part of it stays away."""
    needed = back & _constants(live, structure)
    while True:
        before = int(needed.sum())
        for affine, folded in zip(structure.affines, live.folded, strict=True):
            reads = _reads(affine, tensors) & needed[affine.rows].unsqueeze(1)
            labels = affine.labels.clamp(min=0)
            lost = reads & (live.removed & ~back)[labels] & ~folded
            if bool(lost.any()):
                return int(affine.rows[lost.any(dim=1)][0])
            needed[labels[(reads & back[labels]).any(dim=0)]] = True
        if int(needed.sum()) == before:
            return needed


def _reads(affine: Affine, tensors: Mapping[str, Tensor]) -> Tensor:
    """Which column has a part in which row; none where a norm scale of 0 follows."""
    mask = (tensors[affine.weight] != 0).cpu()
    mask = mask.flatten(2).any(dim=2) if mask.ndim > 2 else mask
    for gamma in affine.gammas:
        mask = mask & (tensors[gamma] != 0).cpu().unsqueeze(1)
    return mask
