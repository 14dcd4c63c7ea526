"""The law that finds the strength of a penalty for a wanted share of the network.

left is the share that is still there, wanted(t) what should be there at step t of a schedule of T steps::

    wanted(t) = target + (1 - target) (1 - t / T)^3                             0 <= t <= T, then target
    e         = log(left / wanted(t))                                           > 0 when behind the schedule
    log s    <- log s + clip(ki e + kp (e - e'), -most, most)                   e' of the check before

s stays within a factor of its start; only after T does it go on, a little in each check. Gates move as fast as their
optimizer lets them, however hard they are pressed, so theirs goes on to exp(``GATES_LATE``) = 400 times that bound.

A weight lies between at most three widths (rows, channels, single features), so what is left is a sum of products of
widths, and no set of units takes more than the sum of what each takes alone: n_a units of each axis can go without more
than b being gone as long as sum n_a c_a <= b, with c_a what one unit of axis a takes at most.

A time is no such product. With a part f of the alive units of every axis gone it is taken to be no less than (1 - f)^3
of what it was, so f = 1 - (least / left)^(1/3) can go without passing least; where a part of it is there whatever goes,
it is f of what lies above that part.
"""

from collections.abc import Sequence
from math import exp, inf, log

from gasl.errors import InputError

__all__ = ["GATES_LATE", "allowance", "change_of_log_strength", "lag", "next_strength", "shared_out", "wanted_share"]

GATES_LATE = 6.0


def wanted_share(step: int, steps: int, target: float) -> float:
    """The cubic schedule of the share that should be left.

    Args:
        step: Optimizer steps done, t.
        steps: Steps in which the target is to be met, T.
        target: The share that is wanted in the end.

    Returns:
        wanted(t).

    Example:
        >>> [wanted_share(step, steps=100, target=0.2) for step in (0, 50, 100, 200)]
        [1.0, 0.30000000000000004, 0.2, 0.2]
    """
    if steps < 1:
        raise InputError(f"steps must be at least 1, got {steps}")
    return target + (1 - target) * (1 - min(step, steps) / steps) ** 3


def lag(left: float, wanted: float) -> float:
    """How far what is left is behind the schedule. As a ratio, so that a fortieth is held to as closely as a half.

    Args:
        left: The share that is left, > 0.
        wanted: wanted(t).

    Returns:
        e, > 0 when behind.

    Example:
        >>> lag(left=0.5, wanted=0.5), lag(left=0.05, wanted=0.04) == lag(left=0.5, wanted=0.4)
        (0.0, True)
    """
    return log(left / wanted)


def change_of_log_strength(error: float, before: float, ki: float = 0.3, kp: float = 4.0, most: float = 0.5) -> float:
    """What a check adds to the logarithm of the strength.

    Args:
        error: e, see :func:`lag`.
        before: e', of the check before.
        ki: Gain of the error.
        kp: Gain of its change.
        most: Largest change.

    Returns:
        The change.

    Example:
        >>> change_of_log_strength(0.25, before=0.25), change_of_log_strength(0.0, before=0.25)
        (0.075, -0.5)
    """
    return max(-most, min(most, ki * error + kp * (error - before)))


def next_strength(
    strength: float,
    start: float,
    error: float,
    before: float,
    late: int,
    span: float = 20.0,
    push: float = 0.05,
    most: float = inf,
) -> float:
    """The strength that a check sets.

    Args:
        strength: s, in use until now.
        start: What it began with.
        error: e, see :func:`lag`.
        before: e', of the check before.
        late: Checks since the schedule was over.
        span: How far it may go from its start; further up only when it is late.
        push: What is added to its logarithm in each check when it is late, to the upper bound as well.
        most: What is added to the upper bound's in all.

    Returns:
        The strength.

    Example:
        >>> [next_strength(s, 0.1, error=0.5, before=0.5, late=0) for s in (0.1, 2.0)]  # 2 is the most
        [0.11618342427282831, 2.0]
        >>> f"{next_strength(2.0, 0.1, error=0.5, before=0.5, late=3):.3f}"  # 2 exp(3 push), and no more
        '2.324'
    """
    wanted = strength * exp(change_of_log_strength(error, before) + push * (late > 0))
    return min(max(wanted, start / span), start * span * exp(min(push * late, most)))


def allowance(left: float, least: float, alive: Sequence[int], fixed: float = 0.0) -> list[int]:
    """How many units each axis may lose at once so that the share left stays above a bound.

    Args:
        left: The share that is left, > 0.
        least: What must stay.
        alive: Units that are alive, by axis.
        fixed: What of it stays with no units at all.

    Returns:
        The numbers; all 0 where nothing may go.

    Example:
        >>> allowance(left=0.8, least=0.1, alive=[20, 500, 1])
        [10, 250, 0]
        >>> allowance(left=0.8, least=0.4, alive=[20, 500, 1], fixed=0.3)
        [8, 207, 0]
    """
    if left <= least:
        return [0] * len(alive)
    part = 1 - (max(least - fixed, 0.0) / (left - fixed)) ** (1 / 3) if left > fixed else 1.0
    return [int(part * count) for count in alive]


def shared_out(budget: float, alive: Sequence[int], costs: Sequence[float]) -> list[int]:
    """How many units each axis may lose at once so that no more is gone than a budget.

    The same part of every axis; what that leaves of the budget goes to the axes that lost most by whole numbers.

    Args:
        budget: b, what may be gone.
        alive: Units that are alive, by axis.
        costs: c, what one unit of each axis takes with it at most; in the same measure.

    Returns:
        The numbers, n; all 0 where nothing may go.

    Example:
        >>> shared_out(10, alive=[60, 30, 10], costs=[1, 1, 1]), shared_out(3, alive=[60, 30, 10], costs=[1, 1, 1])
        ([6, 3, 1], [2, 1, 0])
        >>> shared_out(20, alive=[12, 160], costs=[17, 1])  # a map would take 17 of the 20
        [0, 9]
    """
    whole = sum(n * c for n, c in zip(alive, costs, strict=True))
    part = 0.0 if budget <= 0 else 1.0 if budget >= whole else budget / whole
    counts = [int(part * n) for n in alive]
    rest = budget - sum(n * c for n, c in zip(counts, costs, strict=True))
    for axis in sorted(range(len(alive)), key=lambda axis: counts[axis] - part * alive[axis]):
        if counts[axis] < part * alive[axis] and costs[axis] <= rest:
            counts[axis] += 1
            rest -= costs[axis]
    return counts
