"""What a network costs, in one record; and two networks side by side."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import nn

from gasl.errors import InputError
from gasl.measure.latency import Latency, measure_latency
from gasl.measure.macs import count_macs

__all__ = ["Comparison", "Measurement", "compare", "measure"]


@dataclass(frozen=True)
class Measurement:
    """What one network costs.

    Attributes:
        params: Elements of all parameters; a tied one counts once.
        macs: Multiply-accumulates for one example (:func:`gasl.measure.count_macs` has the convention).
        bytes: Size of parameters and buffers in memory.
        latency: Time of a forward pass, with its spread, batch size, threads and device.
        uncounted: Ops with weights that ``macs`` does not hold; empty for a complete count.
        denormals: Weights so close to zero that some processors are many times slower on them.

    Example:
        >>> cost = measure(nn.Linear(4, 2), torch.zeros(1, 4), seconds=0.01)
        >>> cost.params, cost.macs, cost.bytes, cost.uncounted, cost.denormals
        (10, 8, 40, (), 0)
    """

    params: int
    macs: int
    bytes: int
    latency: Latency
    uncounted: tuple[str, ...] = ()
    denormals: int = 0

    def __str__(self) -> str:
        lines = [
            f"parameters {self.params:,}",
            f"MACs       {self.macs:,} for one example",
            f"bytes      {self.bytes:,}",
            f"latency    {self.latency}",
        ]
        if self.uncounted:
            lines.append(f"not in the MACs: {', '.join(self.uncounted)}")
        if self.denormals:
            lines.append(f"{self.denormals:,} denormal weights, slow on a CPU: see torch.set_flush_denormal(True)")
        return "\n".join(lines)


@dataclass(frozen=True)
class Comparison:
    """A network and its smaller successor, measured in turn.

    Attributes:
        dense: The network before; its latency is the one at the first batch size.
        small: The network after.
        dense_latency: Latency of the first at each batch size.
        small_latency: Latency of the second at each batch size.

    Example:
        >>> both = compare(nn.Linear(8, 4), nn.Linear(8, 2), torch.zeros(1, 8), batches=(1, 16), seconds=0.01)
        >>> both.dense.macs, both.small.macs, sorted(both.speedup)
        (32, 16, [1, 16])
    """

    dense: Measurement
    small: Measurement
    dense_latency: tuple[Latency, ...]
    small_latency: tuple[Latency, ...]

    @property
    def speedup(self) -> dict[int, float]:
        """Batch size to median latency before / median latency after."""
        pairs = zip(self.dense_latency, self.small_latency, strict=True)
        return {dense.batch: dense.median / small.median for dense, small in pairs}

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and strings under the names of a run's ``result.json``; batch sizes are strings there."""
        sides = {"dense": (self.dense, self.dense_latency), "small": (self.small, self.small_latency)}
        return {
            "params": {side: cost.params for side, (cost, _) in sides.items()},
            "macs": {side: cost.macs for side, (cost, _) in sides.items()},
            "bytes": {side: cost.bytes for side, (cost, _) in sides.items()},
            "uncounted": {side: list(cost.uncounted) for side, (cost, _) in sides.items()},
            "denormals": {side: cost.denormals for side, (cost, _) in sides.items()},
            "latency_ms": {side: {str(t.batch): t.median for t in times} for side, (_, times) in sides.items()},
            "latency_spread_ms": {
                side: {str(t.batch): [t.lower, t.upper] for t in times} for side, (_, times) in sides.items()
            },
            "speedup": {str(batch): ratio for batch, ratio in self.speedup.items()},
            "threads": self.dense.latency.threads,
            "device": self.dense.latency.device,
        }

    def __str__(self) -> str:
        lines = [
            f"parameters {self.dense.params:,} -> {self.small.params:,}{_fewer(self.dense.params, self.small.params)}",
            f"MACs       {self.dense.macs:,} -> {self.small.macs:,}{_fewer(self.dense.macs, self.small.macs)}",
            f"bytes      {self.dense.bytes:,} -> {self.small.bytes:,}{_fewer(self.dense.bytes, self.small.bytes)}",
        ]
        for dense, small in zip(self.dense_latency, self.small_latency, strict=True):
            lines += [f"before     {dense}", f"after      {small}: {self.speedup[dense.batch]:.2f}x the speed"]
        return "\n".join(lines)


def measure(
    model: nn.Module, example_inputs: object, batch: int | None = None, threads: int = 1, *, seconds: float = 0.5
) -> Measurement:
    """Parameters, multiply-accumulates, bytes and latency of a network; it is left as it was.

    Args:
        model: Any network.
        example_inputs: A tensor, a tuple of arguments or a dict of named arguments; dimension 0 is the batch.
        batch: Examples per timed pass, made by repeating those given; None takes them as they are.
        threads: Threads that PyTorch may use inside one op while the clock runs.
        seconds: Time to spend on the latency.

    Returns:
        The record; it prints as a short table.

    Raises:
        InputError: If the example inputs hold no batch, or another argument is below what makes sense.

    Example:
        >>> measure(nn.Sequential(nn.Linear(784, 300), nn.Linear(300, 10)), torch.zeros(1, 784), seconds=0.01).macs
        238200
    """
    latency = measure_latency({"model": model}, example_inputs, batch=batch, threads=threads, seconds=seconds)
    return _record(model, example_inputs, latency["model"])


def compare(
    dense: nn.Module,
    small: nn.Module,
    example_inputs: object,
    batches: Sequence[int] = (1, 128),
    threads: int = 1,
    *,
    seconds: float = 0.5,
) -> Comparison:
    """Measure a network and its smaller successor in turn, at several batch sizes.

    Args:
        dense: The network before.
        small: The network after; it takes the same inputs.
        example_inputs: A tensor, a tuple of arguments or a dict of named arguments; dimension 0 is the batch.
        batches: Batch sizes at which latency is measured.
        threads: Threads that PyTorch may use inside one op while the clock runs.
        seconds: Time to spend on the latency of each network at each batch size.

    Returns:
        Both records and the speed-up at each batch size.

    Raises:
        InputError: If no batch sizes are given, or another argument is below what makes sense.

    Example:
        >>> both = compare(nn.Linear(8, 4), nn.Linear(8, 2), torch.zeros(1, 8), batches=(1,), seconds=0.01)
        >>> both.dense.params, both.small.params
        (36, 18)
    """
    given: object = batches
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InputError(f"batches must be batch sizes in a row, got {batches!r}; give e.g. batches=(1, 128)")
    if not batches:
        raise InputError("compare needs at least one batch size, got none")
    models = {"dense": dense, "small": small}
    runs = [measure_latency(models, example_inputs, batch=batch, threads=threads, seconds=seconds) for batch in batches]
    return Comparison(
        dense=_record(dense, example_inputs, runs[0]["dense"]),
        small=_record(small, example_inputs, runs[0]["small"]),
        dense_latency=tuple(run["dense"] for run in runs),
        small_latency=tuple(run["small"] for run in runs),
    )


def _record(model: nn.Module, example_inputs: object, latency: Latency) -> Measurement:
    macs = count_macs(model, example_inputs)
    tensors = chain(model.parameters(), model.buffers())
    return Measurement(
        params=sum(p.numel() for p in model.parameters()),
        macs=macs.total,
        bytes=sum(t.numel() * t.element_size() for t in tensors),
        latency=latency,
        uncounted=macs.uncounted,
        denormals=sum(_denormals(p) for p in model.parameters()),
    )


def _denormals(weight: torch.Tensor) -> int:
    if not weight.is_floating_point():
        return 0
    size = weight.detach().abs()
    return int(((size > 0) & (size < torch.finfo(weight.dtype).tiny)).sum())


def _fewer(before: int, after: int) -> str:
    return f" ({before / after:.2f}x fewer)" if after else ""
