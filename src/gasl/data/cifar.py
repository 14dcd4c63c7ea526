"""Reader of the binary version of CIFAR-10 and CIFAR-100.

A file is rows without any header: the label bytes (CIFAR-10: one; CIFAR-100: coarse, fine), then 32 x 32 pixels of
red, of green and of blue. The *python version* of the same sets is pickled, and a pickle can run code when it is
opened; it is refused.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from gasl.data.imageset import ImageSet
from gasl.errors import FileError

__all__ = ["cifar_files", "read_cifar", "refuse_pickles"]

_PIXELS = 3 * 32 * 32
_LAYOUTS = (
    {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)},
    {"train": ("train.bin",), "test": ("test.bin",)},
)
_PICKLED = ("data_batch_1", "test_batch", "train", "test")
_CLASS_FILES = {10: "batches.meta.txt", 100: "fine_label_names.txt"}


def refuse_pickles(folder: Path) -> None:
    """Raises where the folder holds the python version of a CIFAR set.

    Args:
        folder: The folder that was given, or the one above.

    Raises:
        FileError: Naming the version to get instead.

    Example:
        >>> refuse_pickles(Path("no-such-folder"))
    """
    for inner in (folder, folder / "cifar-10-batches-py", folder / "cifar-100-python"):
        described = (inner / "batches.meta").is_file() or (inner / "meta").is_file()
        if described and any((inner / name).is_file() for name in _PICKLED):
            raise FileError(
                f"{inner} holds the python version of CIFAR: pickles, which can run code when opened, so gasl "
                "never does; get the binary version (cifar-10-binary.tar.gz or cifar-100-binary.tar.gz)"
            )


def cifar_files(folder: Path, split: str) -> list[Path] | None:
    """The files of a split in the binary version, or ``None``.

    Args:
        folder: Where to look.
        split: ``"train"`` or ``"test"``.

    Returns:
        The paths in their order.

    Raises:
        FileError: If only some of the five training batches are there.

    Example:
        >>> cifar_files(Path("no-such-folder"), "train") is None
        True
    """
    for layout in _LAYOUTS:
        paths = [folder / name for name in layout[split]]
        missing = [path.name for path in paths if not path.is_file()]
        if not missing:
            return paths
        if len(missing) < len(paths):
            raise FileError(f"{folder} lacks {', '.join(missing)}; unpack the whole archive again")
    return None


def read_cifar(paths: Sequence[Path], name: str) -> ImageSet:
    """An image set from files in the binary version; the file names tell CIFAR-10 from CIFAR-100.

    Args:
        paths: The files in their order, as :func:`cifar_files` gives them.
        name: What to call the set.

    Returns:
        Colour images; for CIFAR-100 with the 100 fine labels.

    Raises:
        FileError: If a file cannot be read, is cut off, or has labels outside the classes.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "test_batch.bin")
        ...     _ = path.write_bytes(bytes([6] + 3072 * [255]))
        ...     read_cifar([path], "cifar10").labels
        tensor([6])
    """
    label_bytes, classes = (1, 10) if "batch" in paths[0].name else (2, 100)
    rows = []
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise FileError(f"{path} cannot be read ({error}); unpack the archive again") from error
        if not content or len(content) % (label_bytes + _PIXELS):
            raise FileError(
                f"{path} is damaged: {len(content)} bytes are not a whole number of rows of {label_bytes + _PIXELS}; "
                "unpack the archive again"
            )
        part = torch.frombuffer(bytearray(content), dtype=torch.uint8).reshape(-1, label_bytes + _PIXELS)
        if int(part[:, label_bytes - 1].max()) >= classes:
            raise FileError(f"{path} is damaged: a label is not below {classes}; unpack the archive again")
        rows.append(part)
    table = torch.cat(rows)
    images = table[:, label_bytes:].reshape(-1, 3, 32, 32).contiguous()
    return ImageSet(images, table[:, label_bytes - 1].long(), _class_names(paths[0].parent, classes), name)


def _class_names(folder: Path, count: int) -> tuple[str, ...]:
    """The names that come with the set; their numbers where that small file was left out."""
    path = folder / _CLASS_FILES[count]
    names = path.read_text().split() if path.is_file() else []
    return tuple(names) if len(names) == count else tuple(str(index) for index in range(count))
