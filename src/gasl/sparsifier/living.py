"""Which units live, and which is the next to die, as the controllers of a target see it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gasl.groups.units import UnitGroups
from gasl.methods.base import State
from gasl.methods.posterior import UnitPosterior
from gasl.removal.liveness import Liveness

__all__ = ["alive_units", "killable", "weakest"]


def killable(groups: UnitGroups, state: State) -> list[str]:
    """The axes whose units the method can kill."""
    return list(_alive(groups, state))


def alive_units(groups: UnitGroups, state: State, live: Liveness) -> dict[str, int]:
    """Units of each axis that are alive by their own weights, those included that a floor holds.

    Of gates only what is still there: what else a floor holds is no part of the network, and changes.
    """
    alive = _alive(groups, state)
    if isinstance(state.posterior, UnitPosterior):
        alive = {name: mask & live.kept[name].to(mask.device) for name, mask in alive.items()}
    return {name: int(mask.sum()) for name, mask in alive.items()}


def weakest(groups: UnitGroups, state: State, live: Liveness) -> dict[str, list[int]]:
    """The units of each axis that are still there, and that the method can kill, the next to die first."""
    found = {}
    for (name, alive), score in zip(_alive(groups, state).items(), _scores(groups, state), strict=True):
        there = live.kept[name].to(score.device) & alive
        order = torch.where(there, score, torch.inf).argsort(stable=True)
        found[name] = order[: int(there.sum())].tolist()
    return found


def _alive(groups: UnitGroups, state: State) -> dict[str, Tensor]:
    """Not the scores above 0: of gates that a floor holds none need be open."""
    if isinstance(posterior := state.posterior, UnitPosterior):
        return {site.name: posterior.test(axis) != 0 for axis, site in enumerate(posterior.units)}
    return {name: ~dead for name, dead in zip(groups.names, groups.dead(), strict=True)}


def _scores(groups: UnitGroups, state: State) -> Sequence[Tensor]:
    """For the units of each axis a number that is the lower the sooner they die."""
    if isinstance(posterior := state.posterior, UnitPosterior):
        return [posterior.score(axis) for axis in range(len(posterior.units))]
    return groups.norms()
