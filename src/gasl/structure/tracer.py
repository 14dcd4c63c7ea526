"""Watch one forward pass: hand each op that runs to the rules, which write into the ledger.

Below autograd a ``TorchDispatchMode`` sees the ATen ops that really run, with the very ``Parameter`` objects of the
model. Each op is looked up in the rule table (:mod:`gasl.structure.rules`); what no rule knows protects the units it
touches and says so.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gasl.structure.calls import Call
from gasl.structure.choices import Choices
from gasl.structure.ledger import Ledger
from gasl.structure.rules import apply_rule

__all__ = ["Tracer"]


class Tracer(TorchDispatchMode):
    """Fill a ledger while the model runs.

    Args:
        ledger: Where it is written.
    """

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch has no annotation here
        self.ledger = ledger
        self._choices = Choices()

    def enter_inputs(self, inputs: object) -> None:
        """Give every element of one example a label of its own."""
        offset = 0
        self.ledger.keep(inputs)
        self._choices.enter(tensor for tensor in tree_leaves(inputs) if isinstance(tensor, Tensor))
        for tensor in tree_leaves(inputs):
            if isinstance(tensor, Tensor) and tensor.ndim > 1 and tensor.is_floating_point() and tensor.numel() > 0:
                example = -1 - offset - torch.arange(tensor[0].numel()).reshape(tensor.shape[1:])
                self.ledger.set_labels(tensor, example.unsqueeze(0).expand(tensor.shape))
                offset += example.numel()

    def leave_outputs(self, outputs: Sequence[Tensor]) -> None:
        """Close the ledger with what the model returns."""
        self.ledger.close(outputs, self._choices.reason)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        ledger = self.ledger
        if ledger.looking:
            return out
        tensors = list(_tensors_in(args))
        if kwargs:
            tensors += _tensors_in(list(kwargs.values()))
        results = [out] if isinstance(out, Tensor) else list(_tensors_in(out))
        ledger.keep(tensors, results)
        call = Call(func, args, kwargs or {}, tensors, results)
        chained = ledger.rms.follow(call, ledger.labels, ledger.name)
        for labels in chained or ():
            ledger.classes.protect(labels, "aten.mean runs over the width")
        literal = func is torch.ops.aten.lift_fresh.default  # a tensor that the forward writes down
        by_chance = torch.Tag.nondeterministic_seeded in func.tags
        derived = by_chance or any(ledger.derived(t) for t in tensors if not literal)
        for tensor in tensors:
            ledger.count(tensor, followed=chained is None)
        self._choices.see(call, derived)
        ledger.computed(results + (tensors[:1] if derived and call.in_place else []), derived)
        if derived or not tensors or any(map(ledger.knows, tensors)):
            apply_rule(ledger, call)
        return out


def _tensors_in(values: object) -> Iterator[Tensor]:
    """The tensors in a nesting of lists and tuples, which is all that ops take and give."""
    if isinstance(values, (list, tuple)):
        for value in values:
            if isinstance(value, Tensor):
                yield value
            elif isinstance(value, (list, tuple)):
                yield from _tensors_in(value)
