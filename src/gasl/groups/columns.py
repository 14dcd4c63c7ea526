"""Columns of weights as groups: one input of a linear layer, one place in a channel's kernels (W[:, c, h, w])."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from gasl.groups.floors import Floors
from gasl.groups.weights import WeightGroups
from gasl.maths.layout import single
from gasl.maths.slices import root

__all__ = ["ColumnGroups"]


class ColumnGroups(WeightGroups):
    """Every column of every weight a group: what all outputs of a layer read at one place.

    A convolution is the matrix product with its unfolded input (im2col), and these are that matrix' columns: its
    kernels keep one shape, whose places go for all filters at once. The largest column of a weight is never shrunk to
    zero. A smaller network comes of it only where all places of a channel are zero.

    Args:
        tensors: The weights by name, with their outputs along the first dimension.

    Example:
        >>> ColumnGroups({"w": torch.tensor([[3.0, 0.0], [4.0, 1.0]])}).norms()
        [tensor([5., 1.])]
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__(tensors)
        self._held = {name: Floors([tensor[0].numel()], [1]) for name, tensor in self.tensors.items()}

    def norms(self) -> list[Tensor]:
        """Norms of the columns, each weight's flattened."""
        squares = [single(tensor).square().sum(0).flatten() for tensor in self.tensors.values()]
        return [root(s) for s in squares]

    def placeholders(self) -> list[Tensor]:
        """Zeros in the shapes of the norms, without memory of their own."""
        return [single(tensor.new_zeros(())).expand(tensor[0].numel()) for tensor in self.tensors.values()]

    @torch.no_grad()
    def dead(self) -> list[Tensor]:
        """One bool tensor a weight: which columns have a norm of 0."""
        return [norms == 0 for norms in self.norms()]

    @torch.no_grad()
    def shrink_(self, rates: Sequence[Tensor], lr: Callable[[Tensor], float]) -> None:
        """W <- w * max(0, 1 - lr(w) * r_j / n_j) for every w of column j."""
        norms = self.norms()
        for (name, tensor), own, rate in zip(self.tensors.items(), norms, self._spared(rates, lr, norms), strict=True):
            (factors,) = self._held[name].factors([own], [rate], lr(tensor))
            tensor.mul_(factors.view(tensor.shape[1:]).to(tensor.dtype))

    @torch.no_grad()
    def clear_(self, dead: Sequence[Tensor], within: Mapping[str, Tensor] | None = None) -> None:
        """Set the given columns to zero, or the same places of tensors ``within``; one bool tensor a weight."""
        for (name, own), gone in zip(self.tensors.items(), dead, strict=True):
            tensor = own if within is None else within.get(name)
            if tensor is not None:
                tensor.masked_fill_(gone.view(own.shape[1:]), 0)
