"""What the phase with the method begins with: the dense network, a new one, or the one that another run left."""

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from gasl.errors import InputError
from gasl.experiments.networks import network
from gasl.experiments.spec import RunSpec
from gasl.removal.liveness import liveness
from gasl.structure.running import named_tensors, undisturbed
from gasl.structure.trace import trace

__all__ = ["beginning", "still"]


def beginning(
    spec: RunSpec, build: Callable[[], nn.Module], dense: nn.Module, start: Path | None, example: Tensor
) -> nn.Module:
    """The network that the phase ``sparse`` trains.

    Args:
        spec: The run.
        build: Makes the network.
        dense: As the dense phase left it.
        start: Where the network lies that the spec's ``start`` left; None where it has none.
        example: What it takes.

    Returns:
        A new network.

    Raises:
        InputError: If the run goes on from another and it is not said where that lies.
    """
    if spec.start is None:
        return build() if spec.from_scratch else copy.deepcopy(dense)
    if start is None:
        raise InputError("the run goes on from another; say where its network lies, RunOptions(start=...)")
    model = network(build, start)
    still(model, example)
    return model


@torch.no_grad()
def still(model: nn.Module, example: Tensor) -> int:
    """Zero all that belongs to dead units, so that they get no gradient and stay dead; unless an output would change.

    Args:
        model: A network, which is changed.
        example: What it takes.

    Returns:
        How many units are dead.

    Example:
        >>> from gasl.models import MLP
        >>> model = MLP()
        >>> _ = model.fc1.weight.data[:5].zero_(), model.fc1.bias.data[:5].zero_()
        >>> still(model, torch.zeros(1, 1, 28, 28)), int(model.fc2.weight[:, :5].count_nonzero())
        (5, 0)
    """
    structure = trace(model, example)
    live = liveness(named_tensors(model), structure)
    probe = torch.rand(example.shape, generator=torch.Generator().manual_seed(0))
    kept = copy.deepcopy(model.state_dict())
    with undisturbed(model):
        before = model(probe)
    dead = {axis: (~live.kept[axis.name]).nonzero().flatten() for axis in structure.axes}
    for axis, units in dead.items():
        axis.zero_(units, readers=True)
    with undisturbed(model):
        same = torch.allclose(model(probe), before, rtol=1e-5, atol=1e-6)
    if not same:
        model.load_state_dict(kept)  # some emit a constant that is read
    return sum(len(units) for units in dead.values())
