"""``--model_args``: keyword arguments of a factory, as YAML says them."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from gasl.errors import InputError

__all__ = ["merged", "split_off"]

_FLAG = "--model_args"


def split_off(words: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """The words without those of single arguments, and these: ``--model_args.width 0.25``.

    Args:
        words: Of a command that takes ``--model_args``.

    Returns:
        The other words; for each single argument its name and the YAML of its value.

    Example:
        >>> split_off(["--model_args.width=0.25", "--threads", "2", "--model_args.flag", "true"])
        (['--threads', '2'], [('width', '0.25'), ('flag', 'true')])
    """
    others, single, following = [], [], iter(words)
    for word in following:
        name, equals, text = word.partition("=")
        if not name.startswith(f"{_FLAG}."):
            others.append(word)
            continue
        text = text if equals else next(following, "")
        if not text:
            raise InputError(f"{name} needs a value, got an empty one")
        single.append((name.removeprefix(f"{_FLAG}."), text))
    return others, single


def merged(options: Mapping[str, Any] | None, single: Mapping[str, Any]) -> dict[str, Any] | None:
    """All arguments as one mapping; single ones count more, and ``a.b`` is ``b`` in the mapping ``a``.

    Args:
        options: Those that came together; None for none.
        single: Those that came one by one.

    Returns:
        The arguments; None if there are none.

    Raises:
        InputError: If one is no text, number, truth value or null, nor a list or a mapping of such.

    Example:
        >>> merged({"flag": False, "inner": {"a": "3"}}, {"inner.b": [8, 16]})
        {'flag': False, 'inner': {'a': '3', 'b': [8, 16]}}
        >>> merged({"width": {8}}, {})
        Traceback (most recent call last):
        gasl.errors.InputError: --model_args.width takes texts, numbers, true, false, null, ... got the set {8}
    """
    if options is None and not single:
        return None
    made: dict[str, Any] = deepcopy(_checked(_FLAG, dict(options or {})))
    for path, value in single.items():
        *outer, name = path.split(".")
        place = made
        for part in outer:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise InputError(f"{_FLAG}.{path} needs {part!r} to be a mapping, got {place!r}; leave one of them out")
        place[name] = _checked(f"{_FLAG}.{path}", value)
    return made


def _checked(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        if strange := [key for key in value if not isinstance(key, str)]:
            raise InputError(f"{name} takes names that are texts, got {strange[0]!r}; write it in quotes")
        for key, part in value.items():
            _checked(f"{name}.{key}", part)
    elif isinstance(value, list):
        for part in value:
            _checked(name, part)
    elif value is not None and not isinstance(value, str | int | float):
        raise InputError(
            f"{name} takes texts, numbers, true, false, null, and lists and mappings of these; "
            f"got the {type(value).__name__} {value!r}"
        )
    return value
