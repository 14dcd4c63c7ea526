"""Latency of networks on the machine at hand: measured in turn, with spread and conditions beside the number."""

import math
import platform
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from time import perf_counter

import torch
from torch import nn

from gasl.errors import InputError
from gasl.measure.example import Example
from gasl.structure.running import undisturbed

__all__ = ["Latency", "describe_device", "measure_latency"]

_WARM_UP = 3  # calls before the clock counts
_MIN_ROUNDS, _MAX_ROUNDS = 5, 40


@dataclass(frozen=True)
class Latency:
    """Time of one forward pass of a whole batch.

    Attributes:
        median: Milliseconds, the median of the rounds.
        lower: First quartile, milliseconds.
        upper: Third quartile, milliseconds.
        batch: Examples per pass.
        threads: Threads that PyTorch was given for one op; 0 where the network is not on a CPU.
        rounds: Samples behind the quartiles.
        device: Where it ran.

    Example:
        >>> print(Latency(median=2.0, lower=1.9, upper=2.25, batch=1, threads=1, rounds=20, device="cpu"))
        2 ms (quartiles 1.9 to 2.25) at batch 1, 1 thread, cpu
    """

    median: float
    lower: float
    upper: float
    batch: int
    threads: int
    rounds: int
    device: str

    def __str__(self) -> str:
        threads = {0: "", 1: ", 1 thread"}.get(self.threads, f", {self.threads} threads")
        spread = f"quartiles {self.lower:.3g} to {self.upper:.3g}"
        return f"{self.median:.3g} ms ({spread}) at batch {self.batch}{threads}, {self.device}"


def measure_latency(
    models: Mapping[str, nn.Module],
    example_inputs: object,
    *,
    batch: int | None = None,
    threads: int = 1,
    seconds: float = 0.5,
) -> dict[str, Latency]:
    """Time the forward pass of several networks on the same inputs.

    The networks take turns, round by round and each round in the opposite order, so that a machine that grows slower
    or warmer does so for all of them. A round times a block of calls, and is one sample. Networks run in eval mode and
    without gradients, and are left as they were; so is the number of threads.

    Args:
        models: Networks by name, all on one device; the inputs follow it.
        example_inputs: A tensor, a tuple of arguments or a dict of named arguments; dimension 0 is the batch.
        batch: Examples per pass, made by repeating those given; None takes them as they are.
        threads: Threads that PyTorch may use inside one op.
        seconds: Wanted time in all for each network. Slow ones take longer: there are never fewer than 5 rounds.

    Returns:
        A latency for each name.

    Raises:
        InputError: If there is no network, or threads, seconds or batch are below what makes sense.

    Example:
        >>> times = measure_latency({"net": nn.Linear(4, 2)}, torch.zeros(1, 4), batch=8, seconds=0.01)
        >>> times["net"].batch, 0 < times["net"].lower <= times["net"].median <= times["net"].upper
        (8, True)
    """
    if not models:
        raise InputError("measure_latency needs at least one network, got an empty mapping")
    timed = isinstance(seconds, int | float) and 0 < seconds < math.inf
    if not timed or not isinstance(threads, int) or threads < 1:
        raise InputError(f"threads must be 1 or more and seconds above 0, got threads={threads!r}, seconds={seconds!r}")
    example = Example.of(example_inputs)
    example = example if batch is None else example.at(batch)
    examples = {name: example.on(model) for name, model in models.items()}
    device = next(next(iter(one.tensors())).device for one in examples.values())
    samples: dict[str, list[float]] = {name: [] for name in models}
    with ExitStack() as stack:
        stack.enter_context(_threads(threads))
        for model in models.values():
            stack.enter_context(undisturbed(model))
        once = {}
        for name, model in models.items():
            _time(model, examples[name], _WARM_UP, device)
            once[name] = _time(model, examples[name], 1, device)
        rounds = min(_MAX_ROUNDS, max(_MIN_ROUNDS, int(seconds / max(once.values()))))
        calls = {name: max(1, round(seconds / rounds / once[name])) for name in models}
        for turn in range(rounds):
            for name in list(models)[:: 1 if turn % 2 == 0 else -1]:
                samples[name].append(1e3 * _time(models[name], examples[name], calls[name], device) / calls[name])
    shown = threads if device.type == "cpu" else 0
    return {name: _summary(values, example.batch, shown, describe_device(device)) for name, values in samples.items()}


def describe_device(device: torch.device) -> str:
    """The device in words, for the records: the processor's or the accelerator's own name.

    Args:
        device: Where a network runs.

    Returns:
        A name such as ``"NVIDIA H100"``; the kind of device where its name cannot be read.

    Example:
        >>> describe_device(torch.device("meta"))
        'meta'
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return str(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next((name for name in names if name), platform.processor() or platform.machine() or "cpu")


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _time(model: nn.Module, example: Example, calls: int, device: torch.device) -> float:
    """Seconds for a block of calls; an accelerator has finished its work before either reading of the clock."""
    _wait(device)
    start = perf_counter()
    for _ in range(calls):
        example.run(model)
    _wait(device)
    return perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _summary(values: list[float], batch: int, threads: int, device: str) -> Latency:
    lower, median, upper = quantiles(values, n=4, method="inclusive")
    return Latency(median, lower, upper, batch, threads, len(values), device)
