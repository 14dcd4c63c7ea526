"""Where a layer's weight is zero, as far as its units care."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gasl.structure.affine import Affine

__all__ = ["Pattern", "pattern_of"]

_BLOCK = 2**19  # elements that stay in the cache while they are looked at


@dataclass(frozen=True, eq=False)
class Pattern:
    """Which columns of an affine call have a part in which rows.

    Where units are dead whole, that is every column that is not zero in every row that is not: two vectors say it, and
    no matrix has to be read again.

    Args:
        rows: Whether a row has any element.
        columns: Whether a column has any.
        mask: Every element, shape ``(out, in)``; None where all are there whose row and column have any.

    Example:
        >>> whole = Pattern(torch.tensor([True, False]), torch.tensor([True, True, False]))
        >>> whole.written(torch.tensor([False, True, True])).tolist()
        [True, False]
        >>> whole.read(torch.tensor([False, True])).tolist()
        [False, False, False]
    """

    rows: Tensor
    columns: Tensor
    mask: Tensor | None = None

    def written(self, columns: Tensor) -> Tensor:
        """The rows in which any of these columns has a part."""
        if self.mask is None:
            return self.rows & (self.columns & columns).any()
        return _any(self.mask & columns, 1)

    def read(self, rows: Tensor) -> Tensor:
        """The columns that have a part in any of these rows."""
        if self.mask is None:
            return self.columns & (self.rows & rows).any()
        return _any(self.mask & rows.unsqueeze(1), 0)


@torch.no_grad()
def pattern_of(affine: Affine, weight: Tensor) -> Pattern:
    """The pattern of a weight, which holds numbers only.

    Example:
        >>> layer = torch.nn.Linear(3, 2)
        >>> with torch.no_grad():
        ...     layer.weight[:, 1] = 0
        >>> from gasl.structure.trace import trace
        >>> pattern = pattern_of(trace(layer, torch.zeros(1, 3)).affines[0], layer.weight)
        >>> pattern.columns.tolist(), pattern.mask
        ([True, False, True], None)
    """
    if affine.plain and weight.is_floating_point() and weight.shape[:2] == (affine.rows.numel(), affine.labels.numel()):
        sizes = [_sizes(part) for part in weight.detach().split(max(1, _BLOCK * len(weight) // weight.numel()))]
        rows = torch.cat([rows for rows, _, _ in sizes]) > 0
        columns, least = (torch.stack([size[k] for size in sizes]) for k in (1, 2))
        if bool((least.amin(0) > 0)[used := columns.amax(0) > 0].all()):
            return Pattern(rows.cpu(), used.cpu())
    mask = affine.matrix(weight.detach() != 0).cpu()
    return Pattern(_any(mask, 1), _any(mask, 0), mask)


def _sizes(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The largest element of each row and of each column, and the least of each column in rows that are not zero."""
    size = weight.abs()
    rows, columns = size.flatten(1).amax(1), size.amax(0).reshape(size.shape[1], -1).amax(1)
    if not bool((rows > 0).all()):
        size = size.index_select(0, (rows > 0).nonzero().flatten())
    least = size.amin(0).reshape(size.shape[1], -1).amin(1) if len(size) > 0 else torch.full_like(columns, torch.inf)
    return rows, columns, least


def _any(mask: Tensor, dim: int) -> Tensor:
    """``mask.any(dim)``, many times faster."""
    return mask.view(torch.uint8).amax(dim).view(torch.bool) if mask.numel() > 0 else mask.any(dim)
