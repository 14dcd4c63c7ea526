"""Ops that make tensors from sizes alone."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gasl.structure.labels import spread
from gasl.structure.numbers import Number
from gasl.structure.rules.call import Call

if TYPE_CHECKING:
    from gasl.structure.tracer import Tracer

__all__ = ["label_new", "make"]


def make(tracer: "Tracer", call: Call) -> None:
    """A constant whose size is a width: its elements belong to units of that width."""
    label_new(tracer, call.results[0], call.results[0].shape)


def label_new(tracer: "Tracer", result: Tensor, sizes: torch.Size, asked: torch.Size | None = None) -> None:
    """Label the dimensions of an unlabelled tensor whose size follows an attribute or a labelled tensor.

    Args:
        tracer: The pass.
        result: The tensor.
        sizes: Its sizes; 1 for a dimension that is not new.
        asked: All sizes as the op got them.
    """
    found: list[tuple[int, Tensor]] = []
    for d, size in enumerate(sizes):
        number = tracer.sizes.given(size, d, asked or sizes) if size > 1 else None
        if not isinstance(number, Number):
            continue
        if number.attribute is not None:
            found.append((d, tracer.notes.counted(number.attribute, size)))
        else:
            found.append((d, tracer.classes.fresh(size)))
            tracer.notes.size(spread(found[-1][1], d, result.shape), d, number, "a new tensor")
    if len(found) == 1:
        d, atoms = found[0]
        tracer.set_labels(result, spread(atoms, d, result.shape))
    elif found:
        cells = tracer.classes.fresh(torch.Size([atoms.numel() for _, atoms in found]).numel())
        shape = [size if d in dict(found) else 1 for d, size in enumerate(sizes)]
        labels = cells.reshape(shape).expand(result.shape)
        tracer.notes.grid(labels, headers=dict(found))
        tracer.set_labels(result, labels)
