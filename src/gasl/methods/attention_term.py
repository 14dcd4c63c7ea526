"""The attention term as the methods use it: which elements, guided or not, which reading of the inverse.

From norms to force by the chain rule, each link a function of ``gasl.maths``::

    n  --elements-->  V  --guide-->  Vhat  --attention-->  value
    rate  <--slope--  dV  <--pullback--  dVhat  <--attention_force--

The "standardised" reading never pushes a group up: its rates, penalty and attention together, stop at 0
(design: rate_j = strength / sqrt(M) * max(0, 1 - alpha z_j)).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final, get_args

import torch
from torch import Tensor

from gasl.errors import InputError
from gasl.maths.attention import Inverse, Values, attention, attention_force, elements, elements_slope
from gasl.maths.force import guided_force
from gasl.maths.guidance import guide, guide_pullback
from gasl.maths.rows import Rows
from gasl.methods.base import check_choice, check_number

__all__ = ["AttentionTerm"]


@final
@dataclass(frozen=True, kw_only=True)
class AttentionTerm:
    """1/Psi of Eq. 1 on a chosen V, by itself or guided by Algorithm 1.

    Args:
        inverse: Reading of 1/Psi; see :mod:`gasl.maths.attention`.
        values: V: the group norms or their squares.
        normalise: Whether Eq. 3's sqrt(M) is used.
        eps: Relative guard of the variance.
        mixing: c of M = c I in Eq. 4.
        conditional: Whether Algorithm 1 branches on the variances.
        detach: Whether V^r counts as a constant for the gradient.

    Example:
        >>> AttentionTerm(inverse="cv", normalise=False).value([torch.tensor([5.0, 0.0])])
        tensor(1.)
    """

    inverse: Inverse
    values: Values = "norms"
    normalise: bool = True
    eps: float = 0.0
    mixing: float = 1.0
    conditional: bool = True
    detach: bool = False

    def __post_init__(self) -> None:
        """Refuse what no training could use."""
        check_choice("inverse", self.inverse, get_args(Inverse))
        check_choice("values", self.values, get_args(Values))
        check_number("eps", self.eps)
        check_number("mixing", self.mixing)

    def value(self, norms: Sequence[Tensor], beta: Sequence[Tensor] | None = None) -> Tensor:
        """The term, 0-dim and differentiable in the norms.

        Args:
            norms: One ``(M,)`` tensor of group norms per axis.
            beta: One random factor per group, or None for the term without guidance.

        Returns:
            A 0-dim tensor.

        Raises:
            InputError: If ``beta`` does not fit the norms.
        """
        v = [elements(n, self.values) for n in norms]
        return attention(self._guided(v, beta), self.inverse, normalise=self.normalise, eps=self.eps)

    def force(self, norms: Sequence[Tensor], beta: Sequence[Tensor] | None = None) -> list[Tensor]:
        """The derivative of :meth:`value` with respect to each norm, in closed form.

        Args:
            norms: One ``(M,)`` tensor of group norms per axis.
            beta: As in :meth:`value`.

        Returns:
            One ``(M,)`` tensor per axis, without a graph.

        Raises:
            InputError: If ``beta`` does not fit the norms.
        """
        norms = [n.detach() for n in norms]
        _check(norms, beta)
        if rows := Rows.of(norms):
            return rows.vectors(guided_force(rows, norms, beta, **vars(self)))
        v = [elements(n, self.values) for n in norms]
        forces = attention_force(self._guided(v, beta), self.inverse, normalise=self.normalise, eps=self.eps)
        if beta is not None:
            forces = [
                guide_pullback(g, x, b, self.mixing, self.conditional, self.detach)
                for g, x, b in zip(forces, v, beta, strict=True)
            ]
        return [g * elements_slope(n, self.values) for g, n in zip(forces, norms, strict=True)]

    def add_to_rates(
        self, rates: Sequence[Tensor], norms: Sequence[Tensor], weight: float, beta: Sequence[Tensor] | None
    ) -> list[Tensor]:
        """The rates of a penalty plus this term's: rate_j + weight * force_j, not below 0 for "standardised".

        Args:
            rates: The penalty's own, one ``(M,)`` tensor per axis.
            norms: The group norms.
            weight: lambda_v = alpha * strength; at 0 the rates come back as they are.
            beta: As in :meth:`value`.

        Returns:
            One ``(M,)`` tensor per axis.
        """
        if weight == 0:
            return list(rates)
        norms = [n.detach() if n.requires_grad else n for n in norms]
        _check(norms, beta)
        if (rows := Rows.of(norms)) is None:
            total = torch._foreach_add(list(rates), self.force(norms, beta), alpha=weight)
            return list(torch._foreach_clamp_min(total, 0) if self.inverse == "standardised" else total)
        with torch.no_grad():
            force = rows.flat(guided_force(rows, norms, beta, **vars(self)))
            joined = torch.cat(list(rates)).add_(force, alpha=weight)
            return rows.split(joined.clamp_min_(0) if self.inverse == "standardised" else joined)

    def add_to_value(
        self,
        value: Tensor,
        rates: Sequence[Tensor],
        norms: Sequence[Tensor],
        weight: float,
        beta: Sequence[Tensor] | None,
    ) -> Tensor:
        """The value whose derivative :meth:`add_to_rates` gives.

        For "standardised" it is sum_j rate_j n_j, the rates held fixed. Where no rate was stopped at 0, nothing is
        guided and the penalty is a group lasso, that equals value + weight * term, by Euler's theorem: both are
        homogeneous of degree 1 in the norms.

        Args:
            value: The penalty's own.
            rates: The penalty's own.
            norms: The group norms.
            weight: lambda_v = alpha * strength; at 0 the value comes back as it is.
            beta: As in :meth:`value`.

        Returns:
            A 0-dim tensor, differentiable in the norms.
        """
        if weight == 0:
            return value
        if self.inverse != "standardised":
            return value + weight * self.value(norms, beta)
        total = self.add_to_rates(rates, norms, weight, beta)
        return torch.stack([(r * n).sum() for r, n in zip(total, norms, strict=True)]).sum()

    def _guided(self, values: Sequence[Tensor], beta: Sequence[Tensor] | None) -> list[Tensor]:
        if beta is None:
            return list(values)
        _check(values, beta)
        return [guide(v, b, self.mixing, self.conditional, self.detach) for v, b in zip(values, beta, strict=True)]


def _check(values: Sequence[Tensor], beta: Sequence[Tensor] | None) -> None:
    if beta is not None and [b.shape for b in beta] != [v.shape for v in values]:
        got, wanted = [tuple(b.shape) for b in beta], [tuple(v.shape) for v in values]
        raise InputError(f"beta has shapes {got} but the groups have {wanted}; draw it anew (state.beta = None)")
