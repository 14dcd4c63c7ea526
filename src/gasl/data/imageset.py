"""Images in memory: one uint8 tensor, its labels, and a seeded, stratified way to split them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gasl.errors import InputError

__all__ = ["DataSplits", "ImageSet", "hold_out", "stratified"]


@dataclass(frozen=True)
class ImageSet:
    """Labelled images of one size.

    Args:
        images: Pixels, uint8, shape ``(N, C, H, W)``.
        labels: Class indices, int64, shape ``(N,)``.
        classes: The name of each class, in the order of the indices.
        name: What the set is called in records, e.g. ``"mnist"``.

    Raises:
        InputError: If the shapes, types or labels do not fit together.

    Example:
        >>> grey = ImageSet(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]), ("no", "yes"), "x")
        >>> len(grey), grey.shape, grey.num_classes
        (4, (1, 2, 2), 2)
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            got = f"{self.images.dtype} {tuple(self.images.shape)}"
            raise InputError(f"images of {self.name!r} must be a uint8 tensor (N, C, H, W), got {got}")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            got = f"{self.labels.dtype} {tuple(self.labels.shape)}"
            raise InputError(f"labels of {self.name!r} must be int64 ({len(self.images)},), got {got}")
        if len(self) == 0:
            raise InputError(f"{self.name!r} has no images")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= self.num_classes:
            raise InputError(f"labels of {self.name!r} lie in {low}..{high}, but it has {self.num_classes} classes")

    def __len__(self) -> int:
        """The number of images."""
        return len(self.images)

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def select(self, indices: Tensor) -> "ImageSet":
        """The images at ``indices``, in that order."""
        return ImageSet(self.images[indices], self.labels[indices], self.classes, self.name)


@dataclass(frozen=True)
class DataSplits:
    """Three disjoint parts: weights are fitted on one, decisions made on the next, the last is read once, at the end.

    Args:
        train: What the weights are fitted on.
        validation: What schedules, stopping and choices of hyper-parameters may look at.
        test: What the reported error comes from.

    Example:
        >>> one = ImageSet(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.tensor([0]), ("a",), "x")
        >>> DataSplits(one, one, one).test.name
        'x'
    """

    train: ImageSet
    validation: ImageSet
    test: ImageSet


def stratified(labels: Tensor, count: int, seed: int) -> Tensor:
    """Indices of a random subset in which every class has its share of the whole, to within one image.

    The images are put in random order within their class, the classes one after another, and every
    ``len(labels) / count``-th one is taken.

    Args:
        labels: Class indices, shape ``(N,)``.
        count: Size of the subset.
        seed: Of the random order; equal seeds give equal subsets.

    Returns:
        ``count`` indices in ascending order.

    Raises:
        InputError: If ``count`` is not in 1..N.

    Example:
        >>> labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
        >>> labels[stratified(labels, 4, seed=0)]
        tensor([0, 0, 1, 1])
    """
    total = len(labels)
    if not 1 <= count <= total:
        raise InputError(f"cannot take {count} of {total} images; choose a number from 1 to {total}")
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    by_class = order[labels[order].argsort(stable=True)]
    # (2i + 1) * N // 2k is the middle of the i-th of k equal pieces, in whole numbers.
    positions = (2 * torch.arange(count) + 1) * total // (2 * count)
    return by_class[positions].sort().values


def hold_out(whole: ImageSet, count: int, seed: int) -> tuple[ImageSet, ImageSet]:
    """Splits off a stratified part.

    Args:
        whole: What to split.
        count: Images in the part that is held out.
        seed: Of the choice.

    Returns:
        The rest and the held-out part, each in the order of the whole.

    Raises:
        InputError: If nothing would be left, or nothing held out.

    Example:
        >>> whole = ImageSet(torch.zeros(6, 1, 2, 2, dtype=torch.uint8), torch.arange(6) // 3, ("a", "b"), "x")
        >>> rest, held = hold_out(whole, 2, seed=0)
        >>> rest.labels, held.labels
        (tensor([0, 0, 1, 1]), tensor([0, 1]))
    """
    if count >= len(whole):
        raise InputError(f"cannot hold out {count} of the {len(whole)} images of {whole.name!r}; it needs more images")
    held = stratified(whole.labels, count, seed)
    rest = torch.ones(len(whole), dtype=torch.bool)
    rest[held] = False
    return whole.select(rest.nonzero()[:, 0]), whole.select(held)
