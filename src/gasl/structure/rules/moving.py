"""Ops that only move elements: the same op moves the labels."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gasl.structure.labels import along, distinct, spread, varying_dims
from gasl.structure.numbers import Attribute, leaves_of
from gasl.structure.rules.call import Call
from gasl.structure.rules.making import label_new

if TYPE_CHECKING:
    from gasl.structure.tracer import Tracer

__all__ = ["expand", "gate", "join", "like", "move", "repeat", "roll", "same", "shuffle_channels", "shuffle_pixels"]

aten = torch.ops.aten
_SIZED = (aten.view, aten._unsafe_view, aten.reshape)


def same(tracer: "Tracer", call: Call) -> None:
    """Copies and casts: element i of the result is element i of the argument."""
    source, result = call.tensors[0], call.results[0]
    if (view := tracer.weight(source)) is not None:
        tracer.set_weight(result, view)
    else:
        tracer.set_labels(result, tracer.labels(source))


def like(tracer: "Tracer", call: Call) -> None:
    """``*_like``: as wide as the argument, with other values; of a weight that is more than can be followed."""
    source = call.tensors[0]
    if tracer.weight(source) is not None:
        tracer.protect(source, f"{call.name} of a weight")
        return
    tracer.set_labels(call.results[0], tracer.labels(source))


def roll(tracer: "Tracer", call: Call) -> None:
    """A shift of space; shifted by a fixed number, fewer units would come to lie elsewhere."""
    dims = {int(d) % call.tensors[0].ndim for d in call.argument("dims") or range(call.tensors[0].ndim)}
    if dims & set(tracer.varying(call.tensors[0])):
        tracer.protect(call.tensors[0], f"{call.name} shifts the width")
    move(tracer, call)


def move(tracer: "Tracer", call: Call) -> None:
    """Views, permutations and the like. A width that a view splits becomes a grid."""
    source, result = call.tensors[0], call.results[0]
    if tracer.weight(source) is not None:
        _move_weight(tracer, call)
        return
    labels = tracer.labels(source)
    packet = call.func.overloadpacket
    if labels is None:
        _unlabelled(tracer, call)
        return
    moved = call.again(labels)
    tracer.set_labels(result, moved)
    if packet not in _SIZED or not bool((distinct(labels) > 0).any()):
        return
    tracer.notes.grid(moved)
    _sized(tracer, call, moved)


def _sized(tracer: "Tracer", call: Call, labels: Tensor) -> None:
    """Note which numbers the forward gave for the sizes along which units lie."""
    for d in varying_dims(labels):
        tracer.notes.size(labels, d, tracer.sizes.given(labels.shape[d], d, labels.shape), call.name)


def _unlabelled(tracer: "Tracer", call: Call) -> None:
    """A view of what has no units into sizes that count units: they cannot change."""
    if call.func.overloadpacket not in _SIZED:
        return
    sizes = call.results[0].shape
    for d, size in enumerate(sizes):
        number = tracer.sizes.given(size, d, sizes) if size > 1 else None
        for leaf in leaves_of(number or 0):
            if isinstance(leaf, Attribute):
                tracer.notes.kept(leaf.path, f"{call.name} of a tensor of fixed size")


def _move_weight(tracer: "Tracer", call: Call) -> None:
    """A weight that is turned, or gets dimensions of size 1, is still that weight; anything else protects it."""
    source, result, packet = call.tensors[0], call.results[0], call.func.overloadpacket
    view = tracer.weight(source)
    assert view is not None  # the caller asked

    if packet in (aten.t, aten.transpose, aten.permute, aten.numpy_T):
        sizes = torch.empty([2 + d for d in range(source.ndim)], device="meta")  # a size of its own for each dimension
        order = [size - 2 for size in call.func(sizes, *call.args[1:], **call.kwargs).shape]
        tracer.set_weight(result, view.permuted(order, call.again))
    elif (
        packet in (*_SIZED, aten.squeeze, aten.unsqueeze)
        and (moved := view.reshaped(result.shape, call.again, tracer.notes, tracer.classes)) is not None
    ):
        tracer.set_weight(result, moved)
        for d, atoms in enumerate(moved.atoms):
            if atoms is not None and packet in _SIZED:
                tracer.notes.size(atoms, 0, tracer.sizes.given(moved.shape[d], d, moved.shape), call.name)
    elif (labels := view.labels()) is not None:
        tracer.set_labels(result, call.again(labels.expand(source.shape)))
    else:
        tracer.protect(source, f"{call.name} of a weight")


def expand(tracer: "Tracer", call: Call) -> None:
    """Repetition of what has size 1; where the new size counts units, so do the repeated elements."""
    source, result = call.tensors[0], call.results[0]
    if (view := tracer.weight(source)) is not None:
        tracer.set_weight(result, view.expanded(result.shape))
        return
    labels = tracer.labels(source)
    if labels is None or not bool((labels > 0).any()):
        wide = [
            1 if n == own else n
            for n, own in zip(result.shape, (1,) * (result.ndim - source.ndim) + source.shape, strict=True)
        ]
        label_new(tracer, result, torch.Size(wide), asked=result.shape)
        if tracer.labels(result) is None and labels is not None:
            tracer.set_labels(result, labels.expand(result.shape))
        return
    moved = labels.expand(result.shape)
    tracer.set_labels(result, moved)
    _sized(tracer, call, moved)


def shuffle_channels(tracer: "Tracer", call: Call) -> None:
    """``(g n, H, W)`` to ``(n g, H, W)``: the same place of every group goes, for the number of groups stays."""
    labels = tracer.labels(call.tensors[0])
    if labels is None:
        return
    groups = int(call.args[1])
    if 1 in varying_dims(labels):
        tracer.notes.cuts(labels, 1, labels.shape[1] // groups, call.name)
    tracer.set_labels(call.results[0], call.again(labels.contiguous()))


def gate(tracer: "Tracer", call: Call) -> None:
    """``glu``: the first half of a width times the sigmoid of the second."""
    source, result = call.tensors[0], call.results[0]
    labels = tracer.labels(source)
    if labels is None:
        return
    dim = int(call.argument("dim")) % source.ndim
    first, second = labels.chunk(2, dim)
    if dim in varying_dims(labels):
        tracer.notes.cuts(labels, dim, result.shape[dim], call.name)
        tracer.classes.tie(first, second)
    tracer.set_labels(result, first)


def shuffle_pixels(tracer: "Tracer", call: Call) -> None:
    """``(C r^2, H, W)`` to ``(C, r H, r W)``: r^2 units make one channel and go together."""
    source, result = call.tensors[0], call.results[0]
    labels = tracer.labels(source)
    dim = source.ndim - 3
    if labels is None or varying_dims(labels) != (dim,) or not bool((distinct(labels) > 0).all()):
        tracer.protect(source, f"{call.name} of several units")
        return
    channels = result.shape[dim]
    cells = along(labels, dim).reshape(channels, -1)
    header = tracer.classes.fresh(channels)
    if channels == 1:
        tracer.classes.protect(cells, f"{call.name} makes one channel of all")
    elif cells.shape[1] > 1:
        tracer.notes.grid(cells, headers={0: header}, fixed={1: f"{call.name} makes one channel of them"})
        tracer.notes.flow(cells, header[:, None], additive=True)
    else:
        tracer.classes.tie(cells[:, 0], header)
    tracer.set_labels(result, spread(header, dim, result.shape))


def repeat(tracer: "Tracer", call: Call) -> None:
    """Tiles: every copy belongs to the same units."""
    source, result = call.tensors[0], call.results[0]
    labels = tracer.labels(source)
    if labels is None:
        tracer.protect(source, f"{call.name} of a weight")
        return
    tracer.set_labels(result, labels.repeat(*call.args[1:]))


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
    if any(joined in varying_dims(piece) and len(varying_dims(piece)) > 1 for piece in pieces):
        moved = call.func(pieces, *call.args[1:], **call.kwargs)
        tracer.notes.grid(moved)
        tracer.set_labels(call.results[0], moved)
        return
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
