"""``gasl.trace``: one forward pass in, the removable structure out."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gasl.errors import InputError
from gasl.structure.assemble import assemble
from gasl.structure.axes import Structure
from gasl.structure.checks import traceable
from gasl.structure.gather import GatherLinear
from gasl.structure.heads import free_heads
from gasl.structure.inputs import ExampleInputs, call, copied
from gasl.structure.ledger import Ledger
from gasl.structure.numbers import numbered
from gasl.structure.parts import modules_of
from gasl.structure.running import eager, named_tensors, output_tensors, undisturbed
from gasl.structure.tracer import Tracer

__all__ = ["trace", "traced"]


def trace(model: nn.Module, example_inputs: ExampleInputs) -> Structure:
    """Find every axis of a network whose units can be removed whole.

    One forward pass in evaluation mode is watched op by op; the model is left as it was. Nothing depends on the
    batch size of the example, but what is spatial should have its usual size.

    Args:
        model: Any module; wrappers of ``torch.compile`` and DDP are looked through.
        example_inputs: One tensor, a sequence of positional arguments, or a mapping of keyword arguments.

    Returns:
        The structure; print it to see axes, members, and what is protected and why.

    Raises:
        InputError: If the model does not run on the example inputs, or returns no tensor.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> print(trace(model, torch.zeros(2, 4)))
        axis  size  kind      members
        0.in  4     features  0.weight[1]
        0     8     width     0.weight[0], 0.bias[0], 2.weight[1]
        <BLANKLINE>
        protected
        2  3  model output
    """
    return traced(model, example_inputs)[0]


def traced(model: nn.Module, example_inputs: ExampleInputs) -> tuple[Structure, object]:
    """The same, and what the network returned.

    Args:
        model: As for :func:`trace`.
        example_inputs: As for :func:`trace`.

    Returns:
        The structure, and the outputs; None where the traced pass was not the network's own, op for op.

    Raises:
        InputError: As for :func:`trace`.
    """
    model = traceable(model)
    tensors = named_tensors(model)
    names = {id(tensor): name for name, tensor in tensors.items()}
    modules = modules_of(model)
    gathers = {names[id(m.index)]: names[id(m.weight)] for m in modules.values() if isinstance(m, GatherLinear)}
    ledger = Ledger(tensors, gathers, modules)
    tracer = Tracer(ledger)
    with undisturbed(model), eager(), torch.enable_grad():
        inputs = copied(example_inputs, model)
        tracer.enter_inputs(inputs)
        try:
            with (
                free_heads(model),
                numbered(model, ledger.sizes.floated),
                _norms_told(model, ledger),
                _nothing_fused(model),
                ledger.sizes,
                tracer,
            ):
                outputs = call(model, inputs)
        except Exception as error:  # the user's own code: it can raise anything
            shapes = [tuple(t.shape) for t in tree_leaves(inputs) if isinstance(t, Tensor)]
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"the model does not run on example_inputs of shapes {shapes}: {first}") from error
        if not (returned := output_tensors(outputs)):
            raise InputError("the model returns no tensor: there is nothing that its units could matter for")
        tracer.leave_outputs(returned)
    changed = any(type(m) is nn.MultiheadAttention or isinstance(m, nn.RNNBase) for m in modules.values())
    return assemble(model, ledger, tensors), None if changed else [tensor.detach() for tensor in returned]


@contextmanager
def _norms_told(model: nn.Module, ledger: Ledger) -> Iterator[None]:
    """Instance norms repeat what they hold for every example, and without it name their channels to no op."""

    def note(path: str, size: int, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        ledger.count_channels(f"{path}.num_features", inputs[0], size)

    kinds = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
    hooks = []
    for path, module in modules_of(model).items():
        if isinstance(module, kinds):
            for name in ("weight", "bias"):
                ledger.set_role(f"{path}.{name}".lstrip("."), 0, "norm")
            for name in ("running_mean", "running_var"):
                ledger.set_role(f"{path}.{name}".lstrip("."), 0, "statistic")
            if not module.affine:
                hooks.append(module.register_forward_pre_hook(partial(note, path, module.num_features)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _nothing_fused(model: nn.Module) -> Iterator[None]:
    """Recurrent layers run op by op, not as one op of oneDNN; einops keeps no sizes by their value."""
    fused = torch._C._get_mkldnn_enabled()
    einops: Any = sys.modules.get("einops.einops")
    kept: Any = getattr(einops, "_reconstruct_from_shape", None)
    try:
        if hasattr(kept, "__wrapped__"):
            einops._reconstruct_from_shape = kept.__wrapped__
        if any(isinstance(module, nn.RNNBase) for module in modules_of(model).values()):
            torch._C._set_mkldnn_enabled(False)
        yield
    finally:
        torch._C._set_mkldnn_enabled(fused)
        if kept is not None:
            einops._reconstruct_from_shape = kept
