"""What each method adds to a training step: its time, and the most memory that it has allocated at once.

VGG-16 with batch norm, CIFAR form, full width, batch 32, one thread, SGD with momentum. A network with the method and a
plain one take turns, one step each, because a machine may be busy with other things: ratios are taken within a turn and
their medians printed. A method that changes neither forward nor backward is timed by its calls alone, as a part of the
plain step, since two whole steps differ by more than such a method costs.

Memory is the peak of the tensors that PyTorch allocates in one step (weights, gradients, optimizer state, activations,
scratch), counted by its profiler: the same on every machine, whatever else runs there. A bound that does not hold ends
the script with status 1. With names of methods as arguments only these are measured.
"""

import gc
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from time import thread_time as clock  # of a processor: what else the machine does is not counted

os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # the profiler's own messages

import torch
from torch.nn.functional import cross_entropy
from torch.profiler import ProfilerActivity, profile, record_function

import gasl
from gasl.methods import METHODS, Method
from gasl.models import VGG16

TURNS = 11
BATCH = 32
BOUNDS = {  # of the plain step: its time, its memory
    "penalty": (1.02, None),
    "coupled": (1.05, None),
    "gate": (1.15, None),
    "variational": (2.8, 3.0),  # or anything else with a parameter for each weight
}
VARIANTS = {  # of a method, beside its defaults: what costs something else
    "bayesian_compression": [{"prior": "horseshoe"}],
    "l0": [{"granularity": "weight"}],
    "magnitude_pruning": [{"granularity": "unit"}],
}
MORE = {"magnitude_pruning": {"density": 0.5, "rounds": 1}}  # settings under which there is something to do


def contestants(names: Sequence[str]) -> dict[str, Method]:
    """Each method with its defaults, penalties on coupled units also on each unit's own filter."""
    found = {}
    for name in names:
        cls = METHODS[name]
        given = {} if cls.usual_strength is None else {"strength": 1e-5}
        default = cls(**given, **MORE.get(name, {}))
        found[name] = default
        if isinstance(default, gasl.methods.Penalty) and (default.scope, default.granularity) == ("coupled", "unit"):
            found[f"{name}, filter"] = replace(default, scope="filter")
        for settings in VARIANTS.get(name, []):
            assert settings.keys() <= {field.name for field in fields(cls)}
            found[f"{name}, {', '.join(map(str, settings.values()))}"] = replace(default, **settings)
    return found


class Training:
    """A network in training, with a method or without."""

    def __init__(self, method: Method | None) -> None:
        torch.manual_seed(0)
        self.model = VGG16()
        self.images, self.labels = torch.randn(BATCH, 3, 32, 32), torch.randint(10, (BATCH,))
        self.sparsifier = None if method is None else gasl.Sparsifier(self.model, method, self.images[:2])
        groups = self.model.parameters() if self.sparsifier is None else self.sparsifier.param_groups()
        self.optimizer = torch.optim.SGD(groups, lr=1e-3, momentum=0.9)

    @property
    def kind(self) -> str:
        """Which of the bounds the method is held to."""
        assert self.sparsifier is not None
        posterior, method = self.sparsifier.posterior, self.sparsifier.method
        if posterior is None:
            return "coupled" if (method.scope, method.granularity) == ("coupled", "unit") else "penalty"
        own = sum(p.numel() for p in posterior.parameters())
        return "variational" if own > sum(p.numel() for p in self.model.parameters()) / 4 else "gate"

    def step(self) -> tuple[float, float]:
        """Seconds of one step, and of the sparsifier's calls in it."""
        calls, start = 0.0, clock()
        self.optimizer.zero_grad()
        loss = cross_entropy(self.model(self.images), self.labels)
        if self.sparsifier is not None:
            before = clock()
            loss = loss + self.sparsifier.penalty()
            calls += clock() - before
        loss.backward()
        self.optimizer.step()
        if self.sparsifier is not None:
            before = clock()
            self.sparsifier.step(self.optimizer)
            calls += clock() - before
        return clock() - start, calls


@dataclass(frozen=True)
class Cost:
    """Of a step with a method: milliseconds, MiB, and both as multiples of the plain step's."""

    kind: str
    time: float
    times: float
    memory: float
    memories: float

    def missed(self) -> bool:
        """Whether a bound does not hold."""
        time_bound, memory_bound = BOUNDS[self.kind]
        return self.times > time_bound or (memory_bound is not None and self.memories > memory_bound)


def peak(method: Method | None) -> float:
    """MiB of tensors at most during the third step, from an account of every allocation since there was no network."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
        training = Training(method)
        for _ in range(2):
            training.step()
        with record_function("measured"):
            training.step()
    events = profiler.profiler.kineto_results.events()
    (measured,) = (event for event in events if event.name() == "measured")
    held = most = 0
    for event in sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        held += event.nbytes()
        if measured.start_ns() <= event.start_ns() <= measured.end_ns():
            most = max(most, held)
    return most / 2**20


def cost(method: Method, plain_peak: float) -> Cost:
    """One method beside the plain step."""
    most = peak(method)
    gc.collect()
    plain, training = Training(None), Training(method)
    turns = []
    for turn in range(TURNS + 2):
        alone, _ = plain.step()
        whole, calls = training.step()
        if turn >= 2:  # until memory and caches are in use
            turns.append((alone, whole, calls))
    assert training.sparsifier is not None
    penalty = training.sparsifier.penalty()
    if training.sparsifier.posterior is None and not penalty.requires_grad:
        turns = [(alone, alone + calls, calls) for alone, _, calls in turns]
    times = statistics.median(whole / alone for alone, whole, _ in turns)
    middle = statistics.median(whole for _, whole, _ in turns)
    return Cost(training.kind, 1e3 * middle, times, most, most / plain_peak)


def main(names: Sequence[str]) -> int:
    """Print the table with its bounds; 1 if one is missed."""
    torch.set_num_threads(1)
    chosen = contestants(names or list(METHODS))
    plain_peak = peak(None)
    print(f"VGG-16 with batch norm, batch {BATCH}, {TURNS} turns, 1 thread, CPU; plain step {plain_peak:.0f} MiB")
    print(f"{'':36}{'ms':>7}{'x plain':>9}{'MiB':>8}{'x plain':>9}   bounds")
    missed = False
    for name, method in chosen.items():
        found = cost(method, plain_peak)
        missed |= found.missed()
        time_bound, memory_bound = BOUNDS[found.kind]
        bounds = f"{found.kind} {time_bound}x" + (f", memory {memory_bound}x" if memory_bound else "")
        print(
            f"{name:36}{found.time:7.1f}{found.times:9.3f}{found.memory:8.0f}{found.memories:9.2f}   "
            f"{bounds}: {'MISSED' if found.missed() else 'held'}",
            flush=True,
        )
        gc.collect()
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
