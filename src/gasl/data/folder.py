"""Finds out in which format a folder holds its images, and reads them."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gasl.data.cifar import cifar_files, read_cifar, refuse_pickles
from gasl.data.idx import idx_files, read_idx_pair
from gasl.data.imageset import ImageSet
from gasl.data.tables import read_image_folder, read_parquet

__all__ = ["Source", "find_source"]

_IMAGE_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"}
_SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}


@dataclass(frozen=True)
class Source:
    """Files that hold an image set, and how to read them.

    Args:
        files: All files that are read.
        read: Gives each split's images.
    """

    files: tuple[Path, ...]
    read: Callable[[], dict[str, ImageSet]]


def find_source(folder: Path, name: str) -> Source | None:
    """The image set in a folder: IDX, the binary version of CIFAR, Parquet, or images in folders named by class.

    A training and a test part are needed; where there is no test part, a validation part takes its place.

    Args:
        folder: Where to look.
        name: What to call the set.

    Returns:
        What was found; ``None`` if the folder holds none of the formats.

    Raises:
        FileError: If the folder holds pickles, or only a part of a set.

    Example:
        >>> find_source(Path("no-such-folder"), "x") is None
        True
    """
    train, test = idx_files(folder, "train"), idx_files(folder, "test")
    if train and test:
        pairs = {"train": train, "test": test}
        return Source((*train, *test), lambda: {s: read_idx_pair(*pair, name) for s, pair in pairs.items()})
    binaries = {split: cifar_files(folder, split) for split in ("train", "test")}
    if all(binaries.values()):
        found = {split: paths for split, paths in binaries.items() if paths}
        return Source(_flat(found), lambda: {s: read_cifar(paths, name) for s, paths in found.items()})
    refuse_pickles(folder)
    if tables := _whole(_tables(folder)):
        return Source(_flat(tables), functools.partial(read_parquet, tables, name))
    if pictures := _whole(_pictures(folder)):
        return Source(_flat(pictures), functools.partial(read_image_folder, pictures, name))
    return None


def _flat(files: Mapping[str, list[Path]]) -> tuple[Path, ...]:
    return tuple(path for split in sorted(files) for path in files[split])


def _whole(files: dict[str, list[Path]]) -> dict[str, list[Path]] | None:
    """The splits if they are enough to train and to test, else ``None``."""
    there = {split: paths for split, paths in files.items() if paths}
    if "test" not in there and "validation" in there:
        there["test"] = there.pop("validation")
    return there if {"train", "test"} <= set(there) else None


def _tables(folder: Path) -> dict[str, list[Path]]:
    """Parquet files by the split that their name starts with, in the folder or in its sub-folder ``data``."""
    paths = sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))
    return {split: [p for p in paths if p.stem.split("-")[0] in names] for split, names in _SPLIT_NAMES.items()}


def _pictures(folder: Path) -> dict[str, list[Path]]:
    """Image files in ``split/class/``."""
    return {
        split: sorted(p for n in names for p in folder.glob(f"{n}/*/*") if p.suffix.lower() in _IMAGE_ENDINGS)
        for split, names in _SPLIT_NAMES.items()
    }
