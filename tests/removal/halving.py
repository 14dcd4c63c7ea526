"""Kill a scattered half of a network's units, remove them, and hold the smaller network against the larger one."""

import copy
import random

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

import gasl
from gasl.structure.inputs import call
from gasl.structure.trace import trace

__all__ = ["damaged", "halved", "randomised", "removable", "same_outputs"]


@torch.no_grad()
def randomised(model):
    """The model in float64 and evaluation mode, with no parameter or statistic at a value that would hide a fault."""
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if not tensor.is_floating_point():
            continue
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
        elif isinstance(tensor, nn.Parameter) and (tensor.ndim < 2 or "bias" in name):
            tensor.normal_()
    return model.double().eval()


def _double(inputs):
    return tree_map(lambda t: t.double() if isinstance(t, Tensor) and t.is_floating_point() else t, inputs)


def same_outputs(small, model, inputs):
    """Both give the same, as far as float64 can tell; and something that is no constant."""
    with torch.no_grad():
        ours, theirs = tree_leaves(call(small, inputs)), tree_leaves(call(model, inputs))
    for left, right in zip(ours, theirs, strict=True):
        if isinstance(left, Tensor):
            torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-10 * float(right.abs().max()))
            assert float(right.std()) > 0


def halved(model: nn.Module, inputs, axes=None, seed=0):
    """Kill a scattered half of every axis of units (or of those named), shrink, compare on other inputs and batches.

    Args:
        model: Any network; its vectors are filled with noise, and it is put into float64.
        inputs: From a batch size to the network's inputs.
        axes: Names of axes; all others stay whole.
        seed: Chooses the half.

    Returns:
        The smaller network and what was removed; every axis has lost just what was killed.
    """
    model, example = randomised(model), _double(inputs(2))
    rng, wanted = random.Random(seed), {}
    structure = trace(model, example)
    for axis in structure.axes:
        if axis.kind == "width" and (axes is None or axis.name in axes):
            dead = rng.sample(range(axis.size), axis.size // 2)
            axis.zero_(dead)
            wanted[axis.name] = (axis.size, axis.size - len(dead))
    assert any(before > after for before, after in wanted.values()), f"nothing to kill: {structure}"
    small, removal = gasl.shrink(model, example, gather=False)
    for batch in (2, 3):
        same_outputs(small, model, _double(inputs(batch)))
    got = {name: widths for name, widths in removal.widths.items() if name in wanted}
    assert got == wanted, f"removed {got}, killed {wanted}"
    return small, removal


def removable(make, inputs, damages=range(3)):
    """Sizes of all axes of units, after half of each, all together and one by one, went from fresh networks.

    Args:
        make: Gives a new network.
        inputs: From a batch size to its inputs.
        damages: Seeds for :func:`damaged`.

    Returns:
        Size by name.
    """
    sizes = {a.name: a.size for a in trace(make(), inputs(2)).axes if a.kind == "width"}
    halved(make(), inputs)
    for name in sizes if len(sizes) > 1 else ():
        if sizes[name] > 1:
            halved(make(), inputs, axes=[name], seed=1)
    damaged(make(), inputs, damages)
    return sizes


def damaged(model: nn.Module, inputs, seeds=range(8)):
    """Set random parts of random units to zero, so that constants are left or parts live; nothing may change.

    Returns:
        How many units went in all.
    """
    whole, example, gone = randomised(model), _double(inputs(2)), 0
    for seed in seeds:
        model, rng = copy.deepcopy(whole), random.Random(seed)
        structure = trace(model, example)
        tensors = dict(model.named_parameters()) | dict(model.named_buffers())
        for axis in structure.axes:
            roles = rng.sample(["producer", "bias", "norm", "elementwise", "consumer"], rng.randint(1, 4))
            for member in axis.members:
                if member.role in roles and rng.random() < 0.8:
                    dead = torch.tensor([u >= 0 and (u * 7 + seed) % 3 > 0 for u in member.units.tolist()])
                    with torch.no_grad():
                        tensors[member.tensor].index_fill_(member.dim, dead.nonzero().flatten(), 0.0)
        small, removal = gasl.shrink(model, example)
        with torch.no_grad():
            for batch in (2, 3):
                fresh = _double(inputs(batch))
                for ours, theirs in zip(tree_leaves(call(small, fresh)), tree_leaves(call(model, fresh)), strict=True):
                    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10 * float(theirs.abs().max()))
        gone += sum(before - after for before, after in removal.widths.values())
    return gone
