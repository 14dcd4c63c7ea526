"""Which unit does each element of a tensor belong to? Labels, and the classes that ops tie them into.

A *label tensor* has the shape of the tensor it describes; an element is

* ``> 0``: the number of an *atom*, one removable entry of some parameter's dimension (a filter, a neuron),
* ``< 0``: one feature of the model's input, ``-1 - position`` within an example,
* ``0``: nothing that could be removed (a constant, a position in space).

Dimensions along which nothing changes are kept at stride 0, so a label tensor of a whole feature map costs one
number a channel. An op that only moves elements is followed by applying *the same op* to the labels; an op that
combines elements ties their atoms together. Tied atoms form a *class*: they live and go together.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_WIDE = "_gasl_varying"  # on a canonical label tensor, which nobody writes to: where it varies

__all__ = ["Classes", "along", "canonical", "components", "distinct", "distinct_rows", "spread", "varying_dims"]


def varying_dims(labels: Tensor) -> tuple[int, ...]:
    """The dimensions along which a label tensor is not constant.

    Args:
        labels: Label tensor of any shape.

    Returns:
        The varying dimensions, ascending.

    Example:
        >>> varying_dims(torch.tensor([[1, 2], [1, 2]]))
        (1,)
    """
    known: tuple[int, ...] | None = getattr(labels, _WIDE, None)
    if known is None:
        once = distinct(labels)
        known = tuple(d for d, n in enumerate(once.shape) if n > 1 and bool((once != once.narrow(d, 0, 1)).any()))
    return known


def canonical(labels: Tensor) -> Tensor:
    """The same labels with every constant dimension at stride 0.

    Args:
        labels: Label tensor of any shape, without empty dimensions.

    Returns:
        An expanded view of the distinct part.

    Example:
        >>> canonical(torch.tensor([[1, 2], [1, 2]])).stride()
        (0, 1)
    """
    if hasattr(labels, _WIDE):
        return labels
    keep = varying_dims(labels)
    small = labels
    for d, n in enumerate(labels.shape):
        if n > 1 and d not in keep:
            small = small.narrow(d, 0, 1)
    small = small.expand(labels.shape)
    setattr(small, _WIDE, keep)
    return small


def distinct(labels: Tensor) -> Tensor:
    """One element of every dimension that is merely repeated.

    Args:
        labels: Label tensor of any shape.

    Returns:
        A view without the dimensions at stride 0 (they have size 1).

    Example:
        >>> distinct(torch.tensor([1, 2]).expand(3, 2)).shape
        torch.Size([1, 2])
    """
    for d, (n, step) in enumerate(zip(labels.shape, labels.stride(), strict=True)):
        if step == 0 and n > 1:
            labels = labels.narrow(d, 0, 1)
    return labels


def distinct_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The different rows of a matrix in ascending order, and which of them each row is.

    Args:
        rows: Label tensor of two dimensions.

    Returns:
        What ``torch.unique`` gives along dimension 0, at once where the first column tells all rows apart.

    Example:
        >>> distinct_rows(torch.tensor([[3, 4], [1, 2]]))
        (tensor([[1, 2],
                [3, 4]]), tensor([1, 0]))
    """
    first, order = rows[:, 0].sort()
    if bool((first[1:] != first[:-1]).all()):
        return rows[order], order.argsort()
    patterns, where = torch.unique(rows, dim=0, return_inverse=True)
    return patterns, where


def components(table: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """The smallest member of each set after joining pairs.

    Args:
        table: The smallest member of each element's set so far, shape ``(n,)``.
        left: One side of each pair.
        right: The other side.

    Returns:
        The new table.

    Example:
        >>> components(torch.arange(5), torch.tensor([3, 4]), torch.tensor([1, 3])).tolist()
        [0, 1, 2, 1, 1]
    """
    table, a, b = table.clone(), table[left], table[right]
    while True:
        low, high = torch.minimum(a, b), torch.maximum(a, b)
        apart = low != high
        if not bool(apart.any()):
            return table
        low, high = low[apart], high[apart]
        table.scatter_reduce_(0, high, low, "amin")
        while not torch.equal(after := table[table], table):
            table = after
        a, b = table[low], table[high]


def along(labels: Tensor, dim: int) -> Tensor:
    """The labels at the first place of every other dimension, as a vector.

    Args:
        labels: Label tensor of any shape.
        dim: The dimension that is kept.

    Returns:
        Shape ``(labels.shape[dim],)``.

    Example:
        >>> along(torch.tensor([[1, 2], [3, 4]]), 0)
        tensor([1, 3])
    """
    return labels.movedim(dim, -1).reshape(-1, labels.shape[dim])[0]


def spread(vector: Tensor, dim: int, shape: Sequence[int]) -> Tensor:
    """Labels of a shape that vary along one dimension only.

    Args:
        vector: One label for each index of the dimension.
        dim: The dimension.
        shape: The shape.

    Returns:
        An expanded view.

    Example:
        >>> spread(torch.tensor([1, 2]), 0, (2, 3))
        tensor([[1, 1, 1],
                [2, 2, 2]])
    """
    return vector.reshape([-1 if d == dim % len(shape) else 1 for d in range(len(shape))]).expand(shape)


class Classes:
    """Atoms and the ties between them; each class remembers why it must not be removed.

    Ties are gathered and resolved together when a class is asked for.

    Example:
        >>> classes = Classes()
        >>> a, b = classes.fresh(2), classes.fresh(2)
        >>> classes.tie(a, b)
        >>> classes.roots(a).tolist() == classes.roots(b).tolist()
        True
        >>> classes.protect(a[:1], "model output")
        >>> [classes.reason(atom) for atom in b.tolist()]
        ['model output', None]
    """

    def __init__(self) -> None:
        self._count = 1
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self._tied: list[int] = []  # for each pair its place among the reasons
        self._protected: list[tuple[Tensor, str]] = []
        self._table = torch.zeros(1, dtype=torch.int64)
        self._reasons: Tensor | None = None

    def __len__(self) -> int:
        return self._count

    def fresh(self, count: int) -> Tensor:
        """``count`` new atoms, each a class of its own, as a 1-D tensor."""
        start = self._count
        self._count += count
        self._reasons = None
        return torch.arange(start, start + count)

    def roots(self, atoms: Tensor) -> Tensor:
        """The representative of each atom, same shape; labels ``<= 0`` stay as they are."""
        return torch.where(atoms > 0, self._resolved()[atoms.clamp(min=0)], atoms)

    def roots_of_all(self, atoms: Sequence[Tensor]) -> list[Tensor]:
        """The representatives of vectors of atoms, all > 0, in one go."""
        every = self._resolved()[torch.cat([torch.empty(0, dtype=torch.int64), *atoms])]
        return list(every.split([one.numel() for one in atoms]))

    def tie(self, left: Tensor, right: Tensor) -> None:
        """Make each pair of labels (broadcast) one class; an atom that meets an input feature is protected."""
        if left is right:
            return
        left, right = distinct(left), distinct(right)
        if left.shape != right.shape:
            left, right = torch.broadcast_tensors(left, right)
        self._pairs.append((left.reshape(-1), right.reshape(-1)))
        self._tied.append(len(self._protected))
        self._protected.append((left[:0], "combined with the model's input"))  # of which, is found when it is asked
        self._reasons = None

    def protect(self, labels: Tensor, reason: str) -> None:
        """Never remove the classes of these labels; the first reason given is kept."""
        self._protected.append((distinct(labels), reason))
        self._reasons = None

    def reasons(self) -> Tensor:
        """For each atom the number of the first reason why its class is protected; negative where it is not."""
        if self._reasons is None:
            table = self._resolved()  # completes what is protected
            first = torch.full((self._count,), len(self._protected))
            given = [(labels.reshape(-1), number) for number, (labels, _) in enumerate(self._protected)]
            labels = torch.cat([first[:0], *(one for one, _ in given)])
            counts = torch.tensor([one.numel() for one, _ in given], dtype=torch.int64)
            numbers = torch.repeat_interleave(torch.arange(len(given)), counts)[labels > 0]
            first.scatter_reduce_(0, table[labels[labels > 0]], numbers, "amin")
            found = first[table]
            self._reasons = torch.where(found < len(self._protected), found, -1)
        return self._reasons

    def reason(self, atom: int) -> str | None:
        """Why the class of an atom is protected, or None."""
        return self.first_reason(torch.tensor([atom]))

    def first_reason(self, atoms: Tensor) -> str | None:
        """The first reason among several atoms."""
        found = self.reasons()[atoms]
        found = found[found >= 0]
        return self._protected[int(found[0])][1] if found.numel() else None

    def _resolved(self) -> Tensor:
        if self._table.numel() < self._count:
            self._table = torch.cat([self._table, torch.arange(self._table.numel(), self._count)])
        if self._pairs:
            sizes = [left.numel() for left, _ in self._pairs]
            left, right = (torch.cat(side) for side in zip(*self._pairs, strict=True))
            low, high = torch.minimum(left, right), torch.maximum(left, right)
            if bool((features := (low < 0) & (high > 0)).any()):
                for place, atoms, met in zip(self._tied, high.split(sizes), features.split(sizes), strict=True):
                    self._protected[place] = (atoms[met], self._protected[place][1])
            self._pairs.clear()
            self._tied.clear()
            tied = low > 0
            self._table = components(self._table, low[tied], high[tied])
        return self._table
