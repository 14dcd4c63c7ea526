"""A weight as the matrix that lies in memory, whatever its layout (contiguous, channels last, transposed).

On a CPU it is taken in blocks of rows that stay in the cache between the operations on them.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["HALF", "Layout", "single"]

BLOCK = 1 << 18  # elements, 1 MiB of float32
HALF = BLOCK // 2  # where there is a block of squares beside the one of weights


def single(weight: Tensor) -> Tensor:
    """Half precision in float32, anything else as it is.

    Args:
        weight: Any tensor.

    Returns:
        The same numbers.

    Example:
        >>> single(torch.ones(2, dtype=torch.bfloat16))
        tensor([1., 1.])
    """
    return weight.float() if weight.dtype in (torch.float16, torch.bfloat16) else weight


class Layout:
    """A weight as the matrix that lies in memory: its outermost dimension, the first, by all others.

    Args:
        weight: The weight.
        block: Elements of a block of rows.
    """

    def __init__(self, weight: Tensor, block: int = BLOCK) -> None:
        self._order = list(range(weight.ndim))
        self._block = block
        self._memory = weight
        if not weight.is_contiguous():
            self._order.sort(key=weight.stride().__getitem__, reverse=True)
            self._memory = weight.permute(self._order)
        self.matrix = self._memory.flatten(1)
        self.first = self._order[0]

    @cached_property
    def blocks(self) -> list[Tensor]:
        """The rows, on a CPU so few at a time that they stay in the cache."""
        if self.matrix.device.type != "cpu":
            return [self.matrix]
        return list(self.matrix.split(max(1, self._block // max(1, self.matrix.shape[1]))))

    @cached_property
    def heights(self) -> list[int]:
        """How many rows each block has."""
        return [block.shape[0] for block in self.blocks]

    @property
    def dense(self) -> bool:
        """Whether the matrix is the weight's own memory; with gaps between its elements it is a copy."""
        return self.matrix.data_ptr() == self._memory.data_ptr()

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
        if not self.dense:
            self._memory.copy_(self.matrix.view(self._memory.shape))

    def around(self, dim: int) -> tuple[int, int, int]:
        """How often ``dim`` is gone through in a row of the matrix, its size, and how much lies inside one index."""
        shape, at = self._memory.shape, self._order.index(dim)
        return shape[1:at].numel(), shape[at], shape[at + 1 :].numel()
