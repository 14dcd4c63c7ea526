"""How many units may go until the next look, so that no axis goes past the target."""

from collections.abc import Mapping, Sequence

from gasl.maths.control import allowance, shared_out
from gasl.sparsifier.look import Look
from gasl.sparsifier.share import Share
from gasl.sparsifier.target import TOLERANCE

__all__ = ["allowed"]


def allowed(
    share: Share,
    look: Look,
    left: float,
    floors: Mapping[str, int],
    units: Mapping[str, Sequence[int]],
    at_once: int = 1,
) -> dict[str, int]:
    """The units of each axis that may go, and the whole is still not below the target.

    What a unit takes is counted, and the way to the target shared out among the axes of which some may go: not to the
    last of an axis, which would take all that reads it. Of a latency there is no such bound: it falls by leaps, where a
    width fits the machine's registers. So what may go is tried, and halved until no leap takes it far past the target.

    Args:
        share: The share that is left, and the goal.
        look: The network.
        left: Its share.
        floors: Units that each axis keeps.
        units: The units of each axis that are there, the next to die first.
        at_once: Where widths are rounded, what they are multiples of; the units that stay are one.

    Returns:
        How many, by axis.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from gasl.sparsifier.target import Target
        >>> model, x = nn.Sequential(nn.Linear(4, 20), nn.ReLU(), nn.Linear(20, 3)), torch.zeros(2, 4)
        >>> whole, units = Look.now(model, x), {"0.in": range(4), "0": range(20)}
        >>> allowed(Share(Target(macs=0.5), whole, x, {}), whole, 1.0, {"0.in": 1, "0": 1}, units)
        {'0.in': 1, '0': 7}
        >>> allowed(Share(Target(sparsity=0.5), whole, x, {}), whole, 1.0, {"0.in": 1, "0": 1}, units)
        {'0.in': 2, '0': 10}
    """
    stay, alive = look.counts, look.live.counts
    least = share.goal - TOLERANCE / 2
    if share.product:
        costs = share.costs(look, left, units, at_once)
        there = [stay[name] if alive[name] > floors[name] else 0 for name in units]
        counts = shared_out(left - least, there, [costs[name] for name in units])
    else:
        counts = allowance(left, least, [stay[name] for name in units], share.fixed)
        if share.target.kind == "latency":
            counts = [max(at_once, count) for count in counts]
    most = dict(zip(units, counts, strict=True))

    def rounded() -> dict[str, int]:
        found = {}
        for name, count in most.items():
            may_go = max(0, min(count - (stay[name] - alive[name]), alive[name] - floors[name]))
            found[name] = alive[name] - min(alive[name], -(-(alive[name] - may_go) // at_once) * at_once)
        return found

    going = rounded()
    if share.target.kind == "latency":
        while any(going.values()) and share(look.without({n: units[n][:k] for n, k in going.items()})) < share.lowest:
            most = {name: count // 2 for name, count in most.items()}
            going = rounded()
    return going
