"""What a sparsity method is: a few hooks on the training loop, drawn here where they run.

::

    for x, y in loader:
        loss = cross_entropy(model(x), y) + method.penalty(groups, state)
        loss.backward()
        method.before_step(groups, state)     # reads the weights before the step
        optimizer.step()
        method.after_step(groups, state, lr)  # e.g. the proximal step

A method holds hyper-parameters only: everything that lives during training is in :class:`State`, everything that
knows the network is behind :class:`Groups`. The hooks may also be called as ``before_step``, ``penalty``, ..., and
``penalty`` any number of times in one optimizer step (gradient accumulation): all see the same random numbers.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Protocol, Self, get_args

import torch
from torch import Tensor, nn

from gasl.errors import InputError, unknown_name
from gasl.maths.norms import Orientation

__all__ = [
    "Granularity",
    "Groups",
    "LearningRate",
    "Method",
    "Scope",
    "State",
    "check_choice",
    "check_number",
    "check_seed",
]

Scope = Literal["filter", "channel", "shape", "depth", "scale", "coupled"]
Granularity = Literal["unit", "weight"]
LearningRate = Callable[[Tensor], float]


class Groups(Protocol):
    """The groups of a network, axis by axis, as a method sees them."""

    @property
    def names(self) -> tuple[str, ...]:
        """The axes, e.g. ``("conv1", "fc1.in")``."""

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """The weights that the groups are slices of, by name; of single weights an axis is named like its tensor."""

    @property
    def inputs(self) -> Mapping[str, int]:
        """Of single weights the dimension along which each tensor reads its inputs, where it is one; else empty."""

    @property
    def floors(self) -> list[int]:
        """How many groups of each axis stay at least."""

    def norms(self) -> list[Tensor]:
        """One ``(M,)`` tensor of group norms per axis; differentiable, with zero gradient at an all-zero group."""

    def zero(self) -> Tensor:
        """A 0-dim zero on the device and in the dtype of the norms, without computing them."""

    def shrink_(self, rates: Sequence[Tensor], lr: LearningRate) -> None:
        """Multiply every member tensor w of group j with max(0, 1 - lr(w) * r_j / n_j), n_j at the current weights."""

    def clear_(self, dead: Sequence[Tensor]) -> None:
        """Set the weights of the given groups to zero; one ``(M,)`` bool tensor per axis."""


@dataclass(kw_only=True)
class State:
    """Everything of a method that changes during training.

    Args:
        strength: The live weight of the penalty, lambda_s.
        generator: Source of all random numbers, on the CPU and seeded alike on every rank.
        step: Optimizer steps done; counted by whoever drives the method.
        pressure: What the rates of each axis are multiplied with; None for 1.
        gone: Groups that died and stay zero while others are still to die, one bool tensor per axis; None for none.
        due: How many groups of each axis should have died by now; None while there is time.
        beta: The random factors of Algorithm 1 now in use, one tensor per axis; None when none are drawn.
        rates: What ``before_step`` found for ``after_step``, one tensor per axis; None when there is nothing to do.
        dead: Groups that were cut and stay exactly zero, one bool tensor per axis; None when none were.
        posterior: The method's own parameters, a part of the network while it trains; None for a method without any.

    Example:
        >>> State(strength=0.1, generator=torch.Generator().manual_seed(0)).step
        0
    """

    strength: float
    generator: torch.Generator
    step: int = 0
    pressure: list[float] | None = None
    gone: list[Tensor] | None = None
    due: list[int] | None = None
    beta: list[Tensor] | None = None
    rates: list[Tensor] | None = None
    dead: list[Tensor] | None = None
    posterior: nn.Module | None = None


@dataclass(frozen=True, kw_only=True)
class Method:
    """Base of all methods: the fields that say which weights form a group, and hooks that do nothing.

    Args:
        strength: Initial weight of the penalty, lambda_s; null when it is calibrated or controlled.
        scope: Which weights of a unit its norm is taken over: its own filter, the channels that read it, the scale of
            the batch norm behind it, or all that are removed with it. Or other groups: "shape", the columns of each
            layer's weight; "depth", whole layers that have a shortcut around them.
        linear: Units of a linear layer: "in" (outgoing weights of an input unit) or "out" (a neuron's row).
        granularity: What is sparsified: whole units, or single weights (scope and linear then mean nothing).

    Example:
        >>> Method(strength=0.1)
        Method(strength=0.1, scope='coupled', linear='in', granularity='unit')
        >>> Method(strength=-0.1)
        Traceback (most recent call last):
        gasl.errors.InputError: strength must be a finite number >= 0, got -0.1
    """

    paper: ClassVar[str] = ""  # where it comes from: authors, title, year
    usual_strength: ClassVar[float | None] = 0.1  # what a run takes if it is given none; None: there is no penalty
    kills: ClassVar[bool] = True  # whether a strength alone makes units exactly zero
    cuts: ClassVar[bool] = False  # whether it takes the smallest groups at once, as :meth:`chosen` says
    holds_units: ClassVar[bool] = False  # whether min_units holds though single weights go

    strength: float | None = None
    scope: Scope = "coupled"
    linear: Orientation = "in"
    granularity: Granularity = "unit"

    def __post_init__(self) -> None:
        """Refuse what no training could use."""
        if self.strength is not None:
            check_number("strength", self.strength)
        check_choice("scope", self.scope, get_args(Scope))
        check_choice("linear", self.linear, get_args(Orientation))
        check_choice("granularity", self.granularity, get_args(Granularity))

    def check(self, groups: Groups) -> None:
        """Refuse groups that the settings do not fit; called once, before any training."""

    def before_step(self, groups: Groups, state: State) -> None:
        """Read the weights before the optimizer's step; called once per optimizer step."""

    def penalty(self, groups: Groups, state: State) -> Tensor:
        """The term of the loss, 0-dim; a zero for a method that needs none."""
        return groups.zero()

    def after_step(self, groups: Groups, state: State, lr: LearningRate) -> None:
        """Change the weights after the optimizer's step; ``lr`` gives the step size of each parameter."""

    def own_amount(self) -> str | None:
        """What its own settings say about how much goes, which a target would contradict; None if they say nothing."""
        return None

    def chosen(self, norms: Sequence[Tensor], floors: Sequence[int], fraction: float) -> list[Tensor]:
        """The groups that a method which cuts takes first, when a target asks for a fraction of all.

        Args:
            norms: The group norms, one tensor an axis.
            floors: How many of each axis stay at least.
            fraction: How many are to be zero.

        Returns:
            One bool tensor an axis.
        """
        raise NotImplementedError(type(self).__name__)  # a method that cuts has this

    @classmethod
    def _from_preset(cls, presets: Mapping[str, Mapping[str, Any]], name: str, overrides: Mapping[str, Any]) -> Self:
        check_choice(f"preset of {cls.__name__}", name, presets)
        for field in overrides:
            check_choice(f"field of {cls.__name__}", field, [f.name for f in fields(cls)])
        return cls(**{**presets[name], **overrides})


def check_number(name: str, value: float) -> None:
    """Refuse a hyper-parameter that is negative, infinite or NaN.

    Args:
        name: Its field.
        value: What was given.

    Raises:
        InputError: If it is not a finite number >= 0.

    Example:
        >>> check_number("alpha", -1.0)
        Traceback (most recent call last):
        gasl.errors.InputError: alpha must be a finite number >= 0, got -1.0
    """
    if not isinstance(value, int | float) or not (math.isfinite(value) and value >= 0):
        raise InputError(f"{name} must be a finite number >= 0, got {value!r}")


def check_seed(seed: int) -> None:
    """Refuse what no random generator takes.

    Args:
        seed: What was given.

    Raises:
        InputError: If it is not a whole number from 0 to 2^63 - 1.

    Example:
        >>> check_seed(-1)
        Traceback (most recent call last):
        gasl.errors.InputError: seed must be a whole number from 0 to 2^63 - 1, got -1
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise InputError(f"seed must be a whole number from 0 to 2^63 - 1, got {seed!r}")


def check_choice(name: str, value: str, known: Sequence[str] | Mapping[str, Any]) -> None:
    """Refuse a name that is not in a closed list.

    Args:
        name: What the name stands for.
        value: What was given.
        known: What would have been taken.

    Raises:
        InputError: If it is not in the list; the message names the nearest.

    Example:
        >>> check_choice("scope", "filters", ["filter", "coupled"])
        Traceback (most recent call last):
        gasl.errors.InputError: unknown scope 'filters'; did you mean 'filter'? Known: coupled, filter
    """
    if value not in known:
        raise unknown_name(name, value, known)
