"""Networks by name: the four of the experiments, or a user's own ``package.module:factory``."""

import importlib
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from gasl.errors import FileError, InputError, unknown_name
from gasl.files import load
from gasl.models import MODELS

__all__ = ["example_for", "factory", "network"]

_SHAPES = {"lenet5": (1, 28, 28), "mlp": (1, 28, 28), "vgg16": (3, 32, 32), "resnet18": (3, 32, 32)}


def factory(name: str, options: Mapping[str, object] | None = None) -> Callable[[], nn.Module]:
    """What makes a network.

    Args:
        name: A name of :data:`gasl.models.MODELS`, or ``package.module:callable`` of the user's own.
        options: Keyword arguments for it, e.g. ``{"width": 0.25}``.

    Returns:
        A callable without arguments.

    Raises:
        InputError: If there is no such network, or it cannot be imported.

    Example:
        >>> factory("lenet5")().fc2
        Linear(in_features=500, out_features=10, bias=True)
        >>> factory("torch.nn:Flatten")()
        Flatten(start_dim=1, end_dim=-1)
        >>> factory("lenet")
        Traceback (most recent call last):
        gasl.errors.InputError: unknown model 'lenet'; did you mean 'lenet5'? ...
    """
    given = dict(options or {})
    module_name, colon, attribute = name.partition(":")
    if not colon:
        if name not in MODELS:
            raise unknown_name("model", name, [*MODELS, "package.module:factory"])
        make: Callable[..., object] = MODELS[name]
    else:
        try:
            make = getattr(importlib.import_module(module_name), attribute)
        except Exception as error:  # a user's module may raise whatever it likes
            reason = error if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: {error}"
            raise InputError(f"model {name!r} cannot be imported: {reason}") from error
        if not callable(make):
            raise InputError(f"{name} is a {type(make).__name__}; a class or a function that makes a network is wanted")

    def build() -> nn.Module:
        try:
            made = make(**deepcopy(given))  # a constructor may use up a list that it is given
        except TypeError as error:
            raise InputError(f"{name} does not take {given or 'no arguments'}: {error}") from error
        except Exception as error:  # and so may its constructor
            raise InputError(f"{name} with {given or 'no arguments'} raised {type(error).__name__}: {error}") from error
        if not isinstance(made, nn.Module):
            raise InputError(f"{name} makes a {type(made).__name__}, not an nn.Module")
        return made

    return build


def example_for(name: str, shape: tuple[int, ...] | None, batch: int = 2) -> Tensor:
    """Example inputs for a network: zeros of one example's shape.

    Args:
        name: The network's name.
        shape: Shape of one example; needed for a user's own network.
        batch: How many examples.

    Returns:
        A tensor of shape ``(batch, *shape)``.

    Raises:
        InputError: If the shape is not known, or more than the memory holds.

    Example:
        >>> example_for("lenet5", None).shape
        torch.Size([2, 1, 28, 28])
    """
    known = shape or _SHAPES.get(name)
    if known is None:
        raise InputError(f"the shape of one example of {name} is not known; give it, e.g. --shape [3,32,32]")
    if any(size < 1 for size in known):
        raise InputError(f"a shape has sizes of at least 1, got {list(known)}")
    try:
        return torch.zeros(batch, *known)
    except (RuntimeError, TypeError, MemoryError) as error:
        raise InputError(f"{batch} of shape {list(known)} do not fit into the memory; give a smaller shape") from error


def network(build: Callable[[], nn.Module], weights: Path | None) -> nn.Module:
    """A network with weights from a file of :func:`gasl.save`, or of any safetensors state dict that fits.

    Args:
        build: Makes the network.
        weights: The file; None leaves the network as it is made.

    Returns:
        The network in evaluation mode.

    Raises:
        FileError: If the file is missing, damaged, or of another network.

    Example:
        >>> network(factory("mlp"), None).training
        False
    """
    if weights is None:
        return build().eval()
    if not weights.is_file():
        raise FileError(f"there is no file {weights}")
    try:
        with safe_open(weights, framework="pt") as file:
            if "gasl" in (file.metadata() or {}).get("format", ""):
                return load(weights, build)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except SafetensorError as error:
        raise FileError(f"{weights} is truncated or not a safetensors file: {error}") from error
    model = build()
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise FileError(f"{weights} does not fit {type(model).__name__}: {reason}") from error
    return model.eval()
