"""Attention over any penalty: "our proposed mechanism ... can operate on any Theta" (the paper, Section 3.2).

::

    value   = over.value + alpha * strength / Psi                Eq. 1, lambda_v = alpha * lambda_s
    rate_j  = over.rate_j + alpha * strength * d(1/Psi) / dn_j

Over a group lasso it is :class:`gasl.StructuredAttention`; with ``granularity="weight"`` it is the paper's
unstructured attention. Over :class:`gasl.L0` the expected size of a group, P(z_j > 0) |g_j|, stands for its norm n_j.
Readings: docs/readings.md, R3 (inverse), R4 (V), R5 (no variance), R17 and R27 (over other penalties).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import ClassVar, final

from torch import Tensor

from gasl.errors import InputError
from gasl.maths.attention import Inverse, Values
from gasl.methods.attention_term import AttentionTerm
from gasl.methods.base import Groups, LearningRate, Method, State, check_number
from gasl.methods.group_lasso import GroupLasso
from gasl.methods.l0 import L0, Gates
from gasl.methods.penalty import Penalty
from gasl.methods.stochastic import stochastic

__all__ = ["Attention"]


@final
@dataclass(frozen=True, kw_only=True)
class Attention(Penalty):
    """Any penalty plus a term that keeps the groups' sizes apart. ``alpha=0`` is the penalty alone.

    Args:
        strength: Initial weight of the penalty, lambda_s; null when it is calibrated or controlled.
        scope: What a group is: all that is removed with a unit ("coupled"), its "filter", or as for GroupLasso.
        linear: Units of a linear layer: "in" (outgoing weights of an input unit) or "out" (a neuron's row).
        granularity: What is sparsified: whole units, or single weights (scope and linear then mean nothing).
        step: "proximal" for the closed form after the optimizer's step, "loss" for a term of the loss. Over L0 it is
            always a term of the loss.
        over: The penalty underneath, with the same scope, linear, granularity and step, or L0; null is the group lasso.
        alpha: Weight of the attention relative to the penalty, lambda_v / lambda_s.
        inverse: Reading of 1/Psi: total (the paper), per_layer, log, cv or standardised.
        values: What varies: the group norms, or their squares.
        normalise: Whether the attention term uses Eq. 3's sqrt(M).
        eps: Relative guard: the variance v becomes v + eps * mean^2. 0 is none.

    Example:
        >>> import torch
        >>> Attention(over=GroupLasso()).rates([torch.tensor([2.0, 1.0, 0.0, 1.0])], strength=2.0)  # 1 - z
        [tensor([0.0000, 1.0000, 2.4142, 1.0000])]
    """

    paper: ClassVar[str] = "GASL: Guided Attention for Sparsity Learning in Deep Neural Networks, Section 3.2"

    over: Penalty | L0 | None = None
    alpha: float = 1.0
    inverse: Inverse = "standardised"
    values: Values = "norms"
    normalise: bool = True
    eps: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no training could use."""
        super().__post_init__()
        check_number("alpha", self.alpha)
        _ = self._term
        if not isinstance(below := self._penalty(), Penalty | L0):
            raise InputError(f"attention goes over a penalty on group norms, or L0, got over={below!r}; take e.g. L1()")
        for name in ("usual_strength", "kills", "cuts"):  # of this object; the class has those over a group lasso
            object.__setattr__(self, name, getattr(below, name))
        for name in [f.name for f in fields(Method if isinstance(self.over, L0) else Penalty)]:
            inner, outer = getattr(below, name), getattr(self, name)
            if name == "strength" and inner is not None:
                raise InputError(f"the penalty has strength={inner!r}; leave it out there and set it on the attention")
            if name != "strength" and inner != outer:
                raise InputError(f"the penalty has {name}={inner!r}, the attention {outer!r}; set both to the same")

    def _penalty(self) -> Penalty | L0:
        if self.over is not None:
            return self.over
        return GroupLasso(
            scope=self.scope,
            linear=self.linear,
            granularity=self.granularity,
            step=self.step,
            normalise=self.normalise,
        )

    @cached_property
    def _term(self) -> AttentionTerm:
        return AttentionTerm(inverse=self.inverse, values=self.values, normalise=self.normalise, eps=self.eps)

    def sparsity(self, norms: Sequence[Tensor]) -> Tensor:
        """The penalty underneath, at strength 1."""
        return self._penalty().sparsity(norms)

    def value(self, norms: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> Tensor:
        """The penalty plus alpha * strength times the attention term."""
        penalty = self._penalty()
        value, rates = penalty.value(norms, strength, beta), penalty.rates(norms, strength, beta)
        return self._term.add_to_value(value, rates, norms, self.alpha * strength, None)

    def rates(self, norms: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> list[Tensor]:
        """The penalty's rates plus alpha * strength times the attention's force."""
        rates = self._penalty().rates(norms, strength, beta)
        return self._term.add_to_rates(rates, norms, self.alpha * strength, None)

    def check(self, groups: Groups) -> None:
        """What the penalty underneath refuses."""
        self._penalty().check(groups)

    def draw(self, norms: Sequence[Tensor], state: State) -> list[Tensor] | None:
        """What the penalty underneath draws."""
        return below.draw(norms, state) if isinstance(below := self._penalty(), Penalty) else None

    def own_amount(self) -> str | None:
        """What the penalty underneath says."""
        return self._penalty().own_amount()

    def chosen(self, norms: Sequence[Tensor], floors: Sequence[int], fraction: float) -> list[Tensor]:
        """What the penalty underneath takes first."""
        return self._penalty().chosen(norms, floors, fraction)

    def cut(self, groups: Groups, state: State) -> list[Tensor] | None:
        """What the penalty underneath cuts."""
        return below.cut(groups, state) if isinstance(below := self._penalty(), Penalty) else None

    def carry(self, beta: list[Tensor] | None) -> list[Tensor] | None:
        """What the penalty underneath keeps."""
        return below.carry(beta) if isinstance(below := self._penalty(), Penalty) else None

    def before_step(self, groups: Groups, state: State) -> None:
        """As for any penalty; over L0 there is nothing to read."""
        if self._gates() is None:
            super().before_step(groups, state)

    def penalty(self, groups: Groups, state: State) -> Tensor:
        """As for any penalty; over L0 the value at the expected sizes, and L0's own decay."""
        if (gates := self._gates()) is None:
            return super().penalty(groups, state)
        weight, posterior = gates.weight(state), state.posterior
        if weight == 0 or not isinstance(posterior, Gates):
            return groups.zero()
        return self.value(posterior.expected(), weight) + weight * gates.shrinkage(groups, posterior)

    def after_step(self, groups: Groups, state: State, lr: LearningRate) -> None:
        """As for any penalty; over L0 what L0 does."""
        if (gates := self._gates()) is None:
            super().after_step(groups, state, lr)
        else:
            gates.after_step(groups, state, lr)

    def _gates(self) -> L0 | None:
        found = stochastic(self)
        return found if isinstance(found, L0) else None
