"""Ops that combine elements: pointwise ops, pooling, reductions, padding."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gasl.structure.labels import distinct, varying_dims
from gasl.structure.rules.call import Call

if TYPE_CHECKING:
    from gasl.structure.tracer import Tracer

__all__ = ["pad", "pointwise", "pool", "reduce", "unknown"]


def unknown(tracer: "Tracer", call: Call) -> None:
    """No row: every unit that enters is protected."""
    for tensor in call.tensors:
        tracer.protect(tensor, f"no rule for {call.name}")


def pointwise(tracer: "Tracer", call: Call) -> None:
    """Elements that are combined live and die together; an operand that is broadcast over units is protected."""
    result = call.results[0]
    merged = _merged(tracer, call.tensors, result)
    if merged is None:
        return
    for tensor in call.tensors:
        _meet(tracer, call, tensor, merged)
    tracer.set_labels(result, merged)


def _merged(tracer: "Tracer", operands: list[Tensor], result: Tensor) -> Tensor | None:
    """The first label of each element over all operands, those that tell most units apart first."""
    ranked = sorted(operands, key=lambda t: (-len(tracer.varying(t)), not tracer.derived(t)))
    merged: Tensor | None = None
    for tensor in ranked:
        if (labels := tracer.labels(tensor)) is not None:
            wide = labels.expand(result.shape)
            if merged is None:
                merged = wide
            elif bool((distinct(merged) == 0).any()):
                merged = torch.where(merged == 0, wide, merged)
    return merged


def _meet(tracer: "Tracer", call: Call, tensor: Tensor, merged: Tensor) -> None:
    """Tie one operand to the result's units, or protect what cannot be tied.

    Where the operand has no label of its own, the units' values depend on something else as well: if that may change
    with the input, they are ``mixed``; if it is as wide as the units are many, its size would stay and theirs not.
    """
    shape = (1,) * (merged.ndim - tensor.ndim) + tuple(tensor.shape)
    wide = varying_dims(merged)
    labels = tracer.labels(tensor)
    if labels is None and tracer.matrix(tensor) is not None:
        tracer.protect(tensor, f"{call.name} with a parameter of several dimensions")
        tracer.classes.protect(merged, f"{call.name} with a parameter of several dimensions")
        return
    foreign = merged
    if labels is not None and any(shape[d] == 1 for d in wide):
        tracer.classes.protect(labels, f"{call.name} broadcasts it over other units")
    else:
        if labels is not None:
            tracer.classes.tie(labels.expand(merged.shape), merged)
            if bool((distinct(labels) != 0).all()):
                return
            foreign = torch.where(labels == 0, merged, 0)
        if any(shape[d] > 1 for d in wide):
            tracer.classes.protect(foreign, f"{call.name} with a tensor of fixed size")
    if tracer.derived(tensor):
        tracer.mixed.append(foreign)


def pool(tracer: "Tracer", call: Call) -> None:
    """Pooling and resizing of space: a result channel is its input channel."""
    source, result = call.tensors[0], call.results[0]
    space = range(source.ndim - int(next(c for c in call.name if c.isdigit())), source.ndim)
    if (labels := _one_of(tracer, source, space, f"{call.name} mixes units")) is not None:
        tracer.set_labels(result, labels.expand(result.shape))


def reduce(tracer: "Tracer", call: Call) -> None:
    """Mean, sum and the like over dimensions that hold no units."""
    source, result = call.tensors[0], call.results[0]
    given = call.argument("dim")
    dims = [given] if isinstance(given, int) else given or range(source.ndim)
    reduced = {d % source.ndim for d in dims}
    if (labels := _one_of(tracer, source, reduced, f"{call.name} runs over the width")) is not None:
        tracer.set_labels(result, labels.reshape(result.shape))


def pad(tracer: "Tracer", call: Call) -> None:
    """Padding of space; of the width it would add units that no parameter owns."""
    source, result = call.tensors[0], call.results[0]
    padded = {source.ndim - 1 - i // 2 for i, amount in enumerate(call.args[1]) if amount != 0}
    if (labels := _one_of(tracer, source, padded, f"{call.name} pads the width")) is not None:
        tracer.set_labels(result, labels.expand(result.shape))


def _one_of(tracer: "Tracer", source: Tensor, dims: Collection[int], reason: str) -> Tensor | None:
    """The labels at one position of ``dims``; None if there are none, or, then protected, if they vary there."""
    labels = tracer.labels(source)
    if labels is None:
        return None
    if set(dims) & set(varying_dims(labels)):
        tracer.protect(source, reason)
        return None
    for d in dims:
        labels = labels.narrow(d, 0, 1)
    return labels
