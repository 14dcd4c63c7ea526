"""A file is written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gasl.errors import FileError

__all__ = ["check_no_folder", "whole_file"]


def check_no_folder(path: str | os.PathLike[str]) -> None:
    """Refuse a folder where a file is to be written.

    Args:
        path: Where the file belongs.

    Raises:
        FileError: If a folder is there, or the path can only be that of one.

    Example:
        >>> check_no_folder(".")
        Traceback (most recent call last):
        gasl.errors.FileError: . is a folder, a file is wanted; give a name in it
    """
    target = Path(path)
    if target.is_dir() or target.name in ("", ".."):
        raise FileError(f"{target} is a folder, a file is wanted; give a name in it")


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a place to write to, and move what lies there to ``path`` when the block ends without an error.

    The place is in the same folder, so the move is one step of the file system: whoever looks finds the old file or
    the new one, never a part. After an error the old file, if any, is untouched.

    Args:
        path: Where the file belongs; missing folders are made.

    Yields:
        A path with the same file name, to be written inside the block.

    Raises:
        FileError: If the file cannot be written there, or the block ends without having written it.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "numbers.txt"
        >>> with whole_file(target) as temporary:
        ...     _ = temporary.write_text("1 2 3")
        >>> target.read_text()
        '1 2 3'
    """
    target = Path(path)
    check_no_folder(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            temporary = Path(folder) / target.name
            (Path(folder) / "mode").touch()  # what the user's umask gives; some writers take less
            yield temporary
            temporary.chmod((Path(folder) / "mode").stat().st_mode)
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())  # else a power cut can leave the new name on empty content
            temporary.replace(target)
    except OSError as error:
        raise FileError(f"{target} cannot be written ({error}); choose another place, or make room there") from error
