"""Closed-form steps that give exact zeros: the proximal step of the group lasso, and its adaptive form.

For one group w with norm n, after the optimizer's step::

    prox(w) = argmin_x 1/2 ||x - w||^2 + t ||x|| = max(0, 1 - t/n) w        t = lr * rate

With a rate of its own for each group this is the *adaptive* group lasso. A positive rate is a proximal step; a
negative rate pushes a group away from zero, and the same factor is then an ordinary gradient step,
``w + lr |rate| w/n``.
"""

import torch
from torch import Tensor

from gasl.errors import InputError
from gasl.maths.norms import group_norms

__all__ = ["prox_group_lasso", "shrink_factors"]


def shrink_factors(norms: Tensor, rates: Tensor, lr: float) -> Tensor:
    """What each group is multiplied with: max(0, 1 - lr * r_j / n_j).

    At n_j = 0 it is 0 whatever the rate: such a group counts as dead, and weights whose squares underflow (1e-25, as
    decaying momentum leaves them) become exactly zero. Elsewhere rate 0 gives exactly 1, and no factor is infinite or
    NaN, however small the norm.

    Args:
        norms: The ``(M,)`` norms n_j, >= 0.
        rates: The ``(M,)`` rates r_j, derivative of the penalty with respect to each norm; may be negative.
        lr: Step size.

    Returns:
        The ``(M,)`` factors, >= 0; 0 exactly where ``n_j <= lr * r_j`` or ``n_j = 0``.

    Raises:
        InputError: If the shapes differ.

    Example:
        >>> shrink_factors(torch.tensor([4.0, 1.0, 2.0, 0.0]), torch.tensor([2.0, 2.0, -2.0, 2.0]), lr=0.5)
        tensor([0.7500, 0.0000, 1.5000, 0.0000])
    """
    if norms.shape != rates.shape:
        raise InputError(f"norms {tuple(norms.shape)} and rates {tuple(rates.shape)} must have one entry per group")
    factors = (1 - lr * rates / norms).clamp(0, torch.finfo(norms.dtype).max)
    return torch.where(norms > 0, factors, 0.0)


def prox_group_lasso(weight: Tensor, threshold: float | Tensor, dim: int | None = None) -> Tensor:
    """argmin_x 1/2 ||x - weight||^2 + threshold * ||x||, group by group.

    Args:
        weight: The point to start from.
        threshold: t >= 0: one for all, or one for each group.
        dim: The dimension whose slices are the groups; None takes the whole tensor as one group.

    Returns:
        A tensor like ``weight``; groups with norm <= threshold are exactly zero.

    Raises:
        InputError: If a threshold is negative, or ``weight`` has no such dimension.

    Example:
        >>> prox_group_lasso(torch.tensor([3.0, 4.0]), threshold=1.0)
        tensor([2.4000, 3.2000])
        >>> prox_group_lasso(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), threshold=1.0, dim=0)
        tensor([[2.4000, 3.2000],
                [0.0000, 0.0000]])
    """
    grouped = weight.reshape(1, -1) if dim is None else weight
    dim = 0 if dim is None else dim
    norms = group_norms(grouped, dim)
    thresholds = torch.as_tensor(threshold, dtype=norms.dtype, device=norms.device).expand_as(norms)
    if bool((thresholds < 0).any()):
        raise InputError(f"prox_group_lasso needs thresholds >= 0, got {threshold}")
    factors = shrink_factors(norms, thresholds, lr=1.0).to(weight.dtype)
    shape = [-1 if d == dim % grouped.ndim else 1 for d in range(grouped.ndim)]
    return (grouped * factors.view(shape)).view_as(weight)
