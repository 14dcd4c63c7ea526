"""The factors of the closed-form step for all axes at once, with a floor under the number of units of each."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gasl.maths.proximal import shrink_factors

__all__ = ["Floors"]


class Floors:
    """Of each axis the ``floor`` largest units never become zero, and where no more than that are left none is shrunk.

    The axes are laid end to end, so that a network of many layers takes a few operations and not a few for each.

    Args:
        sizes: Units of each axis.
        floors: How many must stay; 0 for none.

    Example:
        >>> norms = [torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0, 4.0])]
        >>> rates = [torch.full((2,), 3.0), torch.full((3,), 2.0)]
        >>> Floors([2, 3], [1, 0]).factors(norms, rates, lr=1.0)
        [tensor([0., 1.]), tensor([0.0000, 0.0000, 0.5000])]
    """

    def __init__(self, sizes: Sequence[int], floors: Sequence[int]) -> None:
        self._sizes = list(sizes)
        self._most = min(max(floors), max(sizes))
        self._small = [size <= floor for size, floor in zip(sizes, floors, strict=True)]
        count = torch.tensor(self._sizes)
        self._floors = torch.minimum(torch.tensor(floors), count)
        self._axis = torch.repeat_interleave(torch.arange(len(sizes)), count)
        column = torch.arange(sum(sizes)) - torch.repeat_interleave(count.cumsum(0) - count, count)
        # The units of each axis in a row of a matrix; what is beyond its size is the entry after the last unit.
        self._rows = torch.full((len(sizes), max(sizes)), sum(sizes))
        self._rows[self._axis, column] = torch.arange(sum(sizes))

    def free(self, axis: int) -> bool:
        """Whether an axis has more units than must stay."""
        return not self._small[axis]

    def factors(self, norms: Sequence[Tensor], rates: Sequence[Tensor], lr: float) -> list[Tensor]:
        """:func:`~gasl.maths.proximal.shrink_factors` of each axis, above the floors.

        Args:
            norms: The norms of each axis.
            rates: Its rates.
            lr: Step size.

        Returns:
            One vector of factors an axis, where its norms live.
        """
        device = norms[0].device  # the host asks no other than a CPU whether there is anything to hold: it would wait
        alike = all(v.device == device for v in (*norms, *rates))
        n, r = (torch.cat([v if alike else v.to(device) for v in vectors]) for vectors in (norms, rates))
        factors = shrink_factors(n, r, lr)
        if self._most and (any(self._small) or n.device.type != "cpu" or not bool(factors.amin() > 0)):
            factors = torch.where(self._held(n, factors), 1.0, factors)
        return [f.to(norm) for f, norm in zip(factors.split(self._sizes), norms, strict=True)]

    def _held(self, norms: Tensor, factors: Tensor) -> Tensor:
        if self._axis.device != norms.device:  # once: a copy from the host in each step would make it wait
            self._floors, self._axis, self._rows = (t.to(norms.device) for t in (self._floors, self._axis, self._rows))
        rows = torch.cat([norms, norms.new_full((1,), -1.0)])[self._rows]
        if self._most == 1:
            last = rows.amax(1)
        else:
            last = rows.topk(self._most, dim=1).values.gather(1, (self._floors - 1).clamp(min=0)[:, None])[:, 0]
        last = torch.where(self._floors > 0, last, torch.inf)
        few = (rows > 0).sum(1) <= self._floors
        largest = norms >= last[self._axis]
        return (norms > 0) & (few[self._axis] | (largest & (factors == 0)))
