"""The order of one closed-form step over a network: what is read, which axes are then known, what can be written.

An axis is known once all its weights are read, a weight can be multiplied once all axes that own parts of it are
known. Step by step through the network, what was read is still in the cache when it is multiplied.
"""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Round", "rounds"]


class Round(NamedTuple):
    """Tensors to read, axes that are known then, tensors to write then."""

    read: tuple[str, ...]
    axes: tuple[int, ...]
    write: tuple[str, ...]


def rounds(order: Sequence[str], reads: Sequence[Sequence[str]], writes: Sequence[Sequence[str]]) -> list[Round]:
    """The rounds of a step, as small as they may be.

    Args:
        order: The tensors in the order of reading.
        reads: For each axis the tensors that its norms are read from; those that are not in ``order`` are known.
        writes: For each axis the tensors that its factors multiply.

    Returns:
        The rounds. Every tensor is read once, every axis known once and every tensor written once, in this order; in
        every round at least one axis becomes known.

    Example:
        >>> for each in rounds(["a", "b", "c"], [["a"], ["b", "c", "d"]], [["a", "b"], ["b", "c", "d"]]):
        ...     print(*each)
        ('a',) (0,) ('a',)
        ('b', 'c') (1,) ('b', 'c', 'd')
    """
    found: list[Round] = []
    now: list[str] = []
    unread = [set(names) & set(order) for names in reads]
    unknown = dict.fromkeys(range(len(reads)))
    waiting = list(dict.fromkeys(name for names in writes for name in names))
    for name in (None, *order):
        if name is not None:
            now.append(name)
            for names in unread:
                names.discard(name)
        known = tuple(axis for axis in unknown if not unread[axis])
        if not known:
            continue
        unknown = {axis: None for axis in unknown if axis not in known}
        held = {name for axis in unknown for name in writes[axis]}
        found.append(Round(tuple(now), known, tuple(name for name in waiting if name not in held)))
        waiting, now = [name for name in waiting if name in held], []
    return found
