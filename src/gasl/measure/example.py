"""How a network is called for measuring: its example inputs at any batch size."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from operator import index
from typing import Any, Self, SupportsIndex

import torch
from torch import Tensor, nn

from gasl.errors import InputError
from gasl.structure.checks import checked
from gasl.structure.inputs import copied

__all__ = ["Example", "tensors_in"]


@dataclass(frozen=True, eq=False)
class Example:
    """Arguments for one call of a network, whose dimension 0 is the batch.

    A tensor belongs to the batch when its first dimension has the batch's size; everything else (numbers, masks of
    another shape) goes along as it is.

    Attributes:
        args: Positional arguments.
        kwargs: Arguments by name.
        batch: Size of dimension 0 of the first tensor.

    Example:
        >>> example = Example.of(torch.zeros(2, 3))
        >>> example.batch, example.at(5).args[0].shape
        (2, torch.Size([5, 3]))
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    batch: int

    @classmethod
    def of(cls, example_inputs: object) -> Self:
        """Take a tensor, a tuple or list of arguments, or a mapping of named arguments.

        Args:
            example_inputs: What the network is called with.

        Returns:
            The same as one call.

        Raises:
            InputError: If there is no tensor with a batch dimension of at least 1 in it.
        """
        args: tuple[Any, ...] = ()
        kwargs: dict[str, Any] = {}
        if isinstance(example_inputs, Mapping):
            kwargs = dict(example_inputs)
        elif isinstance(example_inputs, tuple | list):
            args = tuple(example_inputs)
        else:
            args = (example_inputs,)
        batch = next((t.shape[0] for t in tensors_in((args, kwargs)) if t.ndim > 0), 0)
        if batch == 0:
            raise InputError(
                "example_inputs must hold a tensor whose dimension 0 is a batch of 1 or more, got"
                f" {_outline(example_inputs)}; give one tensor, a tuple of arguments, or a dict of named arguments"
            )
        return cls(args, kwargs, batch)

    def at(self, batch: int) -> Self:
        """The same call with another batch size: examples are cut off, or repeated in their order.

        Args:
            batch: Number of examples, 1 or more.

        Returns:
            A new example.

        Raises:
            InputError: If ``batch`` is no whole number, below 1, or more than the memory holds.
        """
        if not isinstance(batch, SupportsIndex) or index(batch) < 1:
            raise InputError(f"batch must be 1 or more, a whole number, got {batch!r}")
        batch = index(batch)
        if batch == self.batch:
            return self
        try:
            args, kwargs = _resized((self.args, self.kwargs), self.batch, batch)
        except (RuntimeError, MemoryError) as error:
            raise InputError(f"{batch} examples do not fit into the memory; take a smaller batch") from error
        return replace(self, args=args, kwargs=kwargs, batch=batch)

    def on(self, model: nn.Module) -> Self:
        """The same call in fresh tensors, on the device and in the floating type of a network.

        Args:
            model: The network that will be called.

        Returns:
            A new example.

        Raises:
            InputError: If the network cannot be run as it is: on the meta device, compiled by TorchScript and the like.

        Example:
            >>> Example.of(torch.zeros(2, 3)).on(nn.Linear(3, 1).double()).args[0].dtype
            torch.float64
        """
        checked(model)
        fresh: Any = copied([self.args, self.kwargs], model)
        return replace(self, args=fresh[0], kwargs=fresh[1])

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor among the arguments."""
        return tensors_in((self.args, self.kwargs))

    def run(self, model: nn.Module) -> Any:
        """Call the network once.

        Raises:
            InputError: If it does not take these inputs; the network's own error is the cause.
        """
        try:
            return model(*self.args, **self.kwargs)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            shapes = [tuple(tensor.shape) for tensor in self.tensors()]
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"the network does not run on example inputs of shapes {shapes}: {first}") from error


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Every tensor in nested lists, tuples and mappings, in their order.

    Args:
        value: Arguments or results of a call.

    Yields:
        The tensors.

    Example:
        >>> [t.item() for t in tensors_in({"x": torch.tensor(1), "more": [torch.tensor(2), "text"]})]
        [1, 2]
    """
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_in(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_in(part)


def _resized(value: Any, old: int, new: int) -> Any:
    if isinstance(value, Tensor):
        if value.ndim == 0 or value.shape[0] != old:
            return value
        return value[torch.arange(new, device=value.device) % old]
    if isinstance(value, Mapping):
        return {key: _resized(part, old, new) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_resized(part, old, new) for part in value)
    return value


def _outline(value: object) -> str:
    shapes = [tuple(t.shape) for t in tensors_in(value)]
    return (
        f"{type(value).__name__} with tensors of shape {shapes}"
        if shapes
        else f"{type(value).__name__} without a tensor"
    )
