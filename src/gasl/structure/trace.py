"""``gasl.trace``: one forward pass in, the removable structure out."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gasl.errors import InputError
from gasl.structure.assemble import assemble
from gasl.structure.axes import Structure
from gasl.structure.gather import GatherLinear
from gasl.structure.tracer import Tracer

__all__ = ["ExampleInputs", "call", "eval_mode", "plain", "trace"]

ExampleInputs = Tensor | Sequence[object] | Mapping[str, object]


def plain(model: nn.Module) -> nn.Module:
    """The module behind a ``torch.compile`` wrapper, else the model itself."""
    inner = getattr(model, "_orig_mod", model)
    assert isinstance(inner, nn.Module)  # what torch.compile wraps
    return inner


def call(model: nn.Module, example_inputs: ExampleInputs) -> object:
    """Run a model on its example inputs: one tensor, a sequence of arguments, or a mapping of keyword arguments."""
    if isinstance(example_inputs, Tensor):
        return model(example_inputs)
    if isinstance(example_inputs, Mapping):
        return model(**example_inputs)
    return model(*example_inputs)


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards every training flag and the random state are as before."""
    flags = {module: module.training for module in model.modules()}
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # else a whole Transformer layer is one op
    try:
        with torch.random.fork_rng():
            model.eval()
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, training in flags.items():
            module.training = training


def trace(model: nn.Module, example_inputs: ExampleInputs) -> Structure:
    """Find every axis of a network whose units can be removed whole.

    One forward pass in evaluation mode is watched op by op; the model is left as it was. Nothing depends on the
    batch size of the example, but what is spatial should have its usual size.

    Args:
        model: Any module; a ``torch.compile`` wrapper is looked through.
        example_inputs: One tensor, a sequence of positional arguments, or a mapping of keyword arguments.

    Returns:
        The structure; print it to see axes, members, and what is protected and why.

    Raises:
        InputError: If the model does not run on the example inputs.

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
    model = plain(model)
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    gathers = frozenset(f"{n}.index".lstrip(".") for n, m in model.named_modules() if isinstance(m, GatherLinear))
    tracer = Tracer(tensors, gathers)
    with eval_mode(model), torch.enable_grad():
        tracer.enter_inputs(example_inputs)
        try:
            with tracer:
                outputs = call(model, example_inputs)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            shapes = [tuple(t.shape) for t in tree_leaves(example_inputs) if isinstance(t, Tensor)]
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"the model does not run on example_inputs of shapes {shapes}: {first}") from error
        tracer.leave_outputs(outputs)
    return assemble(model, tracer)
