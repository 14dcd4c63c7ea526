"""A run's folder: used by one process at a time, and resumed only by the run that began it."""

import json
import os
import sys
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gasl.errors import FileError, InputError, InUseError
from gasl.files.whole import whole_file

if sys.platform != "win32":
    import fcntl
else:
    import msvcrt

__all__ = ["CHECKPOINT", "begin", "check_same", "locked"]

CHECKPOINT = Path("checkpoints", "last.ckpt")
_DESCRIPTION = "run.json"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder for this process; the operating system lets go when the process ends, however it ends.

    Args:
        folder: The run's folder; it is made if it is not there.

    Raises:
        InUseError: If another run holds it.
        InputError: If it cannot be written.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with locked(folder), locked(folder):
        ...     pass
        Traceback (most recent call last):
        gasl.errors.InUseError: ... is in use by process ...; wait for it, or choose another folder
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise InputError(f"the run folder {folder} cannot be used ({error}); choose another folder") from error
    with file:
        try:
            _lock(file.fileno())
        except OSError as error:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            text = f"{folder} is in use by process {owner}; wait for it, or choose another folder"
            raise InUseError(text) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _lock(descriptor: int) -> None:
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)


def begin(folder: Path, description: Mapping[str, Any], resume: bool) -> Path | None:
    """Makes sure that the folder is free for a new run, or holds the beginning of this very run.

    Args:
        folder: The run's folder.
        description: Everything that the run's result depends on, as JSON; ``epochs`` may grow on resume.
        resume: Whether a run that is there is to be continued.

    Returns:
        The checkpoint to go on from; ``None`` to start at the first epoch.

    Raises:
        InputError: If there is a run and it is not to be continued, or it was another one.
        FileError: If its description or its checkpoint is damaged.

    Example:
        >>> import tempfile
        >>> begin(Path(tempfile.mkdtemp()), {"lr": 0.1}, resume=True) is None
        True
    """
    checkpoint, path = folder / CHECKPOINT, folder / _DESCRIPTION
    wanted = json.loads(json.dumps(description))
    if checkpoint.is_file():
        if not resume:
            raise InputError(f"{folder} holds a run; resume it, or choose another folder")
        check_same(path, wanted, besides={"epochs"})
        _check(checkpoint)
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(wanted, indent=1))
    return checkpoint if checkpoint.is_file() else None


def check_same(path: Path, wanted: Mapping[str, Any], besides: Collection[str] = ()) -> None:
    """Refuses to go on with a run of other settings.

    Args:
        path: What the folder's run was asked to do, as JSON.
        wanted: What is asked for now; a nested mapping counts by each of its entries.
        besides: Entries that may differ.

    Raises:
        InputError: If it was another run; each entry that differs is named.
        FileError: If the file is damaged.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "run.json"
        >>> _ = path.write_text('{"phase": {"lr": 0.1}}')
        >>> check_same(path, {"phase": {"lr": 0.2}})
        Traceback (most recent call last):
        gasl.errors.InputError: ... holds another run (phase.lr: 0.1 there, 0.2 here); use its settings, or choose ...
    """
    try:
        before = _entries(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read ({error}); choose another folder") from error
    now = _entries(wanted)
    if differing := sorted(k for k in {*before, *now} - set(besides) if before.get(k) != now.get(k)):
        changes = ", ".join(f"{k}: {before.get(k)} there, {now.get(k)} here" for k in differing)
        raise InputError(f"{path.parent} holds another run ({changes}); use its settings, or choose another folder")


def _entries(settings: object, name: str = "") -> dict[str, object]:
    """Every number and text of nested settings, under its dotted name."""
    if not isinstance(settings, Mapping):
        return {name: settings}
    inner = [_entries(value, f"{name}.{key}" if name else str(key)) for key, value in settings.items()]
    return {key: value for entries in inner for key, value in entries.items()}


def _check(checkpoint: Path) -> None:
    """Compares a checkpoint with the checksums in it, which PyTorch writes but does not read."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            damaged = archive.testzip()
    except (OSError, zipfile.BadZipFile) as error:
        raise FileError(f"{checkpoint} is damaged ({error}); start anew in another folder") from error
    if damaged is not None:
        raise FileError(f"{checkpoint} is damaged (in {damaged}); start anew in another folder")
