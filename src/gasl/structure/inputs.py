"""Example inputs: what a network is called with, copied, drawn anew, or of another size."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from gasl.errors import InputError

__all__ = ["SIDE", "ExampleInputs", "arguments", "call", "copied", "fewer_places", "noise_like", "repeated"]

SIDE = 64  # places a side that are enough to look at

ExampleInputs = Tensor | Sequence[object] | Mapping[str, object]


def copied(example_inputs: ExampleInputs, model: nn.Module) -> ExampleInputs:
    """Example inputs that a forward may overwrite, on the device and in the floating type of the network.

    Args:
        example_inputs: One tensor, a sequence of arguments, or a mapping of keyword arguments.
        model: The network; a trainer may have moved or converted it since the inputs were made.

    Returns:
        The same in fresh tensors.

    Raises:
        InputError: If they are of another kind, or hold no example.

    Example:
        >>> copied(torch.zeros(1), nn.Linear(1, 1).double()).dtype
        torch.float64
    """
    if not isinstance(example_inputs, Tensor | Sequence | Mapping) or isinstance(example_inputs, str):
        kind = type(example_inputs).__name__
        raise InputError(f"example_inputs must be a tensor, a tuple of arguments or a dict of named ones, got {kind}")
    first = next((leaf for leaf in tree_leaves(example_inputs) if isinstance(leaf, Tensor)), None)
    if first is not None and first.ndim > 0 and len(first) == 0:
        raise InputError(f"example_inputs must hold at least one example, got a tensor of shape {tuple(first.shape)}")
    like = next((p for p in model.parameters() if p.is_floating_point()), None)

    def copy(leaf: object) -> object:
        if not isinstance(leaf, Tensor):
            return leaf
        fresh = leaf.detach().clone()
        if like is not None:
            fresh = fresh.to(like.device, like.dtype if leaf.is_floating_point() else None)
        return fresh.requires_grad_(leaf.requires_grad)

    given = dict(example_inputs) if isinstance(example_inputs, Mapping) else example_inputs
    fresh: ExampleInputs = tree_map(copy, given)
    return fresh


def call(model: nn.Module, example_inputs: ExampleInputs) -> object:
    """Run a model on its example inputs: one tensor, a sequence of arguments, or a mapping of keyword arguments."""
    args, kwargs = arguments(example_inputs)
    return model(*args, **kwargs)


def arguments(example_inputs: ExampleInputs) -> tuple[tuple[object, ...], dict[str, object]]:
    """Example inputs as positional and keyword arguments."""
    if isinstance(example_inputs, Tensor):
        return (example_inputs,), {}
    if isinstance(example_inputs, Mapping):
        return (), dict(example_inputs)
    return tuple(example_inputs), {}


def noise_like(example_inputs: ExampleInputs, seed: int = 0) -> ExampleInputs:
    """Example inputs with standard normal numbers in their floating tensors; what else is in them stays.

    Args:
        example_inputs: What :func:`copied` takes.
        seed: Of the numbers.

    Returns:
        The same in fresh tensors.

    Example:
        >>> x, index = noise_like([torch.zeros(3), torch.tensor([2])])
        >>> bool(x.abs().min() > 0), index
        (True, tensor([2]))
    """
    generator = torch.Generator().manual_seed(seed)

    def noise(leaf: object) -> object:
        if isinstance(leaf, Tensor) and leaf.is_floating_point():
            return torch.randn(leaf.shape, generator=generator, dtype=torch.float32).to(leaf)
        return leaf

    noisy: ExampleInputs = tree_map(noise, example_inputs)
    return noisy


def fewer_places(example_inputs: ExampleInputs, side: int | None = None) -> ExampleInputs | None:
    """The corner of images and volumes, of about half their size a side: a multiple of 32, and 64 at least.

    Args:
        example_inputs: What :func:`copied` takes.
        side: Another size a side.

    Returns:
        Views of the same; None where no tensor is so large, or another one has places too.

    Example:
        >>> fewer_places(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 3, 128, 128])
    """
    tensors = [leaf for leaf in tree_leaves(example_inputs) if isinstance(leaf, Tensor)]
    images = [t for t in tensors if t.is_floating_point() and t.ndim in (4, 5) and min(t.shape[2:]) >= 2 * SIDE]
    if not images or any(t.ndim > 2 and not any(t is image for image in images) for t in tensors):
        return None

    def corner(leaf: object) -> object:
        if isinstance(leaf, Tensor) and leaf.ndim > 2:
            for d in range(2, leaf.ndim):
                leaf = leaf.narrow(d, 0, side or -(-leaf.shape[d] // SIDE) * (SIDE // 2))
        return leaf

    fewer: ExampleInputs = tree_map(corner, example_inputs)
    return fewer


def repeated(example_inputs: ExampleInputs, size: int, wanted: int, dims: Collection[int]) -> ExampleInputs:
    """Example inputs with another size: cut to it, or going on from the start.

    Args:
        example_inputs: What :func:`copied` takes.
        size: The size of the dimensions that change.
        wanted: The one that they are to have.
        dims: Dimensions that may change.

    Returns:
        The same in fresh tensors.

    Example:
        >>> repeated(torch.tensor([[1, 2, 3]]), 3, 5, [0, 1])
        tensor([[1, 2, 3, 1, 2]])
    """

    def change(leaf: object) -> object:
        if isinstance(leaf, Tensor):
            for dim in dims:
                if dim < leaf.ndim and leaf.shape[dim] == size:
                    leaf = leaf.index_select(dim, torch.arange(wanted, device=leaf.device) % size)
        return leaf

    changed: ExampleInputs = tree_map(change, example_inputs)
    return changed
