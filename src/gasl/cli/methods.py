"""What ``gasl methods`` prints: made from the classes themselves, so that nothing has to be said twice."""

import dataclasses
import inspect
import re
import sys
import textwrap
import types
import typing

from gasl.errors import unknown_name
from gasl.methods import METHODS, Method

__all__ = ["describe", "overview"]

_WIDTH = 100
_ARGUMENT = re.compile(r"^    (\w+): (.+(?:\n     +.+)*)", re.MULTILINE)  # one of a docstring's Args
_ROLE = re.compile(r":\w+:`~?(?:[\w.]+\.)?(\w+)`")


def overview() -> str:
    """Every method: its name, a line about it, its hyper-parameters with their defaults, its paper.

    Returns:
        Lines to print.

    Example:
        >>> print(overview().splitlines()[3])
        attention: Any penalty plus a term that keeps the groups' sizes apart. `alpha=0` is the penalty alone.
    """
    parts = [
        "gasl methods NAME explains one; gasl train --method NAME trains with it.\n"
        f"All have {_settings(Method)}; where a method differs it is said there."
    ]
    for name, cls in METHODS.items():
        lines = [f"{name}: {_summary(cls)}", _filled(_settings(cls), "    "), _filled(cls.paper, "    ")]
        parts.append("\n".join(filter(None, lines)))
    return "\n\n".join(parts)


def describe(name: str) -> str:
    """One method: what it does and its equations, every hyper-parameter with its meaning, its paper.

    Args:
        name: One of the names that :func:`overview` lists.

    Returns:
        Lines to print.

    Raises:
        InputError: If there is no method of that name.

    Example:
        >>> print(describe("l1").splitlines()[0])
        l1: l1 norm of the weights, with exact zeros by soft thresholding, or as a term of the loss.
    """
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    cls = METHODS[name]
    text = inspect.getdoc(cls) or ""
    about = _plain(text.split("\nArgs:")[0].partition("\n\n")[2]).strip()
    equations = _plain(inspect.cleandoc(sys.modules[cls.__module__].__doc__ or "")).strip()
    help_of = {key: " ".join(value.split()) for key, value in _ARGUMENT.findall(text)}
    hints = typing.get_type_hints(cls)
    settings = ["hyper-parameters, with the defaults of gasl train:"]
    for field in dataclasses.fields(cls):
        settings.append(f"  --{name}.{field.name} {_default(cls, field)}  ({_kind(hints[field.name])})")
        settings.append(_filled(_plain(help_of[field.name]), "      "))
    paper = _filled(f"paper: {cls.paper}", "") if cls.paper else ""
    return "\n\n".join(filter(None, [f"{name}: {_summary(cls)}", about, equations, "\n".join(settings), paper]))


def _summary(cls: type[Method]) -> str:
    """The first paragraph of the docstring, on one line."""
    return _plain(" ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split()))


def _plain(text: str) -> str:
    """Without the marks that only a documentation tool reads."""
    text = re.sub(r"^::\n\n", "", _ROLE.sub(r"\1", text), flags=re.MULTILINE)
    return re.sub(r"::$", ":", text, flags=re.MULTILINE).replace("``", "`")


def _settings(cls: type[Method]) -> str:
    """Hyper-parameters with their defaults; those of every method only where they differ."""
    common = {} if cls is Method else {f.name: _default(Method, f) for f in dataclasses.fields(Method)}
    values = {field.name: _default(cls, field) for field in dataclasses.fields(cls)}
    return ", ".join(f"{name}={value}" for name, value in values.items() if common.get(name) != value)


def _default(cls: type[Method], field: "dataclasses.Field[object]") -> str:
    """As it is written in YAML; the strength that a run takes if it is given none."""
    value = field.default
    if field.name == "strength":
        value = cls.usual_strength
    elif value is dataclasses.MISSING:
        assert field.default_factory is not dataclasses.MISSING  # every hyper-parameter has a default
        value = field.default_factory()
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _kind(hint: object) -> str:
    """A type as one reads it: the choices of a literal, the members of a union, names without their modules."""
    parts = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(map(str, parts))
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return " or ".join("null" if part is type(None) else _kind(part) for part in parts)
    if typing.get_origin(hint) is not None:
        return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", str(hint))
    return getattr(hint, "__name__", str(hint))


def _filled(text: str, indent: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
