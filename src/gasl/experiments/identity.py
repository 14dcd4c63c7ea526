"""What names a run: the hash of everything that its result depends on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from gasl.errors import InputError

__all__ = ["agree", "described", "identity"]


def described(value: object, *, defaults: bool = True) -> Any:
    """A spec as plain JSON: dataclasses as mappings that begin with their class.

    Args:
        value: A dataclass, mapping, sequence, text, number, or None.
        defaults: Whether fields that have their default value are named too.

    Returns:
        Mappings, lists, texts, numbers and None.

    Raises:
        InputError: If there is something in it that no file can say, such as a function.

    Example:
        >>> from gasl.methods import GroupLasso
        >>> described(GroupLasso(strength=2.0), defaults=False)
        {'class': 'GroupLasso', 'strength': 2.0}
        >>> described(GroupLasso(strength=2.0))["scope"]
        'coupled'
    """
    if is_dataclass(value) and not isinstance(value, type):
        entries = {field.name: (field, getattr(value, field.name)) for field in fields(value)}
        named = {name: v for name, (field, v) in entries.items() if defaults or v != _default(field)}
        return {"class": type(value).__name__} | {name: described(v, defaults=defaults) for name, v in named.items()}
    if isinstance(value, Mapping):
        return {str(name): described(v, defaults=defaults) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [described(v, defaults=defaults) for v in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise InputError(f"a spec holds dataclasses, texts and numbers; {value!r} cannot be written to a file")


def identity(spec: object) -> str:
    """The name of a run: the first 16 digits of the SHA-256 of its canonical spec.

    Fields at their default are not part of it, so that a field that is added later renames no run that was before.

    Args:
        spec: What :func:`described` takes.

    Returns:
        16 hexadecimal digits.

    Example:
        >>> from gasl.experiments import RunSpec
        >>> identity(RunSpec(seed=1)), identity(RunSpec(seed=1)) == identity(RunSpec(seed=2))
        ('75fcc067de85a289', False)
    """
    canonical = json.dumps(_floats(described(spec, defaults=False)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def agree(one: Any, other: Any) -> bool:
    """Whether two descriptions say the same wherever both say something.

    A default that has changed since a record was written leaves the identity as it was, and shows here.

    Args:
        one: From :func:`described`, with or without defaults, or read back from a file.
        other: The same.

    Example:
        >>> agree({"strength": 1, "scope": "filter"}, {"strength": 1.0}), agree({"scope": "filter"}, {"scope": "out"})
        (True, False)
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(agree(one[name], other[name]) for name in one.keys() & other.keys())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(agree, one, other))
    return bool(one == other)


def _default(field: Field[Any]) -> object:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _floats(value: Any) -> Any:
    """Whole numbers as floats: a strength of 1 is one of 1.0."""
    if isinstance(value, dict):
        return {name: _floats(v) for name, v in value.items()}
    if isinstance(value, list):
        return [_floats(v) for v in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
