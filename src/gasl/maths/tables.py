"""Sums of squares over all but two dimensions of a weight: every sum along one of the two follows from them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gasl.maths.layout import HALF, Layout, single
from gasl.maths.slices import joint

__all__ = ["SquareTable", "table_sums"]


class SquareTable:
    """Sums of squares S_ik = sum_j w_ijk^2 for a kernel of inputs i and outputs k, found again at every call.

    Args:
        layout: The weight, as it lies in memory.
        dims: The two dimensions, as the table is to have them.

    Example:
        >>> weight = torch.tensor([[[2.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0]]])
        >>> table = SquareTable.of(weight, [0, 1])
        >>> table.read(torch.empty(table.room))
        tensor([[4., 3.]])
    """

    def __init__(self, layout: Layout, dims: Sequence[int]) -> None:
        self.layout = layout
        self._before, size, self._inside = layout.around(next(dim for dim in dims if dim != layout.first))
        self._blocks = layout.blocks
        self._turned = dims[0] != layout.first
        ones = single(layout.matrix[:0])
        self._sums = ones.new_empty(layout.matrix.shape[0], size)
        self._rows = [rows.view(-1) for rows in self._sums.split(layout.heights)]
        self._ones = ones.new_ones(self._inside)
        self.room = self._blocks[0].numel()
        self._squares: list[tuple[Tensor, Tensor]] = []

    @staticmethod
    def of(weight: Tensor, dims: Sequence[int]) -> "SquareTable | None":
        """The table of a weight; None where it has gaps in memory, or where a table would not help.

        Args:
            weight: The weight.
            dims: Two dimensions, one of them outermost in memory; else there is no table, nor where it would hardly
                be smaller than the weight.
        """
        layout = Layout(weight, HALF)
        if len(dims) != 2 or layout.first not in dims or not layout.dense:
            return None
        table = weight.shape[dims[0]] * weight.shape[dims[1]]
        return SquareTable(layout, dims) if weight.numel() >= 4 * table else None

    def read(self, room: Tensor) -> Tensor:
        """The sums as the weight is now; they stay until it is read again.

        Args:
            room: A vector of :attr:`room` elements or more for the squares, the same at each call.
        """
        if not self._squares or self._squares[0][0].data_ptr() != room.data_ptr():
            parts = [(room[: block.numel()], block.shape) for block in self._blocks]
            self._squares = [(flat.view(shape), flat.view(-1, self._inside)) for flat, shape in parts]
        for block, (squares, kernels), rows in zip(self._blocks, self._squares, self._rows, strict=True):
            numbers = single(block)
            torch.mul(numbers, numbers, out=squares)
            if self._before > 1:
                kernels = squares.view(squares.shape[0], self._before, -1).sum(1).view(-1, self._inside)
            torch.mv(kernels, self._ones, out=rows)
        return self._sums.T if self._turned else self._sums


def table_sums(table: Tensor, rows: Sequence[Tensor], columns: Sequence[Tensor], grow: bool) -> list[Tensor]:
    """Sums of squares along both dimensions of a table once its weight was multiplied.

    With factors f of the rows and g of the columns, none above 1, f_i^2 sum_k S_ik g_k^2 and g_k^2 sum_i S_ik f_i^2.

    Args:
        table: What :class:`SquareTable` gave for the weight before.
        rows: Factors of the first dimension, any number of vectors.
        columns: Factors of the second.
        grow: Whether there are several and one may be above 1; see :func:`~gasl.maths.slices.scale_slices_`.

    Returns:
        Two vectors.

    Example:
        >>> rows, columns = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 1.0])
        >>> table_sums(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), [rows], [columns], grow=False)
        [tensor([2.2500, 0.0000]), tensor([0.2500, 2.0000])]
    """
    if grow or not (rows and columns):
        table = table * joint([*(f[:, None] for f in rows), *columns], grow).square()
        return [table.sum(1), table.sum(0)]
    f, g = joint(rows, grow).square(), joint(columns, grow).square()
    return [f * torch.mv(table, g), g * torch.mv(table.T, f)]
