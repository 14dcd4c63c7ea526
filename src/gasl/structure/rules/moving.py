"""Ops that only move elements: the same op moves the labels."""

import dataclasses
from typing import TYPE_CHECKING

import torch

from gasl.structure.labels import distinct, varying_dims
from gasl.structure.rules.call import Call

if TYPE_CHECKING:
    from gasl.structure.tracer import Tracer

__all__ = ["join", "like", "move", "part", "roll", "same", "select"]

aten = torch.ops.aten


def same(tracer: "Tracer", call: Call) -> None:
    """Copies and casts: element i of the result is element i of the argument."""
    source, result = call.tensors[0], call.results[0]
    if (view := tracer.matrix(source)) is not None:
        tracer.set_matrix(result, view)
    tracer.set_labels(result, tracer.labels(source))


def like(tracer: "Tracer", call: Call) -> None:
    """``*_like``: as wide as the argument, with other values; of a weight that is more than can be followed."""
    source = call.tensors[0]
    if tracer.matrix(source) is not None:
        tracer.protect(source, f"{call.name} of a weight")
    tracer.set_labels(call.results[0], tracer.labels(source))


def roll(tracer: "Tracer", call: Call) -> None:
    """A shift of space; shifted by a fixed number, fewer units would come to lie elsewhere."""
    dims = {int(d) % call.tensors[0].ndim for d in call.argument("dims") or range(call.tensors[0].ndim)}
    if dims & set(tracer.varying(call.tensors[0])):
        tracer.protect(call.tensors[0], f"{call.name} shifts the width")
    move(tracer, call)


def move(tracer: "Tracer", call: Call) -> None:
    """Views, permutations and the like. A width that a view splits is protected: its sizes are numbers."""
    source = call.tensors[0]
    labels = tracer.labels(source)
    _move_matrix(tracer, call)
    if labels is None:
        return
    func = aten.reshape if call.func.overloadpacket in (aten.view, aten._unsafe_view) else call.func
    moved = func(labels, *call.args[1:], **call.kwargs)
    for result, piece in zip(call.results, moved if isinstance(moved, (list, tuple)) else [moved], strict=True):
        tracer.set_labels(result, piece)
        if len(varying_dims(piece)) > len(varying_dims(labels)):
            tracer.classes.protect(labels, f"{call.name} splits the width")


def _move_matrix(tracer: "Tracer", call: Call) -> None:
    """A transposed weight is still that weight; anything else done to it protects it, unless it is but a vector."""
    source = call.tensors[0]
    view = tracer.matrix(source)
    if view is None:
        return
    if call.func.overloadpacket in (aten.t, aten.transpose, aten.permute, aten.numpy_T):
        sizes = torch.empty([2 + d for d in range(source.ndim)], device="meta")  # a size of its own for each dimension
        shape = call.func(sizes, *call.args[1:], **call.kwargs).shape
        tracer.set_matrix(call.results[0], view.permuted([size - 2 for size in shape]))
    elif tracer.labels(source) is None:
        tracer.protect(source, f"{call.name} of a weight")


def part(tracer: "Tracer", call: Call) -> None:
    """Slices and splits: allowed beside the width, not of it (their bounds are numbers that would go stale)."""
    source = call.tensors[0]
    dim = int(call.argument("dim")) % source.ndim
    same_size = len(call.results) == 1 and call.results[0].shape == source.shape
    whole = same_size and call.func.overloadpacket is not aten.index_select
    if tracer.matrix(source) is not None or (dim in tracer.varying(source) and not whole):
        tracer.protect(source, f"{call.name} cuts the width")
    if tracer.matrix(source) is None:
        move(tracer, call)


def select(tracer: "Tracer", call: Call) -> None:
    """An ``index_select`` by a gathering layer's own index is followed; any other is a cut."""
    source, dim, index = call.args
    if not tracer.is_gather(index):
        part(tracer, dataclasses.replace(call, args=(source, dim, index.cpu())))  # labels live on the CPU
        return
    labels = tracer.labels(source)
    width = torch.zeros(source.shape, dtype=torch.int64) if labels is None else labels
    tracer.set_labels(call.results[0], width.index_select(dim, index.cpu()))
    tracer.gather(width.reshape(-1, width.shape[-1])[0].clone(), index)


def join(tracer: "Tracer", call: Call) -> None:
    """Concatenation and stacking. Beside the joined dimension all pieces have one size: their units are tied."""
    tensors = [t for t in call.tensors if t.numel() > 0]
    if all(tracer.labels(t) is None for t in tensors):
        return
    stacked = call.func.overloadpacket is aten.stack
    joined = None if stacked else int(call.argument("dim")) % tensors[0].ndim
    pieces = []
    for tensor in tensors:
        labels = tracer.labels(tensor)
        if labels is None or set(varying_dims(labels)) - {joined}:  # features of the input are not followed further
            labels = torch.zeros(tensor.shape, dtype=torch.int64) if labels is None else labels.clamp(min=0)
        pieces.append(labels)
    widest = max(pieces, key=lambda piece: len(set(varying_dims(piece)) - {joined}))
    if set(varying_dims(widest)) - {joined}:
        beside = widest if joined is None else widest.narrow(joined, 0, 1)
        for k, labels in enumerate(pieces):
            if bool((distinct(labels) == 0).any()):
                tracer.classes.protect(widest, f"{call.name} with a tensor of fixed size")
            tracer.classes.tie(labels, beside)
            if joined not in varying_dims(labels):
                pieces[k] = beside.expand(labels.shape)
    tracer.set_labels(call.results[0], call.func(pieces, *call.args[1:], **call.kwargs))
