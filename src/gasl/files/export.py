"""Networks for other runtimes: ONNX, and PyTorch's own exported program, both checked against the network."""

import inspect
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from gasl.errors import InputError, MissingExtraError, unknown_name
from gasl.files.whole import whole_file
from gasl.measure.example import Example
from gasl.removal.verify import largest_difference
from gasl.structure.checks import bare
from gasl.structure.running import output_tensors, undisturbed

__all__ = ["export"]

Run = Callable[[Example], list[Tensor]]
_ONNX_LIMIT = 2**31  # bytes that fit into one ONNX file


def export(
    model: nn.Module,
    path: str | os.PathLike[str],
    example_inputs: object,
    dynamic_batch: bool = True,
    *,
    tolerance: float = 1e-4,
) -> float:
    """Write a network for another runtime, after a check that it computes the same there.

    The file is read back and run on the example inputs (by ONNX Runtime for ``.onnx``), with another batch size too
    where the batch is free. It is written whole, as one file, or not at all. The network is left as it was.

    Args:
        model: Any network that ``torch.export`` can trace.
        path: Ends in ``.onnx``, or in ``.pt2`` for a program that ``torch.export.load`` reads.
        example_inputs: A tensor, a tuple of arguments or a dict of named arguments; dimension 0 is the batch.
        dynamic_batch: Let the file take any batch size; False fixes that of the example inputs.
        tolerance: Largest difference allowed, relative to the largest output.

    Returns:
        The largest difference of an output, relative to its largest value.

    Raises:
        InputError: If the suffix is unknown, the network cannot be traced, or the outputs differ.
        MissingExtraError: If ONNX is asked for and its packages are not installed.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "net.pt2"
        >>> export(nn.Linear(4, 2), path, torch.ones(1, 4))
        0.0
        >>> torch.export.load(path).module()(torch.ones(7, 4)).shape
        torch.Size([7, 2])
    """
    target = Path(path)
    if target.suffix not in _WRITERS:
        raise unknown_name("suffix of an exported network", target.suffix, _WRITERS)
    model = bare(model)
    example = Example.of(example_inputs).on(model)
    # torch.export takes a batch of 1 as a constant, so a free batch is traced with 2
    traced = example.at(max(2, example.batch)) if dynamic_batch else example
    examples = [example, traced.at(traced.batch + 1)] if dynamic_batch else [example]
    with undisturbed(model), whole_file(target) as temporary:
        program = _trace(model, traced, dynamic_batch)
        run = _WRITERS[target.suffix](program, temporary)
        difference = max(largest_difference(_outputs(model, one), run(one)) for one in examples)
        if not difference <= tolerance:
            if any(largest_difference(_outputs(model, one), _outputs(model, one)) > tolerance for one in examples):
                raise InputError(
                    f"{type(model).__name__} gives other outputs each time it is called on the same inputs (a random op"
                    f" is active in evaluation mode), so what is exported cannot be checked; {target} was not written"
                )
            raise InputError(
                f"the exported network differs from the network by {difference:.3g} of the largest output, wanted at"
                f" most {tolerance:.3g}; {target} was not written. Raise tolerance if the difference is rounding"
            )
    return difference


def _outputs(model: nn.Module, example: Example) -> list[Tensor]:
    return [tensor.detach().cpu() for tensor in output_tensors(example.run(model))]


def _trace(model: nn.Module, example: Example, dynamic_batch: bool) -> ExportedProgram:
    shapes = None
    if dynamic_batch:
        call = inspect.signature(model.forward).bind(*example.args, **example.kwargs)
        shapes = {name: _free_batch(value, example.batch) for name, value in call.arguments.items()}
    try:
        with _quiet():
            return torch.export.export(model, example.args, example.kwargs, dynamic_shapes=shapes)
    except Exception as error:  # the tracer raises errors of many kinds
        hint = "; if its batch size cannot change, pass dynamic_batch=False" if dynamic_batch else ""
        raise InputError(
            f"{type(model).__name__} cannot be exported: {str(error).strip().partition(chr(10))[0]}{hint}"
        ) from error


def _free_batch(value: Any, batch: int) -> Any:
    """The dynamic dimensions of an argument, in its own nesting."""
    if isinstance(value, Tensor):
        return {0: Dim.DYNAMIC} if value.ndim > 0 and value.shape[0] == batch else None
    if isinstance(value, Mapping):
        return {key: _free_batch(part, batch) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_free_batch(part, batch) for part in value)
    return None


def _write_program(program: ExportedProgram, path: Path) -> Run:
    torch.export.save(program, path)
    module = torch.export.load(path).module()
    return lambda example: _outputs(module, example)


def _write_onnx(program: ExportedProgram, path: Path) -> Run:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch.onnx imports it by itself, with a message that names no extra
    except ImportError as error:
        raise MissingExtraError(f'export to ONNX needs {error.name}; pip install "gasl[export]"') from error
    size = sum(tensor.numel() * tensor.element_size() for tensor in program.state_dict.values())
    if size >= _ONNX_LIMIT:
        raise InputError(f"an ONNX file holds less than {_ONNX_LIMIT:,} bytes, got {size:,}; export to .pt2 instead")
    with _quiet():
        converted = torch.onnx.export(program, dynamo=True, verbose=False)
    if converted is None:  # only the older exporter returns nothing
        raise InputError("torch.onnx.export returned no program; a newer torch is needed")
    converted.save(path, external_data=False)
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        first = str(error).strip().partition("\n")[0]
        raise InputError(
            f"ONNX Runtime does not take what was exported, so it cannot be checked: {first}; another type of weights,"
            " model.float() for one, may do"
        ) from error

    def run(example: Example) -> list[Tensor]:
        values = (tensor.detach().cpu().numpy() for tensor in example.tensors())
        feed = {given.name: value for given, value in zip(session.get_inputs(), values, strict=True)}
        return [torch.as_tensor(output) for output in session.run(None, feed)]

    return run


_WRITERS: dict[str, Callable[[ExportedProgram, Path], Run]] = {".onnx": _write_onnx, ".pt2": _write_program}


@contextmanager
def _quiet() -> Iterator[None]:
    """Messages of the exporter that no user of this library can act on."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")  # "torchvision is not installed"
    level = registration.level
    registration.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)  # torch on itself
            warnings.filterwarnings("ignore", "The tensor attribute")  # set by a hook in each pass; the check decides
            yield
    finally:
        registration.setLevel(level)
