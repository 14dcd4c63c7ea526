"""A method that is a term of the loss: a function of the group norms, and its derivative in closed form.

Two ways to act, chosen by ``step``::

    proximal   after the optimizer's step,  w_j <- max(0, 1 - lr r_j / n_j) w_j     exact zeros, no autograd
    loss       penalty() is added to the loss; the optimizer sees its gradient      the paper, no exact zeros

r_j is the derivative of the penalty with respect to n_j at the weights *before* the optimizer's step. Without
momentum the two are the same step for smooth terms, and differ by O(lr^2) where a rate is a proximal step.

A penalty may also cut: what :meth:`Penalty.cut` names stays exactly zero, and from then on nothing is penalised.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from gasl.groups.weights import WeightGroups
from gasl.maths.ranking import smallest
from gasl.methods.base import Groups, LearningRate, Method, State, check_choice

__all__ = ["Penalty", "Step"]

Step = Literal["proximal", "loss"]


@dataclass(frozen=True, kw_only=True)
class Penalty(Method, ABC):
    """Base of all penalties on group norms: the hooks, written once; a subclass gives the mathematics.

    Args:
        step: "proximal" for the closed form after the optimizer's step, "loss" for a term of the loss.
    """

    uniform: ClassVar[bool] = False  # whether the rates of an axis are one number, whatever the norms

    step: Step = "proximal"

    def __post_init__(self) -> None:
        """Refuse what no training could use."""
        super().__post_init__()
        check_choice("step", self.step, get_args(Step))

    @abstractmethod
    def sparsity(self, norms: Sequence[Tensor]) -> Tensor:
        """The sparsity term alone at strength 1, >= 0: what a strength is calibrated against."""

    @abstractmethod
    def value(self, norms: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> Tensor:
        """The regulariser of Eq. 1, 0-dim and differentiable in the norms; ``beta`` are the factors of Algorithm 1."""

    @abstractmethod
    def rates(self, norms: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> list[Tensor]:
        """The derivative of :meth:`value` with respect to each norm, in closed form and without a graph."""

    def draw(self, norms: Sequence[Tensor], state: State) -> list[Tensor] | None:
        """Random factors for the coming optimizer step; None for a penalty without any."""
        return None

    def carry(self, beta: list[Tensor] | None) -> list[Tensor] | None:
        """Which random factors stay for the next optimizer step; none unless a penalty says so."""
        return None

    def cut(self, groups: Groups, state: State) -> list[Tensor] | None:
        """Which groups go for good with the step that is being taken, one bool tensor per axis; None for nothing."""
        return None

    def before_step(self, groups: Groups, state: State) -> None:
        """Draw the random factors unless this step has them; for the proximal step, find the rates."""
        state.rates = None
        if state.strength == 0 or self.step != "proximal" or state.dead is not None:
            return
        with torch.no_grad():
            # The norms of single weights are a copy of the network; where only their number counts, it is not made.
            norms = groups.placeholders() if self.uniform and isinstance(groups, WeightGroups) else groups.norms()
            state.rates = self._rates(norms, state)
            if state.pressure is not None:
                state.rates = list(torch._foreach_mul(state.rates, state.pressure))

    def penalty(self, groups: Groups, state: State) -> Tensor:
        """The value if it is a term of the loss, else a zero; always the same factors within one optimizer step."""
        if state.strength == 0 or self.step != "loss" or state.dead is not None:
            return groups.zero()
        norms = groups.norms()
        return self.value(norms, state.strength, self._beta(norms, state))

    def after_step(self, groups: Groups, state: State, lr: LearningRate) -> None:
        """Do the proximal step and what is to be cut, and forget what belonged to this optimizer step."""
        if state.gone is not None:
            groups.clear_(state.gone)  # before the step of the others, whose floors count what is there
        if state.rates is not None:
            groups.shrink_(state.rates, lr)
        if state.gone is not None:
            with torch.no_grad():
                state.gone = [norms == 0 for norms in groups.norms()]
        state.rates = None
        state.beta = self.carry(state.beta)
        if (dead := self.cut(groups, state)) is not None:
            state.dead = dead
        if state.dead is not None:
            groups.clear_(state.dead)

    def _rates(self, norms: Sequence[Tensor], state: State) -> list[Tensor]:
        """The rates; of the smallest groups that are overdue no less than that of a group lasso."""
        rates = self.rates(norms, state.strength, self._beta(norms, state))
        if state.due is None or self.uniform:
            return rates
        found = []
        for n, r, due in zip(norms, rates, state.due, strict=True):
            least = state.strength / n.numel() ** 0.5 if getattr(self, "normalise", False) else state.strength
            overdue = smallest(torch.where(n > 0, n, torch.inf), due)
            found.append(torch.where(overdue, r.clamp(min=least), r))
        return found

    def _beta(self, norms: Sequence[Tensor], state: State) -> list[Tensor] | None:
        if state.beta is None:
            state.beta = self.draw([n.detach() if n.requires_grad else n for n in norms], state)
        return state.beta
