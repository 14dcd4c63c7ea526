"""``gasl``: the command line. Every flag is also a key of a YAML file given with ``--config``.

A mistake of the user costs one line and exit code 2; a traceback is a bug.
"""

import os
import sys
import warnings
from collections.abc import Sequence
from errno import ENOSPC
from io import TextIOWrapper
from pathlib import Path

from gasl.cli.parse import ParseError, parse
from gasl.errors import GaslError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The words after ``gasl``; those of the process by default.

    Returns:
        0, or 2 after an error of the user's, or 130 after Ctrl-C.

    Example:
        >>> main(["measure", "--model", "lenet"])
        2
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # a user's own --model package.module:factory lies where they work
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(torch|lightning|jsonargparse)\b")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # as of a terminal, but not every program's
            stream.reconfigure(errors="replace")  # a terminal without a plus-minus sign shows a question mark
    try:
        command, arguments = parse(sys.argv[1:] if argv is None else argv)
        command(**arguments)
        if sys.stdout is not None:  # gasl ... >&-
            sys.stdout.flush()
    except (GaslError, ParseError) as error:
        print(f"gasl: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has seen enough, as `gasl ... | head`; what is left goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno != ENOSPC:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or what is left fails again at the exit
        print(f"gasl: {error.strerror}; make room, and the same command goes on", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("gasl: interrupted; the same command goes on (gasl train: with --resume true)", file=sys.stderr)
        return 130
    return 0
