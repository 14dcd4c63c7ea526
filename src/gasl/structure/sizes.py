"""Sizes as the user's code passes them: the Python call that is running, and the numbers in its arguments."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from gasl.structure.numbers import Extent, Leaf, Number, leaves_of

__all__ = ["Sizes"]

# Functions whose integers are sizes, and those that compute with an integer.
_SIZES = {"view", "reshape", "expand", "repeat", "unflatten", "split", "split_with_sizes", "narrow", "__getitem__"}
_SIZES |= {"zeros", "ones", "empty", "full", "new_zeros", "new_ones", "new_empty", "new_full"}
_ARITHMETIC = {"add", "sub", "mul", "div", "pow", "truediv", "true_divide", "floordiv", "floor_divide"}


class _Running(NamedTuple):
    """The innermost call of a torch function."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def all(self) -> tuple[Any, ...]:
        """Its arguments."""
        return (self.args, self.kwargs)


class Sizes(TorchFunctionMode):
    """Sees every call of a torch function with its arguments as they were written.

    Args:
        extent: For a dimension of a tensor the labels behind its size, or None.
    """

    def __init__(self, extent: Callable[[Tensor, int], tuple[Tensor, int] | None]) -> None:
        super().__init__()
        self.floats: set[Leaf] = set()
        self._extent = extent
        self._call: _Running | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name.strip("_").removeprefix("i").removeprefix("r") in _ARITHMETIC:
            self.floated(leaf for n in args if isinstance(n, Number) for leaf in leaves_of(n))
        outer, self._call = self._call, _Running(name, args, kwargs or {})
        try:
            out = func(*args, **(kwargs or {}))
        finally:
            self._call = outer
        if isinstance(out, torch.Size) and isinstance(args[0], Tensor):
            return self._traced(args[0], out)
        if name == "scaled_dot_product_attention" and (kwargs or {}).get("scale") is None and len(args) < 7:
            self.floated(leaf for n in self._traced(args[0], args[0].shape)[-1:] for leaf in leaves_of(n))
        if func is torch.Tensor.numel:
            return prod(self._traced(args[0], args[0].shape))
        if name == "__len__":  # Python makes a plain integer of it
            self.floated(leaf for n in self._traced(args[0], args[0].shape)[:1] for leaf in leaves_of(n))
        if func is torch.Tensor.size and type(out) is int:
            return self._traced(args[0], args[0].shape)[args[1] if len(args) > 1 else (kwargs or {})["dim"]]
        return out

    def floated(self, leaves: Iterable[Leaf]) -> None:
        """Numbers that went on as floats."""
        self.floats.update(leaves)

    def _traced(self, tensor: Tensor, sizes: Sequence[int]) -> torch.Size:
        found = [self._extent(tensor, d) for d in range(len(sizes))]
        return torch.Size(
            [n if e is None else Number(n, Extent(*e), self.floated) for n, e in zip(sizes, found, strict=True)]
        )

    def given(self, size: int, position: int | None = None, sizes: Sequence[int] = ()) -> int | None:
        """The number that the running call was given for a size.

        Args:
            size: The size as the op got it.
            position: Its place in ``sizes``.
            sizes: All sizes that the op got together.

        Returns:
            A :class:`Number`, a plain integer that the code holds as such, or None if the size follows by itself.
        """
        if self._call is None or self._call.name not in _SIZES:
            return None
        if self._call.name == "unflatten" and position is not None:
            x, dim, parts = self._call.args[0], *(*self._call.args[1:], *self._call.kwargs.values())
            place = position - dim % x.ndim
            return parts[place] if 0 <= place < len(parts) and parts[place] != -1 else None
        if position is not None:
            for sequence in _sequences(self._call.all):
                if len(sequence) == len(sizes) and all(a in (-1, b) for a, b in zip(sequence, sizes, strict=True)):
                    return None if sequence[position] == -1 else sequence[position]
        found = [n for sequence in _sequences(self._call.all) for n in sequence if n == size]
        traced = [n for n in found if isinstance(n, Number)]
        return next(iter(traced or found), None)

    def narrowed(self) -> tuple[int, int] | None:
        """Start and length as they were given to ``narrow``, if that is what runs."""
        if self._call is None or self._call.name != "narrow":
            return None
        start, length = (
            *self._call.args[2:],
            *(self._call.kwargs[k] for k in ("start", "length") if k in self._call.kwargs),
        )
        return start, length

    def attribute(self, size: int, name: str) -> int | None:
        """Like :meth:`given`, for one integer argument: an attribute of that name first."""
        call = () if self._call is None else self._call.all
        numbers = [n for sequence in _sequences(call) for n in sequence if n == size]
        traced = [n for n in numbers if isinstance(n, Number)]
        named = [n for n in traced if n.attribute is not None and n.attribute.rpartition(".")[2] == name]
        return next(iter(named or traced or numbers), None)


def _sequences(value: Any) -> Iterator[Sequence[int]]:
    """Every sequence of integers in a nesting of arguments; integers side by side count as one."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, slice):
        value = [n for n in (value.start, value.stop, value.step) if n is not None]
    if not isinstance(value, (list, tuple)):
        return
    run: list[int] = []
    for entry in value:
        if isinstance(entry, int) and not isinstance(entry, bool):
            run.append(entry)
            continue
        yield from _sequences(entry)
    if run:
        yield run
