"""What lives in a method's state, as data for a checkpoint, and back."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gasl.errors import InputError
from gasl.groups import UnitGroups, WeightGroups
from gasl.methods.base import State
from gasl.methods.posterior import Posterior

__all__ = ["check_saved", "copies", "remember", "restore_state", "sizes_of"]

_LISTS = ("beta", "rates", "dead")


def check_saved(saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse what is no state of this sparsifier.

    Args:
        saved: What is to be loaded.
        now: The sparsifier's state as it is.

    Raises:
        InputError: If something is missing, or axes, their sizes, method or the kind of controller are others.

    Example:
        >>> check_saved({"axes": ["fc1"]}, {"axes": ["fc1"]})
    """
    if missing := now.keys() - saved.keys() - {"method", "sizes"}:
        raise InputError(f"this is no state of a sparsifier: it lacks {', '.join(sorted(missing))}")
    if list(saved["axes"]) != list(now["axes"]):
        raise InputError(f"this state is of axes {list(saved['axes'])}, the network has {list(now['axes'])}")
    if (was := saved.get("method")) is not None and was != now["method"]:
        raise InputError(f"this state is of the method {was}, the sparsifier has {now['method']}; make it with {was}")
    for kind, own in now.get("sizes", {}).items():
        was_size = saved.get("sizes", {}).get(kind, {})  # states of earlier versions say nothing of sizes
        for name, size in own.items():
            if was_size.get(name, size) != size:
                raise InputError(
                    f"this state is of {was_size[name]} in {kind} {name!r}, the network has {size}; "
                    "make the network as it was when the state was taken"
                )
    had, has = (state.get("control") is not None for state in (saved, now))
    if had != has:
        raise InputError(
            f"this state is of a training {'with' if had else 'without'} a target, the sparsifier has "
            f"{'one' if has else 'none'}; make it {'with' if had else 'without'} target="
        )


def copies(tensors: Sequence[Tensor] | None, device: torch.device | None = None) -> list[Tensor] | None:
    """Tensors of their own, on another device if one is given; None for None.

    Example:
        >>> copies(None), copies([torch.ones(1)])
        (None, [tensor([1.])])
    """
    return None if tensors is None else [tensor.detach().clone().to(device or tensor.device) for tensor in tensors]


def sizes_of(groups: UnitGroups | WeightGroups) -> dict[str, dict[str, Any]]:
    """How many units each axis has, and the shape of each weight that is made sparse.

    Args:
        groups: The groups of a network.

    Returns:
        Plain numbers and lists by name.

    Example:
        >>> sizes_of(WeightGroups({"0.weight": torch.ones(2, 3)}))
        {'axis': {}, 'weight': {'0.weight': [2, 3]}}
    """
    axes = groups.axes if isinstance(groups, UnitGroups) else ()
    return {
        "axis": {axis.name: axis.size for axis in axes},
        "weight": {name: list(tensor.shape) for name, tensor in groups.tensors.items()},
    }


def remember(state: State) -> dict[str, Any]:
    """Everything in a method's state.

    Args:
        state: The state.

    Returns:
        Plain data and tensors.

    Example:
        >>> remember(State(strength=0.1, generator=torch.Generator()))["step"]
        0
    """
    posterior = state.posterior
    return {
        "strength": state.strength,
        "step": state.step,
        "generator": state.generator.get_state(),
        "posterior": posterior.extra_state() if isinstance(posterior, Posterior) else None,
        **{name: copies(getattr(state, name)) for name in _LISTS},
    }


def restore_state(state: State, saved: Mapping[str, Any], device: torch.device) -> None:
    """Set a method's state to what :func:`remember` kept.

    Args:
        state: The state, which is changed.
        saved: What was kept.
        device: Where its tensors go.
    """
    state.strength, state.step = float(saved["strength"]), int(saved["step"])
    state.generator.set_state(saved["generator"].cpu())
    if isinstance(state.posterior, Posterior):
        state.posterior.load_extra_state(saved["posterior"])
    for name in _LISTS:
        setattr(state, name, copies(saved[name], device))
