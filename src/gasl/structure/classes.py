"""Atoms that ops tie together form a class: they live and go together."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gasl.structure.labels import distinct

__all__ = ["Classes", "components"]


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
