"""Sums of squares and scaling of the slices of a weight, along several dimensions in one pass over its memory.

A weight may lie in several groups: row i of a matrix is one unit's, column k another's. Reading it once for all of
them, and writing it once, is what makes the closed-form step cheap, for memory is what it waits for.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add, mul

import torch
from torch import Tensor

from gasl.maths.layout import Layout, single

__all__ = ["joint", "joint_factors", "may_grow", "root", "scale_layout_", "scale_slices_", "square_sums"]


def square_sums(weight: Tensor, dims: Sequence[int]) -> list[Tensor]:
    """Sum of squares of each slice along each of ``dims``: s_j = sum_i (w_i^(j))^2.

    Args:
        weight: Any weight; half precision is summed in float32.
        dims: Dimensions >= 0, each at most once.

    Returns:
        One vector of ``weight.shape[dim]`` sums a dimension; differentiable.

    Example:
        >>> square_sums(torch.tensor([[3.0, 0.0], [4.0, 1.0]]), [0, 1])
        [tensor([ 9., 17.]), tensor([25.,  1.])]
    """
    if weight.ndim == 1:
        return [single(weight).square()] * len(dims)
    layout = Layout(weight)
    if all(dim == layout.first for dim in dims):
        return [torch.linalg.vector_norm(single(layout.matrix), dim=1).square() for _ in dims]
    room = None if weight.requires_grad and torch.is_grad_enabled() else _room(layout.blocks[0])
    return layout.gathered([_sums(block, layout.first, dims, room) for block in layout.blocks], dims)


def root(squares: Tensor) -> Tensor:
    """Square root with slope 0 at 0, where that of ``sqrt`` is infinite: the subgradient of a norm of least size.

    Args:
        squares: Sums of squares.

    Returns:
        Norms, differentiable.

    Example:
        >>> squares = torch.tensor([9.0, 0.0], requires_grad=True)
        >>> root(squares).sum().backward()
        >>> squares.grad
        tensor([0.1667, 0.0000])
    """
    if not squares.requires_grad:
        return squares.sqrt()
    positive = squares > 0
    return torch.where(positive, torch.where(positive, squares, 1.0).sqrt(), 0.0)


def scale_slices_(weight: Tensor, factors: Sequence[tuple[int, Tensor]], dims: Sequence[int] = ()) -> list[Tensor]:
    """Multiply each slice with the factor of its group, for all groups that a weight lies in at once.

    With f_k the factors of the groups that an element w lies in::

        w <- w * prod_k min(f_k, 1) * (1 + sum_k max(f_k - 1, 0))

    Shrinking multiplies, so that a factor 0 gives exactly 0; growing adds, so that two small groups that are both
    pushed up by a step do not push what they share by the product of two huge factors. One factor alone is plain
    multiplication.

    Args:
        weight: What is changed in place, under ``no_grad`` if it is a parameter.
        factors: Pairs of a dimension >= 0 and one factor >= 0 for each index of it; a dimension may occur again.
        dims: Dimensions to sum squares along afterwards, while the weight is at hand.

    Returns:
        What :func:`square_sums` gives for the new weight.

    Example:
        >>> weight = torch.ones(2, 2)
        >>> scale_slices_(weight, [(0, torch.tensor([2.0, 0.5])), (1, torch.tensor([1.0, 3.0]))], dims=[0])
        [tensor([20.0000,  2.5000])]
        >>> weight
        tensor([[2.0000, 4.0000],
                [0.5000, 1.5000]])
    """
    if weight.ndim == 1:
        if factors:
            weight.mul_(joint_factors([factor for _, factor in factors]))
        return square_sums(weight, dims)
    layout = Layout(weight)
    sums = scale_layout_(layout, factors, dims, may_grow([factor for _, factor in factors]))
    layout.write_back()
    return sums


def scale_layout_(
    layout: Layout, factors: Sequence[tuple[int, Tensor]], dims: Sequence[int], grow: bool
) -> list[Tensor]:
    """:func:`scale_slices_` of a weight whose place in memory was found before.

    Args:
        layout: The weight.
        factors: As for :func:`scale_slices_`.
        dims: As for :func:`scale_slices_`.
        grow: Whether there are several factors and one may be above 1.

    Returns:
        As :func:`scale_slices_`.

    Example:
        >>> weight = torch.ones(2, 2)
        >>> scale_layout_(Layout(weight), [(0, torch.tensor([2.0, 0.0]))], dims=[], grow=False)
        []
        >>> weight
        tensor([[2., 2.],
                [0., 0.]])
    """
    rows = [factor[:, None] for dim, factor in factors if dim == layout.first]
    columns = [layout.along_columns(dim, factor) for dim, factor in factors if dim != layout.first]
    if not grow:
        rows, columns = ([joint(side, grow)] if side else [] for side in (rows, columns))
    if not dims and not (rows and columns):
        for factor in [joint([*rows, *columns], grow)] if grow else [*rows, *columns]:
            layout.matrix.mul_(factor)
        return []
    by_block = list(zip(*(factor.split(layout.heights) for factor in rows), strict=True)) or [()] * len(layout.blocks)
    sums, room = [], _room(layout.blocks[0]) if dims else None
    for block, row in zip(layout.blocks, by_block, strict=True):
        for factor in [joint([*row, *columns], grow)] if grow else [*row, *columns]:
            block.mul_(factor)
        if dims:
            sums.append(_sums(block, layout.first, dims, room))
    return layout.gathered(sums, dims)


def joint_factors(factors: Sequence[Tensor]) -> Tensor:
    """The factor of an element that lies in several groups; see :func:`scale_slices_`.

    Args:
        factors: One tensor a group, of shapes that broadcast.

    Returns:
        Their joint factor, finite.

    Example:
        >>> joint_factors([torch.tensor([0.5, 2.0, 2.0]), torch.tensor([0.5, 0.0, 3.0])])
        tensor([0.2500, 0.0000, 4.0000])
    """
    return joint(factors, may_grow(factors))


def may_grow(factors: Sequence[Tensor]) -> bool:
    """Whether joint factors are more than a product. A device other than the CPU is not waited for: it may be so.

    Args:
        factors: The factors of the groups that a weight lies in.

    Returns:
        Whether there are several and one may be above 1.

    Example:
        >>> may_grow([torch.tensor([0.5, 1.0]), torch.tensor([0.9])]), may_grow([torch.tensor([2.0])])
        (False, False)
    """
    return len(factors) > 1 and any(f.device.type != "cpu" or float(f.amax()) > 1 for f in factors)


def joint(factors: Sequence[Tensor], grow: bool) -> Tensor:
    """:func:`joint_factors` where it is known whether one may be above 1.

    Args:
        factors: One tensor a group, of shapes that broadcast.
        grow: Whether there are several and one may be above 1.

    Returns:
        Their joint factor, finite.

    Example:
        >>> joint([torch.tensor([0.5, 1.0]), torch.tensor([0.5])], grow=False)
        tensor([0.2500, 0.5000])
    """
    if not grow:
        return reduce(mul, factors)
    shrink = reduce(mul, [factor.clamp(max=1) for factor in factors])
    growth = reduce(add, [(factor - 1).clamp(min=0) for factor in factors]) + 1
    return shrink * growth.clamp(max=torch.finfo(growth.dtype).max)  # 0 * inf would be NaN


def _sums(block: Tensor, first: int, dims: Sequence[int], room: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    block = single(block)
    if all(dim == first for dim in dims):
        return torch.linalg.vector_norm(block, dim=1).square(), None
    squares = block * block if room is None else torch.mul(block, block, out=room[: block.shape[0]])
    return (squares.sum(1) if first in dims else None), squares.sum(0)


def _room(block: Tensor) -> Tensor:
    # For the squares, once for all blocks: memory fresh from the system costs more than the squares do.
    return torch.empty_like(single(block), memory_format=torch.contiguous_format)
