"""Ops that only move elements: the same op moves the labels."""

import torch
from torch import Tensor

from gasl.structure.calls import Call
from gasl.structure.labels import along, distinct, spread, varying_dims
from gasl.structure.ledger import Ledger
from gasl.structure.numbers import Attribute, leaves_of
from gasl.structure.rules.making import label_new

__all__ = ["expand", "gate", "join", "like", "move", "repeat", "roll", "same", "shuffle_channels", "shuffle_pixels"]

aten = torch.ops.aten
_SIZED = (aten.view, aten._unsafe_view, aten.reshape)


def same(ledger: Ledger, call: Call) -> None:
    """Copies and casts: element i of the result is element i of the argument."""
    source, result = call.tensors[0], call.results[0]
    if (view := ledger.weight(source)) is not None:
        ledger.set_weight(result, view)
    else:
        ledger.set_labels(result, ledger.labels(source))


def like(ledger: Ledger, call: Call) -> None:
    """``*_like``: as wide as the argument, with other values; of a weight that is more than can be followed."""
    source = call.tensors[0]
    if ledger.weight(source) is not None:
        ledger.protect(source, f"{call.name} of a weight")
        return
    ledger.set_labels(call.results[0], ledger.labels(source))


def roll(ledger: Ledger, call: Call) -> None:
    """A shift of space; shifted by a fixed number, fewer units would come to lie elsewhere."""
    dims = {int(d) % call.tensors[0].ndim for d in call.argument("dims") or range(call.tensors[0].ndim)}
    if dims & set(ledger.varying(call.tensors[0])):
        ledger.protect(call.tensors[0], f"{call.name} shifts the width")
    move(ledger, call)


def move(ledger: Ledger, call: Call) -> None:
    """Views, permutations and the like. A width that a view splits becomes a grid."""
    source, result = call.tensors[0], call.results[0]
    if ledger.weight(source) is not None:
        _move_weight(ledger, call)
        return
    labels = ledger.labels(source)
    packet = call.func.overloadpacket
    if labels is None:
        _unlabelled(ledger, call)
        return
    moved = call.again(labels)
    ledger.set_labels(result, moved)
    if packet not in _SIZED or not bool((distinct(labels) > 0).any()):
        return
    ledger.notes.grid(moved)
    _sized(ledger, call, moved)


def _sized(ledger: Ledger, call: Call, labels: Tensor) -> None:
    """Note which numbers the forward gave for the sizes along which units lie."""
    for d in varying_dims(labels):
        ledger.notes.size(labels, d, ledger.sizes.given(labels.shape[d], d, labels.shape), call.name)


def _unlabelled(ledger: Ledger, call: Call) -> None:
    """A view of what has no units into sizes that count units: they cannot change."""
    if call.func.overloadpacket not in _SIZED:
        return
    sizes = call.results[0].shape
    for d, size in enumerate(sizes):
        number = ledger.sizes.given(size, d, sizes) if size > 1 else None
        for leaf in leaves_of(number or 0):
            if isinstance(leaf, Attribute):
                ledger.notes.kept(leaf.path, f"{call.name} of a tensor of fixed size")


def _move_weight(ledger: Ledger, call: Call) -> None:
    """A weight that is turned, or gets dimensions of size 1, is still that weight; anything else protects it."""
    source, result, packet = call.tensors[0], call.results[0], call.func.overloadpacket
    view = ledger.weight(source)
    assert view is not None  # the caller asked

    if packet in (aten.t, aten.transpose, aten.permute, aten.numpy_T):
        sizes = torch.empty([2 + d for d in range(source.ndim)], device="meta")  # a size of its own for each dimension
        order = [size - 2 for size in call.func(sizes, *call.args[1:], **call.kwargs).shape]
        ledger.set_weight(result, view.permuted(order, call.again))
    elif (
        packet in (*_SIZED, aten.squeeze, aten.unsqueeze)
        and (moved := view.reshaped(result.shape, call.again, ledger.notes, ledger.classes)) is not None
    ):
        ledger.set_weight(result, moved)
        for d, atoms in enumerate(moved.atoms):
            if atoms is not None and packet in _SIZED:
                ledger.notes.size(atoms, 0, ledger.sizes.given(moved.shape[d], d, moved.shape), call.name)
    elif (labels := view.labels()) is not None:
        ledger.set_labels(result, call.again(labels.expand(source.shape)))
    else:
        ledger.protect(source, f"{call.name} of a weight")


def expand(ledger: Ledger, call: Call) -> None:
    """Repetition of what has size 1; where the new size counts units, so do the repeated elements."""
    source, result = call.tensors[0], call.results[0]
    if (view := ledger.weight(source)) is not None:
        ledger.set_weight(result, view.expanded(result.shape))
        return
    labels = ledger.labels(source)
    if labels is None or not bool((labels > 0).any()):
        wide = [
            1 if n == own else n
            for n, own in zip(result.shape, (1,) * (result.ndim - source.ndim) + source.shape, strict=True)
        ]
        label_new(ledger, result, torch.Size(wide), asked=result.shape)
        if ledger.labels(result) is None and labels is not None:
            ledger.set_labels(result, labels.expand(result.shape))
        return
    moved = labels.expand(result.shape)
    ledger.set_labels(result, moved)
    _sized(ledger, call, moved)


def shuffle_channels(ledger: Ledger, call: Call) -> None:
    """``(g n, H, W)`` to ``(n g, H, W)``: the same place of every group goes, for the number of groups stays."""
    labels = ledger.labels(call.tensors[0])
    if labels is None:
        return
    groups = int(call.args[1])
    if 1 in varying_dims(labels):
        ledger.notes.cuts(labels, 1, labels.shape[1] // groups, call.name)
    ledger.set_labels(call.results[0], call.again(labels.contiguous()))


def gate(ledger: Ledger, call: Call) -> None:
    """``glu``: the first half of a width times the sigmoid of the second."""
    source, result = call.tensors[0], call.results[0]
    labels = ledger.labels(source)
    if labels is None:
        return
    dim = int(call.argument("dim")) % source.ndim
    first, second = labels.chunk(2, dim)
    if dim in varying_dims(labels):
        ledger.notes.cuts(labels, dim, result.shape[dim], call.name)
        ledger.classes.tie(first, second)
    ledger.set_labels(result, first)


def shuffle_pixels(ledger: Ledger, call: Call) -> None:
    """``(C r^2, H, W)`` to ``(C, r H, r W)``: r^2 units make one channel and go together."""
    source, result = call.tensors[0], call.results[0]
    labels = ledger.labels(source)
    dim = source.ndim - 3
    if labels is None or varying_dims(labels) != (dim,) or not bool((distinct(labels) > 0).all()):
        ledger.protect(source, f"{call.name} of several units")
        return
    channels = result.shape[dim]
    cells = along(labels, dim).reshape(channels, -1)
    header = ledger.classes.fresh(channels)
    if channels == 1:
        ledger.classes.protect(cells, f"{call.name} makes one channel of all")
    elif cells.shape[1] > 1:
        ledger.notes.grid(cells, headers={0: header}, fixed={1: f"{call.name} makes one channel of them"})
        ledger.notes.flow(cells, header[:, None], additive=True)
    else:
        ledger.classes.tie(cells[:, 0], header)
    ledger.set_labels(result, spread(header, dim, result.shape))


def repeat(ledger: Ledger, call: Call) -> None:
    """Tiles: every copy belongs to the same units."""
    source, result = call.tensors[0], call.results[0]
    labels = ledger.labels(source)
    if labels is None:
        ledger.protect(source, f"{call.name} of a weight")
        return
    ledger.set_labels(result, labels.repeat(*call.args[1:]))


def join(ledger: Ledger, call: Call) -> None:
    """Concatenation and stacking. Beside the joined dimension all pieces have one size: their units are tied."""
    tensors = [t for t in call.tensors if t.numel() > 0]
    if all(ledger.labels(t) is None for t in tensors):
        return
    stacked = call.func.overloadpacket is aten.stack
    joined = None if stacked else int(call.argument("dim")) % tensors[0].ndim
    pieces = []
    for tensor in tensors:
        labels = ledger.labels(tensor)
        if labels is None or set(varying_dims(labels)) - {joined}:  # features of the input are not followed further
            labels = torch.zeros(tensor.shape, dtype=torch.int64) if labels is None else labels.clamp(min=0)
        pieces.append(labels)
    if any(joined in varying_dims(piece) and len(varying_dims(piece)) > 1 for piece in pieces):
        moved = call.func(pieces, *call.args[1:], **call.kwargs)
        ledger.notes.grid(moved)
        ledger.set_labels(call.results[0], moved)
        return
    widest = max(pieces, key=lambda piece: len(set(varying_dims(piece)) - {joined}))
    if set(varying_dims(widest)) - {joined}:
        beside = widest if joined is None else widest.narrow(joined, 0, 1)
        for k, labels in enumerate(pieces):
            if bool((distinct(labels) == 0).any()):
                ledger.classes.protect(widest, f"{call.name} with a tensor of fixed size")
            ledger.classes.tie(labels, beside)
            if joined not in varying_dims(labels):
                pieces[k] = beside.expand(labels.shape)
    ledger.set_labels(call.results[0], call.func(pieces, *call.args[1:], **call.kwargs))
