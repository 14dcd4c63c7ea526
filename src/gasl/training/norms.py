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
    sums: dict[nn.Module, list[Tensor]] = {}

    def of_this_batch(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        # A norm in training mode would draw the factors of its scale anew; so it stays in evaluation, with these.
        values = inputs[0].detach().transpose(0, 1).flatten(1)
        mean, var = values.mean(1), values.var(1, correction=0)
        norm.get_buffer("running_mean").copy_(mean)
        norm.get_buffer("running_var").copy_(var)
        unbiased = var * (values.shape[1] / max(1, values.shape[1] - 1))
        before = sums.get(norm, [torch.zeros_like(mean), torch.zeros_like(var), torch.zeros(())])
        sums[norm] = [old + new for old, new in zip(before, (mean, unbiased, torch.ones(())), strict=True)]

    model.eval()
    hooks = [norm.register_forward_pre_hook(of_this_batch) for norm in norms]
    try:
        for batch in images:
            model(batch)
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training
    for norm, (mean, var, count) in sums.items():
        norm.get_buffer("running_mean").copy_(mean / count)
        norm.get_buffer("running_var").copy_(var / count)


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
