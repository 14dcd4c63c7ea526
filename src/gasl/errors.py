"""Every error that gasl raises on purpose.

Each message says what came in, what was wanted and what to change. The command line prints any
:class:`GaslError` as one line and exits with code 2; anything else is a bug and keeps its traceback.
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "FileError",
    "GaslError",
    "InUseError",
    "InputError",
    "MissingExtraError",
    "RemovalError",
    "unknown_name",
]

_MANY, _NEAREST = 50, 8  # names that are too many to list, and how many are listed then


class GaslError(Exception):
    """Base of all deliberate errors of this library.

    >>> issubclass(InputError, GaslError)
    True
    """


class InputError(GaslError, ValueError):
    """An argument, a model or a data set cannot be used as given.

    >>> issubclass(InputError, ValueError)
    True
    """


class InUseError(InputError):
    """Another process works in the folder of a run.

    >>> issubclass(InUseError, InputError)
    True
    """


class RemovalError(GaslError, RuntimeError):
    """Removing units would have changed the network's outputs; nothing was changed.

    >>> issubclass(RemovalError, RuntimeError)
    True
    """


class FileError(GaslError, ValueError):
    """A file is missing, damaged, or not one that gasl wrote.

    >>> issubclass(FileError, ValueError)
    True
    """


class MissingExtraError(GaslError, ImportError):
    """An optional dependency is needed and not installed; the message names the extra.

    >>> issubclass(MissingExtraError, ImportError)
    True
    """


def unknown_name(kind: str, got: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a closed list, with the nearest name that is.

    Args:
        kind: What the name stands for, e.g. ``"method"``.
        got: The name that came in.
        known: The names that would have been taken.

    Returns:
        The error, to be raised by the caller.

    Example:
        >>> print(unknown_name("method", "gasel", ["gasl", "ssl"]))
        unknown method 'gasel'; did you mean 'gasl'? Known: gasl, ssl
    """
    names = sorted(known)
    near = difflib.get_close_matches(got, names, n=1, cutoff=0.5)
    hint = f" did you mean {near[0]!r}?" if near else ""
    if len(names) > _MANY:
        nearest = difflib.get_close_matches(got, names, n=_NEAREST, cutoff=0.0)
        return InputError(f"unknown {kind} {got!r};{hint} The nearest of {len(names)}: {', '.join(nearest)}")
    return InputError(f"unknown {kind} {got!r};{hint} Known: {', '.join(names)}")
