"""One call of a convolution or linear layer, as the trace noted it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["Affine", "flat_kernel"]


def flat_kernel(mask: Tensor) -> Tensor:
    """``(out, in, *kernel)`` to ``(out, in)``: whether any element of a kernel is set."""
    return mask.flatten(2).any(dim=2) if mask.ndim > 2 else mask


@dataclass(eq=False)
class Affine:
    """One call of a convolution or linear layer: which classes its rows write and its columns read.

    A bilinear layer counts as two calls, one for each of its inputs.

    Args:
        weight: Name of the weight.
        bias: Name of the bias, or None.
        module: Name of the owning ``nn.Linear``/``nn.Conv*`` module, or None for a functional call.
        conv: Convolution or linear.
        rows: Class of each output, shape ``(out,)``.
        labels: What each column reads: a class, ``< 0`` an input feature, ``0`` nothing removable. Shape ``(in,)``.
        padded: A convolution that adds zeros at the border.
        gammas: Names of norm scales applied to the output and nothing else reads it before them.
        sole: Weight and bias are used by this call alone.
        value: Input of each column at one position of the example.
        spread: Largest difference of that input over batch and positions; with those of other sizes, where compared.
        source: Labels of the tensor that a gather in front of the layer selects from, with ``index``; else ``labels``.
        index: The gather's indices, or None.
        matrix: From a mask of the weight's shape to one of shape ``(out, in)``.
        plain: The weight is used whole, row by row: ``matrix`` only drops a kernel.
        side: Which input of a layer with several the columns read.
    """

    weight: str
    bias: str | None
    module: str | None
    conv: bool
    rows: Tensor
    labels: Tensor
    padded: bool
    value: Tensor
    spread: Tensor
    source: Tensor
    index: Tensor | None = None
    gammas: list[str] = field(default_factory=list)
    sole: bool = True
    matrix: Callable[[Tensor], Tensor] = field(default=flat_kernel)
    plain: bool = True
    side: int = 0

    def same_call(self, other: "Affine") -> bool:
        """Whether another call reads and writes the same classes through the same weight."""
        same = (self.weight, self.bias, self.side) == (other.weight, other.bias, other.side) and self.index is None
        return same and torch.equal(self.rows, other.rows) and torch.equal(self.labels, other.labels)

    def join(self, other: "Affine") -> None:
        """Count another call in: a constant must be the same in both."""
        self.spread = torch.maximum(self.spread, torch.maximum(other.spread, (self.value - other.value).abs()))
        self.sole = False
        self.padded |= other.padded
