"""Structured attention (SA): group lasso plus a term that keeps the groups' sizes apart.

Paper: GASL, Section 3.2, Eqs. 1-3. n_j is the l2 norm of the j-th of a layer's M groups::

    theta  = sum over layers of  sum_j n_j             / sqrt(M)      Eq. 2, group_lasso
    psi    = sum over layers of  mean_j (n_j - mean)^2 / sqrt(M)      Eq. 3, group_variance
    value  = strength * theta + alpha * strength / psi                Eq. 1, lambda_v = alpha * lambda_s

with 1/psi in one of five readings (:mod:`gasl.maths.attention`). Readings: docs/readings.md, R1-R5, R14.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self, final

from torch import Tensor

from gasl.maths.attention import Inverse, Values
from gasl.maths.lasso import group_lasso, group_lasso_rates
from gasl.methods.attention_term import AttentionTerm
from gasl.methods.base import check_number
from gasl.methods.penalty import Penalty

__all__ = ["PRESETS", "StructuredAttention"]

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "modern": {},
    "paper": {"inverse": "total", "scope": "filter", "step": "loss"},
    "official_code": {
        "strength": 1e-3,
        "alpha": 10.0,
        "inverse": "per_layer",
        "values": "squared",
        "normalise": False,
        "scope": "filter",
        "linear": "out",
        "step": "loss",
    },
}


@final
@dataclass(frozen=True, kw_only=True)
class StructuredAttention(Penalty):
    """Eq. 1 without the guidance of Algorithm 1 (see :class:`gasl.GASL`). ``alpha=0`` is :class:`gasl.GroupLasso`.

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

    Example:
        >>> import torch
        >>> StructuredAttention().rates([torch.tensor([2.0, 1.0, 0.0, 1.0])], strength=2.0)  # 1 - z, not below 0
        [tensor([0.0000, 1.0000, 2.4142, 1.0000])]
    """

    paper: ClassVar[str] = "GASL: Guided Attention for Sparsity Learning in Deep Neural Networks, Section 3"

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

    @classmethod
    def preset(cls, name: str, **overrides: Any) -> Self:
        """The settings of the paper, of its authors' code, or this library's own.

        Args:
            name: "paper", "official_code" or "modern".
            **overrides: Fields to set otherwise.

        Returns:
            The method.

        Raises:
            InputError: If the preset or a field is unknown.

        Example:
            >>> StructuredAttention.preset("official_code", alpha=1.0).inverse
            'per_layer'
        """
        return cls._from_preset(PRESETS, name, overrides)

    @cached_property
    def _term(self) -> AttentionTerm:
        return AttentionTerm(inverse=self.inverse, values=self.values, normalise=self.normalise, eps=self.eps)

    def sparsity(self, norms: Sequence[Tensor]) -> Tensor:
        """Theta of Eq. 2."""
        return group_lasso(norms, self.normalise)

    def value(self, norms: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> Tensor:
        """The regulariser of Eq. 1; ``beta`` is not used."""
        lasso = strength * group_lasso(norms, self.normalise)
        return self._term.add_to_value(lasso, self._lasso_rates(norms, strength), norms, self.alpha * strength, None)

    def rates(self, norms: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Its derivative with respect to each norm; ``beta`` is not used."""
        return self._term.add_to_rates(self._lasso_rates(norms, strength), norms, self.alpha * strength, None)

    def _lasso_rates(self, norms: Sequence[Tensor], strength: float) -> list[Tensor]:
        return group_lasso_rates(norms, self.normalise, strength)
