"""A penalty that presses groups down for a while, then cuts the smallest of the whole network at once.

::

    steps 1 .. cut_at     the penalty
    with step cut_at      the fraction of all groups with the smallest importance becomes zero
    afterwards            they stay exactly zero, and nothing is penalised
"""

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from gasl.errors import InputError
from gasl.maths.ranking import smallest_of_all
from gasl.methods.base import Groups, State
from gasl.methods.penalty import Penalty

__all__ = ["CutPenalty"]


@dataclass(frozen=True, kw_only=True)
class CutPenalty(Penalty, ABC):
    """Base of the penalties that end in a cut.

    Args:
        fraction: Of all groups, the part that is cut; null for no cut.
        cut_at: The optimizer step with which it is cut; null for no cut.
        cap: The largest part of one axis that may be cut. The sparsifier's min_units hold as well.
    """

    fraction: float | None = None
    cut_at: int | None = None
    cap: float = 0.9

    def __post_init__(self) -> None:
        """Refuse what no training could use."""
        super().__post_init__()
        for name, value in (("fraction", self.fraction), ("cap", self.cap)):
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"{name} must be a number from 0 to 1, got {value}")
        if (self.fraction is None) != (self.cut_at is None):
            raise InputError(
                f"a cut needs both fraction and cut_at, got fraction={self.fraction}, cut_at={self.cut_at}; "
                "set both, or leave both out"
            )
        if self.cut_at is not None and self.cut_at < 1:
            raise InputError(f"cut_at counts optimizer steps from 1, got {self.cut_at}")

    def importance(self, norms: Sequence[Tensor]) -> list[Tensor]:
        """By what groups of different axes are ranked together: their norms, unless a penalty says otherwise."""
        return list(norms)

    def own_amount(self) -> str | None:
        """The cut."""
        return None if self.cut_at is None else f"fraction={self.fraction}, cut_at={self.cut_at}"

    def chosen(self, norms: Sequence[Tensor], floors: Sequence[int], fraction: float) -> list[Tensor]:
        """The smallest groups of the whole network, by importance."""
        return smallest_of_all(self.importance(norms), fraction, floors)

    def cut(self, groups: Groups, state: State) -> list[Tensor] | None:
        """The smallest groups of the network, and those that are zero already; once."""
        if self.fraction is None or self.cut_at is None or state.dead is not None or state.step + 1 < self.cut_at:
            return None
        norms = [n.detach() for n in groups.norms()]
        chosen = smallest_of_all(self.importance(norms), self.fraction, groups.floors, self.cap)
        return [mask | (n == 0) for mask, n in zip(chosen, norms, strict=True)]
