"""A network as the host of a method's own parameters: where they go, how they come in and how they leave."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import nn

from gasl.errors import InputError
from gasl.groups.selection import weight_groups
from gasl.groups.sites import Sites, sites
from gasl.groups.units import UnitGroups
from gasl.groups.weights import WeightGroups
from gasl.methods.base import Method
from gasl.methods.draws import Draws
from gasl.methods.posterior import Posterior
from gasl.methods.stochastic import stochastic
from gasl.removal.apply import duplicate
from gasl.removal.liveness import liveness
from gasl.structure.axes import Structure
from gasl.structure.replaced import replace, restore
from gasl.structure.running import named_tensors, unwrapped

__all__ = ["attach_posterior", "folded", "places_of"]


def places_of(
    model: nn.Module,
    structure: Structure,
    method: Method,
    groups: UnitGroups | WeightGroups,
    floors: Mapping[str, int],
    protect: Sequence[str],
) -> Sites:
    """Where a method may put parameters of its own.

    Args:
        model: The network.
        structure: Its trace.
        method: The method.
        groups: What it makes sparse.
        floors: Units that stay, by axis.
        protect: What the user wants to be left alone.

    Returns:
        The places.
    """
    try:
        weights = weight_groups(model, structure, protect).tensors
    except InputError:  # units without a single free weight: then no weight has a place
        weights = {}
    axes = groups.axes if isinstance(groups, UnitGroups) else ()
    place = partial(sites, model, structure, method.scope, method.linear, floors, axes, weights)
    places = place()
    stubborn = _stubborn(model, structure, places)
    return place(stubborn) if stubborn else places


def _stubborn(model: nn.Module, structure: Structure, places: Sites) -> frozenset[str]:
    """Axes whose first unit stays though its readers do without it: of a width inside heads, queries and keys go on."""
    tensors = named_tensors(model)
    read = {m.tensor for axis in structure.axes for m in axis.members if m.role == "consumer"}
    doubtful = [site for site in places.units if all(u.place[0] in read for u in site.carriers)]
    tried = {u.place[0]: tensors[u.place[0]].detach().clone() for site in doubtful for u in site.carriers}
    for site in doubtful:
        first = torch.ones(site.size)
        first[0] = 0
        for units in site.carriers:
            name = units.place[0]
            tried[name] *= units.over(first, tried[name]).to(tried[name])
    kept = liveness(tensors | tried, structure).kept
    return frozenset(site.name for site in doubtful if site.size > 1 and bool(kept[site.name][0]))


def attach_posterior(model: nn.Module, method: Method, places: Callable[[], Sites], draws: Draws) -> Posterior | None:
    """Make a method's own parameters a part of a network.

    Args:
        model: The network as the user gave it.
        method: The method.
        places: Finds where they go.
        draws: Their random numbers.

    Returns:
        The posterior, in the network's mode; None for a method without one.

    Raises:
        InputError: If the network's wrapper has already listed its parameters.

    Example:
        >>> attach_posterior(nn.Linear(1, 1), Method(), lambda: None, Draws(torch.Generator(), 0))
    """
    if (own := stochastic(method)) is None:
        return None
    if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        raise InputError(
            f"{type(method).__name__} adds parameters to the network, which {type(model).__name__} would not see: "
            "make the sparsifier of the network first, then wrap the network"
        )
    host, posterior = unwrapped(model), own.posterior(places(), draws)
    replace(host, posterior.train(host.training), posterior.names, posterior.noisy)
    return posterior


def folded(model: nn.Module) -> nn.Module:
    """A copy of a network as it is in test mode, with nothing of a method left in it.

    Args:
        model: The network, with a posterior or without; it is not touched.

    Returns:
        The copy.

    Example:
        >>> folded(nn.Linear(1, 1))
        Linear(in_features=1, out_features=1, bias=True)
    """
    copy = duplicate(model)
    posterior = restore(copy)
    if isinstance(posterior, Posterior):
        posterior.fold_(dict(copy.named_parameters()))
    return copy
