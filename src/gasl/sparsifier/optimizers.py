"""What an optimizer holds for each tensor: its step size, and its state."""

from collections.abc import Callable, Iterator, Mapping

from torch import Tensor
from torch.optim import Optimizer

from gasl.errors import InputError

__all__ = ["check_own", "learning_rates", "states_of"]


def learning_rates(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> Callable[[Tensor], float]:
    """A function from a parameter to the learning rate of its param group, as it is now.

    Args:
        optimizer: The optimizer.
        tensors: Parameters by name, for the message.

    Returns:
        The function; it raises InputError for a parameter that is in no group.

    Example:
        >>> import torch
        >>> weight, bias = torch.zeros(2), torch.zeros(1)
        >>> optimizer = torch.optim.SGD([{"params": [weight], "lr": 0.5}], lr=0.1)
        >>> lr = learning_rates(optimizer, {"w": weight, "b": bias})
        >>> lr(weight)
        0.5
        >>> lr(bias)
        Traceback (most recent call last):
        gasl.errors.InputError: parameter 'b' is made sparse but is in no param group of this optimizer; ...
    """
    rates = {id(p): float(group["lr"]) for group in optimizer.param_groups for p in group["params"]}

    def lr(tensor: Tensor) -> float:
        if id(tensor) not in rates:
            name = next(name for name, own in tensors.items() if own is tensor)
            raise InputError(
                f"parameter {name!r} is made sparse but is in no param group of this optimizer; "
                "build the optimizer from sparsifier.param_groups(), or protect its axis"
            )
        return rates[id(tensor)]

    return lr


def states_of(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The optimizer's state of some parameters, kind by kind (momentum, squares, ...), shaped like the parameters.

    Args:
        optimizer: The optimizer.
        tensors: Parameters by name.

    Yields:
        For each kind of state, parameter name to state; what has another shape than its parameter is left out.

    Example:
        >>> import torch
        >>> weight = torch.ones(2, requires_grad=True)
        >>> optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
        >>> weight.sum().backward(); optimizer.step()
        >>> list(states_of(optimizer, {"w": weight}))
        [{'w': tensor([1., 1.])}]
    """
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        for kind, state in optimizer.state.get(tensor, {}).items():
            if isinstance(state, Tensor) and state.shape == tensor.shape:
                found.setdefault(kind, {})[name] = state
    yield from found.values()


def check_own(optimizer: Optimizer, own: Mapping[str, Tensor]) -> None:
    """Refuse an optimizer that holds some of a method's own parameters and lets them decay.

    Args:
        optimizer: The optimizer.
        own: The method's parameters by name.

    Raises:
        InputError: If one is in no group, or in one with weight decay.

    Example:
        >>> import torch
        >>> gate = torch.zeros(2, requires_grad=True)
        >>> check_own(torch.optim.SGD([gate], lr=0.1), {"conv1.log_alpha": gate})
    """
    decay = {id(p): float(group.get("weight_decay", 0.0)) for group in optimizer.param_groups for p in group["params"]}
    for name, tensor in own.items():
        if id(tensor) not in decay:
            reason = "is in no param group of this optimizer"
        elif decay[id(tensor)] > 0:
            reason = f"has a weight decay of {decay[id(tensor)]}, which would pull it to where it means nothing"
        else:
            continue
        raise InputError(
            f"the method's own parameter {name!r} {reason}; build the optimizer from sparsifier.param_groups()"
        )
