"""Sizes that a forward computes, held against what would be left after a removal."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from gasl.structure.labels import distinct
from gasl.structure.numbers import Attribute, Extent, Leaf, Number, leaves_of, value_of

__all__ = ["Claim", "followed", "resolved"]


@dataclass(frozen=True, eq=False)
class Claim:
    """A dimension whose size the forward computes: after a removal the number must come out as what is left.

    Args:
        number: The size, with its expression.
        labels: The labels of the tensor.
        dim: The dimension.
        extents: The labels behind each :class:`~gasl.structure.numbers.Extent` of the expression.
    """

    number: Number
    labels: Tensor
    dim: int
    extents: Mapping[Extent, Tensor] | None = None

    def holds(self, values: Mapping[Leaf, int], removed: Tensor) -> bool:
        """Whether the number follows when these classes are removed, and attributes have these values."""
        left: dict[Leaf, int] = {
            leaf: _left(labels, leaf.dim, removed) for leaf, labels in (self.extents or {}).items()
        }
        try:
            return value_of(self.number, {**values, **left}) == _left(self.labels, self.dim, removed)
        except ZeroDivisionError:
            return False

    def unknown(self, values: Mapping[Leaf, int]) -> set[Attribute]:
        """Attributes in the number that have no value yet."""
        return {leaf for leaf in leaves_of(self.number) if isinstance(leaf, Attribute) and leaf not in values}


def resolved(claims: Iterable[Claim], roots: Callable[[Tensor], Tensor]) -> tuple[Claim, ...]:
    """Claims over classes instead of atoms.

    Args:
        claims: What the rules noted.
        roots: From labels to classes.

    Returns:
        The same claims.
    """
    found = []
    for claim in claims:
        extents = {leaf: roots(distinct(leaf.labels)) for leaf in leaves_of(claim.number) if isinstance(leaf, Extent)}
        found.append(Claim(claim.number, roots(distinct(claim.labels)), claim.dim, extents))
    return tuple(found)


def followed(
    claims: Iterable[Claim], counts: Mapping[str, Tensor], held: Collection[str], removed: Tensor
) -> tuple[dict[str, int], list[Claim]]:
    """The values that integer attributes get in a removal, and the claims that it would break.

    An attribute that counts units has as many as are left. Any other that a size is computed from gets the value with
    which that size comes out; where two sizes want different values one of them breaks.

    Args:
        claims: Resolved claims.
        counts: The classes that attributes count.
        held: Attributes that must keep their value.
        removed: Whether each class goes, indexed by class.

    Returns:
        New values by path, of those that change; and the broken claims.
    """
    claims = list(claims)
    old = {leaf: value for claim in claims for leaf, value in _values(claim.number)}
    values: dict[Leaf, int] = {Attribute(path): _left(classes, 0, removed) for path, classes in counts.items()}
    values |= {leaf: value for leaf, value in old.items() if leaf.path in held and leaf not in values}
    while single := next((claim for claim in claims if len(claim.unknown(values)) == 1), None):
        (leaf,) = single.unknown(values)
        fits = (v for v in range(1, old[leaf] + 1) if single.holds({**values, leaf: v}, removed))
        values[leaf] = next(fits, old[leaf])
    changed = {
        leaf.path: value
        for leaf, value in values.items()
        if isinstance(leaf, Attribute) and value != (counts[leaf.path].numel() if leaf.path in counts else old[leaf])
    }
    return changed, [claim for claim in claims if not claim.holds(values, removed)]


def _values(number: int) -> Iterator[tuple[Attribute, int]]:
    """The attributes in a number's expression with their present values."""
    if isinstance(number, Number) and isinstance(number.expression, tuple):
        for operand in number.expression[1:]:
            yield from _values(operand)
    elif isinstance(number, Number) and isinstance(number.expression, Attribute):
        yield number.expression, int(number)


def _left(labels: Tensor, dim: int, removed: Tensor) -> int:
    alive = ~removed[labels.clamp(min=0)]
    others = [d for d in range(alive.ndim) if d != dim]
    return int((alive.amax(others) if others else alive).sum()) if alive.numel() else 0
