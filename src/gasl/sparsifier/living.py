"""Which units live, and which is the next to die, as the controllers of a target see it."""

import torch

from gasl.groups.units import UnitGroups
from gasl.methods.base import State
from gasl.methods.posterior import UnitPosterior
from gasl.removal.liveness import Liveness

__all__ = ["alive_units", "killable", "weakest"]


def killable(groups: UnitGroups, state: State) -> tuple[str, ...]:
    """The axes whose units the method can kill."""
    if isinstance(posterior := state.posterior, UnitPosterior):
        return tuple(site.name for site in posterior.units)
    return groups.names


def alive_units(groups: UnitGroups, state: State, live: Liveness) -> dict[str, int]:
    """Units of each axis that are alive by their own weights, those included that a floor holds.

    Of gates only what is still there: what else a floor holds is no part of the network, and changes.
    """
    if isinstance(state.posterior, UnitPosterior):
        return {name: len(units) for name, units in weakest(groups, state, live).items()}
    return {name: int((~dead).sum()) for name, dead in zip(groups.names, groups.dead(), strict=True)}


def weakest(groups: UnitGroups, state: State, live: Liveness) -> dict[str, list[int]]:
    """The units of each axis that are still there, and that the method can kill, the next to die first."""
    if isinstance(posterior := state.posterior, UnitPosterior):
        axes = range(len(posterior.units))
        scores = [posterior.score(axis) for axis in axes]
        alive = [posterior.test(axis) != 0 for axis in axes]  # of gates that a floor holds none need be open
    else:
        scores = groups.norms()
        alive = [score > 0 for score in scores]
    found = {}
    for name, score, own in zip(killable(groups, state), scores, alive, strict=True):
        there = live.kept[name].to(score.device) & own
        order = torch.where(there, score, torch.inf).argsort(stable=True)
        found[name] = order[: int(there.sum())].tolist()
    return found
