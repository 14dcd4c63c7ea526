"""The 784-500-300-10 perceptron of the sparsity comparisons."""

from torch import Tensor, nn

__all__ = ["MLP"]


class MLP(nn.Module):
    """784-500-300: three linear layers with ReLU in between, for images of 1 x 28 x 28 (or rows of 784).

    Args:
        num_classes: Outputs of the last layer.

    Example:
        >>> import torch
        >>> MLP()(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(784, 500)
        self.fc2 = nn.Linear(500, 300)
        self.fc3 = nn.Linear(300, num_classes)
        self.relu = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        """Class scores of shape ``(N, num_classes)``."""
        hidden = self.relu(self.fc1(self.flatten(images)))
        hidden = self.relu(self.fc2(hidden))
        scores: Tensor = self.fc3(hidden)
        return scores
