"""The 784-500-300-10 perceptron of the sparsity comparisons."""

from torch import Tensor, nn

from gasl.errors import InputError

__all__ = ["MLP"]


class MLP(nn.Module):
    """784-500-300: three linear layers with ReLU in between, for images of 1 x 28 x 28 (or rows of 784).

    Args:
        num_classes: Outputs of the last layer.
        input_dropout: Part of the pixels that is set to zero in training, each by chance (Hinton et al. 2012 have 0.2).

    Raises:
        InputError: If ``input_dropout`` is not at least 0 and below 1.

    Example:
        >>> import torch
        >>> MLP()(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(self, num_classes: int = 10, input_dropout: float = 0.0) -> None:
        if not 0 <= input_dropout < 1:
            raise InputError(f"input_dropout must be at least 0 and below 1, got {input_dropout}")
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(784, 500)
        self.fc2 = nn.Linear(500, 300)
        self.fc3 = nn.Linear(300, num_classes)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(input_dropout)

    def forward(self, images: Tensor) -> Tensor:
        """Class scores of shape ``(N, num_classes)``."""
        pixels = self.flatten(images)
        if self.training:  # at 0.03 ms for an image a module that does nothing is seen
            pixels = self.dropout(pixels)
        hidden = self.relu(self.fc1(pixels))
        hidden = self.relu(self.fc2(hidden))
        scores: Tensor = self.fc3(hidden)
        return scores
