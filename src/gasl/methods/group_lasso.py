"""Group lasso: structured sparsity learning (SSL, Wen et al. 2016), Theta of the paper's Eq. 2.

n_j is the l2 norm of the j-th of a layer's M groups::

    value   = strength * sum over layers of sum_j n_j / sqrt(M)
    rate_j  = strength / sqrt(M)

On single weights (``granularity="weight"``) n_j is |w_j| and this is l1 regularisation; its proximal step is
soft thresholding. Readings: docs/readings.md, R1 (M) and R2 (orientation).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from gasl.maths.lasso import group_lasso, group_lasso_rates
from gasl.methods.penalty import Penalty

__all__ = ["GroupLasso"]


@final
@dataclass(frozen=True, kw_only=True)
class GroupLasso(Penalty):
    """Group lasso with a closed-form proximal step, or as a term of the loss.

    Args:
        strength: Initial weight of the penalty, lambda_s; null when it is calibrated or controlled.
        scope: What a group is: a unit's "filter", its readers ("channel"), the "scale" of its norm, or all that
            goes with it ("coupled"); the columns of a weight ("shape"); a layer with a shortcut around it ("depth").
        linear: Units of a linear layer: "in" (outgoing weights of an input unit) or "out" (a neuron's row).
        granularity: What is sparsified: whole units, or single weights (l1; scope and linear then mean nothing).
        step: "proximal" for the closed form after the optimizer's step, "loss" for a term of the loss.
        normalise: Whether each layer's sum is divided by sqrt(M), the root of its number of groups (Eq. 2).

    Example:
        >>> import torch
        >>> GroupLasso().value([torch.tensor([3.0, 0.0, 0.0, 1.0])], strength=0.5)
        tensor(1.)
    """

    uniform: ClassVar[bool] = True
    paper: ClassVar[str] = (
        "Wei Wen, Chunpeng Wu, Yandan Wang, Yiran Chen, Hai Li. Learning structured sparsity in deep neural networks. "
        "Advances in Neural Information Processing Systems, 2016."
    )

    normalise: bool = True

    def sparsity(self, norms: Sequence[Tensor]) -> Tensor:
        """Theta of Eq. 2."""
        return group_lasso(norms, self.normalise)

    def value(self, norms: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> Tensor:
        """Strength times Theta; ``beta`` is not used."""
        return strength * group_lasso(norms, self.normalise)

    def rates(self, norms: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Strength / sqrt(M) for every group; ``beta`` is not used."""
        return group_lasso_rates(norms, self.normalise, strength)
