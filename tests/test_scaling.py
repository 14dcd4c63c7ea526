"""The arithmetic of docs/scaling.md, from the network and the runs themselves."""

from pathlib import Path

import pytest
import torch

from gasl.experiments.choice import Choice
from gasl.experiments.cifar import STEPS, N, protocol
from gasl.experiments.tables import entries, jobs_of
from gasl.measure import count_macs
from gasl.models import VGG16
from gasl.structure.trace import trace

ROOT = Path(__file__).parents[1]
TEXT = " ".join((ROOT / "docs" / "scaling.md").read_text().split())
GPU = 20e12  # operations a second, as the page supposes
SLOW = 1.5  # what two of eleven rows take more than a plain step


def measured(network, threads):
    """Seconds of an epoch, from the record of benchmarks/epochs.py."""
    lines = (ROOT / "docs" / "records" / "epochs.txt").read_text().splitlines()
    line = next(line for line in lines if line.startswith(network) and f" {threads} threads" in line)
    return float(line.split("threads")[1].split("s an")[0])


def epoch(width):
    return 3 * 2 * N * count_macs(VGG16(width=width), torch.zeros(1, 3, 32, 32)).total


def table():
    """Operations of Table 2 for both data sets, in paper runs of 300 epochs."""
    jobs = jobs_of(entries(2, Choice(preset="paper", width=1.0)))
    starts = {job.spec.seed for job in jobs}
    return 2 * (len(jobs) + 2 * SLOW + len(starts)) * 300 * epoch(1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda net: f"{sum(p.numel() for p in net.parameters()):,} parameters",
        lambda net: f"{sum(axis.size for axis in trace(net, torch.zeros(1, 3, 32, 32)).axes):,} units in 13 axes",
        lambda net: f"{count_macs(net, torch.zeros(1, 3, 32, 32)).total:,} multiply-accumulates",
        lambda net: f"({4 * sum(p.numel() for p in net.parameters()) / 1e6:.1f} MB in single precision)",
        lambda net: f"{2 * 7 / 8 * 4 * sum(p.numel() for p in net.parameters()) / 1e6:.0f} MB for W = 8",
        lambda _: f"VGG-16, width 0.25 | {epoch(0.25) / 1e12:.1f} TFLOP",
        lambda _: f"at most {30 * epoch(0.25) / 1e12:.0f} TFLOP",
        lambda _: f"VGG-16, width 1 | {epoch(1.0) / 1e12:.1f} TFLOP",
        lambda _: f"{300 * epoch(1.0) / 1e15:.1f} PFLOP",
        lambda _: f"{table() / 1e18:.2f} EFLOP",
        lambda _: f"{epoch(0.25) / measured('VGG-16', 1) / 1e12:.2f} TFLOP/s",
        lambda _: f"({measured('the same', 1):g} and {measured('the same', 2):g} s)",
        lambda _: f"takes {measured('the same', 1) / measured('VGG-16', 1):.2f} of the time in single precision",
        lambda _: f"{measured('VGG-16', 1):g} s for an epoch at width 0.25 on one thread",
        lambda _: f"{table() / (2 * epoch(0.25) / measured('VGG-16', 1)) / 86400:.0f} days | 2 runs",
        lambda _: f"LeNet-5-Caffe: {measured('LeNet-5', 1):g} s on one core, {measured('LeNet-5', 2):g} s on two",
        lambda _: f"takes {measured('VGG-16', 2) / measured('VGG-16', 1):.2f} of the time on one",
        lambda _: f"{table() / GPU / 3600:.0f} hours",
        lambda _: f"a step of {epoch(1.0) / STEPS / GPU * 1e3:.0f} ms",
        lambda _: f"are the {300 * epoch(1.0) / GPU / 60:.0f} of a dense start",
        lambda _: f"and the {2.5 * 300 * epoch(1.0) / GPU / 60:.0f} of a variational",
    ],
)
def test_a_figure_is_what_the_network_says(make):
    assert make(VGG16()) in TEXT


def test_the_runs_are_those_of_the_tables():
    for choice in (Choice(), Choice(preset="paper", width=1.0)):
        jobs = jobs_of(entries(2, choice))
        assert (len(jobs), len({job.spec.seed for job in jobs})) == (19, 3)
    assert protocol("paper").dense.epochs == 300
    short = protocol("short")
    assert (short.dense.epochs, short.sparse.epochs, short.tune.epochs) == (15, 10, 5)
