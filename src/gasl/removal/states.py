"""An optimizer's state of the weights that stay."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._pytree import tree_leaves

from gasl.errors import InputError
from gasl.removal.apply import Cut, cut

__all__ = ["StateChange", "optimizers_of", "smaller_states"]

# Adafactor's, of PyTorch and of Transformers: means of the squared gradient along the last dimension and the one before
_FACTORED = (("row_var", "col_var"), ("exp_avg_sq_row", "exp_avg_sq_col"))
_ITERATES = ("ax", "z")  # a second set of weights: that of ASGD, and of schedule-free optimizers
_REFUSED = {
    "LBFGS": "its directions run through all weights at once",
    "ZeroRedundancyOptimizer": "each process holds a part of its state",
}


@dataclass(frozen=True, eq=False)
class StateChange:
    """One entry of an optimizer's state and what it becomes."""

    state: dict[str, Any]
    kind: str
    value: Tensor


def optimizers_of(optimizer: Optimizer | Iterable[Optimizer] | None) -> list[Optimizer]:
    """The optimizers that were given, without the wrappers that trainers put around them.

    Raises:
        InputError: If something else was given, or one whose state cannot be cut.

    Example:
        >>> optimizers_of(torch.optim.LBFGS([torch.zeros(2, requires_grad=True)]))
        Traceback (most recent call last):
        gasl.errors.InputError: the state of LBFGS cannot be cut: its directions run through all weights at once; ...
    """
    given: list[object] = [] if optimizer is None else [optimizer]
    if isinstance(optimizer, Iterable) and not hasattr(optimizer, "param_groups"):
        given = list(optimizer)
    found: list[Optimizer] = []
    for one in given:
        while hasattr(inner := getattr(one, "optimizer", None), "param_groups"):
            one = inner
        if not isinstance(one, Optimizer):
            raise InputError(f"optimizer takes torch optimizers, got {type(one).__name__}")
        for name in (kind.__name__ for kind in type(one).__mro__):
            if name in _REFUSED:
                raise InputError(
                    f"the state of {name} cannot be cut: {_REFUSED[name]}; leave it out here and build it anew "
                    "afterwards, or shrink with another optimizer"
                )
        found.append(one)
    return found


def smaller_states(
    optimizers: Sequence[Optimizer],
    tensors: Mapping[str, Tensor],
    cuts: Mapping[str, Sequence[Cut]],
    shifts: Mapping[str, Tensor] | None = None,
) -> list[StateChange]:
    """What the optimizers remember of each weight, cut like the weight. Nothing is written to.

    State of a weight's own shape is cut as it is: momentum, averages, squares. Adafactor's factored squares are means
    over what is cut away too; they are rescaled so that the squares that they estimate for the weights that stay are
    the same as before. Single numbers stay. An average of the weights takes up folded constants like the weights.

    Args:
        optimizers: The optimizers.
        tensors: The network's parameters by name.
        cuts: By name what stays of each.
        shifts: By name of a bias the constants that were added to what stays of it.

    Returns:
        The changes to make.

    Raises:
        InputError: If an optimizer has none of the network's parameters, or keeps state of another kind.

    Example:
        >>> weight = torch.ones(3, requires_grad=True)
        >>> optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
        >>> (weight * torch.arange(3.0)).sum().backward(); optimizer.step()
        >>> (change,) = smaller_states([optimizer], {"w": weight}, {"w": [(0, torch.tensor([0, 2]))]})
        >>> change.kind, change.value
        ('momentum_buffer', tensor([0., 2.]))
    """
    changes = []
    for optimizer in optimizers:
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if not any(id(tensor) in held for tensor in tensors.values()):
            raise InputError(
                f"this {type(optimizer).__name__} holds no parameter of the network; give the one that does"
            )
        for name, tensor in tensors.items():
            state, shift = optimizer.state.get(tensor), (shifts or {}).get(name)
            if not state or (name not in cuts and shift is None):
                continue
            for kind, value in _cut_state(optimizer, name, tensor, state, cuts.get(name, ())).items():
                moved = value + shift if kind in _ITERATES and shift is not None else value
                changes.append(StateChange(state, kind, moved))
    return changes


@torch.no_grad()
def _cut_state(
    optimizer: Optimizer, name: str, tensor: Tensor, state: Mapping[str, object], cuts: Sequence[Cut]
) -> dict[str, Tensor]:
    changed: dict[str, Tensor] = {}
    for row, col in _FACTORED:
        rows, cols = state.get(row), state.get(col)
        if isinstance(rows, Tensor) and isinstance(cols, Tensor):
            kept = rows.ndim == tensor.ndim
            wide = (rows, cols) if kept else (rows.unsqueeze(-1), cols.unsqueeze(-2))
            shapes = ((*tensor.shape[:-1], 1), (*tensor.shape[:-2], 1, tensor.shape[-1]))
            if tuple(tuple(part.shape) for part in wide) == shapes:
                small = _cut_factors(*wide, cuts)
                changed[row], changed[col] = small if kept else (small[0].squeeze(-1), small[1].squeeze(-2))
    for kind, value in state.items():
        if kind in changed or (isinstance(value, Tensor) and value.numel() <= 1 and value.shape != tensor.shape):
            continue
        if isinstance(value, Tensor) and value.shape == tensor.shape:
            changed[kind] = cut(value, cuts)
        elif any(isinstance(leaf, (Tensor, nn.Module)) for leaf in tree_leaves(value)):
            shape = f" of shape {tuple(value.shape)}" if isinstance(value, Tensor) else ""
            raise InputError(
                f"{type(optimizer).__name__} keeps {kind!r}{shape} for {name!r} of shape {tuple(tensor.shape)}, and "
                "how that is cut is not known; nothing was changed. Leave it out here and build it anew afterwards"
            )
    return changed


def _cut_factors(rows: Tensor, cols: Tensor, cuts: Sequence[Cut]) -> tuple[Tensor, Tensor]:
    """V = rows cols / mean(rows) of what stays is as before: each mean follows the share of what the other loses."""
    last = rows.ndim - 1
    small = [(dim % rows.ndim, index) for dim, index in cuts]
    batch = [(dim, index) for dim, index in small if dim < last - 1]
    rows, cols = (cut(rows, batch), cut(cols, batch)) if batch else (rows, cols)
    less_rows = cut(rows, [(dim, index) for dim, index in small if dim == last - 1])
    less_cols = cut(cols, [(dim, index) for dim, index in small if dim == last])
    return (
        less_rows * _share(less_cols, cols, last) if less_cols.shape != cols.shape else less_rows,
        less_cols * _share(less_rows, rows, last - 1) if less_rows.shape != rows.shape else less_cols,
    )


def _share(part: Tensor, whole: Tensor, dim: int) -> Tensor:
    old = whole.mean(dim=dim, keepdim=True)
    return torch.where(old > 0, part.mean(dim=dim, keepdim=True) / old, torch.ones_like(old))
