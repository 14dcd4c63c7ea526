"""How much faster recorded networks become: eager, under torch.compile and in ONNX Runtime, on one thread and on all.

A network of the widths that a record tells takes turns with the dense network; the ratio of the medians is printed.
With names of records as arguments (lenet5/gasl) only these are measured; NAME*4 is four times as wide, with the same
share of its units. A bound that does not hold (eager, one thread, batch 128) ends the script with status 1.
"""

import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn

import gasl
from gasl.experiments.latencies import pair
from gasl.measure import measure_latency

RECORDS = Path(__file__).parents[1] / "docs" / "records" / "methods"
NAMES = (
    "lenet5/gasl",
    "target/lenet5/gasl-75-87-87-95",
    "mlp/gasl",
    "target/mlp/gasl-64-80-95",
    "cifar10/vgg16-0.25-short/gasl",
    "cifar10/vgg16-0.25-short/gasl*4",
)
BATCHES = (1, 128, 1000)
BOUNDS = {"lenet5": 5.0, "mlp": 8.0, "vgg16": 2.91}
PRINTED = {"lenet5": 2.41, "mlp": 1.23, "vgg16": 2.91}


class InOnnxRuntime(nn.Module):
    """A network that another runtime runs, so that both are timed by the same code."""

    def __init__(self, model: nn.Module, example: Tensor, threads: int) -> None:
        super().__init__()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            gasl.export(model, path, example)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            self.session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def forward(self, images: Tensor) -> Tensor:
        """The network's outputs."""
        return torch.from_numpy(self.session.run(None, {self.name: images.numpy()})[0])


def read(name: str) -> dict[str, Any] | None:
    """A record, or what it would be for a wider network; None if it has not been run."""
    name, _, times = name.partition("*")
    path = RECORDS / f"{name}-seed0.json"
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text())
    if times:
        record["spec"]["model_args"]["width"] *= int(times)
        for layer in record["layers"]:
            layer["alive"] *= int(times)
    return record


def ways(threads: int) -> dict[str, Callable[[nn.Module, Tensor], nn.Module]]:
    """What runs a network on so many threads."""
    return {
        "eager": lambda model, example: model,
        "torch.compile": lambda model, example: torch.compile(model, dynamic=False),
        "ONNX Runtime": lambda model, example: InOnnxRuntime(model, example, threads),
    }


def main(names: list[str]) -> int:
    """Measure and print; 1 if a bound does not hold."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    missed = []
    print(f"{'run':34} threads batch  {'runtime':13}  dense ms  small ms  faster")
    for name in names or NAMES:
        if (record := read(name)) is None:
            print(f"{name:34} has not been run")
            continue
        dense, small, example = pair(record)
        network = record["spec"]["model"]
        for threads in sorted({1, os.cpu_count() or 1}):
            for batch in BATCHES:
                for way, run in ways(threads).items():
                    torch.set_num_threads(threads)
                    torch.compiler.reset()  # the threads and the batch become part of compiled code
                    both = {"dense": run(dense, example), "small": run(small, example)}
                    times = measure_latency(both, example, batch=batch, threads=threads, seconds=1.0)
                    ratio = times["dense"].median / times["small"].median
                    print(
                        f"{name:34} {threads:7d} {batch:5d}  {way:13}  {times['dense'].median:8.3f}  "
                        f"{times['small'].median:8.3f}  {ratio:5.2f}x",
                        flush=True,
                    )
                    if (way, threads, batch) == ("eager", 1, 128) and ratio < BOUNDS[network]:
                        missed.append(f"{name}: {ratio:.2f}x, bound {BOUNDS[network]:g}x")
    print(
        f"the paper: {', '.join(f'{network} {ratio}x' for network, ratio in PRINTED.items())}, without saying on what"
    )
    bounds = ", ".join(f"{network} {bound:g}x" for network, bound in BOUNDS.items())
    print("\n".join(missed) if missed else f"bounds held: {bounds}, eager, one thread, batch 128")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
