"""How many units of each axis stay on the way to a target, and whether it can be met with them."""

from collections.abc import Collection, Mapping
from math import ceil

from gasl.errors import InputError
from gasl.sparsifier.look import Look
from gasl.sparsifier.share import Share
from gasl.sparsifier.target import Target

__all__ = ["check_reachable", "fair_floors", "own_floors"]

_FAIR = 0.25  # of the part of an axis' units that the target leaves of the whole network


def own_floors(
    target: Target, sizes: Mapping[str, int], floors: Mapping[str, int], round_to: int = 1
) -> dict[str, int]:
    """The floors; where the target names axes, raised to what is to stay of those, and to all units of the others.

    Args:
        target: The target.
        sizes: Units of each axis.
        floors: Units that it keeps whatever happens.
        round_to: What each width is kept a multiple of.

    Returns:
        Units that each axis keeps.

    Raises:
        InputError: If the target names an unknown axis.

    Example:
        >>> own_floors(Target(sparsity={"0": 0.75}), {"0": 8, "2": 6}, {"0": 1, "2": 1})
        {'0': 2, '2': 6}
    """
    wanted = target.sparsity
    if not isinstance(wanted, Mapping):
        return dict(floors)
    if unknown := wanted.keys() - sizes.keys():
        raise InputError(f"the target names {sorted(unknown)}, the network has the axes {sorted(sizes)}")
    least = {n: int((1 - wanted[n]) * m + 1e-9) if n in wanted else m for n, m in sizes.items()}
    down = {n: m - m % round_to or m if n in wanted else m for n, m in least.items()}
    return {n: max(floors[n], m) for n, m in down.items()}


def fair_floors(share: Share, whole: Look, floors: Mapping[str, int], free: Collection[str]) -> dict[str, int]:
    """What keeps narrow axes alive while the strength rises for the sake of an axis that takes most and dies last.

    Each axis keeps a quarter of the part of its units that the target leaves of the whole; where this is too much for
    the target, as little as its floor says. A target in units is left alone: it does not say of which axis.

    Args:
        share: The share that is left, and the goal.
        whole: The network before anything died.
        floors: Units that each axis keeps whatever happens.
        free: Axes whose units can die.

    Returns:
        Units that each axis keeps as long as others can go.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> x, model = torch.zeros(2, 4), nn.Sequential(nn.Linear(4, 20), nn.ReLU(), nn.Linear(20, 3))
        >>> whole = Look.now(model, x)
        >>> share = Share(Target(macs=0.5), whole, x, {})
        >>> fair_floors(share, whole, {"0.in": 1, "0": 1}, ["0.in", "0"])
        {'0.in': 1, '0': 3}
    """
    if share.target.kind == "units":
        return dict(floors)
    sizes = {axis.name: axis.size for axis in whole.structure.axes}
    fair = {name: max(least, ceil(_FAIR * share.goal * sizes[name])) for name, least in floors.items()}
    return fair if share(_without(whole, fair, free)) <= share.goal else dict(floors)


def check_reachable(
    share: Share, whole: Look, floors: Mapping[str, int], free: Collection[str], round_to: int = 1
) -> None:
    """Refuse a target that is not met even where all units are dead that the method can kill.

    Args:
        share: The share that is left, and the goal; of a latency it learns what no removal takes.
        whole: The network before anything died.
        floors: Units that each axis keeps.
        free: Axes whose units can die.
        round_to: What each width is kept a multiple of.

    Raises:
        InputError: With the smallest share that can be met.
    """
    look = _without(whole, floors, free)
    least = share(look)
    if share.target.kind == "latency":
        share.fixed = least
    if least > share.goal + 1e-9:
        rounded, stay = round_to > 1, look.counts
        sizes = {axis.name: axis.size for axis in whole.structure.axes}
        units = sum(stay[n] if rounded else floors[n] if n in free else size for n, size in sizes.items())
        raise InputError(
            f"the target {share.target} cannot be met: with {units} units left, the fewest that the method, "
            f"{'round_to, ' if rounded else ''}min_units and protect allow, {_in_words(share, least, stay, floors)}; "
            "ask for no less"
        )


def _without(whole: Look, floors: Mapping[str, int], free: Collection[str]) -> Look:
    return whole.without(
        {axis.name: range(floors[axis.name], axis.size) for axis in whole.structure.axes if axis.name in free}
    )


def _in_words(share: Share, least: float, units: Mapping[str, int], floors: Mapping[str, int]) -> str:
    if isinstance(wanted := share.target.sparsity, Mapping):
        stay = {name: (units[name], floors[name]) for name in wanted}
        return ", ".join(f"{name} keeps {n} units, not {m}" for name, (n, m) in stay.items() if n > m)
    if share.target.kind == "latency":
        return f"a pass takes {least * share.milliseconds:.3g} ms of {share.milliseconds:.3g}"
    return f"{share.target.kind} are at {least:.3g} of the whole"
