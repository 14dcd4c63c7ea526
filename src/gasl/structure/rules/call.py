"""One op as it ran, and what a rule is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from gasl.structure.tracer import Tracer

__all__ = ["Call", "Rule"]


@dataclass(frozen=True)
class Call:
    """One op as it ran: ``func(*args, **kwargs)`` with its tensor arguments and tensor results in order."""

    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tensors: list[Tensor]
    results: list[Tensor]

    @property
    def name(self) -> str:
        """The op's name, e.g. ``aten.add``."""
        return str(self.func.overloadpacket)

    @property
    def in_place(self) -> bool:
        """Whether the op writes into one of its arguments."""
        return bool(self.func._schema.is_mutable)

    def argument(self, name: str) -> Any:
        """An argument by its name in the op's schema; its default if it was not given."""
        for position, argument in enumerate(self.func._schema.arguments):
            if argument.name == name:
                given = self.args[position] if position < len(self.args) else argument.default_value
                return self.kwargs.get(name, given)
        return None


Rule = Callable[["Tracer", Call], None]
