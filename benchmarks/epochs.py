"""How long an epoch takes: LeNet-5-Caffe on as many images as MNIST trains on, VGG-16 at width 0.25 on CIFAR-10's.

Images are random: their content changes no time. Each network is trained by the trainer itself with SA + GASL as in the
tables, first on all threads, then on one; the second of two epochs counts, validation included. VGG-16 in single
precision, as in the preset ``paper``, and multiplied in bfloat16, as in ``short``. A bound that does not hold on all
threads (10 s and 60 s on two idle cores) ends the script with status 1.
"""

import os
import sys
import tempfile
import warnings
from dataclasses import replace

import torch

from gasl.data import DataSplits, ImageSet
from gasl.experiments.cifar import cifar_specs
from gasl.experiments.networks import factory
from gasl.experiments.recipes import RECIPES
from gasl.experiments.spec import RunSpec
from gasl.training.run import fit

CIFAR = cifar_specs()["gasl"]
CONTESTANTS: dict[str, tuple[RunSpec, tuple[int, int, int], int, float]] = {
    "LeNet-5-Caffe, 54,000 images": (RECIPES["lenet5/gasl"], (1, 28, 28), 54_000, 10.0),
    "VGG-16 at width 0.25, 45,000 images": (
        replace(CIFAR, sparse=replace(CIFAR.sparse, precision=None)),
        (3, 32, 32),
        45_000,
        60.0,
    ),
    "the same, multiplied in bfloat16": (CIFAR, (3, 32, 32), 45_000, 60.0),
}


def images(count: int, shape: tuple[int, int, int]) -> ImageSet:
    """So many random images of ten classes."""
    pixels = torch.randint(0, 256, (count, *shape), dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(count) % 10, tuple("0123456789"), "random")


def seconds(spec: RunSpec, shape: tuple[int, int, int], count: int) -> float:
    """Of the second epoch."""
    torch.manual_seed(0)
    data = DataSplits(images(count, shape), images(count // 9, shape), images(10, shape))
    config = replace(spec.phase("sparse"), epochs=2, decay_from=None)
    model = factory(spec.model, spec.model_args)()
    with tempfile.TemporaryDirectory() as folder:
        trained = fit(model, data, folder, config=config, method=spec.method, progress=False)
    return trained.history[-1]["seconds"]


def main() -> int:
    """Measure and print; 1 if a bound does not hold."""
    warnings.filterwarnings("ignore")
    missed = 0
    most = os.cpu_count() or 1
    for name, (spec, shape, count, bound) in CONTESTANTS.items():
        for threads in dict.fromkeys((most, 1)):
            torch.set_num_threads(threads)
            taken = seconds(spec, shape, count)
            held = taken <= bound
            print(f"{name:36} {threads} threads  {taken:5.1f} s an epoch, bound {bound:g} s", flush=True)
            missed += threads == most and not held
    print("the bounds held" if not missed else f"{missed} missed")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
