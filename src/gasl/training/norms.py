"""Statistics of batch norms for the network as it is in evaluation, where a method's noise is not."""

from collections.abc import Iterable
from itertools import islice

import torch
from torch import Tensor, nn

from gasl.data import Batches, ImageSet, Preprocess
from gasl.training.config import TrainConfig
from gasl.training.shell import lightning

__all__ = ["FreshNorms", "measure_norms_"]

_BATCHES = 50


@torch.no_grad()
def measure_norms_(model: nn.Module, images: Iterable[Tensor]) -> None:
    """Set the running statistics of all batch norms to those of these batches; all else is as in evaluation.

    Args:
        model: The network; its modes are left as they were.
        images: Batches, each of which counts the same.

    Example:
        >>> model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(1))
        >>> measure_norms_(model, [torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [6.0]])])
        >>> model[1].running_mean, model[1].running_var
        (tensor([3.]), tensor([2.]))
    """
    modes = {module: module.training for module in model.modules()}
    norms = [m for m in modes if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None  # the plain mean over all batches
    try:
        for batch in images:
            model(batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training in modes.items():
            module.training = training


class FreshNorms(lightning.Callback):
    """Measures the statistics of batch norms on 50 training batches before each validation.

    While a method's random factors or noise are in the network, every batch has its own, and the running means are of
    networks that evaluation does not see: behind thirteen layers nothing may be left of an accuracy that is there. The
    training itself takes the statistics of its batches and is not touched.

    Args:
        data: The training images; the same ones are taken each time, with the augmentation of training.
        config: Gives size of a batch and seed.
        preprocess: What is done to the images.

    Example:
        >>> images = ImageSet(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.arange(4) % 2, ("a", "b"), "x")
        >>> FreshNorms(images, TrainConfig(), Preprocess()).batches.batch_size
        100
    """

    def __init__(self, data: ImageSet, config: TrainConfig, preprocess: Preprocess) -> None:
        self.batches = Batches(data, config.batch_size, preprocess, train=True, seed=config.seed)

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Measures them."""
        self.batches.set_epoch(0)
        measure_norms_(pl_module, (images.to(pl_module.device) for images, _ in islice(self.batches, _BATCHES)))
