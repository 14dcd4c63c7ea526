"""ResNet-18 with the stem used for 32 x 32 images."""

from torch import Tensor, nn

from gasl.models.widths import scaled

__all__ = ["ResNet18"]


class _Block(nn.Module):
    """Two 3x3 convolutions around which the input is added; a 1x1 convolution fits the input where shapes differ."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU()
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(maps)))))
        outer: Tensor = self.relu(inner + self.downsample(maps))
        return outer


class ResNet18(nn.Module):
    """A 3x3 stem, four stages of two residual blocks (64, 128, 256, 512 channels), global average pool, linear.

    Args:
        num_classes: Outputs of the last layer.
        width: Factor on every channel count.

    Raises:
        InputError: If ``width`` is not positive and finite.

    Example:
        >>> import torch
        >>> ResNet18(width=0.125).eval()(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(self, num_classes: int = 10, width: float = 1.0) -> None:
        super().__init__()
        w1, w2, w3, w4 = (scaled(channels, width) for channels in (64, 128, 256, 512))
        self.conv1 = nn.Conv2d(3, w1, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(w1)
        self.relu = nn.ReLU()
        self.layer1 = nn.Sequential(_Block(w1, w1, 1), _Block(w1, w1, 1))
        self.layer2 = nn.Sequential(_Block(w1, w2, 2), _Block(w2, w2, 1))
        self.layer3 = nn.Sequential(_Block(w2, w3, 2), _Block(w3, w3, 1))
        self.layer4 = nn.Sequential(_Block(w3, w4, 2), _Block(w4, w4, 1))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(w4, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Class scores of shape ``(N, num_classes)`` for images of shape ``(N, 3, H, W)``."""
        maps = self.relu(self.bn1(self.conv1(images)))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        scores: Tensor = self.fc(self.flatten(self.pool(maps)))
        return scores
