"""Image sets through Hugging Face ``datasets``: local Parquet files, folders of images, names of the hub.

Rows are streamed and decoded once, so that no second copy of the data stays on disk.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from gasl.data.imageset import ImageSet
from gasl.errors import FileError, InputError, MissingExtraError

__all__ = ["read_hub", "read_image_folder", "read_parquet"]

_LABELS = ("label", "labels", "fine_label")
_CHANNELS = {"L": "L", "1": "L", "RGB": "RGB", "P": "RGB", "RGBA": "RGB"}
_HUB_SPLITS = ("train", "validation", "test")


def read_parquet(files: Mapping[str, Sequence[Path]], name: str) -> dict[str, ImageSet]:
    """Image sets from Parquet files with a column of encoded images and one of class indices (the hub's convention).

    Args:
        files: Split name to its files.
        name: What to call the set.

    Returns:
        Split name to image set.

    Raises:
        MissingExtraError: If ``datasets`` or Pillow is not installed.
        FileError: If a file is damaged.
        InputError: If the columns or the images are not of the kind described.

    Example:
        >>> read_parquet({"train": [Path("train.parquet")]}, "x")
        Traceback (most recent call last):
        gasl.errors.FileError: x cannot be read as Parquet ...
    """
    return _read_local("parquet", "Parquet", files, name)


def read_image_folder(files: Mapping[str, Sequence[Path]], name: str) -> dict[str, ImageSet]:
    """Image sets from image files, each in a folder that has the name of its class.

    Args:
        files: Split name to its files.
        name: What to call the set.

    Returns:
        Split name to image set; classes in alphabetic order.

    Raises:
        MissingExtraError: If ``datasets`` or Pillow is not installed.
        FileError: If an image is damaged.
        InputError: If the images differ in size or kind.

    Example:
        >>> read_image_folder({"train": [Path("train/cat/1.png")]}, "x")
        Traceback (most recent call last):
        gasl.errors.FileError: x cannot be read as images ...
    """
    return _read_local("imagefolder", "images", files, name)


def read_hub(name: str) -> dict[str, ImageSet]:
    """Image sets from the Hugging Face hub; this downloads what is not yet in the hub's own cache.

    Args:
        name: Of the data set on the hub, e.g. ``"ylecun/mnist"``.

    Returns:
        Split name to image set, for the splits train, validation and test that it has.

    Raises:
        MissingExtraError: If ``datasets`` or Pillow is not installed.
        InputError: If the hub has no such set, or it is not one of labelled images of one size.

    Example:
        >>> read_hub("ylecun/mnist")  # doctest: +SKIP
        {'train': ImageSet(...), 'test': ImageSet(...)}
    """
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name):
        raise InputError(f"a set of the hub is called hub:OWNER/NAME, e.g. hub:ylecun/mnist, got {'hub:' + name!r}")
    try:
        whole = _datasets().load_dataset(name)
    except (OSError, ValueError) as error:
        raise InputError(f"{name!r} cannot be had from the hub ({error}); check the name and the network") from error
    return {split: _decode(whole[split], name, split) for split in _HUB_SPLITS if split in whole}


def _datasets() -> ModuleType:
    try:
        import datasets
        import PIL.Image  # noqa: F401  (what datasets decodes images with)
    except ImportError as error:
        raise MissingExtraError(f'this data needs {error.name}; pip install "gasl[train]"') from error
    module: ModuleType = datasets
    return module


def _read_local(builder: str, kind: str, files: Mapping[str, Sequence[Path]], name: str) -> dict[str, ImageSet]:
    datasets = _datasets()
    paths = {split: [str(path) for path in some] for split, some in files.items()}
    try:
        whole = datasets.load_dataset(builder, data_files=paths, streaming=True)
        return {split: _decode(whole[split], name, split) for split in paths}
    except InputError:
        raise
    except (OSError, ValueError, SyntaxError) as error:
        text = f"{name} cannot be read as {kind} ({error}); copy or download the files again"
        raise FileError(text) from error


def _decode(rows: Any, name: str, split: str) -> ImageSet:
    """Every row's image and label, stacked."""
    features = rows.features
    image = next((column for column, feature in features.items() if type(feature).__name__ == "Image"), None)
    label = next((column for column in _LABELS if column in features), None)
    if image is None or label is None:
        raise InputError(
            f"{name} ({split}) has the columns {sorted(features)}; wanted one of type Image and one named {_LABELS[0]}"
        )
    images, labels = _stack(((row[image], row[label]) for row in rows), f"{name} ({split})")
    named = type(features[label]).__name__ == "ClassLabel"
    classes = tuple(features[label].names) if named else tuple(str(i) for i in range(int(labels.max()) + 1))
    return ImageSet(images, labels, classes, name)


def _stack(pairs: Iterable[tuple[Any, int]], where: str) -> tuple[torch.Tensor, torch.Tensor]:
    pixels: list[np.ndarray[Any, Any]] = []
    labels: list[int] = []
    for picture, label in pairs:
        mode = _CHANNELS.get(picture.mode)
        if mode is None or label is None:
            raise InputError(
                f"image {len(pixels)} of {where} has mode {picture.mode}, label {label}; wanted 8-bit RGB or grey"
            )
        array = np.asarray(picture.convert(mode))
        if pixels and array.shape != pixels[0].shape:
            raise InputError(
                f"image {len(pixels)} of {where} has shape {array.shape}, the first has {pixels[0].shape}; "
                "bring all images to one size and one number of channels first"
            )
        pixels.append(array)
        labels.append(label)
    if not pixels:
        raise InputError(f"{where} has no images")
    stacked = torch.from_numpy(np.stack(pixels))
    by_channel = stacked.unsqueeze(1) if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2)
    return by_channel.contiguous(), torch.tensor(labels, dtype=torch.int64)
