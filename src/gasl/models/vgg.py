"""VGG-16 with batch normalisation in the form used for 32 x 32 images."""

from torch import Tensor, nn

from gasl.models.widths import scaled

__all__ = ["VGG16"]

_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG16(nn.Module):
    """13 convolutions 3x3 with batch norm and ReLU in five stages, a 2x2 max-pool after each, one linear layer.

    Args:
        num_classes: Outputs of the last layer.
        width: Factor on every channel count.

    Raises:
        InputError: If ``width`` is not positive and finite.

    Example:
        >>> import torch
        >>> VGG16(width=0.125).eval()(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(self, num_classes: int = 10, width: float = 1.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for stage in _STAGES:
            for published in stage:
                after = scaled(published, width)
                # The batch norm's shift takes the place of the convolution's bias.
                layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
                before = after
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(before, num_classes)
        _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Class scores of shape ``(N, num_classes)`` for images of shape ``(N, 3, 32, 32)``."""
        scores: Tensor = self.classifier(self.flatten(self.features(images)))
        return scores


def _initialise(model: nn.Module) -> None:
    """He initialisation of the convolutions: without it 13 layers train slowly."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
