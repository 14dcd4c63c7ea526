"""How much of a network can be removed, and how much is left."""

import re

import torch
from torch import nn

__all__ = ["core_weights", "left", "removable_elements", "removable_share"]


def left(small, model):
    """Share of the parameters that a smaller network still has."""
    return sum(p.numel() for p in small.parameters()) / sum(p.numel() for p in model.parameters())


def removable_elements(model, structure):
    """For each parameter, which of its elements are removed with some unit."""
    covered = {name: torch.zeros(p.shape, dtype=torch.bool) for name, p in model.named_parameters()}
    for axis in structure.axes:
        for member in axis.members:
            if (mask := covered.get(member.tensor)) is not None:
                mask.movedim(member.dim, 0)[member.units >= 0] = True
    return covered


def core_weights(model, pattern=""):
    """Names of the weights of convolution, linear, attention and recurrent layers that a pattern finds."""
    kinds = (nn.Linear, nn.modules.conv._ConvNd, nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase, nn.Bilinear)
    names = []
    for path, module in model.named_modules():
        if isinstance(module, kinds) or type(module).__name__ in ("Conv1D", "Einsum"):
            names += [f"{path}.{n}".lstrip(".") for n, p in module.named_parameters(recurse=False) if p.ndim > 1]
    own = dict(model.named_parameters())
    return [name for name in names if name in own and re.search(pattern, name)]


def removable_share(model, structure, names=None):
    """Share of the elements of these parameters (default: of all) that lie on a removable axis."""
    covered = removable_elements(model, structure)
    masks = [covered[name] for name in (covered if names is None else names)]
    return sum(int(m.sum()) for m in masks) / max(sum(m.numel() for m in masks), 1)
