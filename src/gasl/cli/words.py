"""What jsonargparse finds wrong with the words of a command line, in words of ours."""

import re
from collections.abc import Iterable

from gasl.errors import unknown_name

__all__ = ["in_words"]


def in_words(message: str, flags: Iterable[str]) -> str:
    r"""A mistake as one sentence: the flag, what it takes, and what it got.

    Args:
        message: The parser's.
        flags: Those that there are.

    Returns:
        The sentence; the parser's own message where nothing better is known.

    Example:
        >>> in_words('Parser key "sparse.lr": Expected a <class \'float\'>. Got value: high', [])
        '--sparse.lr takes float, got high'
        >>> in_words("unrecognized arguments: --threds 2", ["--threads"])
        "unknown flag '--threds'; did you mean '--threads'? Known: --threads"
    """
    text, known = " ".join(message.split()), list(flags)
    if (strange := re.match(r"unrecognized arguments: (--[^\s=]+)", text)) is not None:
        return str(unknown_name("flag", strange[1], known))
    if (found := re.match(r'Parser key "([^"]+)": ', text)) is None:
        return text
    key = found[1]
    if (inner := re.search(r"- --(.*? takes .*?, got .*?) \(see ", text)) is not None:  # of its fields, in these words
        return f"--{key}.{inner[1]}"
    hint = f"; its fields are flags of their own, --{key}.help lists them" if f"--{key}.help" in known else ""
    if (strange := re.search(r"Option '(.*?)' is not accepted", text)) is not None:
        return f"--{key} has no field {strange[1]!r}{hint}"
    kinds, got = re.search(r"Subtypes: \[(.*?)\] Errors: ", text), re.search(r"Given value: (.*)", text)
    if kinds is None:
        kinds, got = re.search(r"Expected an? (.*?)\. Got", text), re.search(r"Got value: (.*)", text)
    if kinds is None or got is None:
        return text
    return f"--{key} takes {_kinds(kinds[1])}, got {got[1]}{hint}"


def _kinds(text: str) -> str:
    text = re.sub(r"<class '(?:[\w.]+\.)?(\w+)'>", r"\1", text).replace("typing.", "").replace("NoneType", "null")
    text = re.sub(r"Literal\[(.*?)\]", lambda found: found[1].replace(", ", " or "), text)
    return re.sub(r", (?![^\[]*\])", " or ", text)  # not the commas inside dict[str, int]
