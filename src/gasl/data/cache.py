"""Decoded data sets on disk: one safetensors file each, written whole or not at all, checked when read.

An entry is found by what it was made from (the paths, sizes and times of the source files), so a changed source is
read anew; an entry that is damaged is made anew.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from gasl.data.imageset import ImageSet
from gasl.errors import FileError
from gasl.files.whole import whole_file

__all__ = ["cache_folder", "cached", "source_key"]

# Part of every key: raise it when a reader's result changes.
_VERSION = 1


def cache_folder() -> Path:
    """Where decoded data sets are kept: ``$GASL_CACHE``, else ``$XDG_CACHE_HOME/gasl``, else ``~/.cache/gasl``.

    Returns:
        The folder; it need not exist yet.

    Example:
        >>> cache_folder().is_absolute()
        True
    """
    if own := os.environ.get("GASL_CACHE"):
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "gasl"


def source_key(sources: Iterable[Path]) -> str:
    """A text that changes whenever a source file does.

    Args:
        sources: The files.

    Returns:
        Their absolute paths, sizes and modification times.

    Raises:
        OSError: If a file is not there.

    Example:
        >>> source_key([])
        '[]'
    """
    stats = [(str(path.absolute()), path.stat()) for path in sources]
    return json.dumps([[path, stat.st_size, stat.st_mtime_ns] for path, stat in stats])


def cached(name: str, key: str, build: Callable[[], Mapping[str, ImageSet]]) -> dict[str, ImageSet]:
    """The splits that ``build`` makes, from the cache where they were made before.

    Args:
        name: What the set is called; the sets that ``build`` returns carry it.
        key: What the splits depend on, see :func:`source_key`.
        build: Reads the splits from their source.

    Returns:
        Split name to image set.

    Example:
        >>> cached("x", "key", build)  # doctest: +SKIP
        {'train': ImageSet(...), 'test': ImageSet(...)}
    """
    digest = hashlib.sha256(f"{_VERSION} {name} {key}".encode()).hexdigest()[:16]
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in name)[-60:]
    path = cache_folder() / f"{stem}-{digest}.safetensors"
    if path.is_file():
        try:
            return _read(path, name)
        except (SafetensorError, ValueError, KeyError, OSError):
            pass  # A damaged entry is worth nothing; the source still is.
    splits = dict(build())
    try:
        _write(path, splits)
    except FileError as error:
        warnings.warn(f"the decoded data cannot be cached in {path.parent} ({error}); set GASL_CACHE", stacklevel=2)
    return splits


def _checksum(splits: Mapping[str, ImageSet]) -> str:
    digest = hashlib.sha256()
    for split in sorted(splits):
        digest.update(splits[split].images.contiguous().numpy().data)
        digest.update(splits[split].labels.contiguous().numpy().data)
    return digest.hexdigest()


def _write(path: Path, splits: Mapping[str, ImageSet]) -> None:
    tensors = {}
    for split, part in splits.items():
        tensors[f"{split}.images"] = part.images.contiguous()
        tensors[f"{split}.labels"] = part.labels.contiguous()
    classes = json.dumps({split: part.classes for split, part in splits.items()})
    with whole_file(path) as temporary:
        save_file(tensors, temporary, metadata={"classes": classes, "sha256": _checksum(splits)})


def _read(path: Path, name: str) -> dict[str, ImageSet]:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        splits = {
            split: ImageSet(file.get_tensor(f"{split}.images"), file.get_tensor(f"{split}.labels"), tuple(names), name)
            for split, names in json.loads(metadata["classes"]).items()
        }
    if _checksum(splits) != metadata["sha256"]:
        raise ValueError(f"{path} does not match its checksum")
    return splits
