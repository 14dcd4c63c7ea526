"""Carry out a plan on a copy of the model."""

import copy

import torch
from torch import Tensor, nn

from gasl.errors import InputError
from gasl.removal.plan import Plan
from gasl.removal.resize import fit_attributes, set_gather, set_tensors
from gasl.structure.running import named_tensors

__all__ = ["apply_plan", "duplicate"]


def duplicate(model: nn.Module) -> nn.Module:
    """A deep copy of a model, also of one that still holds activations of its last pass.

    Raises:
        InputError: If something else in it cannot be copied.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> layer.last = layer(torch.ones(1))
        >>> duplicate(layer).last.requires_grad
        False
    """
    held = [value for module in model.modules() for value in vars(module).values() if isinstance(value, Tensor)]
    try:
        return copy.deepcopy(model, {id(tensor): tensor.detach().clone() for tensor in held if not tensor.is_leaf})
    except (RuntimeError, TypeError) as error:
        raise InputError(f"{type(model).__name__} cannot be copied: {error}") from error


@torch.no_grad()
def apply_plan(model: nn.Module, plan: Plan) -> nn.Module:
    """A smaller copy of the model; the model itself is not touched.

    Args:
        model: The network that the plan was made for.
        plan: What to keep.

    Returns:
        A network of the same class, with the same names in the same order (and a bias more where a constant had to
        go somewhere).
    """
    small = duplicate(model)
    small.zero_grad(set_to_none=True)
    source = named_tensors(small)
    changed: dict[str, Tensor] = {}
    for fold in plan.folds:
        weight = source[fold.weight]
        summed = weight.flatten(2).sum(dim=2) if weight.ndim > 2 else weight
        columns = fold.columns.to(weight.device)
        shift = summed[:, columns] @ fold.value.to(weight)
        old = changed.get(fold.bias, source.get(fold.bias))
        changed[fold.bias] = shift if old is None else old + shift
    for (name, dim), index in plan.keep.items():
        tensor = changed.get(name, source[name])
        changed[name] = tensor.index_select(dim, index.to(tensor.device))
    for fold in plan.folds:  # a bias that was made has no plan of its own: it follows the rows of its weight
        rows = plan.keep.get((fold.weight, 0))
        if fold.bias not in source and rows is not None:
            changed[fold.bias] = changed[fold.bias][rows.to(changed[fold.bias].device)]
    set_tensors(small, {name: tensor.detach().clone() for name, tensor in changed.items()})
    for module, index in plan.gathers.items():
        set_gather(small, module, index)
    fit_attributes(small)
    return small
