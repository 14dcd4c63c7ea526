"""The closed-form step on many weights: the memory of each is read once and written once.

The sums of squares after the step, which the next one starts from, follow from those before and the factors: where all
factors stand along one dimension, s_j becomes f_j^2 s_j; where they stand along two, the same holds for the table of
:func:`~gasl.maths.slices.square_table`. Only a matrix that is its own table is summed anew, block by block, while it
is multiplied.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gasl.maths.layout import single
from gasl.maths.slices import joint_factors, may_grow, scale_slices_, square_sums, square_table, table_sums

__all__ = ["Pass"]


class Pass:
    """Weights that are read, and then multiplied, some at a time.

    Args:
        weights: The weights by name; none needs a gradient of what is done here.
        dims: Of those that are read the dimensions >= 0 whose slices are groups, each at most once.

    Example:
        >>> weight = torch.tensor([[3.0, 0.0], [4.0, 1.0]])
        >>> step = Pass({"w": weight}, {"w": [0]})
        >>> step.read(["w"])
        >>> step.sums
        {'w': [tensor([ 9., 17.])]}
        >>> step.scale_({"w": [(0, torch.tensor([2.0, 0.0]))]})
        >>> step.finish()
        {'w': [tensor([36.,  0.])]}
        >>> weight
        tensor([[6., 0.],
                [0., 0.]])
    """

    def __init__(self, weights: Mapping[str, Tensor], dims: Mapping[str, Sequence[int]]) -> None:
        self._weights, self._dims = weights, dims
        self._tables: dict[str, Tensor] = {}
        self._alone: dict[str, Tensor] = {}  # factors along a single dimension
        self.sums: dict[str, list[Tensor]] = {}

    def read(self, names: Sequence[str]) -> None:
        """Find the sums of squares of some weights."""
        vectors = [name for name in names if self._weights[name].ndim == 1]
        for name, squares in zip(vectors, _products([single(self._weights[name]) for name in vectors]), strict=True):
            self.sums[name] = [squares] * len(self._dims[name])
        for name in names:
            if self._weights[name].ndim > 1:
                weight, dims = self._weights[name], self._dims[name]
                table = square_table(weight, dims)
                if table is None:
                    self.sums[name] = square_sums(weight, dims)
                else:
                    self._tables[name], self.sums[name] = table, [table.sum(1), table.sum(0)]

    def scale_(self, factors: Mapping[str, Sequence[tuple[int, Tensor]]]) -> None:
        """Multiply some weights as :func:`~gasl.maths.slices.scale_slices_` does.

        Args:
            factors: Of each weight pairs of a dimension and one factor >= 0 for each index of it.
        """
        alone: dict[str, Tensor] = {}
        for name, pairs in factors.items():
            weight, dims = self._weights[name], self._dims.get(name, ())
            along, each = {dim for dim, _ in pairs}, [factor for _, factor in pairs]
            if weight.ndim == 1 or (len(dims) == 1 and along == set(dims)):
                alone[name] = joint_factors(each)
                if weight.ndim > 1:
                    scale_slices_(weight, [(dims[0], alone[name])])
            elif name in self._tables and along <= set(dims):
                grow = may_grow(each)
                scale_slices_(weight, pairs, grow=grow)
                rows, columns = ([factor for d, factor in pairs if d == dim] for dim in dims)
                self.sums[name] = table_sums(self._tables.pop(name), rows, columns, grow)
            else:
                self.sums[name] = scale_slices_(weight, pairs, dims)
        if vectors := [name for name in alone if self._weights[name].ndim == 1]:
            torch._foreach_mul_([self._weights[name] for name in vectors], [alone[name] for name in vectors])
        self._alone |= {name: factor for name, factor in alone.items() if name in self.sums}

    def finish(self) -> dict[str, list[Tensor]]:
        """The sums of squares along each of the dims, as the weights are now that all were multiplied."""
        before = [self.sums[name][0] for name in self._alone]
        for name, after in zip(self._alone, _products(list(self._alone.values()), before), strict=True):
            self.sums[name] = [after] * len(self._dims[name])
        self._alone.clear()
        return self.sums


def _products(factors: Sequence[Tensor], times: Sequence[Tensor] | None = None) -> Sequence[Tensor]:
    """F * f, or f * f * t, of each: one call for all."""
    if not factors:
        return ()
    squares = torch._foreach_mul(list(factors), list(factors))
    return squares if times is None else torch._foreach_mul(squares, list(times))
