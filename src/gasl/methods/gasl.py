"""GASL: structured attention whose variance is guided by additive random samples (the paper, Section 4).

n_j is the l2 norm of the j-th of a layer's M groups, V_j is n_j, beta_j is drawn from a log-normal::

    V^r   = beta * V                              Algorithm 1
    Vhat  = V + c (V^r - mean V^r)                Eq. 4, M = c I;  only if Var[V^r] > Var[V]
    value = strength * theta(V) + alpha * strength / psi(Vhat)          Eq. 1

beta is drawn anew for each optimizer step ("fresh"), once ("fixed"), or anew and then permuted so that the largest
stands with the largest norm ("rank"). Readings: docs/readings.md, R1-R5 and R6-R12.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, Self, final, get_args

from torch import Tensor

from gasl.maths.attention import Inverse, Values
from gasl.maths.lasso import group_lasso, group_lasso_rates
from gasl.maths.ranking import rank_match_each
from gasl.maths.sampling import LogNormal, SampleFunction, Sampler, draw_each
from gasl.methods.attention_term import AttentionTerm
from gasl.methods.base import State, check_choice, check_number
from gasl.methods.penalty import Penalty

__all__ = ["GASL", "PRESETS", "Beta"]

Beta = Literal["fresh", "fixed", "rank"]

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "modern": {},
    "paper": {"inverse": "total", "scope": "filter", "step": "loss", "beta": "fresh", "detach": False},
}


@final
@dataclass(frozen=True, kw_only=True)
class GASL(Penalty):
    """Structured attention with guidance. Without ``beta`` it is :class:`gasl.StructuredAttention`.

    Args:
        strength: Initial weight of the penalty, lambda_s; null when it is calibrated or controlled.
        scope: What a group is: all that is removed with a unit ("coupled"), its "filter", or as for GroupLasso.
        linear: Units of a linear layer: "in" (outgoing weights of an input unit) or "out" (a neuron's row).
        granularity: What is sparsified: whole units, or single weights (scope and linear then mean nothing).
        step: "proximal" for the closed form after the optimizer's step, "loss" for a term of the loss.
        alpha: Weight of the attention relative to the group lasso, lambda_v / lambda_s.
        inverse: Reading of 1/Psi: total (the paper), per_layer, log, cv or standardised.
        values: What varies: the group norms, or their squares.
        normalise: Whether Eqs. 2 and 3 are normalised with sqrt(M), the root of the number of groups.
        eps: Relative guard: the variance v becomes v + eps * mean^2. 0 is none.
        beta: When the random factors are drawn: fresh for each step, fixed once, or fresh and rank-matched to V.
        sampler: Their distribution: a LogNormal, another Sampler, or a function (n, generator) -> (n,) tensor.
        mixing: c of M = c I in Eq. 4; 1 in the paper, 0 is no guidance.
        conditional: Whether Vhat is used only where Var[V^r] > Var[V] (Algorithm 1).
        detach: Whether V^r counts as a constant for the gradient.

    Example:
        >>> import torch
        >>> norms, beta = [torch.tensor([2.0, 1.0, 0.0, 1.0])], [torch.tensor([3.0, 0.0, 0.0, 0.0])]
        >>> GASL().rates(norms, 2.0, beta)  # 1 - z of Vhat = (6.5, -0.5, -1.5, -0.5)
        [tensor([0.0000, 1.4685, 1.7809, 1.4685])]
    """

    paper: ClassVar[str] = "GASL: Guided Attention for Sparsity Learning in Deep Neural Networks, Section 4"

    alpha: float = 1.0
    inverse: Inverse = "standardised"
    values: Values = "norms"
    normalise: bool = True
    eps: float = 0.0
    beta: Beta = "rank"
    sampler: LogNormal | Sampler | SampleFunction = field(default_factory=LogNormal)
    mixing: float = 1.0
    conditional: bool = True
    detach: bool = True

    def __post_init__(self) -> None:
        """Refuse what no training could use."""
        super().__post_init__()
        check_number("alpha", self.alpha)
        check_choice("beta", self.beta, get_args(Beta))
        _ = self._term

    @classmethod
    def preset(cls, name: str, **overrides: Any) -> Self:
        """The settings of the paper, or this library's own.

        Args:
            name: "paper" or "modern".
            **overrides: Fields to set otherwise.

        Returns:
            The method.

        Raises:
            InputError: If the preset or a field is unknown.

        Example:
            >>> GASL.preset("paper", alpha=0.1).beta
            'fresh'
        """
        return cls._from_preset(PRESETS, name, overrides)

    @cached_property
    def _term(self) -> AttentionTerm:
        return AttentionTerm(
            inverse=self.inverse,
            values=self.values,
            normalise=self.normalise,
            eps=self.eps,
            mixing=self.mixing,
            conditional=self.conditional,
            detach=self.detach,
        )

    def sparsity(self, norms: Sequence[Tensor]) -> Tensor:
        """Theta of Eq. 2."""
        return group_lasso(norms, self.normalise)

    def value(self, norms: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> Tensor:
        """The regulariser of Eq. 1 with Vhat in the variance; ``beta=None`` is without guidance."""
        lasso = strength * group_lasso(norms, self.normalise)
        return self._term.add_to_value(lasso, self._lasso_rates(norms, strength), norms, self.alpha * strength, beta)

    def rates(self, norms: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Its derivative with respect to each norm."""
        return self._term.add_to_rates(self._lasso_rates(norms, strength), norms, self.alpha * strength, beta)

    def draw(self, norms: Sequence[Tensor], state: State) -> list[Tensor]:
        """One factor per group from the state's own generator, axis by axis."""
        beta = draw_each(self.sampler, norms, state.generator)
        return (
            rank_match_each(beta, norms, positive=isinstance(self.sampler, LogNormal)) if self.beta == "rank" else beta
        )

    def carry(self, beta: list[Tensor] | None) -> list[Tensor] | None:
        """Fixed factors stay for the whole training."""
        return beta if self.beta == "fixed" else None

    def _lasso_rates(self, norms: Sequence[Tensor], strength: float) -> list[Tensor]:
        return group_lasso_rates(norms, self.normalise, strength)
