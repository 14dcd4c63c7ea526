"""Decide what goes, try it, and prove that nothing changed; or say why not."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import nn

from gasl.errors import InputError, RemovalError
from gasl.groups.selection import protected_axes
from gasl.removal.apply import apply_plan, duplicate
from gasl.removal.liveness import Liveness
from gasl.removal.plan import Plan, plan
from gasl.removal.rounding import what_stays
from gasl.removal.steady import steadily_traced
from gasl.removal.verify import Reference
from gasl.structure.axes import Structure
from gasl.structure.checks import finite
from gasl.structure.inputs import ExampleInputs, copied
from gasl.structure.running import named_tensors
from gasl.structure.trace import trace

__all__ = ["Attempt", "Decision", "decide"]

Attempt = Callable[[Plan], AbstractContextManager[nn.Module]]  # shows the smaller network for the time of a check

EXACT, SINGLE = 1e-10, 1e-5  # float64; any narrower type, and beyond it a float64 copy decides
OBVIOUS = 1e-3  # no rounding
_ROUNDINGS = 64  # of the inputs' last bits: every layer adds its own


@dataclass(frozen=True, eq=False)
class Decision:
    """What goes, with the proof.

    Args:
        structure: The trace.
        live: What stays.
        plan: How it is cut.
        difference: Of the outputs in evaluation mode.
        difference_train: In training mode, or None if there is nothing to compare.
        same: Whether the first is no more than rounding.
        same_train: Whether the second is.
    """

    structure: Structure
    live: Liveness
    plan: Plan
    difference: float
    difference_train: float | None
    same: bool
    same_train: bool


@dataclass(frozen=True, eq=False)
class _Wish:
    """What the user asked for."""

    model: nn.Module
    example_inputs: ExampleInputs
    protect: frozenset[str]
    gather: bool
    round_to: int

    def alive(self, structure: Structure, protect: frozenset[str] | None = None, hold: bool = False) -> Liveness:
        """What stays; with ``hold`` also what emits another constant in training mode."""
        whole = self.protect if protect is None else protect
        return what_stays(named_tensors(self.model), structure, whole, self.gather, self.round_to, hold)


def decide(
    model: nn.Module,
    example_inputs: ExampleInputs,
    protect: Collection[str],
    gather: bool,
    round_to: int,
    attempt: Attempt,
) -> Decision:
    """Find what can go from a network and check it in evaluation and in training mode.

    A unit whose constant comes out of a batch norm's running statistics may emit another one in training mode, where
    the norm takes the batch's. A network that was given in training mode keeps such a unit, so that its training goes
    on as it was; one that was given in evaluation mode loses it.

    Args:
        model: The network, which is not changed.
        example_inputs: What :func:`gasl.trace` takes.
        protect: Names of axes and modules to leave whole.
        gather: Whether single features may go.
        round_to: What each width is kept a multiple of.
        attempt: How the smaller network is made for the check.

    Returns:
        What to do.

    Raises:
        InputError: If the network has nothing that could be removed or weights that are no numbers, or ``protect`` a
            name that it has not.
        RemovalError: If an output would change, with the axis concerned.
    """
    structure, outputs = steadily_traced(finite(model), example_inputs)
    if not structure.axes:
        reasons = (
            "; ".join(f"{p.name}: {p.reason}" for p in structure.protected) or "no convolution or linear layer ran"
        )
        raise InputError(f"this network has no unit that could be removed ({reasons})")
    wish = _Wish(model, example_inputs, protected_axes(protect, structure, model), gather, round_to)
    reference = Reference(model, example_inputs, outputs, brief=True)
    found = _checked(wish, structure, wish.alive(structure), reference, attempt)
    if reference.brief and not (found.same and found.same_train):  # what a size decides, the whole example decides
        reference = Reference(model, example_inputs)
        found = _checked(wish, structure, wish.alive(structure), reference, attempt)
    if not found.same:
        raise _explain(wish, found, reference, attempt)
    if found.same_train:
        return found
    if not reference.repeatable(model):
        return replace(found, difference_train=None)
    careful = _checked(wish, structure, wish.alive(structure, hold=True), reference, attempt)
    if not (careful.same and careful.same_train):
        raise _explain(wish, careful, reference, attempt)
    return careful if any(module.training for module in model.modules()) else found


def _checked(wish: _Wish, structure: Structure, live: Liveness, reference: Reference, attempt: Attempt) -> Decision:
    steps = plan(structure, live)
    with attempt(steps) as small:
        difference, train = reference.difference(small), reference.training_difference(small)
    exact = not structure.relations.narrows and all(
        p.dtype is torch.float64 for p in wish.model.parameters() if p.is_floating_point()
    )
    bound = EXACT if exact else SINGLE
    same, same_train = difference <= bound, _trains_alike(reference, wish.model, train, bound)
    if not exact and not reference.brief and not (same and same_train):
        doubles = _in_double(wish, structure, live)
        if not same:
            difference, same = doubles[0], doubles[0] <= EXACT
        if not same_train:
            train, same_train = doubles[1], doubles[2]
    return Decision(structure, live, steps, difference, train, same, same_train)


def _trains_alike(reference: Reference, model: nn.Module, difference: float | None, bound: float) -> bool:
    if difference is None or difference <= bound:
        return True
    return difference <= min(_ROUNDINGS * reference.training_rounding(model), OBVIOUS)


def _in_double(wish: _Wish, structure: Structure, live: Liveness) -> tuple[float, float | None, bool]:
    """The same removal on a float64 copy, where rounding cannot hide or feign a difference."""
    never = float("inf"), float("inf"), False
    try:
        double = duplicate(wish.model).double()
        inputs = copied(wish.example_inputs, double)
        exact = trace(double, inputs)
    except InputError:  # it cannot be copied, or a forward holds a narrower type
        return never
    if exact.classes.keys() != structure.classes.keys() or not all(
        torch.equal(classes, exact.classes[key]) for key, classes in structure.classes.items()
    ):
        return never
    reference, small = Reference(double, inputs), apply_plan(double, plan(exact, live))
    train = reference.training_difference(small)
    return reference.difference(small), train, _trains_alike(reference, double, train, EXACT)


def _explain(wish: _Wish, decision: Decision, reference: Reference, attempt: Attempt) -> RemovalError:
    """Find an axis that cannot be cut alone, for the message."""
    everything = frozenset(axis.name for axis in decision.structure.axes)
    mode = "" if not decision.same else " in training mode"
    for axis in decision.structure.axes:
        if bool(decision.live.kept[axis.name].all()):
            continue
        alone = wish.alive(decision.structure, everything - {axis.name}, hold=decision.same)
        with attempt(plan(decision.structure, alone)) as small:
            found = reference.training_difference(small) if decision.same else reference.difference(small)
        if found is None or not found <= OBVIOUS:
            return RemovalError(
                f"removing units of {axis.name!r} would change the outputs{mode} (the forward holds its width as a"
                f" number, or mixes its units in a way the trace did not see); nothing was changed. Use"
                f" protect=[{axis.name!r}]"
            )
    difference = decision.difference_train if decision.same else decision.difference
    return RemovalError(
        f"the smaller network differs by {difference:.1e} of the largest output{mode}; nothing was changed"
    )
