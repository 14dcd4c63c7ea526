"""One row of the zoo: a network and what it is fed with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Entry", "images", "signal", "tokens", "volume"]

Inputs = Tensor | tuple[Any, ...] | Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """A network of the zoo.

    Args:
        name: Unique in the zoo; it names the test.
        family: What is special about it.
        build: Makes the network, small and randomly initialised.
        inputs: ``inputs(batch, size)``; the size is a resolution or a length.
        size: The size that is traced.
        other: Another size that the network takes, or None.
        core: Which weights count as the network's body, as a pattern of their names (attention and feed-forward
            layers of a transformer); else every convolution and linear layer.
        louder: Weights drawn four times as large, as a pattern of their names: else their units hardly count.
    """

    name: str
    family: str
    build: Callable[[], nn.Module]
    inputs: Callable[[int, int], Inputs]
    size: int
    other: int | None = None
    core: str = ""
    louder: str = ""

    def __str__(self) -> str:
        return self.name


def images(channels: int = 3) -> Callable[[int, int], Tensor]:
    """Square images."""
    return lambda batch, size: torch.randn(batch, channels, size, size)


def signal(channels: int) -> Callable[[int, int], Tensor]:
    """Channels over time."""
    return lambda batch, size: torch.randn(batch, channels, size)


def volume(channels: int) -> Callable[[int, int], Tensor]:
    """Cubes."""
    return lambda batch, size: torch.randn(batch, channels, size, size, size)


def tokens(vocabulary: int, **more: Callable[[int, int], Tensor]) -> Callable[[int, int], Mapping[str, Tensor]]:
    """Token numbers as ``input_ids``, and further named inputs."""
    return lambda batch, size: {
        "input_ids": torch.randint(vocabulary, (batch, size)),
        **{name: make(batch, size) for name, make in more.items()},
    }
