"""Vectors of different lengths as the rows of one matrix: a few operations for all layers, not a few for each.

Rows are filled up with zeros, so that sums over them are sums over the vectors.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["Rows"]

_MOST = 1 << 17  # elements; longer operations do not wait for their start


class Rows:
    """Where the elements of each vector lie in the matrix; made once for vectors of the same lengths.

    Args:
        sizes: The lengths.
        like: A tensor of the dtype and on the device that they have.

    Example:
        >>> rows = Rows([2, 1], like=torch.zeros(()))
        >>> matrix = rows.matrix([torch.tensor([1.0, 3.0]), torch.tensor([5.0])])
        >>> matrix
        tensor([[1., 3.],
                [5., 0.]])
        >>> rows.mean(matrix)
        tensor([[2.],
                [5.]])
        >>> rows.vectors(rows.inside * (matrix - rows.mean(matrix)))
        [tensor([-1.,  1.]), tensor([0.])]
    """

    def __init__(self, sizes: Sequence[int], like: Tensor) -> None:
        self._sizes = list(sizes)
        self._end = like.new_zeros(1)
        self.counts = like.new_tensor(self._sizes)[:, None]
        column = torch.arange(max(sizes), device=like.device)
        within = column < self.counts
        self.inside = within.to(like.dtype)
        self._places = torch.full(within.shape, sum(sizes), device=like.device)
        self._places[within] = torch.arange(sum(sizes), device=like.device)
        self._back = within.flatten().nonzero()[:, 0]

    @staticmethod
    def of(vectors: Sequence[Tensor]) -> "Rows | None":
        """The rows of some vectors; None where they are none, differ in dtype or device, or make a large matrix."""
        kinds = {(vector.dtype, vector.device, vector.ndim) for vector in vectors}
        sizes = tuple(vector.numel() for vector in vectors)
        if len(kinds) != 1 or 0 in sizes or len(sizes) * max(sizes) > _MOST:
            return None
        dtype, device, ndim = kinds.pop()
        return _rows(sizes, dtype, device) if ndim == 1 else None

    def matrix(self, vectors: Sequence[Tensor]) -> Tensor:
        """The vectors as rows, with zeros after their ends."""
        return torch.cat([*vectors, self._end]).index_select(0, self._places.flatten()).view_as(self.inside)

    def vectors(self, matrix: Tensor) -> list[Tensor]:
        """The rows as vectors, whatever stands after their ends."""
        return list(matrix.flatten().index_select(0, self._back).split(self._sizes))

    def mean(self, matrix: Tensor) -> Tensor:
        """The mean of each vector, ``(rows, 1)``, of a matrix with zeros after the ends."""
        return matrix.sum(1, keepdim=True) / self.counts


@lru_cache(maxsize=16)
def _rows(sizes: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Rows:
    return Rows(sizes, torch.empty((), dtype=dtype, device=device))
