"""One op of the forward pass, as it ran."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Call"]


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

    def again(self, tensor: Tensor) -> Any:
        """The same op with another tensor in the place of its first argument; a view that needs no fitting strides."""
        return _LENIENT.get(self.func.overloadpacket, self.func)(tensor, *self.args[1:], **self.kwargs)

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


aten = torch.ops.aten
_LENIENT = {
    aten.view: aten.reshape,
    aten._unsafe_view: aten.reshape,
    aten.transpose_: aten.transpose,
    aten.unsafe_split: aten.split,
    aten.unsafe_split_with_sizes: aten.split_with_sizes,
}
