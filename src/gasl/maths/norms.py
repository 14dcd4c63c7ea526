"""The size of each group: l2 norms of the slices of a weight (the inner sum of Eqs. 2 and 3).

A group is what one unit owns. For a convolution it is an output filter (``dim=0``). For a linear layer it is
the outgoing weights of an input unit (``dim=1``, orientation "in"), or a neuron's own row (``dim=0``, "out").
"""

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor

from gasl.errors import InputError, unknown_name
from gasl.maths.slices import root, square_sums

__all__ = ["Orientation", "check_layers", "group_norms", "linear_dim"]

Orientation = Literal["in", "out"]


def group_norms(weight: Tensor, dim: int = 0) -> Tensor:
    """l2 norm of each slice of ``weight`` along ``dim``: n_j = sqrt(sum_i (w_i^(j))^2).

    The gradient at an all-zero slice is exactly 0, the subgradient of least norm. Half precision is summed and
    returned in float32.

    Args:
        weight: Any weight with at least one dimension; read where it lies.
        dim: The dimension whose slices are the groups.

    Returns:
        The ``M = weight.shape[dim]`` norms, differentiable.

    Raises:
        InputError: If ``weight`` has no such dimension.

    Example:
        >>> import torch
        >>> w = torch.tensor([[3.0, 0.0], [4.0, 0.0]])  # two inputs, the second is dead
        >>> group_norms(w, dim=1)
        tensor([5., 0.])
        >>> group_norms(w, dim=0)
        tensor([3., 4.])
    """
    if not -weight.ndim <= dim < weight.ndim:
        raise InputError(f"group_norms got dim={dim} for a weight of shape {tuple(weight.shape)}; give one that it has")
    return root(square_sums(weight, [dim % weight.ndim])[0])


def linear_dim(orientation: Orientation) -> int:
    """The dimension of a linear layer's ``(out, in)`` weight whose slices are groups.

    Args:
        orientation: "in" for the outgoing weights of each input unit, "out" for each output neuron's row.

    Returns:
        1 for "in", 0 for "out".

    Raises:
        InputError: If the orientation is neither.

    Example:
        >>> import torch
        >>> group_norms(torch.eye(2, 3), linear_dim("in"))
        tensor([1., 1., 0.])
    """
    if orientation not in get_args(Orientation):
        raise unknown_name("orientation", orientation, get_args(Orientation))
    return 1 if orientation == "in" else 0


def check_layers(function: str, layers: Sequence[Tensor]) -> None:
    """Refuse anything but a non-empty sequence of non-empty vectors, one per layer.

    Args:
        function: Name of the caller, for the message.
        layers: What it was given.

    Raises:
        InputError: If there is no layer, or one is not a vector with at least one group.

    Example:
        >>> import torch
        >>> check_layers("group_lasso", [torch.ones(3), torch.ones(2, 2)])
        Traceback (most recent call last):
        gasl.errors.InputError: group_lasso needs one vector of group norms per layer, got shapes [(3,), (2, 2)]; ...
    """
    if not layers or any(layer.ndim != 1 or layer.numel() == 0 for layer in layers):
        shapes = [tuple(layer.shape) for layer in layers]
        raise InputError(f"{function} needs one vector of group norms per layer, got shapes {shapes}; see group_norms")
