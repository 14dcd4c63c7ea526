"""A parameter of several dimensions while a forward turns, cuts and folds it before it is used."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from gasl.structure.classes import Classes
from gasl.structure.labels import spread
from gasl.structure.notes import Notes

__all__ = ["WeightView"]

Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class WeightView:
    """A view of a parameter, dimension by dimension.

    Args:
        name: The parameter.
        shape: The view's shape.
        atoms: For each dimension the classes of its indices; None where it has one index, or only repeats.
        dims: For each dimension those of the parameter that it is made of; none where it was added.
        steps: What was done to the parameter, to be repeated on a mask of its shape.
    """

    name: str
    shape: tuple[int, ...]
    atoms: tuple[Tensor | None, ...]
    dims: tuple[tuple[int, ...], ...]
    steps: tuple[Step, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether every dimension is one of the parameter, with all its indices."""
        return all(len(d) == 1 for d in self.dims) and not self._cut

    _cut: bool = False

    def labels(self) -> Tensor | None:
        """Element labels, if only one dimension tells units apart."""
        wide = [d for d, atoms in enumerate(self.atoms) if atoms is not None]
        if len(wide) != 1:
            return None
        atoms = self.atoms[wide[0]]
        assert atoms is not None
        return spread(atoms, wide[0], self.shape)

    def permuted(self, order: Sequence[int], step: Step) -> "WeightView":
        """The view whose dimension i is this one's ``order[i]``."""
        return replace(
            self,
            shape=tuple(self.shape[d] for d in order),
            atoms=tuple(self.atoms[d] for d in order),
            dims=tuple(self.dims[d] for d in order),
            steps=(*self.steps, step),
        )

    def reshaped(self, shape: Sequence[int], step: Step, notes: Notes, classes: Classes) -> "WeightView | None":
        """The view with other dimensions: some added or dropped, some merged or split; None if more happened.

        Where a dimension is split or several are merged their classes form a grid.
        """
        parts = _matched(self.shape, shape)
        if parts is None:
            return None
        atoms: list[Tensor | None] = []
        dims: list[tuple[int, ...]] = []
        cut = self._cut
        for ours, theirs in parts:
            sizes = [shape[d] for d in theirs]
            origin = tuple(o for d in ours for o in self.dims[d])
            known = [self.atoms[d] for d in ours]
            if any(a is None and self.shape[d] > 1 for a, d in zip(known, ours, strict=True)):
                return None
            held = [a for a in known if a is not None]
            if len(sizes) == 1 and len(held) <= 1:
                atoms.append(held[0] if held else None)
            elif len(sizes) == 1:
                cells = classes.fresh(sizes[0])
                notes.grid(cells.reshape([a.numel() for a in held]), headers=dict(enumerate(held)))
                atoms.append(cells)
                cut = True
            elif len(held) == 1:
                headers: list[Tensor | None] = [classes.fresh(n) if n > 1 else None for n in sizes]
                wide = [h for h in headers if h is not None]
                notes.grid(held[0].reshape([h.numel() for h in wide]), headers=dict(enumerate(wide)))
                atoms += headers
                cut = True
            else:
                return None
            dims += [origin] * len(theirs)
        return replace(
            self,
            shape=tuple(shape), atoms=tuple(atoms), dims=tuple(dims), steps=(*self.steps, step), _cut=cut,
        )  # fmt: skip

    def expanded(self, shape: Sequence[int]) -> "WeightView":
        """The view repeated along dimensions of size 1."""
        new = len(shape) - len(self.shape)
        return replace(
            self,
            shape=tuple(shape),
            atoms=(None,) * new + self.atoms,
            dims=((),) * new + self.dims,
            steps=(*self.steps, lambda mask: mask.expand(shape)),
        )

    def cut(self, dim: int, start: int, stop: int) -> "WeightView":
        """Some of the indices of one dimension."""
        atoms = self.atoms[dim]
        part = None if atoms is None else atoms[start:stop]
        shape = tuple(stop - start if d == dim else n for d, n in enumerate(self.shape))
        cut = tuple(part if d == dim else a for d, a in enumerate(self.atoms))
        steps = (*self.steps, lambda mask: mask.narrow(dim, start, stop - start))
        return replace(self, shape=shape, atoms=cut, steps=steps, _cut=True)

    def matrix(self, mask: Tensor) -> Tensor:
        """A mask of the parameter's shape as ``(out, in)`` of a product ``input @ view``."""
        return self.of(mask).reshape(-1, *self.shape[-2:])[0].t()

    def of(self, parameter: Tensor) -> Tensor:
        """The same view of another tensor of the parameter's shape."""
        with torch.no_grad():
            for step in self.steps:
                parameter = step(parameter)
        return parameter


def _matched(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]] | None:
    """Which dimensions of one shape are which of the other: one and one, several and one, one and several."""
    ours, theirs = ([d for d, n in enumerate(shape) if n > 1] for shape in (old, new))
    parts: list[tuple[list[int], list[int]]] = [([], [d]) for d, n in enumerate(new) if n == 1]
    while ours and theirs:
        left, right = [ours.pop(0)], [theirs.pop(0)]
        while (a := prod(old[d] for d in left)) != (b := prod(new[d] for d in right)):
            more, rest = (left, ours) if a < b else (right, theirs)
            if not rest:
                return None
            more.append(rest.pop(0))
        parts.append((left, right))
    return None if ours or theirs else sorted(parts, key=lambda part: part[1][0])
