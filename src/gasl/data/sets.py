"""``load``: any image set by name, as three disjoint parts in memory."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gasl.data.cache import cached, source_key
from gasl.data.digits import digits_file, read_digits
from gasl.data.folder import Source, find_source
from gasl.data.imageset import DataSplits, ImageSet, hold_out
from gasl.data.tables import read_hub
from gasl.errors import FileError, InputError, unknown_name

__all__ = ["DATA_SETS", "load"]

_SEED = 0
_HUB = "hub:"
_FORMATS = (
    "IDX files, the binary version of CIFAR, train*.parquet with test*.parquet, or images in train/CLASS and test/CLASS"
)


@dataclass(frozen=True)
class _Known:
    """What is known of a published set: where people keep it, what it must look like, where the hub has it."""

    folders: tuple[str, ...]
    shape: tuple[int, int, int]
    classes: int
    hub: str


_PUBLISHED = {
    "mnist": _Known(("mnist", "MNIST", "MNIST/raw"), (1, 28, 28), 10, "ylecun/mnist"),
    "fashion_mnist": _Known(
        ("fashion_mnist", "fashion-mnist", "FashionMNIST", "FashionMNIST/raw"),
        (1, 28, 28),
        10,
        "zalando-datasets/fashion_mnist",
    ),
    "cifar10": _Known(
        ("cifar10", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin"), (3, 32, 32), 10, "uoft-cs/cifar10"
    ),
    "cifar100": _Known(
        ("cifar100", "cifar-100-binary", "cifar100/cifar-100-binary"), (3, 32, 32), 100, "uoft-cs/cifar100"
    ),
}

DATA_SETS = ("mnist5k", *_PUBLISHED)


def load(name: str, data_dir: str | Path | None = None) -> DataSplits:
    """An image set as training, validation and test part; nothing is downloaded except by a ``hub:`` name.

    A set without a validation part of its own gets one: a tenth of the training images (a ninth for ``mnist5k``, which
    gives 4,000 / 500 / 500), the same share of every class, always the same ones.

    Args:
        name: One of :data:`DATA_SETS`; or the path of a folder; or ``hub:`` and a name of the Hugging Face hub.
        data_dir: The folder that has the files of a named set, itself or in a sub-folder ``mnist``, ``cifar10`` ...;
            without it the environment variable ``GASL_DATA`` is asked.

    Returns:
        The three parts.

    Raises:
        InputError: If the name is unknown or the data are not there.
        FileError: If a file is damaged or not what its name says.
        MissingExtraError: If the format needs a package that is not installed.

    Example:
        >>> load("mnist6k")
        Traceback (most recent call last):
        gasl.errors.InputError: unknown data set 'mnist6k'; did you mean 'mnist5k'? Known: ...
    """
    if name == "mnist5k":
        return _split(cached(name, source_key([digits_file()]), read_digits), 9)
    if name in _PUBLISHED:
        return _split(_published(name, data_dir), 10)
    if name.startswith(_HUB):
        return _split(cached(name, "", lambda: read_hub(name.removeprefix(_HUB))), 10)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if os.sep in name or name.startswith((".", "~")):
            raise InputError(f"there is no folder {name!r}; give a folder with {_FORMATS}")
        raise unknown_name("data set", name, [*DATA_SETS, "a folder", f"{_HUB}NAME"])
    source = find_source(folder, folder.resolve().name)
    if source is None:
        raise InputError(f"no image set in {name!r}; wanted {_FORMATS}")
    return _split(_read(source, folder.resolve().name), 10)


def _published(name: str, data_dir: str | Path | None) -> dict[str, ImageSet]:
    known = _PUBLISHED[name]
    given = data_dir or os.environ.get("GASL_DATA")
    if not given:
        raise InputError(
            f"the data set {name!r} is not part of gasl; give its folder with --data-dir or GASL_DATA, "
            f"or let it be downloaded with the name {_HUB + known.hub!r}"
        )
    root = Path(given).expanduser()
    candidates = [root / folder for folder in known.folders]
    # MNIST and Fashion-MNIST have the same file names: files in the given folder itself are told apart by its name.
    if name in ("cifar10", "cifar100") or ("fashion" in root.resolve().name.lower()) == (name == "fashion_mnist"):
        candidates.append(root)
    source = next((found for folder in candidates if (found := find_source(folder, name))), None)
    if source is None:
        raise InputError(
            f"the data set {name!r} is neither in {root} nor in {root / known.folders[0]}; give its folder with "
            f"--data-dir or GASL_DATA, or let it be downloaded with the name {_HUB + known.hub!r}"
        )
    splits = _read(source, name)
    for split, part in splits.items():
        if part.shape != known.shape or part.num_classes != known.classes:
            raise FileError(
                f"{source.files[0].parent} is not {name} ({split}): images {part.shape} of {part.num_classes} classes, "
                f"wanted {known.shape} of {known.classes}"
            )
    return splits


def _read(source: Source, name: str) -> dict[str, ImageSet]:
    return cached(name, source_key(source.files), source.read)


def _split(parts: Mapping[str, ImageSet], share: int) -> DataSplits:
    """The three parts; validation is one in ``share`` of the training images unless the set has its own."""
    if not {"train", "test"} <= set(parts):
        raise InputError(f"the data set has the parts {sorted(parts)}; wanted train and test")
    if "validation" in parts:
        return DataSplits(parts["train"], parts["validation"], parts["test"])
    rest, held = hold_out(parts["train"], max(1, len(parts["train"]) // share), _SEED)
    return DataSplits(rest, held, parts["test"])
