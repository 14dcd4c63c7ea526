"""The sparsity term of the paper: the group lasso, Theta of Eq. 2."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from gasl.maths.norms import check_layers

__all__ = ["group_lasso", "group_lasso_rates"]


def group_lasso(norms: Sequence[Tensor], normalise: bool = True) -> Tensor:
    """Theta of Eq. 2: the sum over layers of sum_j n_j / sqrt(M).

    On single weights (n_j = |w_j|) this is the l1 norm.

    Args:
        norms: One ``(M,)`` tensor of group norms n_j per layer.
        normalise: Whether to divide by sqrt(M), the root of the layer's number of groups.

    Returns:
        A 0-dim tensor >= 0, differentiable.

    Raises:
        InputError: If there is no layer, or one is not a non-empty vector.

    Example:
        >>> group_lasso([torch.tensor([3.0, 0.0, 0.0, 1.0])])  # (3 + 1) / sqrt(4)
        tensor(2.)
    """
    check_layers("group_lasso", norms)
    return torch.stack([n.sum() / (n.numel() ** 0.5 if normalise else 1.0) for n in norms]).sum()


def group_lasso_rates(norms: Sequence[Tensor], normalise: bool = True, strength: float = 1.0) -> list[Tensor]:
    """Derivative of strength * :func:`group_lasso` by each norm: strength / sqrt(M), one for all groups of a layer.

    Args:
        norms: One ``(M,)`` tensor of group norms per layer.
        normalise: As in :func:`group_lasso`.
        strength: Its weight.

    Returns:
        One ``(M,)`` tensor per layer, a view of a single number.

    Raises:
        InputError: If there is no layer, or one is not a non-empty vector.

    Example:
        >>> group_lasso_rates([torch.tensor([3.0, 0.0, 0.0, 1.0])])
        [tensor([0.5000, 0.5000, 0.5000, 0.5000])]
    """
    check_layers("group_lasso_rates", norms)
    kinds = {(n.dtype, n.device) for n in norms}
    if len(kinds) > 1:
        return [rate for n in norms for rate in group_lasso_rates([n], normalise, strength)]
    return list(_rates(tuple(n.numel() for n in norms), normalise, strength, *kinds.pop()))


@lru_cache(maxsize=16)
def _rates(
    sizes: tuple[int, ...], normalise: bool, strength: float, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, ...]:
    with torch.inference_mode(False):  # they are kept
        rates = [strength * (size**-0.5 if normalise else 1.0) for size in sizes]
        return tuple(torch.tensor(r, dtype=dtype, device=device).expand(n) for r, n in zip(rates, sizes, strict=True))
