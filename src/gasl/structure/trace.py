"""``gasl.trace``: one forward pass in, the removable structure out."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from gasl.errors import InputError
from gasl.structure.assemble import assemble
from gasl.structure.axes import Structure
from gasl.structure.gather import GatherLinear
from gasl.structure.tracer import Tracer

__all__ = ["ExampleInputs", "call", "copied", "eval_mode", "output_tensors", "plain", "trace"]

ExampleInputs = Tensor | Sequence[object] | Mapping[str, object]


def plain(model: nn.Module) -> nn.Module:
    """The module behind a ``torch.compile`` wrapper, else the model itself."""
    inner = getattr(model, "_orig_mod", model)
    assert isinstance(inner, nn.Module)  # what torch.compile wraps
    return inner


def copied(example_inputs: ExampleInputs) -> ExampleInputs:
    """Example inputs that a forward may overwrite."""

    def copy(leaf: object) -> object:
        return leaf.detach().clone().requires_grad_(leaf.requires_grad) if isinstance(leaf, Tensor) else leaf

    given = dict(example_inputs) if isinstance(example_inputs, Mapping) else example_inputs
    fresh: ExampleInputs = tree_map(copy, given)
    return fresh


def output_tensors(outputs: object) -> list[Tensor]:
    """The tensors that a model returned, in order.

    Args:
        outputs: A tensor, or lists, tuples, dicts and dataclasses of tensors and plain values.

    Returns:
        The tensors.

    Raises:
        InputError: If something else is in it: a tensor could hide there, and its units would seem to be unused.

    Example:
        >>> [t.item() for t in output_tensors({"scores": torch.tensor(1.0), "names": ["a"]})]
        [1.0]
    """
    tensors: list[Tensor] = []
    for leaf in tree_leaves(outputs):
        if isinstance(leaf, Tensor):
            tensors.append(leaf)
        elif dataclasses.is_dataclass(leaf) and not isinstance(leaf, type):
            tensors += output_tensors([getattr(leaf, field.name) for field in dataclasses.fields(leaf)])
        elif not (leaf is None or isinstance(leaf, (bool, int, float, complex, str, bytes, torch.dtype, torch.device))):
            raise InputError(
                f"the model returns a {type(leaf).__name__}, which may hold tensors unseen; "
                "it must return tensors, or lists, tuples, dicts or dataclasses of them"
            )
    return tensors


def call(model: nn.Module, example_inputs: ExampleInputs) -> object:
    """Run a model on its example inputs: one tensor, a sequence of arguments, or a mapping of keyword arguments."""
    if isinstance(example_inputs, Tensor):
        return model(example_inputs)
    if isinstance(example_inputs, Mapping):
        return model(**example_inputs)
    return model(*example_inputs)


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards every training flag, every buffer and the random state are as before."""
    flags = {module: module.training for module in model.modules()}
    buffers = {module: dict(module._buffers) for module in flags}
    values = [(buffer, buffer.clone()) for buffer in model.buffers()]
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
            module._buffers.update(buffers[module])
        with torch.no_grad():
            for buffer, value in values:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)


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
    model = plain(model)
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    names = {id(tensor): name for name, tensor in tensors.items()}
    tracer = Tracer(
        tensors, {names[id(m.index)]: names[id(m.weight)] for m in model.modules() if isinstance(m, GatherLinear)}
    )
    with eval_mode(model), torch.enable_grad():
        inputs = copied(example_inputs)
        tracer.enter_inputs(inputs)
        try:
            with tracer:
                outputs = call(model, inputs)
        except Exception as error:  # the user's own code: it can raise anything
            shapes = [tuple(t.shape) for t in tree_leaves(inputs) if isinstance(t, Tensor)]
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"the model does not run on example_inputs of shapes {shapes}: {first}") from error
        if not (returned := output_tensors(outputs)):
            raise InputError("the model returns no tensor: there is nothing that its units could matter for")
        tracer.leave_outputs(returned)
    return assemble(model, tracer)
