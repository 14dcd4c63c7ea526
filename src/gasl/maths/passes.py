"""The closed-form step on many weights: the memory of each is read once and written once.

The sums of squares after the step, which the next one starts from, follow from those before and the factors: where all
factors stand along one dimension, s_j becomes f_j^2 s_j; where they stand along two, the same holds for the table of
:class:`~gasl.maths.tables.SquareTable`. Only a matrix that is its own table is summed anew, block by block, while it
is multiplied.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gasl.maths.layout import Layout, single
from gasl.maths.slices import joint, may_grow, scale_layout_, scale_slices_, square_sums
from gasl.maths.tables import SquareTable, table_sums

__all__ = ["Pass"]

Pairs = Sequence[tuple[int, Tensor]]


class Pass:
    """Weights that are read, and then multiplied, step after step. Where they lie in memory is found once.

    Args:
        weights: The weights by name; none needs a gradient of what is done here.
        dims: Of those that are read the dimensions >= 0 whose slices are groups, each at most once.

    Example:
        >>> weight = torch.tensor([[3.0, 0.0], [4.0, 1.0]])
        >>> step = Pass({"w": weight}, {"w": [0]})
        >>> step.begin()
        >>> step.read("w")
        [tensor([ 9., 17.])]
        >>> step.scale_("w", [(0, torch.tensor([2.0, 0.0]))])
        >>> step.finish()
        {'w': [tensor([36.,  0.])]}
        >>> weight
        tensor([[6., 0.],
                [0., 0.]])
    """

    def __init__(self, weights: Mapping[str, Tensor], dims: Mapping[str, Sequence[int]]) -> None:
        self._given, self._at = dict(weights), _places(weights)
        self._weights = {name: weight.detach() for name, weight in weights.items()}
        self._dims = {name: list(along) for name, along in dims.items()}
        self._vectors = [name for name in dims if weights[name].ndim == 1]
        self._matrices = {name: Layout(weight) for name, weight in self._weights.items() if weight.ndim > 1}
        self._layouts = {name: layout for name, layout in self._matrices.items() if layout.dense}
        self._rows = {
            name: layout.matrix for name, layout in self._layouts.items() if self._dims.get(name) == [layout.first]
        }
        self._tables: dict[str, SquareTable] = {}
        for name, weight in self._weights.items():
            if name in self._layouts and (table := SquareTable.of(weight, self._dims.get(name, ()))) is not None:
                self._tables[name], self._layouts[name] = table, table.layout
        self._rooms: dict[tuple[torch.device, torch.dtype], Tensor] = {}
        self.begin()

    @property
    def current(self) -> bool:
        """Whether the weights are still where they were found."""
        return self._at == _places(self._given)

    def begin(self) -> None:
        """Start a step: forget the last one, and read all vectors, which takes one operation."""
        self._read: dict[str, Tensor] = {}  # tables
        self._alone: dict[str, Tensor] = {}  # factors along a single dimension
        self._norms: dict[str, Tensor] = {}  # of rows, whose squares are found for all at once
        squares = _products([single(self._weights[name]) for name in self._vectors])
        self._sums = {name: [each] * len(self._dims[name]) for name, each in zip(self._vectors, squares, strict=True)}

    def norms(self, name: str) -> Tensor | None:
        """Of a weight that is read along its rows alone: their norms as they are now. None for any other."""
        if (rows := self._rows.get(name)) is None:
            return None
        self._norms[name] = torch.linalg.vector_norm(single(rows), dim=1)
        return self._norms[name]

    def read(self, name: str) -> list[Tensor]:
        """The sums of squares of a weight along each of its dims."""
        if name not in self._sums:
            if (norms := self.norms(name)) is not None:
                self._sums[name] = [norms.square()]
            elif name in self._tables:
                self._read[name] = table = self._tables[name].read(self._room(name))
                self._sums[name] = [table.sum(1), table.sum(0)]
            else:
                self._sums[name] = square_sums(self._weights[name], self._dims[name])
        return self._sums[name]

    def scale_(self, name: str, pairs: Pairs, grow: bool | None = None) -> None:
        """Multiply a weight as :func:`~gasl.maths.slices.scale_slices_` does.

        Args:
            name: The weight.
            pairs: Pairs of a dimension and one factor >= 0 for each index of it.
            grow: Whether one may be above 1; None finds out.
        """
        if len(pairs) == 1 and name not in self._matrices:
            self._alone[name] = pairs[0][1]
            return
        weight, dims, layout = self._weights[name], self._dims.get(name, []), self._layouts.get(name)
        along, each = {dim for dim, _ in pairs}, [factor for _, factor in pairs]
        grow = may_grow(each) if grow is None else grow and len(each) > 1
        if weight.ndim == 1 or (len(dims) == 1 and along == set(dims)):
            self._alone[name] = joint(each, grow)
            if layout is not None:
                scale_layout_(layout, [(dims[0], self._alone[name])], [], grow=False)
            elif weight.ndim > 1:
                scale_slices_(weight, [(dims[0], self._alone[name])])
        elif layout is None:
            self._sums[name] = scale_slices_(weight, pairs, dims)
        elif name in self._read and along <= set(dims):
            scale_layout_(layout, pairs, [], grow)
            rows, columns = ([factor for d, factor in pairs if d == dim] for dim in dims)
            self._sums[name] = table_sums(self._read[name], rows, columns, grow)
        else:
            self._sums[name] = scale_layout_(layout, pairs, dims, grow)

    def finish(self) -> dict[str, list[Tensor]]:
        """Multiply the vectors; the sums of squares along each of the dims, as the weights are then."""
        if vectors := [name for name in self._alone if name not in self._matrices]:
            torch._foreach_mul_([self._weights[name] for name in vectors], [self._alone[name] for name in vectors])
        late = [name for name in self._norms if name not in self._sums]
        for name, squares in zip(late, _products([self._norms[name] for name in late]), strict=True):
            self._sums[name] = [squares]
        known = [name for name in self._alone if name in self._sums]
        before = [self._sums[name][0] for name in known]
        for name, after in zip(known, _products([self._alone[name] for name in known], before), strict=True):
            self._sums[name] = [after] * len(self._dims[name])
        return self._sums

    def _room(self, name: str) -> Tensor:
        weight = single(self._weights[name][:0])
        kind = weight.device, weight.dtype
        if kind not in self._rooms:  # once for all: memory fresh from the system costs more than the squares do
            self._rooms[kind] = weight.new_empty(max(table.room for table in self._tables.values()))
        return self._rooms[kind]


def _places(weights: Mapping[str, Tensor]) -> list[int]:
    return [weight.data_ptr() for weight in weights.values()]


def _products(factors: Sequence[Tensor], times: Sequence[Tensor] | None = None) -> Sequence[Tensor]:
    """F * f, or f * f * t, of each vector: one operation for all, if they are alike."""
    if not factors:
        return ()
    if len({(vector.dtype, vector.device) for vector in (*factors, *(times or ()))}) > 1:
        squares = torch._foreach_mul(list(factors), list(factors))
        return squares if times is None else torch._foreach_mul(squares, list(times))
    flat = torch.cat(list(factors))
    flat = flat * flat if times is None else flat * flat * torch.cat(list(times))
    return list(flat.split_with_sizes([vector.numel() for vector in factors]))
