"""What is asked of each network of the zoo."""

import dataclasses
import re
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import gasl
from gasl.removal.verify import largest_difference
from gasl.structure.inputs import call, copied
from gasl.structure.running import eager, output_tensors, undisturbed
from zoo.entry import Entry
from zoo.kill import kill
from zoo.redraw import calibrate, influence, redraw
from zoo.shares import core_weights, left, removable_share

__all__ = ["Result", "drawn", "examine", "outputs_of", "prepared", "reload", "train_step"]


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """What came out for one network.

    Args:
        model: The network with half of its units dead.
        structure: Its trace from before.
        small: What is left of it.
        share: Share of the core weights that lie on removable axes.
        total: The same of all parameters.
        left: Share of the parameters that are left.
        weakest: The least influence of any unit that is left.
        difference: The largest relative difference on any inputs, throughout in float64.
        reported: The one that the removal itself measured, in the types that the forward takes.
        seconds: Of tracing and of shrinking.
    """

    model: nn.Module
    structure: gasl.Structure
    small: nn.Module
    share: float
    total: float
    left: float
    weakest: float
    difference: float
    reported: float
    seconds: tuple[float, float]


def prepared(entry: Entry, seed: int = 0) -> nn.Module:
    """The network in float64 with weights that show faults."""
    torch.manual_seed(seed)
    model = redraw(entry.build().double().eval(), seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if entry.louder and re.search(entry.louder, name):
                parameter.mul_(4)
    return model


def drawn(entry, batch, size, seed):
    torch.manual_seed(seed)
    return entry.inputs(batch, size)


class Wide(TorchDispatchMode):
    """Some forwards compute their norms in float32 whatever the network's type: here they stay in float64."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        narrows = func is torch.ops.aten._to_copy.default and kwargs.get("dtype") is torch.float32
        if narrows and args[0].dtype is torch.float64:
            kwargs["dtype"] = torch.float64
        return func(*args, **kwargs)


def outputs_of(model, inputs):
    with undisturbed(model), eager(), Wide():
        return call(model, copied(inputs, model))


def examine(entry: Entry, felt: bool = True, constant: bool = False) -> Result:
    """Trace, kill half, shrink; compare on other inputs, another batch size and another resolution or length.

    Args:
        entry: The network.
        felt: Whether to ask for the influence of what is left, which takes longest with large networks.
        constant: Whether the killed units emit a constant that is not 0.

    Returns:
        What came out.
    """
    model = prepared(entry)
    example = drawn(entry, 2, entry.size, 1)
    start = time.perf_counter()
    structure = gasl.trace(model, example)
    traced = time.perf_counter() - start
    total, share = removable_share(model, structure), removable_share(model, structure, core_weights(model, entry.core))
    kill(model, structure, constant=constant)
    calibrate(model, drawn(entry, 24, entry.size, 2))
    start = time.perf_counter()
    small, removal = gasl.shrink(model, example)
    shrunk = time.perf_counter() - start
    others = [(2, entry.size), (5, entry.size), *([(3, entry.other)] if entry.other else [])]
    inputs = [example, *(drawn(entry, batch, size, 10 + seed) for seed, (batch, size) in enumerate(others))]
    difference = max(largest_difference(outputs_of(model, x), outputs_of(small, x)) for x in inputs)
    moved = influence(small, gasl.trace(small, example), drawn(entry, 48, entry.size, 3)) if felt else {}
    weakest = min((float(v.min()) for v in moved.values()), default=float("inf"))
    seconds = (traced, shrunk)
    share_left = left(small, model)
    return Result(model, structure, small, share, total, share_left, weakest, difference, removal.max_rel_diff, seconds)


def train_step(model: nn.Module, inputs: object) -> None:
    """One step of training: gradients of the right shapes, other outputs afterwards."""
    model.train()
    outputs = [t for t in output_tensors(call(model, copied(inputs, model))) if t.requires_grad]
    sum(t.square().mean() for t in outputs).backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert grads
    assert all(bool(g.isfinite().all()) for g in grads)
    model.eval()
    before = outputs_of(model, inputs)
    torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9).step()
    assert 0 < largest_difference(before, outputs_of(model, inputs)) < float("inf")


def reload(entry: Entry, small: nn.Module) -> nn.Module:
    """Saved, and loaded into a fresh network of the original size."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.safetensors"
        gasl.save(small, path)
        return gasl.load(path, build=lambda: entry.build().double())
