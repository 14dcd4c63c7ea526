"""Constants that depend on the size of the input: right at the example's size alone, so they cannot be folded."""

from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gasl.errors import InputError
from gasl.removal.apply import duplicate
from gasl.removal.liveness import liveness
from gasl.structure.affine import Affine
from gasl.structure.axes import Structure
from gasl.structure.inputs import ExampleInputs, repeated
from gasl.structure.running import named_tensors, unwrapped
from gasl.structure.trace import trace, traced

__all__ = ["steadily_traced"]

_MOVED, _ROUNDING = 1e-3, 1e-6  # of a constant; of the largest that the same layer reads


def steadily_traced(model: nn.Module, example_inputs: ExampleInputs) -> tuple[Structure, object]:
    """Trace a network, and let a constant that comes out otherwise at another size of the input count as no constant.

    A dead unit's constant is read from the trace, at the example's size. Summed over the places of an image, or out of
    a softmax over time, it is another at another size. Where a constant other than 0 would be folded, the network is
    traced again with half of each size of its inputs, or with twice as much where it does not take half; a network that
    takes neither has its constants at this size. Dimensions that are equal change together, or else one by one.

    Args:
        model: As for :func:`gasl.trace`.
        example_inputs: As for :func:`gasl.trace`.

    Returns:
        The structure, in which such constants have a spread, and the outputs, as of
        :func:`gasl.structure.trace.traced`.

    Raises:
        InputError: As for :func:`gasl.trace`.

    Example:
        >>> class Sum(nn.Sequential):
        ...     def forward(self, x):
        ...         return self[1](torch.sigmoid(self[0](x)).sum(1))
        >>> model = Sum(nn.Linear(4, 8), nn.Linear(8, 3))
        >>> _ = nn.init.zeros_(model[0].weight[:2])
        >>> structure, _ = steadily_traced(model, torch.randn(2, 6, 4))
        >>> liveness(named_tensors(model), structure).counts["0"]
        8
    """
    structure, outputs = traced(model, example_inputs)
    network = unwrapped(model)
    if not _folds_a_number(structure, named_tensors(network)):
        return structure, outputs
    affines = structure.affines
    for other in _at_other_sizes(network, example_inputs):
        if len(other.affines) == len(affines) and all(map(_alike, affines, other.affines)):
            affines = tuple(map(_moved, affines, other.affines))
    return replace(structure, affines=affines), outputs


def _folds_a_number(structure: Structure, tensors: dict[str, Tensor]) -> bool:
    numbers = [((affine.value != 0) & (affine.labels > 0)).cpu() for affine in structure.affines]
    if not any(bool(columns.any()) for columns in numbers):
        return False
    return any(bool((a & b).any()) for a, b in zip(numbers, liveness(tensors, structure).folded, strict=True))


def _at_other_sizes(model: nn.Module, example_inputs: ExampleInputs) -> Iterator[Structure]:
    """Traces at all other sizes at which a network runs; of a copy with its own tensors, since code may keep sizes."""
    tensors = [leaf for leaf in tree_leaves(example_inputs) if isinstance(leaf, Tensor)]
    places: dict[int, set[int]] = {}
    for size, dim in ((size, dim) for tensor in tensors for dim, size in enumerate(tensor.shape) if size > 1):
        places.setdefault(size, set()).add(dim)
    with suppress(InputError):  # it cannot be copied
        copy = duplicate(model, {id(tensor): tensor for tensor in named_tensors(model).values()})
        for size, dims in sorted(places.items()):
            if (together := _at_another_size(copy, example_inputs, size, dims)) is not None:
                yield together
            elif len(dims) > 1:
                yield from filter(None, (_at_another_size(copy, example_inputs, size, {dim}) for dim in sorted(dims)))


def _at_another_size(model: nn.Module, example_inputs: ExampleInputs, size: int, dims: Set[int]) -> Structure | None:
    for wanted in (2 * size,) if size % 2 else (size // 2, 2 * size):
        with suppress(InputError):  # it does not run at this size
            return trace(model, repeated(example_inputs, size, wanted, dims))
    return None


def _alike(affine: Affine, other: Affine) -> bool:
    """Whether two notes are of the same call."""
    same = (affine.weight, affine.side, affine.rows.shape) == (other.weight, other.side, other.rows.shape)
    return same and torch.equal(affine.rows, other.rows) and torch.equal(affine.labels, other.labels)


def _moved(affine: Affine, other: Affine) -> Affine:
    """The same call, of which constants that differ have a spread."""
    here, there = affine.value.abs(), other.value.abs()
    gap = (affine.value - other.value).abs()
    moved = gap > _MOVED * torch.maximum(here, there) + _ROUNDING * here.max()
    return replace(affine, spread=torch.where(moved, torch.maximum(affine.spread, gap), affine.spread))
