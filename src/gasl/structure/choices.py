"""Does a forward choose its path by values? A trace sees one path only, so then nothing can be removed safely."""

from collections.abc import Iterable

import torch
from torch import Tensor

from gasl.structure.calls import Call

__all__ = ["Choices"]

aten = torch.ops.aten
_READS = {aten._local_scalar_dense, aten.equal, aten.nonzero, aten.masked_select, aten.is_nonzero}


class Choices:
    """Follows floating-point values from the input on, and notes when Python reads one.

    What is read of whole numbers and truth values that were given (a mask, a length, a token) is let pass: such a
    forward is taken to go the same way for other inputs of the kind.

    Attributes:
        reason: Why nothing may be removed, or None.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._valued: set[int] = set()

    def enter(self, inputs: Iterable[Tensor]) -> None:
        """Take in the model's inputs."""
        self._valued.update(id(tensor) for tensor in inputs if not _counts(tensor))

    def see(self, call: Call, derived: bool) -> None:
        """Take in an op; ``derived`` if its result may change with the input. Its tensors must be kept alive."""
        valued = any(id(tensor) in self._valued for tensor in call.tensors)
        if valued and call.func.overloadpacket in _READS:
            self.reason = self.reason or f"the forward chooses its path by values ({call.name}); the trace saw one path"
        for result in call.results:
            if valued or (derived and not _counts(result)):
                self._valued.add(id(result))


def _counts(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex())
