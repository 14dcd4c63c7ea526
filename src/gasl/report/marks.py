"""What pages made from records have in common: the marks between which a part is made, and means with their spread."""

from collections.abc import Sequence
from statistics import mean, stdev

__all__ = ["END", "between", "spread"]

END = "<!-- end -->"


def between(text: str, begin: str, made: str) -> str:
    r"""A page with another text between its two marks.

    Args:
        text: The page as it is.
        begin: The first mark; the second is :data:`END`.
        made: The lines between them.

    Returns:
        The page as it should be.

    Example:
        >>> between("a\n<!-- x -->\nold\n<!-- end -->\nb", "<!-- x -->", "new")
        'a\n<!-- x -->\nnew\n<!-- end -->\nb'
    """
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(END)
    return f"{before}{begin}\n{made}\n{END}{after}"


def spread(values: Sequence[float], digits: int, sign: str = "") -> str:
    """Mean, and the standard deviation where there is one; with the sign "+" a mean above 0 has one too.

    Example:
        >>> spread([1.0, 2.0], 1), spread([1.0], 2, "+"), spread([], 2)
        ('1.5 ± 0.7', '+1.00', '-')
    """
    if not values:
        return "-"
    text = f"{mean(values):{sign}.{digits}f}"
    return f"{text} ± {stdev(values):.{digits}f}" if len(values) > 1 else text
