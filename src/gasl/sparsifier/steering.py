"""Which controller meets a target: one that sets a strength, or one that cuts; of units, or of single weights."""

from collections.abc import Callable, Mapping
from math import isnan

from torch import nn

from gasl.errors import InputError
from gasl.groups.units import UnitGroups
from gasl.groups.weights import WeightGroups
from gasl.methods.base import Method, State
from gasl.methods.stochastic import stochastic
from gasl.sparsifier.control import Controller
from gasl.sparsifier.cutting import CuttingController
from gasl.sparsifier.living import killable
from gasl.sparsifier.single import WeightController
from gasl.sparsifier.target import Target
from gasl.structure.inputs import ExampleInputs

__all__ = ["controller_of"]


def controller_of(
    target: Target | None,
    method: Method,
    groups: UnitGroups | WeightGroups,
    state: State,
    model: Callable[[], nn.Module],
    example_inputs: ExampleInputs,
    floors: Mapping[str, int],
    protect: frozenset[str],
    round_to: int = 1,
) -> Controller | WeightController | None:
    """The controller of a sparsifier that was given a target.

    Args:
        target: What was given; None for no controller.
        method: The method.
        groups: What it makes sparse.
        state: Its state; a strength that is not known yet becomes the method's usual one.
        model: As for :class:`gasl.sparsifier.control.Controller`, and so are the others.
        example_inputs: What the network takes.
        floors: Units that each axis keeps.
        protect: Axes that stay whole.
        round_to: What each width is kept a multiple of.

    Returns:
        The controller.

    Raises:
        InputError: If the method makes nothing exactly zero, or the target cannot be met.
    """
    if target is None:
        return None
    if not isinstance(target, Target):
        raise InputError(f"target must be a target as gasl.Target(macs=0.25), got {target!r}")
    exact = stochastic(method) is not None or getattr(method, "step", "proximal") == "proximal"
    if not (method.cuts or (method.kills and exact)):
        raise InputError(
            f"a target needs a method that makes units exactly zero, got {method}; take step='proximal', or e.g. GASL()"
        )
    if (own := method.own_amount()) is not None:
        raise InputError(f"the target says how much goes, and so does the method; leave out its {own}")
    if isnan(state.strength):
        state.strength = method.usual_strength or 0.0
    if isinstance(groups, WeightGroups):
        return WeightController(target, method, groups, model, state)
    kind = Controller if method.kills else CuttingController
    names = killable(groups, state)
    controller = kind(target, method, model, example_inputs, floors, protect, state, names, round_to)
    controller.begin(groups, state)
    return controller
