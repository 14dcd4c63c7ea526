"""``gasl``: the command line. Every flag is also a key of a YAML file given with ``--config``.

A mistake of the user costs one line and exit code 2; a traceback is a bug.
"""

import os
import sys
import warnings
from collections.abc import Sequence
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
    try:
        command, arguments = parse(sys.argv[1:] if argv is None else argv)
        command(**arguments)
        sys.stdout.flush()
    except (GaslError, ParseError) as error:
        print(f"gasl: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has seen enough, as `gasl ... | head`; what is left goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("gasl: interrupted; the same command goes on (gasl train: with --resume true)", file=sys.stderr)
        return 130
    return 0
