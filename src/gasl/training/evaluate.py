"""The error of a network on an image set."""

import torch
from torch import nn

from gasl.data import ImageSet, Preprocess, default_preprocess

__all__ = ["error_percent"]


def error_percent(
    model: nn.Module, data: ImageSet, batch_size: int = 500, preprocess: Preprocess | None = None
) -> float:
    """How many of 100 images are put into a wrong class; in each of several processes, of all images.

    Args:
        model: Gives class scores; it is used in evaluation mode, on its device and in its floating type, and left as it
            was.
        data: The images.
        batch_size: How many at a time.
        preprocess: As in training.

    Returns:
        The error in percent. Read it on a test set once, when nothing is left to choose.

    Example:
        >>> data = ImageSet(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 0, 0, 1]), ("a", "b"), "x")
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        >>> _ = model[1].bias.data.copy_(torch.tensor([1.0, 0.0]))
        >>> error_percent(model, data)
        25.0
    """
    preprocess = preprocess or default_preprocess(data.shape)
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(()))
    was_training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            wrong = torch.zeros((), dtype=torch.int64, device=like.device)
            # Not of Batches, of which each of several processes gets its own part.
            for chosen in torch.arange(len(data)).split(batch_size):
                scores = model(preprocess.evaluate(data.images[chosen]).to(like))
                wrong += (scores.argmax(1) != data.labels[chosen].to(like.device)).sum()
    finally:
        for module in was_training:
            module.training = True
    return 100 * int(wrong) / len(data)
