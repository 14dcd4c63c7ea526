"""A small image set whose classes can be told apart, and a small network for it."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from gasl.data import DataSplits, ImageSet


def _images(count: int, seed: int) -> ImageSet:
    """Class k has a bright column k."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    images = torch.randint(120, (count, 1, 8, 8), generator=generator)
    images[torch.arange(count), 0, :, labels] += 60
    return ImageSet(images.to(torch.uint8), labels, ("a", "b", "c"), "columns")


@pytest.fixture
def splits() -> DataSplits:
    return DataSplits(_images(48, 1), _images(30, 2), _images(30, 3))


class _Net(nn.Module):
    """With batch norm and dropout, so that buffers and random draws count on resume."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(6, 6, 3)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(24, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.pool(self.relu(self.conv2(self.relu(self.norm(self.conv(images))))))
        return self.fc(self.dropout(self.flatten(maps)))


@pytest.fixture
def make_net() -> Callable[[], nn.Module]:
    """Builds the network, always with the same weights."""

    def make() -> nn.Module:
        torch.manual_seed(7)
        return _Net()

    return make


@pytest.fixture
def net(make_net: Callable[[], nn.Module]) -> nn.Module:
    return make_net()
