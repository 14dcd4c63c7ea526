"""Which groups are the smallest, of each layer or of all layers together; random factors in the order of the groups."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gasl.errors import InputError
from gasl.maths.guidance import rank_match
from gasl.maths.norms import check_layers
from gasl.maths.rows import Rows

__all__ = ["rank_match_each", "smallest", "smallest_of_all"]


def smallest(scores: Tensor, count: int) -> Tensor:
    """Mark the ``count`` smallest of a vector; of equals those that come first.

    Args:
        scores: A vector of any numbers.
        count: How many, from 0 to all.

    Returns:
        A bool tensor like ``scores``, true at exactly ``count`` places.

    Raises:
        InputError: If there are not that many.

    Example:
        >>> smallest(torch.tensor([3.0, 1.0, 2.0, 1.0]), 2)
        tensor([False,  True, False,  True])
    """
    if not 0 <= count <= scores.numel():
        raise InputError(f"smallest got count={count} for {scores.numel()} scores; give one from 0 to all of them")
    order = scores.detach().argsort(stable=True)
    return torch.zeros_like(scores, dtype=torch.bool).index_fill_(0, order[:count], True)


def smallest_of_all(scores: Sequence[Tensor], fraction: float, floors: Sequence[int], cap: float = 1.0) -> list[Tensor]:
    """Mark the smallest groups of all layers together, until they are a fraction of all or no more may go.

    Of layer l with M_l groups at least max(floor_l, M_l - floor(cap M_l)) stay, the largest ones: a layer of small
    scores is never emptied. Who stays for that reason is made up for elsewhere, as long as anything else may go.

    Args:
        scores: One ``(M,)`` tensor per layer, comparable between layers.
        fraction: Of all groups, in [0, 1]; rounded to a whole number of groups.
        floors: How many groups of each layer stay at least.
        cap: The largest part of a layer that may go, in [0, 1].

    Returns:
        One bool tensor per layer.

    Raises:
        InputError: If fraction or cap is not in [0, 1], the floors do not fit, or a layer is no vector.

    Example:
        >>> layers = [torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([1.0, 2.0, 3.0, 4.0])]
        >>> smallest_of_all(layers, fraction=0.5, floors=[1, 1])  # the floor holds 0.4
        [tensor([ True,  True,  True, False]), tensor([ True, False, False, False])]
    """
    check_layers("smallest_of_all", scores)
    for name, value in (("fraction", fraction), ("cap", cap)):
        if not 0 <= value <= 1:
            raise InputError(f"smallest_of_all got {name}={value}; give a number from 0 to 1")
    if len(floors) != len(scores):
        raise InputError(f"smallest_of_all got {len(floors)} floors for {len(scores)} layers; give one for each")
    sizes = [layer.numel() for layer in scores]
    free = [max(0, min(math.floor(cap * size + 1e-9), size - floor)) for size, floor in zip(sizes, floors, strict=True)]
    may_go = torch.cat([smallest(layer, n).to(scores[0].device) for layer, n in zip(scores, free, strict=True)])
    candidates = may_go.nonzero()[:, 0]
    flat = torch.cat([layer.detach().to(scores[0]) for layer in scores])
    chosen = smallest(flat[candidates], min(round(fraction * flat.numel()), sum(free)))
    marked = torch.zeros_like(may_go).index_fill_(0, candidates[chosen], True)
    return [mark.to(layer.device) for mark, layer in zip(marked.split(sizes), scores, strict=True)]


def rank_match_each(beta: Sequence[Tensor], norms: Sequence[Tensor], positive: bool = False) -> list[Tensor]:
    """:func:`~gasl.maths.guidance.rank_match` of each layer, for all layers at once.

    Args:
        beta: Random factors, one per group.
        norms: One ``(M,)`` tensor of group norms per layer.
        positive: Whether no factor is below zero, which makes it faster.

    Returns:
        The same factors, reordered within each layer.

    Example:
        >>> rank_match_each([torch.tensor([3.0, 1.0]), torch.tensor([5.0])], [torch.tensor([0.1, 0.9]), torch.ones(1)])
        [tensor([1., 3.]), tensor([5.])]
    """
    if (rows := Rows.of(norms)) is None:
        return [rank_match(b, n) for b, n in zip(beta, norms, strict=True)]
    order = _integers(rows.matrix(norms, torch.inf)).sort(dim=1, stable=True).indices
    factors = rows.matrix(beta, torch.inf)
    factors = (_integers(factors) if positive else factors).sort(dim=1).values
    return rows.vectors(torch.empty_like(factors).scatter_(1, order, factors).view(norms[0].dtype))


def _integers(numbers: Tensor) -> Tensor:
    # Those of the same bits: numbers >= 0 stand in the same order, and are compared faster.
    return numbers.view(torch.int32 if numbers.element_size() == 4 else torch.int64)
