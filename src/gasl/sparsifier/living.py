"""Which units live, and which is the next to die, as the controllers of a target see it."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gasl.groups.units import UnitGroups
from gasl.methods.base import State
from gasl.methods.posterior import UnitPosterior
from gasl.removal.liveness import Liveness

__all__ = ["alive_units", "scores", "weakest"]


def alive_units(groups: UnitGroups, state: State) -> dict[str, int]:
    """Units of each axis that are alive by their own weights, those included that a floor holds."""
    if isinstance(posterior := state.posterior, UnitPosterior):
        return {site.name: int((posterior.test(axis) != 0).sum()) for axis, site in enumerate(posterior.units)}
    return {name: int((~dead).sum()) for name, dead in zip(groups.names, groups.dead(), strict=True)}


def scores(groups: UnitGroups, state: State) -> dict[str, Tensor]:
    """For the units of each axis a number that is above 0 while they are alive, and the lower the sooner they die."""
    if isinstance(state.posterior, UnitPosterior):
        return {site.name: state.posterior.score(axis) for axis, site in enumerate(state.posterior.units)}
    return dict(zip(groups.names, groups.norms(), strict=True))


def weakest(scores: Mapping[str, Tensor], live: Liveness) -> dict[str, list[int]]:
    """The units of each axis that are still there, and that the method can kill, the next to die first."""
    found = {}
    for name, score in scores.items():
        there = live.kept[name].to(score.device) & (score > 0)
        order = torch.where(there, score, torch.inf).argsort(stable=True)
        found[name] = order[: int(there.sum())].tolist()
    return found
