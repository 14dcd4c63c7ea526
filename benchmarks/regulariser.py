"""What the closed-form GASL update costs, beside the training step that it belongs to and a plain copy of the weights.

VGG-16 with batch norm, CIFAR form, full width, batch 32, one thread. All contestants take turns in one run, because a
machine may be busy with other things: in each round each trains one step, and the weights are copied once; ratios are
taken within a round and their medians printed. A bound that does not hold ends the script with status 1.

Two more rows per scope show where the time of the update goes. "Its passes over memory" are the fewest that PyTorch's
operations allow, with the fastest of them that were found, tensor by tensor and with nothing in between: norms and
multiplication of rows; with two groups per weight, a table of the kernels' squares and multiplication of rows and
columns. "Its small operations" are the update of the same network at a 16th of the width, where memory is no matter.
"""

import itertools
import statistics
import sys
from collections import defaultdict
from time import thread_time as clock  # of a processor: what else the machine does is not counted

import torch
from torch.nn.functional import cross_entropy

import gasl
from gasl.maths.passes import Pass
from gasl.models import VGG16

ROUNDS = 15
BATCH = 32
BOUNDS = {"filter": (0.02, 1.5), "coupled": (0.04, 3.0)}  # share of the training step, multiple of the copy


class Training:
    """One network in training; the time of the step itself and of what the method adds are taken apart."""

    def __init__(self, scope: str, step: str, width: float = 1.0) -> None:
        self.name = f"GASL {'update' if step == 'proximal' else 'as a loss term'}, {scope}"
        self.bounds = BOUNDS[scope] if step == "proximal" else None
        torch.manual_seed(0)
        self.model = VGG16(width=width)
        self.images, self.labels = torch.randn(BATCH, 3, 32, 32), torch.randint(10, (BATCH,))
        method = gasl.GASL(strength=1e-4, scope=scope, step=step)
        self.sparsifier = gasl.Sparsifier(self.model, method, self.images)
        self.optimizer = torch.optim.SGD(self.sparsifier.param_groups(), lr=1e-3, momentum=0.9)

    def step(self) -> tuple[float, float]:
        """Seconds of forward, backward and optimizer, and of the method: its update, or its term's own backward."""
        method, groups, state = self.sparsifier.method, self.sparsifier.groups, self.sparsifier.state
        times = [clock()]
        self.train()
        times.append(clock())
        term = method.penalty(groups, state)
        if term.requires_grad:
            term.backward()
        method.before_step(groups, state)
        times.append(clock())
        self.optimizer.step()
        times.append(clock())
        method.after_step(groups, state, lambda _: 1e-3)
        times.append(clock())
        forward, before, step, after = (end - start for start, end in itertools.pairwise(times))
        return forward + step, before + after

    def train(self) -> None:
        """Forward and backward."""
        self.optimizer.zero_grad()
        cross_entropy(self.model(self.images), self.labels).backward()

    def update(self) -> float:
        """Seconds of the method's update alone."""
        start = clock()
        self.sparsifier.method.before_step(self.sparsifier.groups, self.sparsifier.state)
        self.sparsifier.method.after_step(self.sparsifier.groups, self.sparsifier.state, lambda _: 1e-3)
        return clock() - start


def copy_seconds(sources: list[torch.Tensor], targets: list[torch.Tensor]) -> float:
    """One ``copy_`` for each tensor: what reading and writing every weight once costs."""
    start = clock()
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)
    return clock() - start


class Passes:
    """Reading each kernel for its norms, and multiplying it with factors of its rows, or of rows and columns."""

    def __init__(self, weights: list[torch.Tensor], scope: str) -> None:
        dims = [0] if scope == "filter" else [0, 1]
        kernels = {str(number): weight.clone() for number, weight in enumerate(weights)}
        self.step = Pass(kernels, dict.fromkeys(kernels, dims))
        self.ones = {name: [(dim, torch.ones(weight.shape[dim])) for dim in dims] for name, weight in kernels.items()}

    def seconds(self) -> float:
        """Of all kernels, one after the other."""
        start = clock()
        self.step.begin()
        for name, factors in self.ones.items():
            if self.step.norms(name) is None:
                self.step.read(name)
            self.step.scale_(name, factors, grow=False)
        return clock() - start


def main() -> int:
    """Print the table with its bounds; 1 if one is missed."""
    torch.set_num_threads(1)
    contestants = [Training(scope, step) for scope in BOUNDS for step in ("proximal", "loss")]
    sources = [p.detach() for p in contestants[0].model.parameters()]
    targets = [p.clone() for p in sources]
    passes = {scope: Passes([p for p in sources if p.ndim == 4], scope) for scope in BOUNDS}
    narrow = {scope: Training(scope, "proximal", width=1 / 16) for scope in BOUNDS}
    steps: list[float] = []
    copies: list[float] = []
    extra: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    parts: dict[str, list[float]] = defaultdict(list)
    for turn in range(ROUNDS + 2):
        rounds = [contestant.step() for contestant in contestants]
        copied = copy_seconds(sources, targets)
        alone = {f"  its passes over memory, {scope}": passes[scope].seconds() for scope in BOUNDS}
        for scope in BOUNDS:
            contestants[0].train()
            alone[f"  its small operations, {scope}"] = narrow[scope].update()
        if turn < 2:  # until memory and caches are in use
            continue
        steps.append(statistics.median(step for step, _ in rounds))
        copies.append(copied)
        for contestant, (_, seconds) in zip(contestants, rounds, strict=True):
            extra[contestant.name].append(seconds)
        for name, seconds in alone.items():
            parts[name].append(seconds)
    weights = sum(p.numel() for p in sources)
    print(f"VGG-16 with batch norm, {weights:,} weights, batch {BATCH}, {ROUNDS} rounds, 1 thread, CPU")
    print(f"{'':38}{'ms':>8}{'of the step':>14}{'x the copy':>13}   bounds")
    missed = False
    rows = {"training step": steps, "copy of the weights": copies, **extra, **parts}
    bounds = {contestant.name: contestant.bounds for contestant in contestants}
    for name, seconds in rows.items():
        share = statistics.median(s / step for s, step in zip(seconds, steps, strict=True))
        ratio = statistics.median(s / copy for s, copy in zip(seconds, copies, strict=True))
        verdict = ""
        if bound := bounds.get(name):
            held = share <= bound[0] and ratio <= bound[1]
            missed |= not held
            verdict = f"   {bound[0]:.0%} and {bound[1]:g}x: {'held' if held else 'MISSED'}"
        print(f"{name:38}{1e3 * statistics.median(seconds):8.2f}{share:14.2%}{ratio:13.2f}{verdict}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
