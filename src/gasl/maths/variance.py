"""The variance that attention wants large: Psi of Eq. 3, and when a variance counts as zero."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gasl.maths.norms import check_layers

__all__ = ["group_variance", "moments", "varies"]


def moments(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, population variance, and whether that variance is more than rounding.

    The norms of equal groups differ in their last bits; a standard deviation of up to 16 units in the last place of
    the mean counts as zero, so that rounding is never blown up into attention.

    Args:
        values: The ``(M,)`` elements of one layer.

    Returns:
        0-dim tensors: the mean, the variance (divided by M, not M - 1), and a boolean, False where it counts as zero.

    Example:
        >>> moments(torch.tensor([5.0, 0.0]))
        (tensor(2.5000), tensor(6.2500), tensor(True))
        >>> moments(torch.full((3,), 0.1))[2]
        tensor(False)
    """
    variance, mean = torch.var_mean(values, correction=0)
    return mean, variance, varies(mean.detach(), variance.detach())


def varies(mean: Tensor, variance: Tensor) -> Tensor:
    """Whether a variance is more than rounding; see :func:`moments`.

    Args:
        mean: Means of some layers.
        variance: Their variances.

    Returns:
        Booleans.

    Example:
        >>> varies(torch.ones(2), torch.tensor([1e-12, 1e-10]))
        tensor([False,  True])
    """
    rounding = 16 * torch.finfo(mean.dtype).eps * mean
    return variance > rounding * rounding


def group_variance(values: Sequence[Tensor], normalise: bool = True) -> Tensor:
    """Psi of Eq. 3: the sum over layers of mean_j (n_j - mean)^2 / sqrt(M).

    Args:
        values: One ``(M,)`` tensor of group norms per layer (or squared norms, or the guided vector of Eq. 4).
        normalise: Whether to divide by sqrt(M), the root of the layer's number of groups.

    Returns:
        A 0-dim tensor >= 0, differentiable; 0 when the groups of every layer are equal.

    Raises:
        InputError: If there is no layer, or one is not a non-empty vector.

    Example:
        >>> group_variance([torch.tensor([5.0, 0.0])])  # variance 6.25, M = 2
        tensor(4.4194)
    """
    check_layers("group_variance", values)
    terms = [v.var(correction=0) / (v.numel() ** 0.5 if normalise else 1.0) for v in values]
    return torch.stack(terms).sum()
