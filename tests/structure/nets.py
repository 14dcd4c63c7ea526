"""Networks whose structure the tests know."""

import torch
from torch import nn

from gasl.structure.trace import trace

__all__ = ["Fn", "axes_of", "groups_of", "image", "reasons_of"]


class Fn(nn.Module):
    """Layers by name, and a function of them and the inputs as the forward."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            if isinstance(layer, nn.Parameter):
                self.register_parameter(name, layer)
            elif isinstance(layer, torch.Tensor):
                self.register_buffer(name, layer)
            else:
                self.add_module(name, layer)

    def forward(self, *inputs):
        return self.function(self, *inputs)


def image(batch=2, channels=3, size=8):
    return torch.randn(batch, channels, size, size)


def axes_of(model, *inputs):
    """Name and size of each axis of units."""
    return {a.name: a.size for a in trace(model, inputs or (image(),)).axes if a.kind == "width"}


def groups_of(model, *inputs):
    """For each axis of units its members as ``tensor[dim]``."""
    axes = trace(model, inputs or (image(),)).axes
    return {a.name: {f"{m.tensor}[{m.dim}]" for m in a.members} for a in axes if a.kind == "width"}


def reasons_of(model, *inputs):
    """Why each protected width is protected."""
    return {p.name: p.reason for p in trace(model, inputs or (image(),)).protected}
