"""The commands for a network that is there: what it costs, and without what is dead in it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from gasl.experiments.networks import example_for, factory, network
from gasl.experiments.spec import Options
from gasl.files import export, save
from gasl.files.whole import check_no_folder
from gasl.measure import compare
from gasl.measure import measure as measure_network
from gasl.removal import shrink as shrink_network

__all__ = ["COMMANDS"]


def measure(
    model: str,
    weights: Path | None = None,
    model_args: Options | None = None,
    shape: tuple[int, ...] | None = None,
    batch: int = 1,
    threads: int = 1,
) -> None:
    """Print what a network costs: parameters, MACs, bytes, latency.

    Args:
        model: lenet5, mlp, vgg16, resnet18, or package.module:factory.
        weights: A safetensors file with its weights.
        model_args: Keyword arguments of the factory in YAML, e.g. {width: 0.25}.
        shape: Shape of one example, e.g. [3,32,32]; known for the built-in networks.
        batch: Examples per timed pass.
        threads: Threads while the clock runs.
    """
    net = network(factory(model, model_args), weights)
    print(measure_network(net, example_for(model, shape, batch=1), batch=batch, threads=threads))


def shrink(
    model: str,
    weights: Path,
    out: Path,
    model_args: Options | None = None,
    shape: tuple[int, ...] | None = None,
    protect: list[str] | None = None,
    gather: bool = True,
    round_to: int | None = None,
    onnx: Path | None = None,
    batches: list[int] | None = None,
    threads: int = 1,
) -> None:
    """Remove every dead unit of a trained network without changing an output, and save what is left.

    Args:
        model: lenet5, mlp, vgg16, resnet18, or package.module:factory.
        weights: A safetensors file with its weights.
        out: Where the smaller network goes (safetensors, for gasl.load).
        model_args: Keyword arguments of the factory in YAML, e.g. {width: 0.25}.
        shape: Shape of one example, e.g. [3,32,32]; known for the built-in networks.
        protect: Axes, or modules whose axes, to leave whole; shell patterns are allowed.
        gather: Whether single features of a flattened map may go.
        round_to: Keep each width at a multiple of this, or whole.
        onnx: Also export to this file.
        batches: Batch sizes to measure at; 1 and 128 by default.
        threads: Threads while the clock runs.
    """
    check_no_folder(out)
    dense = network(factory(model, model_args), weights)
    example = example_for(model, shape)
    small, removal = shrink_network(dense, example, protect=protect or (), gather=gather, round_to=round_to)
    print(removal)
    costs = compare(dense, small, example[:1], batches=tuple(batches or (1, 128)), threads=threads)
    if onnx is not None:
        export(small, onnx, example)
    save(small, out)  # nothing is written where a flag made no sense
    print(costs)


COMMANDS: Mapping[str, Callable[..., None]] = {"shrink": shrink, "measure": measure}
