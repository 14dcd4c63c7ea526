"""Reader of the IDX format, in which MNIST and Fashion-MNIST are published.

A file is: two zero bytes, a type byte (8 = unsigned byte), the number of dimensions, each dimension as a big-endian
32-bit number, then the values, last dimension fastest; the whole may be gzipped.
"""

import gzip
import math
import zlib
from pathlib import Path

import torch
from torch import Tensor

from gasl.data.imageset import ImageSet
from gasl.errors import FileError

__all__ = ["idx_files", "read_idx", "read_idx_pair"]

_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 8
_PREFIXES = {"train": "train", "test": "t10k"}


def read_idx(path: Path) -> Tensor:
    """The values of one IDX file of unsigned bytes, raw or gzipped.

    Args:
        path: The file.

    Returns:
        A uint8 tensor of the file's dimensions.

    Raises:
        FileError: If the file cannot be read, is not IDX, or its length does not match its header.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "labels-idx1-ubyte")
        ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
        ...     read_idx(path)
        tensor([7, 8, 9], dtype=torch.uint8)
    """
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"{path} cannot be read ({error}); copy or download it again") from error
    if len(content) < 4 or content[:3] != bytes([0, 0, _UNSIGNED_BYTE]):
        raise FileError(f"{path} is not an IDX file of unsigned bytes: it starts with {content[:4].hex(' ')!r}")
    start = 4 + 4 * content[3]
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    wanted = start + math.prod(shape)
    if len(content) != wanted:
        raise FileError(
            f"{path} is damaged: its header says {shape}, which is {wanted} bytes, but it has {len(content)}; "
            "copy or download it again"
        )
    return torch.frombuffer(bytearray(content[start:]), dtype=torch.uint8).reshape(shape)


def idx_files(folder: Path, split: str) -> tuple[Path, Path] | None:
    """The images' and the labels' file of a split, under any of the names in circulation, or ``None``.

    Args:
        folder: Where to look.
        split: ``"train"`` or ``"test"``.

    Returns:
        The two paths; ``None`` if either is not there.

    Example:
        >>> idx_files(Path("no-such-folder"), "train") is None
        True
    """
    found = []
    for kind, dims in (("images", 3), ("labels", 1)):
        stem = f"{_PREFIXES[split]}-{kind}"
        names = (f"{stem}{mark}idx{dims}-ubyte{end}" for mark in "-." for end in ("", ".gz"))
        found.append(next((folder / name for name in names if (folder / name).is_file()), None))
    images, labels = found
    return (images, labels) if images and labels else None


def read_idx_pair(images: Path, labels: Path, name: str) -> ImageSet:
    """An image set from its two IDX files; the classes are named by their digits.

    Args:
        images: The file of the pixels, three dimensions.
        labels: The file of the class indices, one dimension.
        name: What to call the set.

    Returns:
        Grey images, one channel.

    Raises:
        FileError: If a file is damaged, or the two do not belong together.

    Example:
        >>> read_idx_pair(Path("train-images-idx3-ubyte"), Path("train-labels-idx1-ubyte"), "x")
        Traceback (most recent call last):
        gasl.errors.FileError: train-images-idx3-ubyte cannot be read ...
    """
    pixels, indices = read_idx(images), read_idx(labels)
    if pixels.ndim != 3 or indices.ndim != 1 or len(pixels) != len(indices) or len(pixels) == 0:
        raise FileError(
            f"{images} holds {list(pixels.shape)} and {labels} holds {list(indices.shape)}; "
            "wanted [N, height, width] and [N] of one set"
        )
    classes = tuple(str(digit) for digit in range(max(10, int(indices.max()) + 1)))
    return ImageSet(pixels.unsqueeze(1), indices.long(), classes, name)
