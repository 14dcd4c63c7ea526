"""Which single weights magnitude pruning takes: by the deviation of their layer, or N of every M."""

import torch
from torch import Tensor

from gasl.errors import InputError
from gasl.maths.layout import single

__all__ = ["below_deviation", "outside_pattern"]


def below_deviation(weight: Tensor, quality: float) -> Tensor:
    """Mark the weights with |w| < s * std(W), but never the largest one.

    Args:
        weight: A layer's weight; zeros count in its deviation, which is the population's.
        quality: s >= 0.

    Returns:
        A bool tensor like ``weight``.

    Example:
        >>> below_deviation(torch.tensor([3.0, -1.0, -3.0, 1.0]), quality=0.5)  # std is sqrt(5)
        tensor([False,  True, False,  True])
    """
    sizes = single(weight.detach()).abs()
    threshold = quality * single(weight.detach()).std(correction=0)
    return (sizes < threshold) & (sizes < sizes.amax())


def outside_pattern(weight: Tensor, kept: int, block: int, dim: int) -> Tensor:
    """Mark all but the ``kept`` largest of every ``block`` consecutive weights along ``dim``; of equals the later ones.

    Args:
        weight: A layer's weight.
        kept: N of N:M.
        block: M of N:M.
        dim: The dimension of its inputs.

    Returns:
        A bool tensor like ``weight``, true at M - N places of each block.

    Raises:
        InputError: If the dimension is not a multiple of M.

    Example:
        >>> outside_pattern(torch.tensor([[4.0, -3.0, 2.0, 1.0, 0.0, 5.0, 0.0, 6.0]]), kept=2, block=4, dim=1)
        tensor([[False, False,  True,  True,  True, False,  True, False]])
    """
    if weight.shape[dim] % block:
        raise InputError(f"dimension {dim} of a weight of shape {tuple(weight.shape)} is no multiple of {block}")
    blocks = weight.detach().abs().movedim(dim, -1).unflatten(-1, (-1, block))
    order = blocks.argsort(dim=-1, descending=True, stable=True)
    marked = torch.ones_like(blocks, dtype=torch.bool).scatter_(-1, order[..., :kept], False)
    return marked.flatten(-2).movedim(-1, dim)
