"""Batches of an image set that lies in memory."""

from collections.abc import Iterator

import torch
from torch import Tensor, distributed

from gasl.data.imageset import ImageSet
from gasl.data.preprocess import Preprocess, default_preprocess
from gasl.errors import InputError

__all__ = ["Batches"]


class Batches:
    """Iterates over ``(images, labels)`` batches; works in a bare loop and as a loader of Lightning.

    For training the order and the augmentation are drawn anew in each epoch from a generator seeded with the seed and
    the epoch's number. That number is therefore the whole state: an interrupted run goes on with
    :meth:`set_epoch` (under Lightning in ``on_train_epoch_start`` of a callback) or :meth:`load_state_dict`.

    Where ``torch.distributed`` runs, each process gets its own part of every epoch. Training parts are of equal
    length: up to ``world size - 1`` images of the epoch's order are left out.

    Args:
        data: The images.
        batch_size: Images in a batch; the last batch may be smaller.
        preprocess: What is done to the images; ``None`` is :func:`gasl.data.default_preprocess` for their shape.
        train: Whether to shuffle and augment.
        seed: Of the order and the augmentation.
        device: Where the images are kept and prepared.

    Raises:
        InputError: If the batch size is not positive.

    Example:
        >>> data = ImageSet(torch.zeros(5, 1, 2, 2, dtype=torch.uint8), torch.arange(5) % 2, ("a", "b"), "x")
        >>> [len(labels) for images, labels in Batches(data, 2)]
        [2, 2, 1]
    """

    def __init__(
        self,
        data: ImageSet,
        batch_size: int,
        preprocess: Preprocess | None = None,
        *,
        train: bool = False,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size must be 1 or more, got {batch_size}")
        self.images = data.images.to(device)
        self.labels = data.labels.to(device)
        self.batch_size = batch_size
        self.preprocess = preprocess or default_preprocess(data.shape)
        self.train = train
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        """Batches in an epoch of this process."""
        return -(-len(self._share(torch.arange(len(self.labels)))) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch; the next iteration is the next epoch."""
        # Counted at once, so that an epoch that is broken off is not repeated.
        epoch, self.epoch = self.epoch, self.epoch + 1
        # The generator takes 32 bits of its seed; the factor keeps the epochs of neighbouring seeds apart.
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**32)
        count = len(self.labels)
        order = torch.randperm(count, generator=generator) if self.train else torch.arange(count)
        for chosen in torch.split(self._share(order).to(self.labels.device), self.batch_size):
            images = self.images[chosen]
            ready = self.preprocess.train(images, generator) if self.train else self.preprocess.evaluate(images)
            yield ready, self.labels[chosen]

    def _share(self, order: Tensor) -> Tensor:
        """This process's part of an epoch."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return order
        world, rank = distributed.get_world_size(), distributed.get_rank()
        whole = len(order) - len(order) % world if self.train else len(order)
        return order[rank:whole:world]

    def set_epoch(self, epoch: int) -> None:
        """Makes the next iteration the one of this epoch, counted from 0."""
        self.epoch = epoch

    def state_dict(self) -> dict[str, int]:
        """All that the next epoch's order and augmentation depend on besides the arguments."""
        return {"epoch": self.epoch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes on where :meth:`state_dict` was taken."""
        self.epoch = state["epoch"]
