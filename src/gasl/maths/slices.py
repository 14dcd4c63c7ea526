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

__all__ = ["joint_factors", "may_grow", "root", "scale_slices_", "square_sums", "square_table", "table_sums"]


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
    blocks = layout.blocks()
    room = None if weight.requires_grad and torch.is_grad_enabled() else _room(blocks[0])
    return layout.gathered([_sums(block, layout.first, dims, room) for block in blocks], dims)


def square_table(weight: Tensor, dims: Sequence[int]) -> Tensor | None:
    """Sums of squares over all but two dimensions: S_ik = sum_j w_ijk^2, for a kernel of inputs i and outputs k.

    Every sum of squares along one of the two follows from it, also after scaling along both.

    Args:
        weight: Any weight.
        dims: Two dimensions; else there is no table.

    Returns:
        The sums, as ``dims`` are ordered; None where neither dimension is outermost in memory, or where the table is
        hardly smaller than the weight.

    Example:
        >>> square_table(torch.tensor([[[2.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0]]]), [0, 1])
        tensor([[4., 3.]])
    """
    if len(dims) != 2 or weight.numel() < 4 * weight.shape[dims[0]] * weight.shape[dims[1]]:
        return None
    layout = Layout(weight)
    if layout.first not in dims:
        return None
    before, size, inside = layout.around(next(dim for dim in dims if dim != layout.first))
    blocks = layout.blocks()
    room = _room(blocks[0])
    table = room.new_empty(weight.shape[layout.first], size)
    ones = room.new_ones(inside)
    for block, rows in zip(map(single, blocks), table.split(room.shape[0]), strict=True):
        squares = torch.mul(block, block, out=room[: block.shape[0]])
        if before > 1:
            squares = squares.view(-1, before, size * inside).sum(1)
        torch.mv(squares.view(-1, inside), ones, out=rows.view(-1))
    return table if dims[0] == layout.first else table.T


def table_sums(table: Tensor, rows: Sequence[Tensor], columns: Sequence[Tensor], grow: bool) -> list[Tensor]:
    """Sums of squares along both dimensions of a table once its weight was multiplied by :func:`scale_slices_`.

    With factors f of the rows and g of the columns, none above 1, f_i^2 sum_k S_ik g_k^2 and g_k^2 sum_i S_ik f_i^2.

    Args:
        table: What :func:`square_table` gave for the weight before.
        rows: Factors of the first dimension, any number of vectors.
        columns: Factors of the second.
        grow: Whether one may be above 1.

    Returns:
        Two vectors.

    Example:
        >>> rows, columns = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 1.0])
        >>> table_sums(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), [rows], [columns], grow=False)
        [tensor([2.2500, 0.0000]), tensor([0.2500, 2.0000])]
    """
    if grow or not (rows and columns):
        table = table * _joint([*(f[:, None] for f in rows), *columns], grow).square()
        return [table.sum(1), table.sum(0)]
    f, g = _joint(rows, grow).square(), _joint(columns, grow).square()
    return [f * torch.mv(table, g), g * torch.mv(table.T, f)]


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


def scale_slices_(
    weight: Tensor, factors: Sequence[tuple[int, Tensor]], dims: Sequence[int] = (), grow: bool | None = None
) -> list[Tensor]:
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
        grow: Whether a factor may be above 1; None finds out.

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
    rows = [factor[:, None] for dim, factor in factors if dim == layout.first]
    columns = [layout.along_columns(dim, factor) for dim, factor in factors if dim != layout.first]
    grow = may_grow([factor for _, factor in factors]) if grow is None else grow
    if not grow:
        rows, columns = ([_joint(side, grow)] if side else [] for side in (rows, columns))
    blocks = layout.blocks() if dims or (rows and columns) else [layout.matrix]
    heights = [block.shape[0] for block in blocks]
    by_block = list(zip(*(factor.split(heights) for factor in rows), strict=True)) or [()] * len(blocks)
    sums, room = [], _room(blocks[0]) if dims else None
    for block, row in zip(blocks, by_block, strict=True):
        for factor in [_joint([*row, *columns], grow)] if grow else [*row, *columns]:
            block.mul_(factor)
        sums.append(_sums(block, layout.first, dims, room))
    layout.write_back()
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
    return _joint(factors, may_grow(factors))


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


def _joint(factors: Sequence[Tensor], grow: bool) -> Tensor:
    if not grow:
        return reduce(mul, factors)
    shrink = reduce(mul, [factor.clamp(max=1) for factor in factors])
    growth = reduce(add, [(factor - 1).clamp(min=0) for factor in factors]) + 1
    return shrink * growth.clamp(max=torch.finfo(growth.dtype).max)  # 0 * inf would be NaN


def _sums(block: Tensor, first: int, dims: Sequence[int], room: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    if not dims:
        return None, None
    block = single(block)
    if all(dim == first for dim in dims):
        return torch.linalg.vector_norm(block, dim=1).square(), None
    squares = block * block if room is None else torch.mul(block, block, out=room[: block.shape[0]])
    return (squares.sum(1) if first in dims else None), squares.sum(0)


def _room(block: Tensor) -> Tensor:
    # For the squares, once for all blocks: memory fresh from the system costs more than the squares do.
    return torch.empty_like(single(block), memory_format=torch.contiguous_format)
