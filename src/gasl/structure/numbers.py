"""Where the numbers in a forward come from: Python integers that remember the attribute or the width they stand for.

A forward that writes ``q.view(batch, -1, self.heads, self.width // self.heads)`` holds sizes as Python numbers. To know
which of them follow when units are removed, the traced pass runs with integers that carry their origin: module
attributes and the sizes of labelled tensors are :class:`Number`, and arithmetic on them keeps the expression.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from gasl.structure.parts import modules_of

__all__ = ["Attribute", "Extent", "Leaf", "Number", "leaves_of", "numbered", "value_of"]


@dataclass(frozen=True)
class Attribute:
    """An integer attribute of a module, by its path: ``encoder.layer.0.attention.num_heads``."""

    path: str


@dataclass(frozen=True, eq=False)
class Extent:
    """The size of one dimension of a labelled tensor: it shrinks with the units along it."""

    labels: Tensor
    dim: int


Leaf = Attribute | Extent
Expression = Leaf | tuple[Any, ...]


class Number(int):
    """An integer with the expression that made it.

    Args:
        value: The integer.
        expression: A leaf, or ``(function, operand, ...)`` with numbers as operands.
        floated: Called with every leaf whose value goes on as a float (a scale that follows a width).

    Example:
        >>> heads = Number(4, Attribute("attn.heads"))
        >>> half = 32 // heads
        >>> half, value_of(half, {Attribute("attn.heads"): 2})
        (8, 16)
    """

    expression: Expression
    floated: Callable[[Iterable[Leaf]], None] | None

    def __new__(
        cls, value: int, expression: Expression, floated: Callable[[Iterable[Leaf]], None] | None = None
    ) -> "Number":
        """An ``int`` with two attributes more."""
        number = super().__new__(cls, value)
        number.expression = expression
        number.floated = floated
        return number

    @property
    def attribute(self) -> str | None:
        """The path of the module attribute that this number is as it stands; None if it was computed."""
        return self.expression.path if isinstance(self.expression, Attribute) else None

    def _with(self, function: Callable[[int, int], int], left: int, right: int) -> Any:
        if not all(isinstance(operand, int) for operand in (left, right)):
            self._noted()
            return NotImplemented
        return Number(function(int(left), int(right)), (function, left, right), self.floated)

    def _noted(self) -> None:
        if self.floated is not None:
            self.floated(leaves_of(self))

    def __add__(self, other: Any) -> Any:
        return self._with(operator.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return self._with(operator.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return self._with(operator.sub, self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._with(operator.sub, other, self)

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, (list, tuple)):  # repetition
            return NotImplemented
        return self._with(operator.mul, self, other)

    def __rmul__(self, other: Any) -> Any:
        if isinstance(other, (list, tuple)):
            return NotImplemented
        return self._with(operator.mul, other, self)

    def __floordiv__(self, other: Any) -> Any:
        return self._with(operator.floordiv, self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._with(operator.floordiv, other, self)

    def __mod__(self, other: Any) -> Any:
        return self._with(operator.mod, self, other)

    def __neg__(self) -> Any:
        return self._with(operator.sub, 0, self)

    def __truediv__(self, other: Any) -> Any:
        self._noted()
        return int(self) / other

    def __rtruediv__(self, other: Any) -> Any:
        self._noted()
        return other / int(self)

    def __pow__(self, other: Any, modulo: Any = None) -> Any:
        self._noted()
        return pow(int(self), other, modulo)

    def __rpow__(self, other: Any, modulo: Any = None) -> Any:
        self._noted()
        return pow(other, int(self), modulo)

    def __float__(self) -> float:
        self._noted()
        return float(int(self))

    def __int__(self) -> int:
        return int.__add__(self, 0)

    def __index__(self) -> int:
        return int.__add__(self, 0)

    def __reduce__(self) -> Any:
        return (int, (int(self),))

    def __deepcopy__(self, memo: Any) -> int:
        return int(self)

    def __copy__(self) -> int:
        return int(self)


def leaves_of(number: int) -> tuple[Leaf, ...]:
    """The leaves of a number's expression; none for a plain integer.

    Example:
        >>> leaves_of(Number(3, Attribute("a")) + 1), leaves_of(4)
        ((Attribute(path='a'),), ())
    """
    if not isinstance(number, Number):
        return ()
    if isinstance(number.expression, tuple):
        return tuple(leaf for operand in number.expression[1:] for leaf in leaves_of(operand))
    return (number.expression,)


def value_of(number: int, values: Mapping[Leaf, int]) -> int:
    """A number's value if its leaves had other values; leaves that are not given keep theirs.

    Args:
        number: A plain integer or a :class:`Number`.
        values: New values by leaf.

    Returns:
        The value.

    Raises:
        ZeroDivisionError: If the new values divide by zero.
    """
    if not isinstance(number, Number):
        return int(number)
    if isinstance(number.expression, tuple):
        function, *operands = number.expression
        return int(function(*(value_of(operand, values) for operand in operands)))
    return values.get(number.expression, int(number))


@contextmanager
def numbered(model: nn.Module, floated: Callable[[Iterable[Leaf]], None]) -> Iterator[None]:
    """Inside the block every integer attribute of every module is a :class:`Number` that knows its path.

    Args:
        model: The network; afterwards its attributes are the very objects that they were.
        floated: Called with the leaves of each number that goes on as a float.

    Example:
        >>> layer = nn.Linear(3, 2)
        >>> with numbered(layer, lambda leaves: None):
        ...     leaves_of(layer.in_features)
        (Attribute(path='in_features'),)
        >>> leaves_of(layer.in_features)
        ()
    """
    replaced: list[tuple[dict[str, Any], str, int, Number]] = []
    modules = modules_of(model)
    for path, module in modules.items():
        fields = vars(module)
        for name, value in list(fields.items()):
            if type(value) is int and value > 0 and not name.startswith("_"):
                number = Number(value, Attribute(f"{path}.{name}" if path else name), floated)
                replaced.append((fields, name, value, number))
    try:
        for fields, name, _, number in replaced:
            fields[name] = number
        yield
    finally:
        for fields, name, value, number in replaced:
            if fields.get(name) is number:
                fields[name] = value
        for module in modules.values():  # what the forward itself stored
            fields = vars(module)
            for name, value in list(fields.items()):
                if isinstance(value, Number):
                    fields[name] = int(value)
