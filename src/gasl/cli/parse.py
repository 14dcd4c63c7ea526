"""Flags and YAML from the commands' signatures; jsonargparse does the work.

A method is chosen by ``--method NAME`` and its fields are ``--NAME.field``; in YAML ``method: gasl`` beside
``gasl: {strength: 0.3}``.
"""

import inspect
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from gasl.cli.commands import COMMANDS
from gasl.cli.options import merged, split_off
from gasl.cli.words import in_words
from gasl.errors import GaslError, MissingExtraError, unknown_name
from gasl.methods import METHODS, Method

try:
    from jsonargparse import ArgumentParser, Namespace
except ImportError as missing:
    raise MissingExtraError(f'the command line needs {missing.name}; pip install "gasl[train]"') from missing

__all__ = ["ParseError", "parse"]


_POSITIONAL = ("figure", "report", "run", "sweep", "table")  # their first word needs no flag
_OPTIONAL = {"methods": ("name", "the method to explain; all are listed without it")}  # it needs no flag either


class ParseError(Exception):
    """The words of the command line make no sense; the message is one line."""


class _Parser(ArgumentParser):
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise ParseError(f"{in_words(message, self._option_string_actions)} (see {self.prog} --help)")


def parse(argv: Sequence[str]) -> tuple[Callable[..., None], dict[str, Any]]:
    """Which command, and what to call it with.

    Args:
        argv: The words after ``gasl``.

    Returns:
        The command and its arguments.

    Raises:
        ParseError: If the words make no sense.
        InputError: If a value is out of its range, or a name is unknown.

    Example:
        >>> command, arguments = parse(["measure", "--model", "mlp", "--threads", "2"])
        >>> command.__name__, arguments["threads"]
        ('measure', 2)
    """
    if not argv or argv[0] in ("-h", "--help"):
        print(_overview())
        sys.exit(0 if argv else 2)
    if argv[0] not in COMMANDS:
        raise unknown_name("command", argv[0], COMMANDS)
    command = COMMANDS[argv[0]]
    parser, words = _parser(argv[0], command), _spelled_out([_underscored(word) for word in argv[1:]], command)
    words, single = split_off(words) if "model_args" in inspect.signature(command).parameters else (words, [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # jsonargparse renames its functions between versions
        given = _given(parser, words)
        if usual := _usual(given):
            parser.set_defaults(usual)
            given = _given(parser, words)
        one_by_one = {name: _value(f"gasl {argv[0]}", name, text) for name, text in single}
    arguments = _arguments(command, given)
    if "model_args" in arguments:
        arguments["model_args"] = merged(arguments["model_args"], one_by_one)
    return command, arguments


def _given(parser: Any, words: Sequence[str]) -> Namespace:
    for flag, after in zip(words, [*words, "--"][1:], strict=True):
        if flag.startswith("--") and (after == "" or flag.endswith("=")):
            raise ParseError(f"{flag.rstrip('=')} needs a value, got an empty one")
    try:
        parsed = parser.parse_args(words)
    except UnicodeDecodeError as error:
        raise ParseError(f"the file of --config is no UTF-8 text: {error}") from error
    groups = {flag[2:].partition(".")[0] for flag in parser._option_string_actions if "." in flag}
    for name in groups:
        if not isinstance(value := parsed.get(name), Namespace | dict | None):
            raise ParseError(f"{name} has fields, e.g. {name}: {{...}} in YAML; got {value!r}")
    try:
        given: Namespace = parser.instantiate_classes(parsed)
    except ValueError as error:  # of a class that may also be null; jsonargparse puts our reason into its own
        raise error.__cause__ if isinstance(error.__cause__, GaslError) else ParseError(str(error)) from None
    return given


def _value(prog: str, name: str, text: str) -> Any:
    """One of the model's arguments, read as it is in YAML with the others."""
    parser = _Parser(prog=prog)
    parser.add_argument(flag := f"--model_args.{name}", type=dict)
    try:
        return parser.parse_args([f"{flag}=value: {text}"])[flag[2:]]["value"]
    except ParseError:
        raise ParseError(f"{flag} takes YAML, got {text} (see {prog} --help)") from None


def _usual(given: Namespace) -> dict[str, float | None]:
    """The strength that a run takes if it is given none, where it hangs on other fields: attention over a penalty."""
    name = given.get("method")
    if name not in METHODS or given[name].usual_strength == METHODS[name].usual_strength:
        return {}
    return {f"{name}.strength": given[name].usual_strength}


def _underscored(word: str) -> str:
    """``--data-dir=x`` as ``--data_dir=x``: both spellings are taken."""
    flag, equals, value = word.partition("=")
    return flag.replace("-", "_").replace("__", "--", 1) + equals + value if word.startswith("--") else word


def _spelled_out(words: Sequence[str], command: Callable[..., None]) -> list[str]:
    """``--show`` as ``--show true``: a flag of yes or no needs no value."""
    switches = {f"--{name}" for name, p in inspect.signature(command).parameters.items() if p.default is False}
    following = [*words, "--"][1:]
    alone = [word in switches and after.startswith("-") for word, after in zip(words, following, strict=True)]
    return [part for word, bare in zip(words, alone, strict=True) for part in ([word, "true"] if bare else [word])]


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {(c.__doc__ or '').splitlines()[0]}" for name, c in COMMANDS.items()]
    return "\n".join(["usage: gasl COMMAND [flags]; gasl COMMAND --help tells the flags", "", *lines])


def _parser(name: str, command: Callable[..., None]) -> Any:
    parser = _Parser(prog=f"gasl {name}", description=(command.__doc__ or "").splitlines()[0], exit_on_error=True)
    parser.add_argument("--config", action="config", help="a YAML file with any of these flags")
    parameters = inspect.signature(command).parameters
    first, explained = _OPTIONAL.get(name, ("", ""))
    parser.add_function_arguments(command, skip={"method", first}, as_positional=name in _POSITIONAL)
    if first:
        parser.add_argument(first, nargs="?", help=explained)
    if "method" in parameters:
        known = ", ".join(METHODS)
        parser.add_argument("--method", type=str, default="gasl", help=f"how it gets small: {known}")
        for method, cls in METHODS.items():
            parser.add_class_arguments(cls, method)
            parser.set_defaults({f"{method}.strength": cls.usual_strength})
    return parser


def _arguments(command: Callable[..., None], given: Namespace) -> dict[str, Any]:
    arguments = {name: given[name] for name in inspect.signature(command).parameters}
    if "method" in arguments:
        arguments["method"] = _method(given)
    return arguments


def _method(given: Namespace) -> Method:
    name = given["method"]
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    method: Method = given[name]
    return method
