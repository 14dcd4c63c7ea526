"""Running a network for a look at it: in which mode, and with no trace left on it."""

import dataclasses
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gasl.errors import InputError
from gasl.structure.parts import modules_of, set_training, tensors_of

__all__ = [
    "eager",
    "named_tensors",
    "output_tensors",
    "undisturbed",
    "unwrapped",
]


def unwrapped(model: nn.Module) -> nn.Module:
    """The network behind any nesting of ``torch.compile``, ``DataParallel`` and ``DistributedDataParallel``.

    Args:
        model: A network, wrapped or not.

    Returns:
        The network itself.

    Raises:
        InputError: If it is no network.

    Example:
        >>> model = nn.Linear(2, 1)
        >>> unwrapped(torch.compile(model, backend="eager")) is model
        True
    """
    given: object = model
    if not isinstance(given, nn.Module):
        got = f"the class {given.__name__}; make one of it" if isinstance(given, type) else type(given).__name__
        raise InputError(f"a network must be an nn.Module, got {got}")
    while True:
        parallel = isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel))
        inner = model.module if parallel else getattr(model, "_orig_mod", model)
        assert isinstance(inner, nn.Module)  # what the wrappers hold
        if inner is model:
            return model
        model = inner


def named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer of a network by name; a tied one under its first name.

    Args:
        model: The network.

    Returns:
        Name to tensor.

    Example:
        >>> list(named_tensors(nn.BatchNorm1d(2, affine=False)))
        ['running_mean', 'running_var', 'num_batches_tracked']
    """
    return tensors_of(model)


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


@contextmanager
def eager() -> Iterator[None]:
    """Run op by op: nothing compiled, and a Transformer layer not as the one op that it otherwise is in evaluation."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.compiler.set_stance("force_eager"), warnings.catch_warnings():
            # a pass that autograd watches, though the user's own does not, warns of what is harmless there
            warnings.filterwarnings("ignore", "Converting a tensor with requires_grad=True to a scalar")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards flags, buffers and random generators are as before.

    Args:
        model: The network that is called inside the block.

    Example:
        >>> model = nn.Dropout()
        >>> with undisturbed(model):
        ...     model.training
        False
        >>> model.training
        True
    """
    flags = {module: module.training for module in modules_of(model).values()}
    buffers = {module: dict(module._buffers) for module in flags if module._buffers}
    held = {id(b): b for own in buffers.values() for b in own.values() if b is not None}
    values = [(buffer, buffer.clone()) for buffer in held.values()]
    devices = {tensor.device for tensor in tensors_of(model).values()}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[d for d in devices if d.type == "cuda"]):
            set_training(model, flags, False)
            yield
    finally:
        for module, training in flags.items():
            vars(module)["training"] = training
        for module, own in buffers.items():
            module._buffers.update(own)
        with torch.no_grad():
            for buffer, value in values:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)
