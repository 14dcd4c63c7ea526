"""From stored bytes to what a network sees: scaling, and augmentation of whole batches, on any device.

Grey digits are scaled to [0, 1] and nothing else: their border pixels stay exactly 0, so the weights behind them get no
gradient and can die. Colour images are standardised one by one; for training they are padded, cropped at random and
mirrored, for evaluation cropped in the middle. A centre crop of the full size changes nothing.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gasl.errors import InputError

__all__ = ["Preprocess", "center_crop", "default_preprocess", "random_crop", "random_flip", "standardise"]


def center_crop(images: Tensor, size: int) -> Tensor:
    """The middle ``size`` x ``size`` pixels.

    Args:
        images: Shape ``(N, C, H, W)``.
        size: Side of the crop, at most H and W.

    Returns:
        Shape ``(N, C, size, size)``; a view.

    Raises:
        InputError: If the images are smaller than the crop.

    Example:
        >>> center_crop(torch.arange(9).reshape(1, 1, 3, 3), 1).item()
        4
    """
    height, width = images.shape[-2:]
    if size < 1 or size > min(height, width):
        raise InputError(f"cannot crop {size} x {size} pixels from {height} x {width}; choose a smaller crop")
    top, left = (height - size) // 2, (width - size) // 2
    return images[..., top : top + size, left : left + size]


def random_crop(images: Tensor, size: tuple[int, int], padding: int, generator: torch.Generator) -> Tensor:
    """A window of a fixed size, at its own place in each image after zero padding on all sides.

    Args:
        images: Shape ``(N, C, H, W)``.
        size: Height and width of the window.
        padding: Black pixels put around each image first.
        generator: Of the places, on the CPU.

    Returns:
        Shape ``(N, C, *size)``.

    Raises:
        InputError: If the padded images are smaller than the window.

    Example:
        >>> ones = torch.ones(1, 1, 2, 2)
        >>> random_crop(ones, (4, 4), 1, torch.Generator()).sum()  # a window of the full padded size
        tensor(4.)
    """
    padded = functional.pad(images, (padding,) * 4)
    count, _, height, width = padded.shape
    if min(size) < 1 or size[0] > height or size[1] > width:
        raise InputError(f"cannot crop {size[0]} x {size[1]} pixels from {height} x {width}; choose a smaller crop")
    rows = torch.randint(height - size[0] + 1, (count, 1), generator=generator) + torch.arange(size[0])
    columns = torch.randint(width - size[1] + 1, (count, 1), generator=generator) + torch.arange(size[1])
    rows, columns = rows.to(images.device), columns.to(images.device)
    image = torch.arange(count, device=images.device)[:, None, None]
    # Channels last while indexing: indices on both sides of a slice would move the sliced dimension.
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrors each image left to right with probability 1/2.

    Args:
        images: Shape ``(N, C, H, W)``.
        generator: Of the choices, on the CPU.

    Returns:
        The same shape.

    Example:
        >>> random_flip(torch.zeros(3, 1, 2, 2), torch.Generator()).shape
        torch.Size([3, 1, 2, 2])
    """
    mirrored = torch.randint(2, (len(images), 1, 1, 1), generator=generator).bool().to(images.device)
    return torch.where(mirrored, images.flip(-1), images)


def standardise(images: Tensor) -> Tensor:
    """Each image with mean 0 and standard deviation 1 over all its values: ``(x - mean) / max(std, 1 / sqrt(n))``.

    The lower bound, for n values, keeps a uniform image finite.

    Args:
        images: Floating point, shape ``(N, C, H, W)``.

    Returns:
        The same shape.

    Example:
        >>> standardise(torch.tensor([0.0, 2.0]).reshape(1, 1, 1, 2)).flatten()
        tensor([-1.,  1.])
    """
    flat = images.flatten(1)
    std, mean = torch.std_mean(flat, dim=1, correction=0, keepdim=True)
    return ((flat - mean) / std.clamp_min(flat.shape[1] ** -0.5)).reshape(images.shape)


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """What is done to the images of a set; without arguments they are only scaled to [0, 1].

    Args:
        crop: Side of the crop; ``None`` keeps the size of the images.
        padding: Black pixels around a training image before its random crop.
        flip: Whether training images are mirrored at random.
        standardise: Whether every image, also in evaluation, is standardised.

    Raises:
        InputError: If the padding is negative.

    Example:
        >>> Preprocess().evaluate(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8)).item()
        1.0
    """

    crop: int | None = None
    padding: int = 0
    flip: bool = False
    standardise: bool = False

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise InputError(f"padding must be 0 or more, got {self.padding}")

    def train(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augmented floating-point images for a training step."""
        if self.padding or self.crop is not None:
            height, width = images.shape[-2:]
            size = (height, width) if self.crop is None else (self.crop, self.crop)
            images = random_crop(images, size, self.padding, generator)
        if self.flip:
            images = random_flip(images, generator)
        return self._scale(images)

    def evaluate(self, images: Tensor) -> Tensor:
        """Floating-point images without any chance in them."""
        return self._scale(images if self.crop is None else center_crop(images, self.crop))

    def _scale(self, images: Tensor) -> Tensor:
        scaled = images.float().div_(255)
        return standardise(scaled) if self.standardise else scaled


def default_preprocess(shape: tuple[int, int, int]) -> Preprocess:
    """The paper's choice: padded crops, mirroring and standardisation for colour; plain scaling for grey.

    Args:
        shape: Channels, height and width of the images.

    Returns:
        The preprocessing.

    Example:
        >>> default_preprocess((1, 28, 28)) == Preprocess()
        True
    """
    return Preprocess(padding=4, flip=True, standardise=True) if shape[0] == 3 else Preprocess()
