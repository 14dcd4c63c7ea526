"""Killing units: a scattered random share of those of every axis."""

import torch

__all__ = ["kill", "silence"]


def kill(model, structure, share=0.5, seed=0, constant=False):
    """Make a random share of the units of each axis emit nothing.

    Args:
        model: Changed in place.
        structure: Its trace.
        share: Of the units of each axis.
        seed: Which.
        constant: Keep biases and shifts, so that the units emit a constant.

    Returns:
        For each axis the units that were killed.
    """
    generator = torch.Generator().manual_seed(seed)
    dead = {}
    for axis in structure.axes:
        count = min(int(axis.size * share), axis.size - 1)
        dead[axis.name] = torch.randperm(axis.size, generator=generator)[:count].sort().values
        if constant:
            _zero(model, axis, dead[axis.name], ("consumer",) if axis.kind == "features" else ("producer",))
        else:
            silence(model, axis, dead[axis.name])
    return dead


def silence(model, axis, units):
    """Zero everything that makes these units; of single features, what reads them."""
    if hasattr(axis, "zero_"):
        axis.zero_(units)
    else:
        readers = ("consumer",) if axis.kind == "features" else ()
        _zero(model, axis, units, readers or ("producer", "bias", "norm", "elementwise"))


@torch.no_grad()
def _zero(model, axis, units, roles):
    tensors = dict(model.named_parameters())
    gone = torch.zeros(axis.size + 1, dtype=torch.bool)  # the last place is for indices that no unit owns
    gone[units] = True
    for member in axis.members:
        if member.tensor in tensors and member.role in roles:
            tensors[member.tensor].index_fill_(member.dim, gone[member.units].nonzero().flatten(), 0.0)
