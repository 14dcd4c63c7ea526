"""Ops that take parts: slices, splits, indexing, tables."""

import dataclasses
import itertools
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gasl.structure.labels import along, distinct, varying_dims
from gasl.structure.numbers import Number
from gasl.structure.rules.call import Call
from gasl.structure.views import WeightView

if TYPE_CHECKING:
    from gasl.structure.tracer import Tracer

__all__ = ["index", "part", "select"]

aten = torch.ops.aten


def part(tracer: "Tracer", call: Call) -> None:
    """Slices and splits. Where they cut a width, the parts keep their sizes, or all shrink alike."""
    source = call.tensors[0]
    dim = int(call.argument("dim")) % source.ndim
    packet = call.func.overloadpacket
    if (view := tracer.weight(source)) is not None and view.labels() is None:
        _cut_weight(tracer, call, view, dim)
        return
    labels = tracer.labels(source)
    if labels is None:
        return
    pieces = call.again(labels)
    pieces = pieces if isinstance(pieces, (list, tuple)) else [pieces]
    for result, piece in zip(call.results, pieces, strict=True):
        tracer.set_labels(result, piece)
    if dim not in varying_dims(labels) or not bool((distinct(labels) > 0).any()):
        return
    if packet in (aten.select, aten.unbind):
        tracer.notes.fix(labels, dim, f"{call.name} takes single indices of the width")
    elif packet is aten.slice:
        _sliced(tracer, call, labels, dim)
    else:
        _split(tracer, call, labels, list(pieces), dim)


def _sliced(tracer: "Tracer", call: Call, labels: Tensor, dim: int) -> None:
    size = labels.shape[dim]
    start, stop, step = (call.argument(name) for name in ("start", "end", "step"))
    start, stop = (_bound(n, size, default) for n, default in ((start, 0), (stop, size)))
    if step != 1:
        split = labels.unflatten(dim, (-1, step)) if size % step == 0 else labels
        why = f"{call.name} takes every {step}th index of the width"
        if split is labels or start >= step or stop != size:
            tracer.classes.protect(labels, why)
        else:
            tracer.notes.grid(split, fixed={dim + 1: why})
        return
    if (narrowed := tracer.sizes.narrowed()) is not None:
        for first, last, told in ((0, start, narrowed[0]), (start, stop, narrowed[1])):
            if last > first:
                tracer.notes.size(labels.narrow(dim, first, last - first), dim, told, call.name)
        return
    for first, last in ((0, start), (0, stop)):
        if 0 < last < size:
            before = labels.narrow(dim, first, last - first)
            number = tracer.sizes.given(last)
            other = tracer.sizes.given(last - size)
            if number is None and other is not None:
                before, number = labels.narrow(dim, last, size - last), -other
            if before.shape[dim] == 1 or not (number is None or isinstance(number, Number)):
                tracer.classes.protect(labels, f"{call.name} cuts the width at the number {last}")
            tracer.notes.size(before, dim, number, call.name)
    if start > 0 or stop < size:
        sizes = [b - a for a, b in itertools.pairwise((0, start, stop, size)) if b > a]
        if len(set(sizes)) == 1:
            tracer.notes.cuts(labels, dim, sizes[0], call.name)


def _bound(given: int | None, size: int, default: int) -> int:
    if given is None:
        return default
    return min(max(given + size if given < 0 else given, 0), size)


def _split(tracer: "Tracer", call: Call, labels: Tensor, pieces: list[Tensor], dim: int) -> None:
    sizes = [piece.shape[dim] for piece in pieces]
    given = [tracer.sizes.given(size, k, sizes) for k, size in enumerate(sizes)]
    if len(set(sizes)) == 1 and all(number is None or isinstance(number, Number) for number in given):
        tracer.notes.cuts(labels, dim, sizes[0], call.name)
    elif any(number is None for number in given):
        tracer.classes.protect(labels, f"{call.name} cuts the width into unequal parts")
    for piece, number in zip(pieces, given, strict=True):
        if number is not None and piece.shape[dim] == 1:
            tracer.classes.protect(piece, f"{call.name} cuts single indices off the width")
        tracer.notes.size(piece, dim, number, call.name)


def _cut_weight(tracer: "Tracer", call: Call, view: WeightView, dim: int) -> None:
    """Parts of a weight: equal ones, or all of it."""
    packet, source = call.func.overloadpacket, call.tensors[0]
    sizes = [result.shape[dim] for result in call.results if result.ndim == source.ndim]
    if packet is aten.slice and sizes == [source.shape[dim]]:
        tracer.set_weight(call.results[0], view)
        return
    atoms = view.atoms[dim]
    if packet in (aten.split, aten.split_with_sizes) and len(set(sizes)) == 1 and atoms is not None and sizes[0] > 1:
        number = tracer.sizes.given(sizes[0])
        if number is None or isinstance(number, Number):
            start = 0
            for result, size in zip(call.results, sizes, strict=True):
                stop = start + size
                tracer.set_weight(result, view.cut(dim, start, stop))
                tracer.notes.size(atoms[start:stop], 0, number, call.name)
                start = stop
            tracer.notes.cuts(atoms, 0, sizes[0], call.name)
            return
    if packet is aten.slice and call.argument("step") == 1:
        size = source.shape[dim]
        start, stop = _bound(call.argument("start"), size, 0), _bound(call.argument("end"), size, size)
        tracer.set_weight(call.results[0], view.cut(dim, start, stop))
        if atoms is not None:
            tracer.classes.protect(atoms, f"{call.name} cuts a weight")
    elif atoms is not None:
        tracer.protect(source, f"{call.name} cuts a weight")
    elif packet is aten.select and source.shape[dim] == 1:
        moved = view.reshaped(call.results[0].shape, call.again, tracer.notes, tracer.classes)
        assert moved is not None  # one dimension of size 1 less
        tracer.set_weight(call.results[0], moved)
    else:
        tracer.protect(source, f"{call.name} of a weight")


def select(tracer: "Tracer", call: Call) -> None:
    """An ``index_select`` by a gathering layer's own index is followed; any other may not touch a width."""
    source, dim, picked = call.args
    labels = tracer.labels(source)
    if tracer.is_gather(picked):
        width = torch.zeros(source.shape, dtype=torch.int64) if labels is None else labels
        tracer.set_labels(call.results[0], width.index_select(dim, picked.cpu()))
        tracer.gather(along(width, -1).clone(), picked)
        return
    index(tracer, dataclasses.replace(call, args=(source, [None] * (dim % source.ndim) + [picked])))


def index(tracer: "Tracer", call: Call) -> None:
    """Indexing with tensors: along what is no width, the units go on."""
    source, indices = call.args[:2]
    view = tracer.weight(source)
    labels = tracer.labels(source)
    if view is not None:
        _look_up(tracer, call, view, indices)
        return
    if labels is None:
        return
    indexed = {d for d, i in enumerate(indices) if i is not None}
    if any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in indices):
        tracer.protect(source, f"{call.name} by a mask")
        return
    if indexed & set(varying_dims(labels)):
        if bool((distinct(labels) > 0).any()):
            tracer.protect(source, f"{call.name} picks indices of the width")
        return
    zeros = [None if i is None else torch.zeros(i.shape, dtype=torch.int64) for i in indices]
    tracer.set_labels(call.results[0], torch.ops.aten.index(labels, zeros))


def _look_up(tracer: "Tracer", call: Call, view: WeightView, indices: list[Tensor | None]) -> None:
    """Rows of a table, as an embedding's: the other dimension holds the units."""
    if (
        len(view.shape) == 2
        and view.whole
        and view.dims == ((0,), (1,))
        and len(indices) == 1
        and indices[0] is not None
    ):
        atoms = tracer.atoms(view.name, 1, view.shape[1])
        tracer.set_role(view.name, 1, "elementwise")
        tracer.notes.tables.append((view.name, 1))
        tracer.set_labels(call.results[0], atoms.expand(call.results[0].shape))
    else:
        tracer.protect(call.args[0], f"{call.name} of a weight")
