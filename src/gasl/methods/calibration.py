"""The strength of a penalty from the first loss, where the user has given none."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gasl.errors import InputError
from gasl.methods.base import Method
from gasl.methods.penalty import Penalty
from gasl.methods.stochastic import stochastic

__all__ = ["calibrated_strength", "first_strength"]

SHARE = 0.2  # of the penalty in the first total loss (PruneTrain's rule and value)


def first_strength(method: Method) -> float:
    """The strength that a method begins with: its own; NaN where it is still to be found; 0 where there is no penalty.

    Args:
        method: The method.

    Returns:
        The strength.

    Example:
        >>> from gasl.methods.group_lasso import GroupLasso
        >>> first_strength(GroupLasso(strength=0.5)), first_strength(GroupLasso())
        (0.5, nan)
    """
    if method.strength is not None:
        return method.strength
    return 0.0 if method.usual_strength is None else math.nan


@torch.no_grad()
def calibrated_strength(method: Method, norms: Sequence[Tensor], loss: Tensor | None) -> float:
    """The strength at which the sparsity term is a fifth of the first total loss: s Theta = 0.2 (loss + s Theta).

    Where several processes train together each takes the mean of their losses, so that all find the same strength.

    Args:
        method: The method.
        norms: The group norms before training.
        loss: The first task loss.

    Returns:
        The strength; 0 where all groups are zero.

    Raises:
        InputError: If there is no loss, it is not a finite number >= 0, or the method has no sparsity term.

    Example:
        >>> from gasl.methods.group_lasso import GroupLasso
        >>> norms = [torch.tensor([3.0, 0.0, 0.0, 1.0])]  # Theta = 2
        >>> calibrated_strength(GroupLasso(), norms, torch.tensor(4.0))  # 0.5 * 2 = 0.2 * (4 + 1)
        0.5
    """
    if not isinstance(method, Penalty) or stochastic(method) is not None:
        raise InputError(f"{type(method).__name__} needs a strength: there is no penalty to calibrate")
    if loss is None:
        raise InputError("the method has no strength: give it one, or call penalty(loss) with the task loss")
    mean = loss.detach().float().clone()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(mean)
        mean /= torch.distributed.get_world_size()
    value, theta = float(mean), float(method.sparsity(norms))
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"no strength can be found from a first loss of {value}; give the method a strength")
    return SHARE * value / ((1 - SHARE) * theta) if theta > 0 else 0.0
