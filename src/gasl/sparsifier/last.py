"""The end of a way to a target: units go one by one, or, where widths are rounded, one multiple after the other.

A unit that takes more than is to go, a map of a narrow convolution, waits until the others cannot close the gap, or
only by losing more than half of what they may: then its own loss is the smaller one, and it goes before them.
"""

from collections.abc import Mapping, Sequence

from gasl.sparsifier.look import Look
from gasl.sparsifier.share import Share
from gasl.sparsifier.target import TOLERANCE

__all__ = ["last_units", "wide_unit"]

_DEAR = 0.5  # the part of the spare units of all other axes that a wide one is worth
_NEAR, _FAR = 0.08, 0.1  # a latency that far above its goal is left there, if it could only leap that far below


def wide_unit(
    share: Share, look: Look, left: float, spare: Mapping[str, Sequence[int]], at_once: int = 1
) -> tuple[str, int] | None:
    """The axis whose next unit takes the whole below the target, and has to.

    Args:
        share: The share that is left, and the goal.
        look: The network.
        left: Its share.
        spare: The units of each axis that may go, the next to die first.
        at_once: How many may be needed for a change.

    Returns:
        The axis whose unit takes least of those, and how many of its units are needed for a change; None if the others
        can close the gap, and of a latency, which is no sum of what units take.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from gasl.sparsifier.target import Target
        >>> model, x = nn.Sequential(nn.Linear(2, 20), nn.ReLU(), nn.Linear(20, 1)), torch.zeros(2, 2)
        >>> whole = Look.now(model, x)
        >>> share, spare = Share(Target(macs=0.9), whole, x, {}), {"0.in": [0], "0": [0, 1, 2, 3]}
        >>> wide_unit(share, whole, 1.0, spare), wide_unit(share, whole, 1.0, {**spare, "0": [0, 1, 2]})
        (None, ('0.in', 1))
    """
    if not share.product:
        return None
    costs, gap = share.costs(look, left, spare, at_once), left - share.goal + TOLERANCE
    wide = [name for name, units in spare.items() if units and costs[name] * at_once > gap]
    narrow = {name: units[: int(_DEAR * len(units))] for name, units in spare.items() if name not in wide}
    if not wide or share(look.without(narrow)) <= share.goal + 1e-9:
        return None
    axis = min(wide, key=lambda name: costs[name])
    step = _step(share, look, left, axis, spare[axis], at_once)
    return None if step is None else (axis, step[0])


def last_units(
    share: Share, look: Look, left: float, spare: Mapping[str, Sequence[int]], at_once: int = 1
) -> tuple[str, int] | None:
    """The axis whose next unit takes most and yet not too much; where each takes too much, the least.

    Of axes where it takes the same, the one that has most. Where a unit alone takes nothing, since a width is rounded,
    as many as take something. Of a latency no clock sees a single unit, so every axis has its turn, the one with most
    units first; one whose next unit takes the whole far below the target, as where 16 maps are faster than 17 by a
    third, comes last, or not at all.

    Args:
        share: The share that is left, and the goal.
        look: The network.
        left: Its share.
        spare: The units of each axis that may go, the next to die first.
        at_once: How many may be needed for a change.

    Returns:
        The axis, and how many of its units; None if there is nothing left that may go, or should.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from gasl.sparsifier.target import Target
        >>> model, x = nn.Sequential(nn.Linear(4, 20), nn.ReLU(), nn.Linear(20, 3)), torch.zeros(2, 4)
        >>> whole = Look.now(model, x, round_to=8)
        >>> last_units(Share(Target(sparsity=0.1), whole, x, {}), whole, 1.0, {"0": range(10), "0.in": []}, 8)
        ('0', 4)
    """
    free = {name: units for name, units in spare.items() if units}
    if share.target.kind == "latency":
        return _in_turn(share, look, left, free, at_once)
    tried = {name: _step(share, look, left, name, units, at_once) for name, units in free.items()}
    steps = {name: step for name, step in tried.items() if step is not None}
    near = {name: less for name, (_, less) in steps.items() if less >= share.goal - TOLERANCE}
    if not steps:
        return None
    if near:
        axis = min(near, key=lambda name: (near[name], -len(free[name])))
    else:
        axis = max(steps, key=lambda name: (steps[name][1], len(free[name])))
    return axis, steps[axis][0]


def _in_turn(
    share: Share, look: Look, left: float, free: Mapping[str, Sequence[int]], at_once: int
) -> tuple[str, int] | None:
    """The axis with most units of those that take a latency not far below its target; else the one that leaps least."""
    leaps = {}
    for axis in sorted(free, key=lambda name: len(free[name]), reverse=True):
        count = min(at_once, len(free[axis]))
        leaps[axis, count] = share(look.without({axis: free[axis][:count]}))
        if leaps[axis, count] >= share.lowest:
            return axis, count
    least = max(leaps, key=lambda step: leaps[step], default=None)
    near = left <= share.goal * (1 + _NEAR)
    return None if least is None or (near and leaps[least] < share.goal * (1 - _FAR)) else least


def _step(
    share: Share, look: Look, left: float, name: str, units: Sequence[int], at_once: int
) -> tuple[int, float] | None:
    """The fewest units of an axis, of those that may go, with which the share gets smaller, and how small."""

    def without(count: int) -> float:
        return share(look.without({name: units[:count]}))

    none, some = 0, min(at_once, len(units))
    while (found := without(some)) >= left - 1e-12:
        if some == len(units):
            return None
        none, some = some, min(2 * some, len(units))
    while some - none > 1:
        middle = (none + some) // 2
        if (less := without(middle)) < left - 1e-12:
            some, found = middle, less
        else:
            none = middle
    return some, found
