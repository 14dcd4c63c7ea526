"""What a sparsifier works on: the network's trace and groups, and the method's state and parameters in it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from gasl.errors import InputError
from gasl.groups.kinds import network_groups
from gasl.groups.selection import protected_axes, unit_floors
from gasl.groups.units import UnitGroups
from gasl.groups.weights import WeightGroups
from gasl.methods.base import Method, State, check_seed
from gasl.methods.calibration import first_strength
from gasl.methods.draws import Draws
from gasl.methods.posterior import Posterior
from gasl.sparsifier.hosting import attach_posterior, places_of
from gasl.structure.axes import Structure
from gasl.structure.checks import finite
from gasl.structure.inputs import ExampleInputs
from gasl.structure.running import unwrapped
from gasl.structure.trace import trace

__all__ = ["Setup", "check_sizes", "set_up"]


class Setup(NamedTuple):
    """What there is before training begins; ``floors`` are the units that each axis keeps."""

    structure: Structure
    groups: UnitGroups | WeightGroups
    state: State
    posterior: Posterior | None
    floors: Mapping[str, int]
    protected: frozenset[str]


def set_up(
    model: nn.Module,
    method: Method,
    example_inputs: ExampleInputs,
    protect: Sequence[str],
    min_units: int | Mapping[str, int],
    seed: int,
) -> Setup:
    """Trace a network and make it the host of a method; arguments as for :class:`gasl.Sparsifier`.

    Raises:
        InputError: If the network has nothing to remove, or a name or number does not fit it or the method.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> set_up(model, Method(), torch.zeros(2, 4), ["0.in"], 2, seed=0).floors
        {'0.in': 2, '0': 2}
    """
    check_method(method)
    check_seed(seed)
    network = unwrapped(model)
    structure = trace(finite(network), example_inputs)
    protected, floors = protected_axes(protect, structure, network), unit_floors(min_units, structure)
    words = method.granularity, method.scope, method.linear
    groups = network_groups(network, structure, example_inputs, *words, protect, floors)
    method.check(groups)
    whole = isinstance(groups, UnitGroups) and method.scope != "depth"
    if not (whole or method.holds_units) and any(count > 1 for count in floors.values()):
        raise InputError(
            f"min_units counts units, but what {type(method).__name__} takes here are single weights, columns or whole "
            "layers; leave min_units out, or name in protect what is to stay"
        )
    state = State(strength=first_strength(method), generator=torch.Generator().manual_seed(seed))
    places = partial(places_of, network, structure, method, groups, floors, protect)
    posterior = state.posterior = attach_posterior(model, method, places, Draws(state.generator, seed))
    return Setup(structure, groups, state, posterior, floors, protected)


def check_method(method: object) -> None:
    """Refuse what is no method: a class that was not called, a name.

    Args:
        method: What was given.

    Raises:
        InputError: If it is none.

    Example:
        >>> check_method(Method)
        Traceback (most recent call last):
        gasl.errors.InputError: method must be a method as gasl.GASL(strength=0.1), got the class Method; call it
    """
    if not isinstance(method, Method):
        got = f"the class {method.__name__}; call it" if isinstance(method, type) else f"{method!r}"
        raise InputError(f"method must be a method as gasl.GASL(strength=0.1), got {got}")


def check_sizes(groups: UnitGroups | WeightGroups, shapes: Sequence[torch.Size]) -> None:
    """Refuse a network whose weights have other sizes than when it was set up.

    Args:
        groups: The groups, which hold the weights.
        shapes: The sizes that they had.

    Raises:
        InputError: If any has another.

    Example:
        >>> check_sizes(WeightGroups({"0.weight": torch.ones(2, 3)}), [torch.Size([2, 3])])
    """
    if list(shapes) != [tensor.shape for tensor in groups.tensors.values()]:
        raise InputError(
            "the network's weights have other sizes than when this sparsifier was made (gasl.shrink_?); "
            "detach() it and make a new one of the network as it is"
        )
