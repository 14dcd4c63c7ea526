"""Other tensors where a network's modules read their parameters, while a method's posterior is attached.

Each module that owns a replaced parameter gets a subclass of its own class in which the parameter's name is a property,
so that ``module.weight`` is what the posterior makes of the weight: in a layer's own forward, in attention that takes
weights as arguments, wherever it is read (of ``nn.LSTM`` and its kin only in their forward). The parameter itself keeps
its name, its place in ``state_dict`` and its identity; the posterior is the network's last child. :func:`restore` gives
every module its class back.
"""

import functools
import types
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from torch import Tensor, nn

__all__ = ["CHILD", "Replacement", "Run", "attached", "replace", "restore"]

CHILD = "_gasl"  # the name under which a posterior is part of the network

Run = Callable[[Tensor, Tensor, Tensor | None], Tensor]  # inputs, weight, bias -> outputs


class Replacement(Protocol):
    """What stands in for parameters."""

    def effective(self, name: str, tensor: Tensor, training: bool) -> Tensor:
        """What is read in place of a parameter, in training or in test mode."""

    def layer(self, name: str, run: Run, inputs: Tensor) -> Tensor:
        """The training forward of the layer whose weight has this name; ``run`` is the layer with tensors given."""


@dataclass(eq=False)
class _Link:
    """From a module to what stands in for its parameters."""

    source: Replacement
    names: dict[str, str]  # of each replaced attribute, the parameter's name in the network
    given: dict[str, Tensor | None] = field(default_factory=dict)  # set while a layer runs with tensors given


def replace(model: nn.Module, source: nn.Module, names: Collection[str], noisy: Collection[str] = ()) -> None:
    """Let the network read what a posterior makes of its parameters.

    Args:
        model: The network; the posterior becomes its last child.
        source: The posterior, a :class:`Replacement`.
        names: The parameters that it replaces, by their first name in the network.
        noisy: Those of them that are weights of layers whose whole training forward is the posterior's.

    Example:
        >>> import torch
        >>> class Half(nn.Module):
        ...     def effective(self, name, tensor, training):
        ...         return tensor / 2
        >>> layer = nn.Linear(1, 1, bias=False)
        >>> replace(layer, Half(), ["weight"])
        >>> bool(layer(torch.ones(1, 1)) == next(layer.parameters()) / 2), list(layer.state_dict())
        (True, ['weight'])
        >>> type(restore(layer)).__name__, type(layer).__name__
        ('Half', 'Linear')
    """
    first = {id(parameter): name for name, parameter in model.named_parameters()}
    wanted, loud = set(names), set(noisy)
    for module in list(model.modules()):
        owned = {attribute: first[id(p)] for attribute, p in module._parameters.items() if p is not None}
        mine = {attribute: name for attribute, name in owned.items() if name in wanted}
        if not mine:
            continue
        is_noisy = owned.get("weight") in loud
        attributes = tuple(sorted({*mine, *(("weight", "bias") if is_noisy else ())}))
        cast(Any, module)._replaced = _Link(cast(Replacement, source), mine)
        module.__class__ = _subclass(cast(Any, type(module)), attributes, is_noisy)
    model.add_module(CHILD, source)


def restore(model: nn.Module) -> nn.Module | None:
    """Take the posterior off a network, or off a copy of one; every module gets its class back.

    Args:
        model: The network.

    Returns:
        The posterior; None if there is none.
    """
    for module in model.modules():
        if "_replaced" in vars(module):
            module.__class__ = type(module).__bases__[0]
            del module._replaced
    return model._modules.pop(CHILD, None)


def attached(model: nn.Module) -> bool:
    """Whether a posterior is part of a network.

    Args:
        model: The network.

    Returns:
        Whether one is.

    Example:
        >>> attached(nn.Linear(1, 1))
        False
    """
    return CHILD in model._modules


@functools.cache
def _subclass(base: type[nn.Module], attributes: tuple[str, ...], noisy: bool) -> type[nn.Module]:
    body: dict[str, Any] = {"__module__": base.__module__}
    if issubclass(base, nn.RNNBase):
        body["forward"] = _recurrent(base)
    else:
        body |= {name: property(functools.partial(_read, attribute=name)) for name in attributes}
        body |= {"forward": _noisy(base)} if noisy else {}
    body["__reduce_ex__"] = _reduced(base, attributes, noisy)
    made: type[nn.Module] = types.new_class(
        f"Replaced{base.__name__}", (base,), {}, lambda namespace: namespace.update(body)
    )
    return made


def _blank(base: type[nn.Module], attributes: tuple[str, ...], noisy: bool) -> nn.Module:
    kind = _subclass(cast(Any, base), attributes, noisy)
    return kind.__new__(kind)


def _reduced(base: type[nn.Module], attributes: tuple[str, ...], noisy: bool) -> Callable[..., Any]:
    """A class that stands in no module is not found by its name: pickle and copy make it anew."""

    def reduce(self: nn.Module, protocol: Any) -> Any:
        how = base.__reduce_ex__(self, protocol)
        return (_blank, (base, attributes, noisy), *how[2:]) if how[1] == (type(self),) else how

    return reduce


def _read(module: nn.Module, attribute: str) -> Tensor | None:
    link: _Link = vars(module)["_replaced"]
    if attribute in link.given:
        return link.given[attribute]
    tensor = module._parameters[attribute]
    if tensor is None or attribute not in link.names:
        return tensor
    return link.source.effective(link.names[attribute], tensor, module.training)


def _noisy(base: type[nn.Module]) -> Callable[..., Tensor]:
    def forward(self: nn.Module, inputs: Tensor, *more: Any, **options: Any) -> Tensor:
        if not self.training:
            return cast(Tensor, base.forward(self, inputs, *more, **options))
        link: _Link = vars(self)["_replaced"]

        def run(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            link.given = {"weight": weight, "bias": bias}
            try:
                return cast(Tensor, base.forward(self, inputs, *more, **options))
            finally:
                link.given = {}

        return link.source.layer(link.names["weight"], run, inputs)

    return forward


def _recurrent(base: type[nn.RNNBase]) -> Callable[..., Any]:
    """A recurrent layer reads its weights from a list of its own, which it also fills when it is copied or moved."""

    def forward(self: nn.RNNBase, *inputs: Any, **options: Any) -> Any:
        kept: list[Tensor | None] = self._flat_weights
        self._flat_weights = [_read(self, name) for name in self._flat_weights_names]
        try:
            return base.forward(self, *inputs, **options)
        finally:
            self._flat_weights = kept

    return forward
