"""Gradient clipping whose range widens as the learning rate falls (Kim et al. 2016; the paper, section 5)."""

from collections.abc import Iterable

from torch import Tensor, nn

__all__ = ["clip_value", "clip_value_"]


def clip_value(zeta: float, lr: float) -> float:
    """The bound of each gradient entry: ``zeta / lr``, so that no weight moves by more than ``zeta`` in a plain step.

    Args:
        zeta: The largest step, > 0.
        lr: The learning rate now in use.

    Returns:
        The bound; infinite at a learning rate of 0, where no weight moves.

    Example:
        >>> clip_value(0.1, 0.05)
        2.0
    """
    return zeta / lr if lr > 0 else float("inf")


def clip_value_(parameters: Iterable[Tensor], zeta: float, lr: float) -> None:
    """Clips every gradient entry to ``[-zeta / lr, zeta / lr]``, in place.

    Args:
        parameters: Tensors with or without a gradient.
        zeta: The largest step, > 0.
        lr: The learning rate now in use.

    Example:
        >>> import torch
        >>> weight = nn.Parameter(torch.zeros(3))
        >>> weight.grad = torch.tensor([-5.0, 1.0, 5.0])
        >>> clip_value_([weight], zeta=0.1, lr=0.05)
        >>> weight.grad
        tensor([-2.,  1.,  2.])
    """
    with_gradient = [parameter for parameter in parameters if parameter.grad is not None]
    if with_gradient:  # PyTorch's function fails on an empty list
        nn.utils.clip_grad_value_(with_gradient, clip_value(zeta, lr))
