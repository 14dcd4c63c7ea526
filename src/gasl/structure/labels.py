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

__all__ = ["Classes", "along", "canonical", "components", "distinct", "spread", "varying_dims"]


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
    once = distinct(labels)
    return tuple(d for d, n in enumerate(once.shape) if n > 1 and bool((once != once.narrow(d, 0, 1)).any()))


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
    keep = varying_dims(labels)
    small = labels
    for d in range(labels.ndim):
        if d not in keep:
            small = small.narrow(d, 0, 1)
    return small.expand(labels.shape)


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
    for d in range(labels.ndim):
        if labels.stride(d) == 0 and labels.shape[d] > 1:
            labels = labels.narrow(d, 0, 1)
    return labels


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
        self._pairs: list[Tensor] = []
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

    def tie(self, left: Tensor, right: Tensor) -> None:
        """Make each pair of labels (broadcast) one class; an atom that meets an input feature is protected."""
        left, right = torch.broadcast_tensors(distinct(left), distinct(right))
        pairs = torch.stack([left.flatten(), right.flatten()])
        low, high = pairs.amin(0), pairs.amax(0)
        if bool((features := (low < 0) & (high > 0)).any()):
            self.protect(high[features], "combined with the model's input")
        tied = pairs[:, (low > 0) & (low != high)]
        if tied.numel() > 0:
            self._pairs.append(tied)
            self._reasons = None

    def protect(self, labels: Tensor, reason: str) -> None:
        """Never remove the classes of these labels; the first reason given is kept."""
        self._protected.append((distinct(labels), reason))
        self._reasons = None

    def reasons(self) -> Tensor:
        """For each atom the number of the first reason why its class is protected; negative where it is not."""
        if self._reasons is None:
            table = self._resolved()
            first = torch.full((self._count,), len(self._protected))
            for number, (labels, _) in reversed(list(enumerate(self._protected))):
                first[table[labels[labels > 0]]] = number
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
            left, right = torch.cat(self._pairs, dim=1)
            self._pairs.clear()
            self._table = components(self._table, left, right)
        return self._table
