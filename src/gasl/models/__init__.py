"""The networks of the paper's experiments, as plain modules."""

from typing import Protocol

from torch import nn

from gasl.models.lenet5 import LeNet5
from gasl.models.mlp import MLP
from gasl.models.resnet import ResNet18
from gasl.models.vgg import VGG16

__all__ = ["MLP", "MODELS", "VGG16", "LeNet5", "ModelFactory", "ResNet18"]


class ModelFactory(Protocol):
    """Builds a network with freshly drawn weights."""

    def __call__(self, num_classes: int = 10) -> nn.Module:
        """The network with ``num_classes`` outputs."""
        ...


MODELS: dict[str, ModelFactory] = {"lenet5": LeNet5, "mlp": MLP, "resnet18": ResNet18, "vgg16": VGG16}
