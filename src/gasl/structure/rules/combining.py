"""Ops that combine elements: pointwise ops, pooling, reductions, padding."""

from collections.abc import Collection

import torch
from torch import Tensor

from gasl.structure.calls import Call
from gasl.structure.labels import canonical, distinct, distinct_rows, spread, varying_dims
from gasl.structure.ledger import Ledger
from gasl.structure.views import WeightView

__all__ = ["one_each", "pad", "pointwise", "pool", "reduce", "softmax", "unknown"]

aten = torch.ops.aten
_PRODUCTS, _QUOTIENTS = (aten.mul,), (aten.div,)  # not in place: what was multiplied is gone then


def unknown(ledger: Ledger, call: Call) -> None:
    """No row: every unit that enters is protected."""
    for tensor in call.tensors:
        ledger.protect(tensor, f"no rule for {call.name}")


def pointwise(ledger: Ledger, call: Call) -> None:
    """Elements that are combined live and die together; what acts on whole slabs of units goes with them."""
    result = call.results[0]
    if len(call.tensors) == 1 and ledger.hand_on(call.tensors[0], result):
        return
    labels = _labelled(ledger, call.tensors, result)
    merged = _merged(ledger, call.tensors, labels, result)
    if merged is None:
        for tensor in call.tensors:
            if ledger.weight(tensor) is not None:
                ledger.protect(tensor, f"{call.name} of a weight")
        return
    for position, tensor in enumerate(call.tensors):
        keeps_zero = call.func.overloadpacket in _PRODUCTS or (call.func.overloadpacket in _QUOTIENTS and position > 0)
        if not _meet(ledger, call, tensor, labels[id(tensor)], merged, keeps_zero) or not keeps_zero:
            continue
        for other in call.tensors:
            if other is not tensor and (own := labels[id(other)]) is not None:
                ledger.notes.scale(own, other)
    ledger.set_labels(result, merged)


def _labelled(ledger: Ledger, operands: list[Tensor], result: Tensor) -> dict[int, Tensor | None]:
    """The labels of each operand. The model's input has none where it is the same for all units, as a mask is."""
    labels = {id(tensor): ledger.labels(tensor) for tensor in operands}
    units = [own.expand(result.shape) for own in labels.values() if own is not None and bool((distinct(own) > 0).any())]
    wide = {d for own in units for d in varying_dims(own)}
    for tensor in operands:
        own = labels[id(tensor)]
        shape = (1,) * (result.ndim - tensor.ndim) + tuple(tensor.shape)
        if units and own is not None and not bool((distinct(own) > 0).any()) and all(shape[d] == 1 for d in wide):
            labels[id(tensor)] = None
    return labels


def _merged(ledger: Ledger, operands: list[Tensor], labels: dict[int, Tensor | None], result: Tensor) -> Tensor | None:
    """The first label of each element over all operands, those that tell most units apart first."""
    known = {key: () if own is None else varying_dims(own) for key, own in labels.items()}
    ranked = sorted(operands, key=lambda t: (-len(known[id(t)]), not ledger.derived(t)))
    merged: Tensor | None = None
    for tensor in ranked:
        if (own := labels[id(tensor)]) is not None:
            wide = own.expand(result.shape)
            if merged is None:
                merged = wide
            elif bool((distinct(merged) == 0).any()):
                merged = torch.where(merged == 0, wide, merged)
    return merged


def _meet(ledger: Ledger, call: Call, tensor: Tensor, labels: Tensor | None, merged: Tensor, keeps_zero: bool) -> bool:
    """Tie one operand to the result's units, or protect what cannot be tied. True if it acts on them from outside.

    Where the operand has no label of its own, the units' values depend on something else as well: if that may change
    with the input, they are ``mixed``, unless a zero stays zero; if it is as wide as the units are many, its size would
    stay and theirs not.
    """
    shape = (1,) * (merged.ndim - tensor.ndim) + tuple(tensor.shape)
    wide = varying_dims(merged)
    if labels is None and (view := ledger.weight(tensor)) is not None:
        _meet_weight(ledger, call, view, merged)
        return False
    foreign = merged
    if labels is not None and any(shape[d] == 1 for d in wide):
        spread = labels.expand(merged.shape)
        own = varying_dims(spread)
        units = bool((distinct(labels) > 0).all()) and not bool((distinct(merged) < 0).any())
        if own and set(own) < set(wide) and units:
            ledger.notes.meet(merged, spread, call.name)
            ledger.notes.flow(spread, merged, additive=not keeps_zero)
            return True
        ledger.classes.protect(labels, f"{call.name} broadcasts it over other units")
    else:
        if labels is not None:
            ledger.classes.tie(labels.expand(merged.shape), merged)
            if bool((distinct(labels) != 0).all()):
                return False
            foreign = torch.where(labels == 0, merged, 0)
        for d in wide if labels is None else ():
            if shape[d] > 1:
                ledger.notes.fix(merged, d, f"{call.name} with a tensor of fixed size")
        if labels is not None and any(shape[d] > 1 for d in wide):
            ledger.classes.protect(foreign, f"{call.name} with a tensor of fixed size")
    if ledger.derived(tensor) and not keeps_zero:
        ledger.notes.mixed.append(foreign)
    return ledger.derived(tensor)


def _meet_weight(ledger: Ledger, call: Call, view: WeightView, merged: Tensor) -> None:
    """A parameter of several dimensions among activations: each of its wide dimensions belongs to the units there."""
    offset = merged.ndim - len(view.shape)
    wide = varying_dims(merged)
    for d, atoms in enumerate(view.atoms):
        if atoms is None:
            continue
        if d + offset in wide:
            ledger.notes.link(merged, d + offset, atoms)
            for own in view.dims[d]:
                ledger.set_role(view.name, own, "elementwise")
                ledger.notes.tables.append((view.name, own))
        else:
            ledger.classes.protect(atoms, f"{call.name} along what is no width")
    if sum(atoms is not None and d + offset in wide for d, atoms in enumerate(view.atoms)) > 1:
        ledger.notes.mixed.append(merged)


def softmax(ledger: Ledger, call: Call) -> None:
    """Normalised over positions; over the width every unit would see a zero one."""
    source, dim = call.tensors[0], int(call.argument("dim"))
    if (labels := _one_of(ledger, source, {dim % source.ndim}, f"{call.name} runs over the width")) is not None:
        ledger.set_labels(call.results[0], labels.expand(source.shape))


def pool(ledger: Ledger, call: Call) -> None:
    """Pooling and resizing of space: a result channel is its input channel."""
    source, result = call.tensors[0], call.results[0]
    space = range(source.ndim - int(next(c for c in call.name if c.isdigit())), source.ndim)
    if (labels := _one_of(ledger, source, space, f"{call.name} mixes units")) is not None:
        ledger.set_labels(result, labels.expand(result.shape))


def reduce(ledger: Ledger, call: Call) -> None:
    """Mean, sum and the like; over units themselves a sum does not see a zero, and anything else does."""
    source, result = call.tensors[0], call.results[0]
    given = call.argument("dim")
    dims = [given] if isinstance(given, int) else given or range(source.ndim)
    reduced = {d % source.ndim for d in dims}
    labels = ledger.labels(source)
    if labels is None:
        if ledger.weight(source) is not None:
            ledger.protect(source, f"{call.name} of a weight")
        return
    wide = set(varying_dims(labels))
    if reduced & wide:
        beside = wide - reduced
        if len(beside) == 1:
            _reduce_inside(ledger, call, labels, beside.pop(), reduced)
        elif not beside and call.func.overloadpacket is aten.sum:
            ledger.notes.sink(labels, source)
        else:
            ledger.lossy(result, labels, f"{call.name} runs over the width")
        return
    for d in reduced:
        labels = labels.narrow(d, 0, 1)
    ledger.set_labels(result, labels.reshape(result.shape))


def _reduce_inside(ledger: Ledger, call: Call, labels: Tensor, beside: int, reduced: set[int]) -> None:
    """A reduction inside heads: one value for each head, which depends on all of the head."""
    for d in reduced & set(varying_dims(labels)):
        if call.func.overloadpacket is not aten.sum:
            ledger.notes.fix(labels, d, f"{call.name} runs over the width")
    ledger.notes.scale(labels, call.tensors[0])  # a constant inside the sum counts
    each = one_each(ledger, labels, beside)
    for d in reduced:
        each = each.narrow(d, 0, 1)
    ledger.set_labels(call.results[0], each.reshape(call.results[0].shape))


def one_each(ledger: Ledger, labels: Tensor, dim: int) -> Tensor:
    """A class for each index of a dimension, which goes with all that lies there; as labels of the same shape."""
    cells = distinct(canonical(labels))
    rows = ledger.classes.roots(cells.movedim(dim, 0).flatten(1))
    patterns, where = distinct_rows(rows)
    header = ledger.classes.fresh(patterns.shape[0])
    ledger.notes.link(labels, dim, header[where])
    ledger.notes.flow(patterns, header[:, None], additive=True)
    return spread(header[where], dim, labels.shape)


def pad(ledger: Ledger, call: Call) -> None:
    """Padding of space; of the width it would add units that no parameter owns."""
    source, result = call.tensors[0], call.results[0]
    padded = {source.ndim - 1 - i // 2 for i, amount in enumerate(call.args[1]) if amount != 0}
    if (labels := _one_of(ledger, source, padded, f"{call.name} pads the width")) is not None:
        ledger.set_labels(result, labels.expand(result.shape))


def _one_of(ledger: Ledger, source: Tensor, dims: Collection[int], reason: str) -> Tensor | None:
    """The labels at one position of ``dims``; None if there are none, or, then protected, if they vary there."""
    labels = ledger.labels(source)
    if labels is None:
        return None
    if set(dims) & set(varying_dims(labels)):
        ledger.protect(source, reason)
        return None
    for d in dims:
        labels = labels.narrow(d, 0, 1)
    return labels
