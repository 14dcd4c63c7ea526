"""The network inside what training wraps around it."""

from torch import nn

from gasl.structure.trace import plain

__all__ = ["unwrapped"]


def unwrapped(model: nn.Module) -> nn.Module:
    """The network behind any nesting of ``torch.compile`` and ``DistributedDataParallel``.

    Args:
        model: A network, wrapped or not.

    Returns:
        The network itself.

    Example:
        >>> import torch
        >>> model = nn.Linear(2, 1)
        >>> unwrapped(torch.compile(model, backend="eager")) is model
        True
    """
    while True:
        inner = model.module if isinstance(model, nn.parallel.DistributedDataParallel) else plain(model)
        if inner is model:
            return model
        model = inner
