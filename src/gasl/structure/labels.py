"""Which unit does each element of a tensor belong to? Its label says so.

A *label tensor* has the shape of the tensor it describes; an element is

* ``> 0``: the number of an *atom*, one removable entry of some parameter's dimension (a filter, a neuron),
* ``< 0``: one feature of the model's input, ``-1 - position`` within an example,
* ``0``: nothing that could be removed (a constant, a position in space).

Dimensions along which nothing changes are kept at stride 0, so a label tensor of a whole feature map costs one
number a channel. An op that only moves elements is followed by applying *the same op* to the labels; an op that
combines elements ties their atoms together (:mod:`gasl.structure.classes`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_WIDE = "_gasl_varying"  # on a canonical label tensor, which nobody writes to: where it varies

__all__ = ["along", "canonical", "distinct", "distinct_rows", "spread", "varying_dims"]


def varying_dims(labels: Tensor) -> tuple[int, ...]:
    """The dimensions along which a label tensor is not constant.

    Args:
        labels: Label tensor of any shape.

    Returns:
        The varying dimensions, ascending.

    Example:
        >>> varying_dims(torch.tensor([[1, 2], [1, 2]]))
        (1,)
    """
    known: tuple[int, ...] | None = getattr(labels, _WIDE, None)
    if known is None:
        once = distinct(labels)
        known = tuple(d for d, n in enumerate(once.shape) if n > 1 and bool((once != once.narrow(d, 0, 1)).any()))
    return known


def canonical(labels: Tensor) -> Tensor:
    """The same labels with every constant dimension at stride 0.

    Args:
        labels: Label tensor of any shape, without empty dimensions.

    Returns:
        An expanded view of the distinct part.

    Example:
        >>> canonical(torch.tensor([[1, 2], [1, 2]])).stride()
        (0, 1)
    """
    if hasattr(labels, _WIDE):
        return labels
    keep = varying_dims(labels)
    small = labels
    for d, n in enumerate(labels.shape):
        if n > 1 and d not in keep:
            small = small.narrow(d, 0, 1)
    small = small.expand(labels.shape)
    setattr(small, _WIDE, keep)
    return small


def distinct(labels: Tensor) -> Tensor:
    """One element of every dimension that is merely repeated.

    Args:
        labels: Label tensor of any shape.

    Returns:
        A view without the dimensions at stride 0 (they have size 1).

    Example:
        >>> distinct(torch.tensor([1, 2]).expand(3, 2)).shape
        torch.Size([1, 2])
    """
    for d, (n, step) in enumerate(zip(labels.shape, labels.stride(), strict=True)):
        if step == 0 and n > 1:
            labels = labels.narrow(d, 0, 1)
    return labels


def distinct_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The different rows of a matrix in ascending order, and which of them each row is.

    Args:
        rows: Label tensor of two dimensions.

    Returns:
        What ``torch.unique`` gives along dimension 0, at once where the first column tells all rows apart.

    Example:
        >>> distinct_rows(torch.tensor([[3, 4], [1, 2]]))
        (tensor([[1, 2],
                [3, 4]]), tensor([1, 0]))
    """
    first, order = rows[:, 0].sort()
    if bool((first[1:] != first[:-1]).all()):
        return rows[order], order.argsort()
    patterns, where = torch.unique(rows, dim=0, return_inverse=True)
    return patterns, where


def along(labels: Tensor, dim: int) -> Tensor:
    """The labels at the first place of every other dimension, as a vector.

    Args:
        labels: Label tensor of any shape.
        dim: The dimension that is kept.

    Returns:
        Shape ``(labels.shape[dim],)``.

    Example:
        >>> along(torch.tensor([[1, 2], [3, 4]]), 0)
        tensor([1, 3])
    """
    return labels.movedim(dim, -1).reshape(-1, labels.shape[dim])[0]


def spread(vector: Tensor, dim: int, shape: Sequence[int]) -> Tensor:
    """Labels of a shape that vary along one dimension only.

    Args:
        vector: One label for each index of the dimension.
        dim: The dimension.
        shape: The shape.

    Returns:
        An expanded view.

    Example:
        >>> spread(torch.tensor([1, 2]), 0, (2, 3))
        tensor([[1, 1, 1],
                [2, 2, 2]])
    """
    return vector.reshape([-1 if d == dim % len(shape) else 1 for d in range(len(shape))]).expand(shape)
