"""What rules note beside labels and affine calls: grids, size claims, flows and readings."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from gasl.structure.claims import Claim
from gasl.structure.classes import Classes
from gasl.structure.grids import Grid
from gasl.structure.labels import along, canonical, distinct, varying_dims
from gasl.structure.numbers import Attribute, Extent, Leaf, Number, leaves_of

__all__ = ["Notes"]


class Notes:
    """What ties units together beyond the classes.

    Args:
        classes: The classes of the pass.
    """

    def __init__(self, classes: Classes) -> None:
        self.grids: list[Grid] = []
        self.claims: list[Claim] = []
        self.counts: dict[str, Tensor] = {}
        self.mixed: list[Tensor] = []
        self.scaled: list[tuple[Tensor, Tensor]] = []
        self.flows: list[tuple[Tensor, Tensor, bool]] = []
        self.tables: list[tuple[str, int]] = []
        self.sinks: list[tuple[Tensor, Tensor]] = []
        self.holds: dict[str, str] = {}
        self._classes = classes

    def settle(self, floats: Iterable[Leaf], standard: Mapping[str, Tensor]) -> None:
        """What also scales something, and an attribute with another use, keeps its size.

        Args:
            floats: The numbers that went on as floats.
            standard: By path of an attribute the atoms that it counts in every network of its kind (``out_features``).
        """
        claimed = (leaf for claim in self.claims for leaf in leaves_of(claim.number))
        for leaf in (*claimed, *floats, *(Attribute(path) for path in self.counts)):
            if isinstance(leaf, Attribute) and (atoms := standard.get(leaf.path)) is not None:
                self._classes.tie(self.counted(leaf.path, atoms.numel()), atoms)
        for leaf in floats:
            if isinstance(leaf, Extent):
                self.fix(leaf.labels, leaf.dim, "its size is also used as a number that is no size")
            else:
                self.holds.setdefault(leaf.path, f"{leaf.path} is also used as a number that is no size")
        for path, reason in self.holds.items():
            if path in self.counts:
                self._classes.protect(self.counts[path], reason)

    def counted(self, path: str, size: int) -> Tensor:
        """The classes that an integer attribute counts."""
        if path not in self.counts:
            self.counts[path] = self._classes.fresh(size)
        return self.counts[path]

    def size(self, labels: Tensor, dim: int, number: int | None, name: str) -> None:
        """Note that the forward holds the size of a dimension as this number; None if it follows by itself."""
        if number is None or dim not in varying_dims(labels):
            return
        leaves = leaves_of(number)
        if not isinstance(number, Number) or not leaves:
            self.fix(labels, dim, f"{name} holds its size as the number {int(number)}")
        elif number.attribute is not None:
            self.link(labels, dim, self.counted(number.attribute, int(number)))
        else:
            self.claims.append(Claim(number, canonical(labels), dim))

    def kept(self, path: str, reason: str) -> None:
        """An integer attribute that must keep its value."""
        self.holds.setdefault(path, reason)

    def cuts(self, labels: Tensor, dim: int, size: int, name: str) -> None:
        """A width that is cut into equal parts, whose number is the code's: the same place of each part goes."""
        parts = labels.shape[dim] // size
        if parts * size != labels.shape[dim]:
            self._classes.protect(labels, f"{name} cuts the width into unequal parts")
            return
        split = labels.unflatten(dim, (parts, size))
        self.grid(split, fixed={dim: f"{name} cuts the width into {parts} parts"})

    def fix(self, labels: Tensor, dim: int, reason: str) -> None:
        """The number of indices along a dimension cannot change."""
        if varying_dims(labels) == (dim,):
            self._classes.protect(labels, reason)
        else:
            self.grid(labels, fixed={dim: reason})

    def link(self, labels: Tensor, dim: int, header: Tensor) -> None:
        """What lies at one index of a dimension goes with the class of that index in ``header``, and only so."""
        if varying_dims(labels) == (dim,):
            self._classes.tie(along(labels, dim), header)
        elif dim in varying_dims(labels):
            self.grid(labels, headers={dim: header})

    def meet(self, merged: Tensor, other: Tensor, name: str) -> None:
        """Elements of ``other`` act on those of ``merged``, of the same shape, which tells at least as many apart."""
        wide, own = varying_dims(merged), varying_dims(other)
        if own == wide:
            self._classes.tie(other, merged)
        elif len(own) == 1 and own[0] in wide:
            self.link(merged, own[0], along(other, own[0]))
        else:
            for labels in (merged, other):
                self._classes.protect(labels, f"{name} combines units of several widths")

    def grid(
        self, labels: Tensor, headers: dict[int, Tensor] | None = None, fixed: dict[int, str] | None = None
    ) -> None:
        """Labels that vary along several dimensions: what is left must be a full grid."""
        wide = varying_dims(labels)
        cells = distinct(canonical(labels)).reshape([labels.shape[d] for d in wide])
        if len(wide) < 2 or bool((cells <= 0).all()):
            return
        if bool((cells <= 0).any()):
            self._classes.protect(cells, "split beside something of fixed size")
            return
        place = {d: i for i, d in enumerate(wide)}
        self.grids.append(
            Grid(
                cells,
                [(place[d], h) for d, h in (headers or {}).items() if d in place],
                {place[d]: reason for d, reason in (fixed or {}).items() if d in place},
            )
        )

    def flow(self, sources: Tensor, targets: Tensor, additive: bool) -> None:
        """Each target class depends on the source class at its place; ``additive``: it varies if the source does."""
        left, right = torch.broadcast_tensors(distinct(sources), distinct(targets))
        left, right = left.flatten(), right.flatten()
        real, count = (left > 0) & (right > 0), len(self._classes)
        pairs = torch.unique(left[real] * count + right[real])
        self.flows.append((pairs // count, pairs % count, additive))

    def sink(self, labels: Tensor, values: Tensor) -> None:
        """Every one of these classes matters, unless it is 0: a sum over the width. ``values``: the tensor itself."""
        self.sinks.append(_largest(labels, values))

    def scale(self, labels: Tensor, values: Tensor) -> None:
        """Something that may change with the input multiplies these classes: as a constant only a zero stays one."""
        self.scaled.append(_largest(labels, values))


def _largest(labels: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Each class with the largest size of its values."""
    labels = labels.expand(values.shape)
    still = [d for d in range(values.ndim) if d not in varying_dims(labels)]
    size = values.detach().abs()
    for d in still:
        labels = labels.narrow(d, 0, 1)
    size = (size.amax(still, keepdim=True) if still else size).cpu()
    classes, where = torch.unique(labels, return_inverse=True)
    largest = size.new_zeros(classes.numel()).scatter_reduce(0, where.flatten(), size.flatten(), "amax")
    return classes[classes > 0], largest[classes > 0]
