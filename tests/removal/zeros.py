"""Zeros by hand, and networks that have them."""

import torch
from torch import nn

from gasl.models import LeNet5
from structure.nets import image

__all__ = ["assert_same", "convs", "ignore", "kill", "lenet"]


def kill(layer, *rows, bias=False):
    with torch.no_grad():
        layer.weight[list(rows)] = 0
        if bias and layer.bias is not None:
            layer.bias[list(rows)] = 0
    return layer


def ignore(layer, *columns):
    with torch.no_grad():
        layer.weight[:, list(columns)] = 0
    return layer


def assert_same(small, model, *inputs):
    torch.testing.assert_close(small(*inputs), model(*inputs), rtol=1e-10, atol=1e-12)


def lenet():
    torch.manual_seed(0)
    model = LeNet5().double()
    kill(model.conv1, 0, 5, 7, bias=True)
    kill(model.conv2, *range(25), bias=True)
    ignore(model.fc1, *range(500, 640, 3), *range(3))
    kill(model.fc1, *range(100, 300))
    return model, torch.randn(2, 1, 28, 28).double()


def convs(padding=0, bias=True, second_bias=True):
    """A dead filter 1 (of 4) in front of a convolution and a linear layer."""
    torch.manual_seed(0)
    model = nn.Sequential(
        kill(nn.Conv2d(3, 4, 3, bias=bias), 1), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=padding, bias=second_bias),
        nn.Flatten(), nn.Linear(3 * (4 + 2 * padding) ** 2, 2),
    )  # fmt: skip
    if bias:
        nn.init.constant_(model[0].bias, 0.7)
    return model.double(), image().double()
