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
        self._ends = {end: like.new_full((1,), end) for end in (0.0, torch.inf)}
        self.counts = like.new_tensor(self._sizes)[:, None]
        self._minus = -self.counts
        self.roots = self.counts.sqrt()
        column = torch.arange(max(sizes), device=like.device)
        within = column < self.counts
        self.inside = within.to(like.dtype)
        places = torch.full(within.shape, sum(sizes), device=like.device)
        places[within] = torch.arange(sum(sizes), device=like.device)
        self._places = places.flatten()
        self._back = within.flatten().nonzero()[:, 0]

    @staticmethod
    def of(vectors: Sequence[Tensor]) -> "Rows | None":
        """The rows of some vectors; None where they are none, differ in dtype or device, or make a large matrix."""
        shapes = tuple([vector.shape for vector in vectors])
        dtype, device = (vectors[0].dtype, vectors[0].device) if vectors else (None, None)
        if any(vector.dtype != dtype or vector.device != device for vector in vectors):
            return None
        return _rows(shapes, dtype, device)

    def matrix(self, vectors: Sequence[Tensor], end: float = 0.0) -> Tensor:
        """The vectors as rows, with zeros (or infinities) after their ends."""
        return torch.cat([*vectors, self._ends[end]]).index_select(0, self._places).view_as(self.inside)

    def flat(self, matrix: Tensor) -> Tensor:
        """The rows laid end to end, without what stands after their ends."""
        return matrix.view(-1).index_select(0, self._back)

    def split(self, flat: Tensor) -> list[Tensor]:
        """Vectors that were laid end to end."""
        return list(flat.split_with_sizes(self._sizes))

    def vectors(self, matrix: Tensor) -> list[Tensor]:
        """The rows as vectors, whatever stands after their ends."""
        return self.split(self.flat(matrix))

    def mean(self, matrix: Tensor) -> Tensor:
        """The mean of each vector, ``(rows, 1)``, of a matrix with zeros after the ends."""
        return matrix.sum(1, keepdim=True) / self.counts

    def minus_mean(self, matrix: Tensor) -> Tensor:
        """-:meth:`mean`, in no more operations."""
        return matrix.sum(1, keepdim=True) / self._minus


@lru_cache(maxsize=16)
def _rows(shapes: tuple[torch.Size, ...], dtype: torch.dtype | None, device: torch.device | None) -> Rows | None:
    if not shapes or any(len(shape) != 1 or shape[0] == 0 for shape in shapes):
        return None
    sizes = [shape[0] for shape in shapes]
    if len(sizes) * max(sizes) > _MOST:
        return None
    with torch.inference_mode(False):  # they are kept
        return Rows(sizes, torch.empty((), dtype=dtype, device=device))
