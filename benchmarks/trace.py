"""What tracing and removing cost, beside what Torch-Pruning takes to build its dependency graph of the same network.

ResNet-50 (one image of 224 x 224) and BERT-base (one text of 128 tokens), two threads, half of the units of every axis
dead. ``gasl.shrink`` traces by itself, so its row is "trace + shrink"; the trace alone is printed above it. All
contestants take turns in one run, because a machine may be busy with other things; ratios are taken within a round and
medians printed. Memory is the peak of the process beyond what it held before the call, in copies of the weights, less
that of a forward pass with gradients, which every contestant makes (read from Linux; elsewhere the column is empty).
A bound that does not hold ends the script with status 1.

With ``--busy`` one thread is timed by the processor's clock, on a machine whose cores others use at the same time. What
is no arithmetic (Python, small operations) then weighs less beside the graph than it does on two threads.
"""

import argparse
import ctypes
import gc
import logging
import math
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch_pruning
from torch import Tensor, nn
from transformers import BertConfig, BertModel

import gasl

ROUNDS = 5
SECONDS, RATIO, COPIES = 3.0, 3.0, 1.0  # of shrink: time, multiple of the graph, extra memory


PASS, GRAPH = "forward pass", "Torch-Pruning's graph"


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1, with batch norms, around which the input is added."""

    def __init__(self, before: int, inner: int, stride: int) -> None:
        super().__init__()
        after = 4 * inner
        self.body = nn.Sequential(
            nn.Conv2d(before, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(),
            nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(),
            nn.Conv2d(inner, after, 1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.skip = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, maps: Tensor) -> Tensor:
        """The block's maps."""
        return torch.relu(self.body(maps) + self.skip(maps))


def resnet50() -> nn.Module:
    """ResNet-50 for ImageNet: 25.6 million weights."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, padding=1))
    before = 64
    for stage, (blocks, inner) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True)):
        for block in range(blocks):
            layers.append(Bottleneck(before, inner, 2 if stage > 0 and block == 0 else 1))
            before = 4 * inner
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 1000))


def bert_base() -> nn.Module:
    """BERT-base from its configuration, with random weights: 109 million."""
    return BertModel(BertConfig())


NETWORKS: dict[str, tuple[Callable[[], nn.Module], dict[str, Tensor]]] = {
    "ResNet-50": (resnet50, {"input": torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))}),
    "BERT-base": (bert_base, {"input_ids": torch.arange(128).reshape(1, 128) + 1000}),
}


@torch.no_grad()
def kill_half(model: nn.Module, structure: gasl.Structure) -> None:
    """Zero everything that every second unit owns."""
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    for member in (member for axis in structure.axes for member in axis.members):
        if member.role != "statistic":
            dead = (member.units >= 0) & (member.units % 2 == 0)
            tensors[member.tensor].index_fill_(member.dim, dead.nonzero()[:, 0], 0)


def seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    """Time of one call; what it returns is let go of outside."""
    start = clock()
    kept = call()
    end = clock()
    del kept
    return end - start


def peak(call: Callable[[], object]) -> float:
    """Bytes at the peak of a call beyond those before it, its result included; NaN where that cannot be read."""
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what earlier calls left to the allocator would hide this one's part
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        before = _status("VmRSS")
        kept = call()
        after = _status("VmHWM")
    except (OSError, AttributeError):
        return math.nan
    del kept
    return after - before


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return 1024 * int(line.split()[1])


def graph(model: nn.Module, inputs: Mapping[str, Tensor]) -> object:
    """Torch-Pruning's dependency graph."""
    given = next(iter(inputs.values())) if len(inputs) == 1 and "input" in inputs else dict(inputs)
    return torch_pruning.DependencyGraph().build_dependency(model, given, verbose=False)


def contest(name: str, clock: Callable[[], float]) -> bool:
    """Print one network's rows; whether every bound held."""
    build, inputs = NETWORKS[name]
    torch.manual_seed(0)
    model = build().eval()
    structure = gasl.trace(model, inputs)
    kill_half(model, structure)
    small, removal = gasl.shrink(model, inputs)
    calls: dict[str, Callable[[], object]] = {
        PASS: lambda: model(**inputs),
        GRAPH: lambda: graph(model, inputs),
        "trace": lambda: gasl.trace(model, inputs),
        "trace + shrink": lambda: gasl.shrink(model, inputs),
    }
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    left = sum(p.numel() * p.element_size() for p in small.parameters()) / weights
    print(
        f"{name}: {weights / 1e6:.0f} MB, {len(structure.axes)} axes, {left:.0%} left, {removal.max_rel_diff:.0e} apart"
    )
    del small, removal, structure
    times: dict[str, list[float]] = {contestant: [] for contestant in calls}
    graph(model, inputs)  # what is imported on first use has been
    for _ in range(ROUNDS):
        for contestant, call in calls.items():
            times[contestant].append(seconds(call, clock))
    peaks = {contestant: peak(call) for contestant, call in calls.items()}
    held = True
    for contestant, taken in times.items():
        median = statistics.median(taken)
        ratio = statistics.median(own / other for own, other in zip(taken, times[GRAPH], strict=True))
        copies = (peaks[contestant] - (0 if contestant == PASS else peaks[PASS])) / weights
        verdict = ""
        if contestant == "trace + shrink":
            fine = median <= SECONDS and ratio <= RATIO and not copies > COPIES
            verdict = f"   {SECONDS:g} s, {RATIO:g}x and {COPIES:g} copy: {'held' if fine else 'MISSED'}"
            held = fine
        print(f"  {contestant:24}{median:8.3f}{ratio:8.2f}{copies:8.2f}{verdict}")
    return held


def main() -> int:
    """Print the table with its bounds; 1 if one is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", action="store_true", help="one thread, processor time")
    busy = parser.parse_args().busy
    clock = time.process_time if busy else time.perf_counter
    torch.set_num_threads(1 if busy else 2)
    warnings.filterwarnings("ignore")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    kind = "1 thread, processor time" if busy else "2 threads, CPU"
    print(f"medians of {ROUNDS} rounds, {kind}: seconds, multiples of the graph, copies of the weights")
    held = [contest(name, clock) for name in NETWORKS]
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
