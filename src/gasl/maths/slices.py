"""Sums of squares and scaling of the slices of a weight, along several dimensions in one pass over its memory.

A weight may lie in several groups: row i of a matrix is one unit's, column k another's. Reading it once for all of
them, and writing it once, is what makes the closed-form step cheap, for memory is what it waits for. The weight is
taken as the matrix that lies in memory, whatever its layout (contiguous, channels last, transposed), and on a CPU in
blocks of rows that stay in the cache between the operations on them.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add, mul

import torch
from torch import Tensor

__all__ = ["joint_factors", "root", "scale_slices_", "square_sums"]

_BLOCK = 1 << 17  # elements; with their squares 1 MiB of float32


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
        return [_single(weight).square()] * len(dims)
    layout = _Layout(weight)
    blocks = layout.blocks(whole=all(dim == layout.first for dim in dims))
    room = None if weight.requires_grad and torch.is_grad_enabled() else _room(blocks[0])
    return layout.gathered([_sums(block, layout.first, dims, room) for block in blocks], dims)


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


@torch.no_grad()
def scale_slices_(weight: Tensor, factors: Sequence[tuple[int, Tensor]], dims: Sequence[int] = ()) -> list[Tensor]:
    """Multiply each slice with the factor of its group, for all groups that a weight lies in at once.

    With f_k the factors of the groups that an element w lies in::

        w <- w * prod_k min(f_k, 1) * (1 + sum_k max(f_k - 1, 0))

    Shrinking multiplies, so that a factor 0 gives exactly 0; growing adds, so that two small groups that are both
    pushed up by a step do not push what they share by the product of two huge factors. One factor alone is plain
    multiplication.

    Args:
        weight: What is changed in place.
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
    layout = _Layout(weight)
    rows = [factor[:, None] for dim, factor in factors if dim == layout.first]
    columns = [layout.along_columns(dim, factor) for dim, factor in factors if dim != layout.first]
    grow = _grow([factor for _, factor in factors])
    if not grow:
        rows, columns = ([_joint(side, grow)] if side else [] for side in (rows, columns))
    blocks = layout.blocks(whole=not dims and not (rows and columns))
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
    return _joint(factors, _grow(factors))


def _joint(factors: Sequence[Tensor], grow: bool) -> Tensor:
    if not grow:
        return reduce(mul, factors)
    shrink = reduce(mul, [factor.clamp(max=1) for factor in factors])
    growth = reduce(add, [(factor - 1).clamp(min=0) for factor in factors]) + 1
    return shrink * growth.clamp(max=torch.finfo(growth.dtype).max)  # 0 * inf would be NaN


class _Layout:
    """A weight as the matrix that lies in memory: its outermost dimension, the first, by all others."""

    def __init__(self, weight: Tensor) -> None:
        self._order = sorted(range(weight.ndim), key=weight.stride().__getitem__, reverse=True)
        self._memory = weight.permute(self._order)
        self._matrix = self._memory.flatten(1)
        self.first = self._order[0]

    def blocks(self, whole: bool) -> list[Tensor]:
        """The rows, on a CPU so few at a time that they stay in the cache; ``whole``: all at once."""
        if whole or self._matrix.device.type != "cpu":
            return [self._matrix]
        return list(self._matrix.split(max(1, _BLOCK // max(1, self._matrix.shape[1]))))

    def along_columns(self, dim: int, factor: Tensor) -> Tensor:
        """One value for each index of ``dim`` as a row of the matrix, ``(1, columns)``."""
        shape = [-1 if d == dim else 1 for d in self._order[1:]]
        return factor.view(shape).expand(self._memory.shape[1:]).reshape(1, -1)

    def gathered(self, sums: Sequence[tuple[Tensor | None, Tensor | None]], dims: Sequence[int]) -> list[Tensor]:
        """Sums along each dimension from those of the blocks."""
        found = []
        for dim in dims:
            if dim == self.first:
                found.append(torch.cat([row for row, _ in sums if row is not None]))
                continue
            column = torch.stack([column for _, column in sums if column is not None]).sum(0)
            others = [i for i, d in enumerate(self._order[1:]) if d != dim]
            column = column.view(self._memory.shape[1:])
            found.append(column.sum(others) if others else column)
        return found

    def write_back(self) -> None:
        """A weight with gaps in memory could not be viewed as a matrix: bring the copy home."""
        if self._matrix.data_ptr() != self._memory.data_ptr():
            self._memory.copy_(self._matrix.view(self._memory.shape))


def _sums(block: Tensor, first: int, dims: Sequence[int], room: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    if not dims:
        return None, None
    block = _single(block)
    if any(dim != first for dim in dims):
        squares = block * block if room is None else torch.mul(block, block, out=room[: block.shape[0]])
        return (squares.sum(1) if first in dims else None), squares.sum(0)
    return torch.linalg.vector_norm(block, dim=1).square(), None


def _room(block: Tensor) -> Tensor:
    # For the squares, once for all blocks: memory fresh from the system costs more than the squares do.
    return torch.empty_like(_single(block), memory_format=torch.contiguous_format)


def _grow(factors: Sequence[Tensor]) -> bool:
    # Asked of small vectors on a CPU; elsewhere the answer would make the host wait, and "perhaps" is right too.
    return len(factors) > 1 and any(f.device.type != "cpu" or bool((f > 1).any()) for f in factors)


def _single(weight: Tensor) -> Tensor:
    return weight.float() if weight.dtype in (torch.float16, torch.bfloat16) else weight
