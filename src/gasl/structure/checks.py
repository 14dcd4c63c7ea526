"""Which networks can be looked at: each kind that cannot be is named, with what to do instead."""

import re

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from gasl.errors import InputError
from gasl.structure.parts import modules_of, tensors_of
from gasl.structure.replaced import attached
from gasl.structure.running import unwrapped

__all__ = ["bare", "checked", "finite", "traceable"]

_QUANTISED = re.compile(r"torch\.ao\..*\.quantized\b")  # the modules that hold packed integers


def checked(model: nn.Module) -> nn.Module:
    """The network behind its wrappers, if it is one that can be run and read here.

    Args:
        model: A network, wrapped or not.

    Returns:
        What :func:`~gasl.structure.running.unwrapped` returns.

    Raises:
        InputError: If it is no network, compiled by TorchScript, a program of ``torch.export``, quantised, sharded
            over several processes, on the meta device, or not yet initialised.

    Example:
        >>> checked(nn.Linear(2, 1, device="meta"))
        Traceback (most recent call last):
        gasl.errors.InputError: Linear has 'weight' on the meta device, without values; load its weights first
    """
    model = unwrapped(model)
    for name, module in modules_of(model).items():
        if (reason := _unreadable(module)) is not None:
            raise InputError(f"{type(model).__name__}{f' has {name!r}, which' if name else ''} is {reason}")
    for name, tensor in tensors_of(model).items():
        if is_lazy(tensor):
            reason = "not yet initialised; call the network once on example inputs first"
        elif tensor.is_meta:
            reason = "on the meta device, without values; load its weights first"
        elif tensor.is_quantized or (tensor.is_floating_point() and tensor.element_size() == 1):
            reason = "quantised; take the network before it was quantised"
        elif _wraps(tensor):
            reason = f"as a {type(tensor).__name__} (sharded or quantised); take the network with plain weights"
        else:
            continue
        raise InputError(f"{type(model).__name__} has {name!r} {reason}")
    return model


def bare(model: nn.Module) -> nn.Module:
    """The network behind its wrappers, if no sparsifier's posterior is attached to it.

    Args:
        model: A network, wrapped or not.

    Returns:
        The network itself.

    Raises:
        InputError: If :func:`checked` does, or there are gates or a posterior in it.

    Example:
        >>> bare(nn.Linear(2, 1))
        Linear(in_features=2, out_features=1, bias=True)
    """
    model = checked(model)
    if attached(model):
        raise InputError(
            f"{type(model).__name__} has gates or a posterior of a sparsifier in it; call the sparsifier's finish(), "
            "folded() or detach() first"
        )
    return model


def traceable(model: nn.Module) -> nn.Module:
    """The network behind its wrappers, if its units can be followed and removed.

    Args:
        model: A network, wrapped or not.

    Returns:
        The network itself.

    Raises:
        InputError: If :func:`checked` does, or a parameter is complex, has no elements, or was made in inference mode,
            or a sparsifier's posterior is attached.

    Example:
        >>> traceable(nn.Linear(2, 1, dtype=torch.complex64))
        Traceback (most recent call last):
        gasl.errors.InputError: Linear has the parameter 'weight' of type torch.complex64; complex weights have no ...
    """
    model = bare(model)
    for name, tensor in model.named_parameters():
        if tensor.is_complex():
            reason = f"of type {tensor.dtype}; complex weights have no rule: hold real and imaginary parts apart"
        elif tensor.numel() == 0:
            reason = f"of shape {tuple(tensor.shape)}, without elements; gather its parts, or build it with a width"
        elif tensor.is_inference():
            reason = "made in torch.inference_mode, which autograd cannot read; build the network outside of it"
        else:
            continue
        raise InputError(f"{type(model).__name__} has the parameter {name!r} {reason}")
    return model


def finite(model: nn.Module) -> nn.Module:
    """The network, if all weights are numbers: zero times NaN or infinity is no zero, so nothing would be dead.

    Args:
        model: A network, wrapped or not.

    Returns:
        The network itself.

    Raises:
        InputError: If :func:`checked` does, a parameter holds NaN or infinity, or a buffer NaN.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> _ = nn.init.constant_(layer.bias, float("nan"))
        >>> finite(layer)
        Traceback (most recent call last):
        gasl.errors.InputError: 'bias' holds 1 value that is no number (NaN or infinity); load the weights of a ...
    """
    model = checked(model)
    for name, tensor in tensors_of(model).items():
        values = tensor.detach()
        if bool(values.sum().isfinite()):  # faster than to look at each
            continue
        wrong = ~values.isfinite() if isinstance(tensor, nn.Parameter) else values.isnan()
        if count := int(wrong.sum()):
            found = "1 value that is" if count == 1 else f"{count} values that are"
            raise InputError(
                f"{name!r} holds {found} no number (NaN or infinity); load the weights of a run that did not diverge"
            )
    return model


def _wraps(tensor: Tensor) -> bool:
    return type(tensor) not in (Tensor, nn.Parameter) and bool(is_traceable_wrapper_subclass(tensor))


def _unreadable(module: nn.Module) -> str | None:
    """Why a module cannot be run op by op, or None."""
    if isinstance(module, torch.jit.ScriptModule):
        return "compiled by TorchScript; take the nn.Module that it was made from"
    if isinstance(module, GraphModule) and "eval" in vars(module):  # torch.export puts a function there that refuses
        return "a program of torch.export; take the nn.Module that it was made from"
    if _QUANTISED.match(type(module).__module__):
        return "quantised; take the network before it was quantised, and quantise the smaller one"
    if {"FullyShardedDataParallel", "FSDPModule"} & {kind.__name__ for kind in type(module).__mro__}:
        return "sharded over processes by FSDP; take the network before it was wrapped"
    return None
