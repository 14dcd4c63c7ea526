"""Which unit does each element of a tensor belong to? Labels, and the classes that ops tie them into.

A *label tensor* has the shape of the tensor it describes; an element is

* ``> 0``: the number of an *atom*, one removable entry of some parameter's dimension (a filter, a neuron),
* ``< 0``: one feature of the model's input, ``-1 - position`` within an example,
* ``0``: nothing that could be removed (a constant, a position in space).

Dimensions along which nothing changes are kept at stride 0, so a label tensor of a whole feature map costs one
number a channel. An op that only moves elements is followed by applying *the same op* to the labels; an op that
combines elements ties their atoms together. Tied atoms form a *class*: they live and go together.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["Classes", "canonical", "distinct", "varying_dims"]


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
    return tuple(
        d
        for d, size in enumerate(labels.shape)
        if size > 1 and labels.stride(d) != 0 and bool((labels != labels.narrow(d, 0, 1)).any())
    )


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


class Classes:
    """Union-find over atoms; each class remembers why it must not be removed.

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
        self._parent: list[int] = [0]
        self._reasons: dict[int, str] = {}

    def fresh(self, count: int) -> Tensor:
        """``count`` new atoms, each a class of its own, as a 1-D tensor."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return torch.arange(start, start + count)

    def find(self, atom: int) -> int:
        """The representative of an atom's class."""
        root = atom
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[atom] != root:
            self._parent[atom], atom = root, self._parent[atom]
        return root

    def roots(self, atoms: Tensor) -> Tensor:
        """The representative of each atom, same shape; labels ``<= 0`` stay as they are."""
        return torch.tensor([self.find(a) if a > 0 else a for a in atoms.flatten().tolist()]).reshape(atoms.shape)

    def tie(self, left: Tensor, right: Tensor) -> None:
        """Make each pair of labels (broadcast) one class; an atom that meets an input feature is protected."""
        left, right = torch.broadcast_tensors(distinct(left), distinct(right))
        pairs = torch.stack([left.flatten(), right.flatten()], dim=1)
        for a, b in torch.unique(pairs[(pairs > 0).any(dim=1)], dim=0).tolist():
            if a > 0 and b > 0:
                self._union(a, b)
            elif a < 0 or b < 0:
                self.protect(torch.tensor([max(a, b)]), "combined with the model's input")

    def protect(self, labels: Tensor, reason: str) -> None:
        """Never remove the classes of these labels; the first reason given is kept."""
        for atom in torch.unique(distinct(labels)).tolist():
            if atom > 0:
                self._reasons.setdefault(self.find(atom), reason)

    def reason(self, atom: int) -> str | None:
        """Why the class of an atom is protected, or None."""
        return self._reasons.get(self.find(atom))

    def first_reason(self, atoms: Iterable[int]) -> str | None:
        """The first reason among several atoms."""
        return next((r for r in map(self.reason, atoms) if r is not None), None)

    def _union(self, a: int, b: int) -> None:
        low, high = sorted((self.find(a), self.find(b)))
        if low == high:
            return
        self._parent[high] = low
        reason = self._reasons.pop(high, None)
        if reason is not None:
            self._reasons.setdefault(low, reason)
