"""What ties the units of a network together beyond the classes of their elements."""

from dataclasses import dataclass, field

from torch import Tensor

from gasl.structure.claims import Claim
from gasl.structure.matchings import Matching

__all__ = ["Relations", "RootMeanSquare"]


@dataclass(frozen=True, eq=False)
class RootMeanSquare:
    """``y = gamma * x / sqrt(mean(x^2) + eps)`` over a width: the mean is one over its size.

    With n' of n units left, the others zero, the same y comes of ``gamma * sqrt(n / n')`` and ``eps * n / n'``.

    Args:
        classes: The class of each unit.
        gamma: Name of the scale.
        eps: Its epsilon.
        path: The module attribute that holds epsilon; None where it is 0.
    """

    classes: Tensor
    gamma: str
    eps: float
    path: str | None


@dataclass(frozen=True, eq=False)
class Relations:
    """What ties classes together beyond axes.

    Args:
        counts: For each integer attribute of a module that counts units, their classes.
        claims: Sizes that the forward computes from others.
        flows: Triples of source classes, the classes that depend on them, and whether they vary if the source does.
        scaled: Classes that something else multiplies, and their largest value: of constants only a zero stays one.
        tables: Parameters that write their units by themselves: name and dimension.
        sinks: Classes that are summed up, and their largest value: they matter unless they are zero.
        norms: Root mean square norms over a width, which follow its size.
        narrows: The forward computes with a narrower type than float64 though it is given that.
        held: Integer attributes with another use, which keep their value.
        matchings: Widths cut evenly in several ways, of which single units go.
    """

    counts: dict[str, Tensor] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    flows: tuple[tuple[Tensor, Tensor, bool], ...] = ()
    scaled: tuple[tuple[Tensor, Tensor], ...] = ()
    tables: tuple[tuple[str, int], ...] = ()
    sinks: tuple[tuple[Tensor, Tensor], ...] = ()
    norms: tuple[RootMeanSquare, ...] = ()
    narrows: bool = False
    held: frozenset[str] = frozenset()
    matchings: tuple[Matching, ...] = ()
