"""One number for each axis, where a method's penalty is weighted axis by axis."""

from collections.abc import Mapping, Sequence

from gasl.errors import unknown_name
from gasl.methods.base import check_number

__all__ = ["by_axis", "check_factors"]


def by_axis(factors: Mapping[str, float] | None, names: Sequence[str]) -> list[float]:
    """The factor of each axis; 1 where none is given.

    Args:
        factors: Factors by axis name; None for 1 everywhere.
        names: The axes.

    Returns:
        One number an axis.

    Raises:
        InputError: If a factor belongs to no axis.

    Example:
        >>> by_axis({"conv1": 10.0}, ["conv1", "conv2"])
        [10.0, 1.0]
    """
    given = dict(factors or {})
    for name in given:
        if name not in names:
            raise unknown_name("axis in factors", name, names)
    return [float(given.get(name, 1.0)) for name in names]


def check_factors(factors: Mapping[str, float] | None) -> None:
    """Refuse factors that are negative, infinite or NaN.

    Args:
        factors: Factors by axis name; None for 1 everywhere.

    Raises:
        InputError: If one is not a finite number >= 0.

    Example:
        >>> check_factors({"conv1": -1.0})
        Traceback (most recent call last):
        gasl.errors.InputError: the factor of 'conv1' must be a finite number >= 0, got -1.0
    """
    for name, factor in (factors or {}).items():
        check_number(f"the factor of {name!r}", factor)
