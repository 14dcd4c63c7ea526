"""The order of one closed-form step over a network: what is read, which axes are then known, what can be written.

An axis is known once all its weights are read, a weight can be multiplied once all axes that own parts of it are
known. Step by step through the network, what was read is still in the cache when it is multiplied; small tensors go
together, for each round has some operations of its own.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = ["Round", "rounds"]


class Round(NamedTuple):
    """Tensors to read, axes that are known then, tensors to write then."""

    read: tuple[str, ...]
    axes: tuple[int, ...]
    write: tuple[str, ...]


def rounds(
    sizes: Mapping[str, int],
    reads: Sequence[Sequence[str]],
    writes: Sequence[Sequence[str]],
    least: float,
) -> list[Round]:
    """The rounds of a step, as small as they may be.

    Args:
        sizes: Elements of each tensor that is read, in the order of reading.
        reads: For each axis the tensors that its norms are read from.
        writes: For each axis the tensors that its factors multiply.
        least: Elements to read in a round, at the least.

    Returns:
        The rounds. Every tensor is read once, every axis known once and every tensor written once, in this order; in
        every round at least one axis becomes known.

    Example:
        >>> for each in rounds({"a": 2, "b": 3, "c": 2}, [["a"], ["b", "c"]], [["a", "b"], ["b", "c"]], least=2):
        ...     print(*each)
        ('a',) (0,) ('a',)
        ('b', 'c') (1,) ('b', 'c')
    """
    found: list[Round] = []
    now: list[str] = []
    unread = [set(names) for names in reads]
    unknown = dict.fromkeys(range(len(reads)))
    waiting = list(dict.fromkeys(name for names in writes for name in names))
    for name in sizes:
        now.append(name)
        known = tuple(axis for axis in unknown if unread[axis] <= set(now))
        if not known or (sum(map(sizes.__getitem__, now)) < least and len(known) < len(unknown)):
            continue
        unknown = {axis: None for axis in unknown if axis not in known}
        for names in unread:
            names.difference_update(now)
        held = {name for axis in unknown for name in writes[axis]}
        found.append(Round(tuple(now), known, tuple(name for name in waiting if name not in held)))
        waiting, now = [name for name in waiting if name in held], []
    return found
