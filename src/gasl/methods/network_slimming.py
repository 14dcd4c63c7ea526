"""Network slimming: l1 on the scales of batch norms (Liu et al. 2017).

A unit is one channel, n_k the size of the scale gamma_k of the norm right behind its layer::

    value   = strength * sum over layers of sum_k |gamma_k|
    step    gamma_k <- sign(gamma_k) max(|gamma_k| - lr * strength, 0)

The shift (and a bias in front of the norm) of a unit with gamma_k = 0 is set to zero with it, so that the unit emits 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from gasl.errors import InputError
from gasl.maths.lasso import group_lasso, group_lasso_rates
from gasl.methods.base import Scope
from gasl.methods.cut import CutPenalty

__all__ = ["NetworkSlimming"]


@final
@dataclass(frozen=True, kw_only=True)
class NetworkSlimming(CutPenalty):
    """l1 norm of the batch norms' scales; optionally a cut of the smallest of the whole network.

    Where several layers write the same units, as in a residual sum, a unit's n_k is the l2 norm of all its scales: they
    die together. Widths without a batch norm right behind every layer that writes them are left alone; a network
    without any is refused. Departure from the paper: the soft threshold gives exact zeros, so that without a cut units
    die too; ``step="loss"`` is the paper's subgradient.

    Args:
        strength: Initial weight of the penalty, lambda; null when it is calibrated or controlled.
        scope: "scale"; other weights of a unit are GroupLasso's.
        linear: Has no meaning for norm scales.
        granularity: "unit".
        step: "proximal" for the soft threshold after the optimizer's step, "loss" for a term of the loss.
        fraction: Of all units, the part that is cut; null for no cut.
        cut_at: The optimizer step with which it is cut; null for no cut.
        cap: The largest part of one axis that may be cut. The sparsifier's min_units hold as well.

    Example:
        >>> import torch
        >>> NetworkSlimming().value([torch.tensor([0.5, 0.0, 0.25])], strength=2.0)
        tensor(1.5000)
    """

    paper: ClassVar[str] = (
        "Zhuang Liu, Jianguo Li, Zhiqiang Shen, Gao Huang, Shoumeng Yan, Changshui Zhang. "
        "Learning efficient convolutional networks through network slimming. ICCV 2017."
    )
    usual_strength: ClassVar[float | None] = 1e-4

    scope: Scope = "scale"

    def __post_init__(self) -> None:
        """Refuse what no training could use."""
        super().__post_init__()
        if self.scope != "scale" or self.granularity != "unit":
            raise InputError(
                "NetworkSlimming acts on the norm scale of each unit, "
                f"got scope={self.scope!r}, granularity={self.granularity!r}; take GroupLasso for other weights"
            )

    def sparsity(self, norms: Sequence[Tensor]) -> Tensor:
        """The sum of all scales' sizes."""
        return group_lasso(norms, normalise=False)

    def value(self, norms: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> Tensor:
        """Strength times the sum of all scales' sizes; ``beta`` is not used."""
        return strength * group_lasso(norms, normalise=False)

    def rates(self, norms: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Strength for every unit; ``beta`` is not used."""
        return group_lasso_rates(norms, normalise=False, strength=strength)
