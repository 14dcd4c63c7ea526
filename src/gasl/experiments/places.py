"""Text files in a folder or a bucket: whole or absent, by path or by any address that ``fsspec`` knows."""

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from gasl.errors import FileError, GaslError, InputError, MissingExtraError
from gasl.files import whole_file

__all__ = ["Place", "as_record", "joined", "listed", "read_text", "told", "write_text"]

Place = str | Path  # a folder, or an address such as s3://bucket/records


def joined(place: Place, name: str) -> str:
    """The address of a file in a place.

    Example:
        >>> joined("s3://bucket/records/", "mlp/gasl.json"), joined(Path("records"), "a.json")
        ('s3://bucket/records/mlp/gasl.json', 'records/a.json')
    """
    return f"{str(place).rstrip('/')}/{name}"


def read_text(address: str) -> str | None:
    """The content of a file; None if there is none.

    Args:
        address: Path, or address.

    Returns:
        Its text.

    Raises:
        FileError: If it cannot be read.
        MissingExtraError: If what reads such an address is not installed.

    Example:
        >>> write_text("memory://doc/a.json", "{}")
        >>> read_text("memory://doc/a.json"), read_text("memory://doc/b.json")
        ('{}', None)
    """
    with told(address, "read"):
        try:
            if "://" in address:
                system, path = _system(address)
                text: str = system.read_text(path, encoding="utf-8")
                return text
            return Path(address).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None


@contextmanager
def as_record(address: str) -> Iterator[None]:
    """While a file is read as the record of a run: what is wrong with it is an error that names it.

    Args:
        address: Path, or address.

    Raises:
        FileError: If it is no record.

    Example:
        >>> with as_record("a.json"):
        ...     {}["spec"]
        Traceback (most recent call last):
        gasl.errors.FileError: a.json is no record of a run (KeyError('spec')); delete it to run it again
    """
    try:
        yield
    except GaslError:
        raise  # it says what is wrong by itself, e.g. that the file cannot be read
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(f"{address} is no record of a run ({error!r}); delete it to run it again") from error


def write_text(address: str, text: str) -> None:
    """Write a file, whole or not at all; folders above it are made.

    Args:
        address: Path, or address. An object of a bucket appears whole by itself.
        text: Its content.

    Raises:
        FileError: If it cannot be written.
        MissingExtraError: If what writes to such an address is not installed.

    Example:
        >>> write_text("memory://doc/c.json", "1")
    """
    with told(address, "written"):
        if "://" in address:
            system, path = _system(address)
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
            system.pipe_file(path, text.encode())
        else:
            with whole_file(Path(address)) as temporary:
                temporary.write_text(text, encoding="utf-8")


def listed(place: Place, pattern: str) -> list[str]:
    """The files of a place, at any depth, whose name fits.

    Args:
        place: Folder or address.
        pattern: Of the file's own name, e.g. ``*-seed*.json``.

    Returns:
        Paths within the place, with slashes, in alphabetic order; none if there is no such place.

    Raises:
        InputError: If the place is a file.
        FileError: If it cannot be read.
        MissingExtraError: If what reads such an address is not installed.

    Example:
        >>> write_text("memory://doc2/mlp/a-seed0.json", "{}")
        >>> listed("memory://doc2", "*-seed*.json"), listed("nowhere", "*")
        (['mlp/a-seed0.json'], [])
    """
    with told(str(place), "read"):
        try:
            if "://" not in str(place):
                if Path(place).is_file():
                    raise InputError(f"{place} is a file; give the folder of the records")
                found = [path.relative_to(place).as_posix() for path in Path(place).rglob(pattern) if path.is_file()]
            else:
                system, root = _system(str(place))
                found = [path.removeprefix(root).lstrip("/") for path in system.find(root)]
        except FileNotFoundError:
            return []
    visible = [name for name in found if not name.startswith(".") and "/." not in name]  # not yet written whole
    return sorted(name for name in visible if fnmatch(name.rpartition("/")[2], pattern))


@contextmanager
def told(address: str, done: str) -> Iterator[None]:
    """Whatever goes wrong at an address as an error of ours, in one line.

    Args:
        address: Path, or address.
        done: What is done there: read or written.

    Raises:
        FileError: If it cannot be done.
        MissingExtraError: If a package that it takes is not installed.

    Example:
        >>> with told("s3://bucket/all.csv", "written"):
        ...     raise PermissionError("who are you?")
        Traceback (most recent call last):
        gasl.errors.FileError: s3://bucket/all.csv cannot be written: who are you?
    """
    try:
        yield
    except GaslError:
        raise
    except ImportError as error:  # each kind of bucket has a package of its own
        raise MissingExtraError(f'{address} needs another package, or pip install "gasl[records]": {error}') from error
    except Exception as error:  # and raises errors of its own
        raise FileError(f"{address} cannot be {done}: {str(error) or type(error).__name__}") from error


def _system(address: str) -> tuple[Any, str]:
    """What reads the address, and its own name for the place."""
    import fsspec

    system, path = fsspec.core.url_to_fs(address)
    return system, str(path)
