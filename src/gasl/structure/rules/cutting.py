"""Ops that take parts: slices, splits, indexing, tables."""

import dataclasses
import itertools

import torch
from torch import Tensor

from gasl.structure.calls import Call
from gasl.structure.labels import along, distinct, varying_dims
from gasl.structure.ledger import Ledger
from gasl.structure.numbers import Number
from gasl.structure.views import WeightView

__all__ = ["index", "part", "select"]

aten = torch.ops.aten


def part(ledger: Ledger, call: Call) -> None:
    """Slices and splits. Where they cut a width, the parts keep their sizes, or all shrink alike."""
    source = call.tensors[0]
    dim = int(call.argument("dim")) % source.ndim
    packet = call.func.overloadpacket
    if (view := ledger.weight(source)) is not None and view.labels() is None:
        _cut_weight(ledger, call, view, dim)
        return
    labels = ledger.labels(source)
    if labels is None:
        return
    pieces = call.again(labels)
    pieces = pieces if isinstance(pieces, (list, tuple)) else [pieces]
    for result, piece in zip(call.results, pieces, strict=True):
        ledger.set_labels(result, piece)
    if dim not in varying_dims(labels) or not bool((distinct(labels) > 0).any()):
        return
    if packet in (aten.select, aten.unbind):
        ledger.notes.fix(labels, dim, f"{call.name} takes single indices of the width")
    elif packet is aten.slice:
        _sliced(ledger, call, labels, dim)
    else:
        _split(ledger, call, labels, list(pieces), dim)


def _sliced(ledger: Ledger, call: Call, labels: Tensor, dim: int) -> None:
    size = labels.shape[dim]
    start, stop, step = (call.argument(name) for name in ("start", "end", "step"))
    start, stop = (_bound(n, size, default) for n, default in ((start, 0), (stop, size)))
    if step != 1:
        split = labels.unflatten(dim, (-1, step)) if size % step == 0 else labels
        why = f"{call.name} takes every {step}th index of the width"
        if split is labels or start >= step or stop != size:
            ledger.classes.protect(labels, why)
        else:
            ledger.notes.grid(split, fixed={dim + 1: why})
        return
    if (narrowed := ledger.sizes.narrowed()) is not None:
        for first, last, told in ((0, start, narrowed[0]), (start, stop, narrowed[1])):
            if last > first:
                ledger.notes.size(labels.narrow(dim, first, last - first), dim, told, call.name)
        return
    for first, last in ((0, start), (0, stop)):
        if 0 < last < size:
            before = labels.narrow(dim, first, last - first)
            number = ledger.sizes.given(last)
            other = ledger.sizes.given(last - size)
            if number is None and other is not None:
                before, number = labels.narrow(dim, last, size - last), -other
            if before.shape[dim] == 1 or not (number is None or isinstance(number, Number)):
                ledger.classes.protect(labels, f"{call.name} cuts the width at the number {last}")
            ledger.notes.size(before, dim, number, call.name)
    if start > 0 or stop < size:
        sizes = [b - a for a, b in itertools.pairwise((0, start, stop, size)) if b > a]
        if len(set(sizes)) == 1:
            ledger.notes.cuts(labels, dim, sizes[0], call.name)


def _bound(given: int | None, size: int, default: int) -> int:
    if given is None:
        return default
    return min(max(given + size if given < 0 else given, 0), size)


def _split(ledger: Ledger, call: Call, labels: Tensor, pieces: list[Tensor], dim: int) -> None:
    sizes = [piece.shape[dim] for piece in pieces]
    given = [ledger.sizes.given(size, k, sizes) for k, size in enumerate(sizes)]
    if len(set(sizes)) == 1 and all(number is None or isinstance(number, Number) for number in given):
        ledger.notes.cuts(labels, dim, sizes[0], call.name)
    elif any(number is None for number in given):
        ledger.classes.protect(labels, f"{call.name} cuts the width into unequal parts")
    for piece, number in zip(pieces, given, strict=True):
        if number is not None and piece.shape[dim] == 1:
            ledger.classes.protect(piece, f"{call.name} cuts single indices off the width")
        ledger.notes.size(piece, dim, number, call.name)


def _cut_weight(ledger: Ledger, call: Call, view: WeightView, dim: int) -> None:
    """Parts of a weight: equal ones, or all of it."""
    packet, source = call.func.overloadpacket, call.tensors[0]
    sizes = [result.shape[dim] for result in call.results if result.ndim == source.ndim]
    if packet is aten.slice and sizes == [source.shape[dim]]:
        ledger.set_weight(call.results[0], view)
        return
    atoms = view.atoms[dim]
    if packet in (aten.split, aten.split_with_sizes) and len(set(sizes)) == 1 and atoms is not None and sizes[0] > 1:
        number = ledger.sizes.given(sizes[0])
        if number is None or isinstance(number, Number):
            start = 0
            for result, size in zip(call.results, sizes, strict=True):
                stop = start + size
                ledger.set_weight(result, view.cut(dim, start, stop))
                ledger.notes.size(atoms[start:stop], 0, number, call.name)
                start = stop
            ledger.notes.cuts(atoms, 0, sizes[0], call.name)
            return
    if packet is aten.slice and call.argument("step") == 1:
        size = source.shape[dim]
        start, stop = _bound(call.argument("start"), size, 0), _bound(call.argument("end"), size, size)
        ledger.set_weight(call.results[0], view.cut(dim, start, stop))
        if atoms is not None:
            ledger.classes.protect(atoms, f"{call.name} cuts a weight")
    elif atoms is not None:
        ledger.protect(source, f"{call.name} cuts a weight")
    elif packet is aten.select and source.shape[dim] == 1:
        moved = view.reshaped(call.results[0].shape, call.again, ledger.notes, ledger.classes)
        assert moved is not None  # one dimension of size 1 less
        ledger.set_weight(call.results[0], moved)
    else:
        ledger.protect(source, f"{call.name} of a weight")


def select(ledger: Ledger, call: Call) -> None:
    """An ``index_select`` by a gathering layer's own index is followed; any other may not touch a width."""
    source, dim, picked = call.args
    labels = ledger.labels(source)
    if ledger.is_gather(picked):
        width = torch.zeros(source.shape, dtype=torch.int64) if labels is None else labels
        ledger.set_labels(call.results[0], width.index_select(dim, picked.cpu()))
        ledger.gather(along(width, -1).clone(), picked)
        return
    index(ledger, dataclasses.replace(call, args=(source, [None] * (dim % source.ndim) + [picked])))


def index(ledger: Ledger, call: Call) -> None:
    """Indexing with tensors: along what is no width, the units go on."""
    source, indices = call.args[:2]
    view = ledger.weight(source)
    labels = ledger.labels(source)
    if view is not None:
        _look_up(ledger, call, view, indices)
        return
    if labels is None:
        return
    indexed = {d for d, i in enumerate(indices) if i is not None}
    if any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in indices):
        ledger.protect(source, f"{call.name} by a mask")
        return
    if indexed & set(varying_dims(labels)):
        if bool((distinct(labels) > 0).any()):
            ledger.protect(source, f"{call.name} picks indices of the width")
        return
    zeros = [None if i is None else torch.zeros(i.shape, dtype=torch.int64) for i in indices]
    ledger.set_labels(call.results[0], torch.ops.aten.index(labels, zeros))


def _look_up(ledger: Ledger, call: Call, view: WeightView, indices: list[Tensor | None]) -> None:
    """Rows of a table, as an embedding's: the other dimension holds the units."""
    if (
        len(view.shape) == 2
        and view.whole
        and view.dims == ((0,), (1,))
        and len(indices) == 1
        and indices[0] is not None
    ):
        atoms = ledger.atoms(view.name, 1, view.shape[1])
        ledger.set_role(view.name, 1, "elementwise")
        ledger.notes.tables.append((view.name, 1))
        ledger.set_labels(call.results[0], atoms.expand(call.results[0].shape))
    else:
        ledger.protect(call.args[0], f"{call.name} of a weight")
