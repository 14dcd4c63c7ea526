"""The group-norm regularisation of DepGraph (Fang et al. 2023): a ridge that grows as a unit gets small.

n_k is the norm of everything that is removed with unit k::

    gamma_k = 2^(alpha (nmax - n_k) / (nmax - nmin))        over the units of one axis
    value   = strength * sum over axes of sum_k gamma_k n_k^2 / 2        gamma held fixed
    rate_k  = strength * gamma_k n_k

so that the closed-form step multiplies unit k with 1 - lr * strength * gamma_k. Nothing becomes exactly zero by
itself: units go with the cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from gasl.maths.ridge import growing_ridge, growing_ridge_rates, relative
from gasl.methods.base import check_number
from gasl.methods.cut import CutPenalty

__all__ = ["DepGraphNorm"]


@final
@dataclass(frozen=True, kw_only=True)
class DepGraphNorm(CutPenalty):
    """Growing ridge over coupled groups, then a cut of the relatively smallest units of the whole network.

    Readings: the paper's I_k is a root mean square over a unit's tensors, here n_k is the root of the sum; all units of
    an axis have the same tensors, so gamma is the same. Biases and norm shifts belong to the group. For the cut, norms
    are divided by the mean of their axis. The paper cuts in 400 small steps up to a number of operations; here it is
    one cut to a fraction of the units, or, where the sparsifier has a target, 25 along its schedule.

    Args:
        strength: Initial weight of the penalty; null when it is calibrated or controlled.
        scope: What a group is; the paper's is "coupled", everything that is removed with a unit.
        linear: Units of a linear layer: "in" (outgoing weights of an input unit) or "out" (a neuron's row).
        granularity: What is sparsified: whole units, or single weights (scope and linear then mean nothing).
        step: "proximal" for the closed form after the optimizer's step, "loss" for a term of the loss (the paper's).
        fraction: Of all units, the part that is cut; null for no cut.
        cut_at: The optimizer step with which it is cut; null for no cut.
        cap: The largest part of one axis that may be cut. The sparsifier's min_units hold as well.
        alpha: How much faster the smallest unit of an axis shrinks than the largest, as a power of two.

    Example:
        >>> import torch
        >>> DepGraphNorm().rates([torch.tensor([1.0, 3.0])], strength=0.5)
        [tensor([8.0000, 1.5000])]
    """

    paper: ClassVar[str] = (
        "Gongfan Fang, Xinyin Ma, Mingli Song, Michael Bi Mi, Xinchao Wang. "
        "DepGraph: towards any structural pruning. CVPR 2023."
    )
    usual_strength: ClassVar[float | None] = 5e-4
    kills: ClassVar[bool] = False
    cuts: ClassVar[bool] = True

    alpha: float = 4.0

    def __post_init__(self) -> None:
        """Refuse what no training could use."""
        super().__post_init__()
        check_number("alpha", self.alpha)

    def importance(self, norms: Sequence[Tensor]) -> list[Tensor]:
        """Norms over the mean of their axis."""
        return relative(norms)

    def sparsity(self, norms: Sequence[Tensor]) -> Tensor:
        """The growing ridge at strength 1."""
        return growing_ridge(norms, self.alpha)

    def value(self, norms: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> Tensor:
        """Strength times the growing ridge; ``beta`` is not used."""
        return strength * growing_ridge(norms, self.alpha)

    def rates(self, norms: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Strength * gamma_k n_k; ``beta`` is not used."""
        return growing_ridge_rates(norms, self.alpha, strength)
