"""l1 regularisation: soft thresholding of every single weight.

::

    value   = strength * sum_i |w_i|                                  over all layers, not normalised
    step    w <- sign(w) max(|w| - lr * strength, 0)                  the proximal operator of lr * value

The threshold takes the parameter's own learning rate and nothing else: with Adam it is decoupled, as weight decay is in
AdamW. Biases and norms are not penalised.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from gasl.errors import InputError
from gasl.maths.lasso import group_lasso, group_lasso_rates
from gasl.methods.base import Granularity
from gasl.methods.penalty import Penalty

__all__ = ["L1"]


@final
@dataclass(frozen=True, kw_only=True)
class L1(Penalty):
    """l1 norm of the weights, with exact zeros by soft thresholding, or as a term of the loss.

    Args:
        strength: Initial weight of the penalty, lambda; null when it is calibrated or controlled.
        scope: Has no meaning for single weights.
        linear: Has no meaning for single weights.
        granularity: "weight"; l1 of whole units is GroupLasso.
        step: "proximal" for the soft threshold after the optimizer's step, "loss" for a term of the loss.

    Example:
        >>> import torch
        >>> L1().value([torch.tensor([3.0, 0.0, 0.0, 1.0])], strength=0.5)
        tensor(2.)
    """

    uniform: ClassVar[bool] = True
    paper: ClassVar[str] = (
        "Robert Tibshirani. Regression shrinkage and selection via the lasso. "
        "Journal of the Royal Statistical Society B 58, 1996."
    )
    usual_strength: ClassVar[float | None] = 1e-4

    granularity: Granularity = "weight"

    def __post_init__(self) -> None:
        """Refuse what no training could use."""
        super().__post_init__()
        if self.granularity != "weight":
            raise InputError(
                f"L1 acts on single weights, got granularity={self.granularity!r}; take GroupLasso for units"
            )

    def sparsity(self, norms: Sequence[Tensor]) -> Tensor:
        """The sum of all absolute values."""
        return group_lasso(norms, normalise=False)

    def value(self, norms: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> Tensor:
        """Strength times the sum of all absolute values; ``beta`` is not used."""
        return strength * group_lasso(norms, normalise=False)

    def rates(self, norms: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Strength for every weight; ``beta`` is not used."""
        return group_lasso_rates(norms, normalise=False, strength=strength)
