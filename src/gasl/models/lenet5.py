"""LeNet-5-Caffe, the small convolutional network on which the sparsity methods are compared."""

from torch import Tensor, nn

__all__ = ["LeNet5"]


class LeNet5(nn.Module):
    """20-50-800-500: two 5x5 convolutions and two linear layers, for images of 1 x 28 x 28.

    Each convolution is followed by a ReLU and a 2x2 max-pool, the first linear layer by a ReLU. Without biases the
    network has 430,500 weights and costs 2,293,000 multiply-adds per image.

    Args:
        num_classes: Outputs of the last layer.

    Example:
        >>> import torch
        >>> LeNet5()(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(800, 500)
        self.fc2 = nn.Linear(500, num_classes)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()

    def forward(self, images: Tensor) -> Tensor:
        """Class scores of shape ``(N, num_classes)`` for images of shape ``(N, 1, 28, 28)``."""
        maps = self.pool(self.relu(self.conv1(images)))
        maps = self.pool(self.relu(self.conv2(maps)))
        hidden = self.relu(self.fc1(self.flatten(maps)))
        scores: Tensor = self.fc2(hidden)
        return scores
