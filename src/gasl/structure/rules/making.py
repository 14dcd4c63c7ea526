"""Ops that make tensors from sizes alone."""

import torch
from torch import Tensor

from gasl.structure.calls import Call
from gasl.structure.labels import spread
from gasl.structure.ledger import Ledger
from gasl.structure.numbers import Number

__all__ = ["label_new", "make"]


def make(ledger: Ledger, call: Call) -> None:
    """A constant whose size is a width: its elements belong to units of that width."""
    label_new(ledger, call.results[0], call.results[0].shape)


def label_new(ledger: Ledger, result: Tensor, sizes: torch.Size, asked: torch.Size | None = None) -> None:
    """Label the dimensions of an unlabelled tensor whose size follows an attribute or a labelled tensor.

    Args:
        ledger: The pass.
        result: The tensor.
        sizes: Its sizes; 1 for a dimension that is not new.
        asked: All sizes as the op got them.
    """
    found: list[tuple[int, Tensor]] = []
    for d, size in enumerate(sizes):
        number = ledger.sizes.given(size, d, asked or sizes) if size > 1 else None
        if not isinstance(number, Number):
            continue
        if number.attribute is not None:
            found.append((d, ledger.notes.counted(number.attribute, size)))
        else:
            found.append((d, ledger.classes.fresh(size)))
            ledger.notes.size(spread(found[-1][1], d, result.shape), d, number, "a new tensor")
    if len(found) == 1:
        d, atoms = found[0]
        ledger.set_labels(result, spread(atoms, d, result.shape))
    elif found:
        cells = ledger.classes.fresh(torch.Size([atoms.numel() for _, atoms in found]).numel())
        shape = [size if d in dict(found) else 1 for d, size in enumerate(sizes)]
        labels = cells.reshape(shape).expand(result.shape)
        ledger.notes.grid(labels, headers=dict(found))
        ledger.set_labels(result, labels)
