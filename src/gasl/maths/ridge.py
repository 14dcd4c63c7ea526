"""A ridge that grows as a group gets small beside its neighbours (DepGraph, Fang et al. 2023)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gasl.maths.norms import check_layers

__all__ = ["growing_ridge", "growing_ridge_rates", "growing_weights", "relative"]


def growing_weights(norms: Tensor, alpha: float) -> Tensor:
    """gamma_k = 2^(alpha (Imax - I_k) / (Imax - Imin)): 1 for the largest group of a layer, 2^alpha for the smallest.

    Only ratios of norms count, so that I_k may be any multiple of n_k. Where all are equal, every weight is 1.

    Args:
        norms: The ``(M,)`` norms of one layer.
        alpha: How much faster small groups shrink, as a power of two.

    Returns:
        A tensor like ``norms``, without a graph.

    Example:
        >>> growing_weights(torch.tensor([1.0, 3.0, 2.0]), alpha=4.0)
        tensor([16.,  1.,  4.])
        >>> growing_weights(torch.tensor([2.0, 2.0]), alpha=4.0)
        tensor([1., 1.])
    """
    n = norms.detach()
    behind = n.amax() - n
    widest = behind.amax()
    return torch.exp2(alpha * torch.where(widest > 0, behind / widest, 0.0))


def growing_ridge(norms: Sequence[Tensor], alpha: float) -> Tensor:
    """Half the sum over layers of sum_k gamma_k n_k^2, gamma held fixed.

    Args:
        norms: One ``(M,)`` tensor of group norms per layer.
        alpha: As for :func:`growing_weights`.

    Returns:
        A 0-dim tensor >= 0, differentiable in the norms but not through gamma.

    Raises:
        InputError: If there is no layer, or one is not a non-empty vector.

    Example:
        >>> growing_ridge([torch.tensor([1.0, 3.0])], alpha=4.0)  # (16 * 1 + 1 * 9) / 2
        tensor(12.5000)
    """
    check_layers("growing_ridge", norms)
    return torch.stack([(growing_weights(n, alpha) * n.square()).sum() / 2 for n in norms]).sum()


def growing_ridge_rates(norms: Sequence[Tensor], alpha: float, strength: float = 1.0) -> list[Tensor]:
    """Derivative of strength * :func:`growing_ridge` by each norm: strength * gamma_k n_k.

    Args:
        norms: One ``(M,)`` tensor of group norms per layer.
        alpha: As for :func:`growing_weights`.
        strength: Its weight.

    Returns:
        One ``(M,)`` tensor per layer, without a graph.

    Raises:
        InputError: If there is no layer, or one is not a non-empty vector.

    Example:
        >>> growing_ridge_rates([torch.tensor([1.0, 3.0])], alpha=4.0)
        [tensor([16.,  3.])]
    """
    check_layers("growing_ridge_rates", norms)
    return [strength * growing_weights(n, alpha) * n.detach() for n in norms]


def relative(norms: Sequence[Tensor]) -> list[Tensor]:
    """Each norm over the mean of its layer, so that layers of any scale can be ranked together.

    Args:
        norms: One ``(M,)`` tensor of group norms per layer.

    Returns:
        One tensor per layer, with mean 1; a layer of zeros stays one.

    Raises:
        InputError: If there is no layer, or one is not a non-empty vector.

    Example:
        >>> relative([torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0])])
        [tensor([0.5000, 1.5000]), tensor([0., 0.])]
    """
    check_layers("relative", norms)
    return [n / torch.where(n.mean() > 0, n.mean(), 1.0) for n in norms]
