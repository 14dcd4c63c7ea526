"""``gasl.save`` and ``gasl.load``: a smaller network as one safetensors file, without pickle.

The file holds every tensor once. Its metadata say which names are aliases of one tensor, which layers gather single
features, which numbers on modules a removal changed (heads, groups), and the SHA-256 of all of it, which safetensors
itself does not check.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from gasl.errors import FileError, InputError
from gasl.files.whole import whole_file
from gasl.removal.resize import (
    Attribute,
    changed_attributes,
    fit_attributes,
    set_attributes,
    set_gather,
    set_tensors,
)
from gasl.structure.checks import bare, checked
from gasl.structure.gather import GatherLinear

__all__ = ["load", "save"]

_FORMAT = "gasl-1"


@dataclass(frozen=True)
class _Layout:
    """What a file says beside its tensors: names of layers that gather, aliases, changed numbers by path."""

    aliases: dict[str, str] = field(default_factory=dict)
    gathers: list[str] = field(default_factory=list)
    attributes: dict[str, Attribute] = field(default_factory=dict)


def save(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write a network's tensors and what is needed to put them back into its class.

    Args:
        model: Any network, shrunk or not.
        path: The file; it is written whole or not at all.

    Raises:
        FileError: If it cannot be written there, as where a folder is.
        InputError: If the network keeps state that is no tensor, or is one that :func:`gasl.trace` refuses to read.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "small.safetensors"
        >>> save(nn.Linear(4, 2), path)
        >>> load(path, build=lambda: nn.Linear(9, 2))  # the file's shapes win
        Linear(in_features=4, out_features=2, bias=True)
    """
    model = bare(model)
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor) or name.rpartition(".")[2] == "_extra_state":
            raise InputError(f"{name!r} is a {type(value).__name__}; only parameters and buffers can be saved")
    own = _state(model)
    aliases = _aliases(own)
    tensors = {n: value.detach().cpu().contiguous().clone() for n, value in own.items() if n not in aliases}
    gathers = [name for name, module in model.named_modules() if isinstance(module, GatherLinear)]
    layout = _Layout(aliases, gathers, changed_attributes(model))
    metadata = {"format": _FORMAT, "layout": json.dumps(asdict(layout), sort_keys=True)}
    metadata["sha256"] = _digest(tensors, metadata["layout"])
    with whole_file(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load(path: str | os.PathLike[str], build: Callable[[], nn.Module], device: str | torch.device = "cpu") -> nn.Module:
    """Rebuild a saved network: ``build`` makes one of its class, the file gives it shapes and values.

    Args:
        path: A file that :func:`save` wrote.
        build: Makes the network at its original size, e.g. the class itself.
        device: Where the network is to live.

    Returns:
        The network, in evaluation mode.

    Raises:
        FileError: If the file is missing, truncated, altered or not from :func:`save`, or belongs to another class:
            names, ties between tensors, numbers of dimensions and kernel sizes must agree, and every number that a
            removal changed must be there.
        InputError: If ``build`` does not make a network, or there is no such device.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "small.safetensors"
        >>> save(nn.Linear(4, 2), path)
        >>> load(path, build=lambda: nn.Linear(4, 2)).training
        False
    """
    place = _device(device)
    tensors, layout = _read(Path(path))
    if isinstance(build, nn.Module):
        raise InputError(f"build must be a function that makes the network, got a {type(build).__name__}; lambda: it")
    model = build()
    if not isinstance(model, nn.Module):
        raise InputError(f"build must make an nn.Module, got {type(model).__name__}")
    model = checked(model)
    fits_not = f"{path} does not fit {type(model).__name__}"
    for name in layout.gathers:
        if not isinstance(_submodules(model).get(name), nn.Linear) or f"{name}.index" not in tensors:
            raise FileError(f"{fits_not}: the file has a linear layer {name!r}; build must make the class of the file")
        set_gather(model, name, tensors[f"{name}.index"])
    full = tensors | {name: tensors[target] for name, target in layout.aliases.items()}
    own = _state(model)
    slots = _optional(model)
    if missing := [*sorted(own.keys() - full.keys()), *sorted(full.keys() - own.keys() - slots.keys())]:
        raise FileError(
            f"{fits_not}: {', '.join(missing[:5])} {'is' if len(missing) == 1 else 'are'} in only one of them; "
            "build must make the class that was saved"
        )
    kernels = _kernels(model)
    for name, value in full.items():
        if (old := own.get(name, slots.get(name))) is not None and (
            old.ndim != value.ndim or kernels.get(name, value.shape[2:]) != value.shape[2:]
        ):
            raise FileError(
                f"{fits_not}: {name!r} has shape {tuple(value.shape)} in the file and {tuple(old.shape)} in the class; "
                "only widths may differ"
            )
    ties = {name: target for name, target in layout.aliases.items() if name in own}
    if differing := sorted(set(_aliases(own).items()) ^ set(ties.items())):
        raise FileError(f"{fits_not}: {differing[0][0]!r} is tied to another in only one of them")
    try:
        set_attributes(model, layout.attributes)
    except InputError as error:
        raise FileError(f"{fits_not}: {error}") from error
    set_tensors(model, tensors)
    fit_attributes(model)
    return model.to(place).eval()


def _device(device: str | torch.device) -> torch.device:
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError, ImportError) as error:  # as the backend likes
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"device must be one of this machine, e.g. 'cpu' or 'cuda:0', got {device!r}: {reason}"
        ) from error


def _aliases(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """For each name of a tensor that has an earlier one, that one."""
    first: dict[int, str] = {}
    names = {name: first.setdefault(id(tensor), name) for name, tensor in tensors.items()}
    return {name: target for name, target in names.items() if name != target}


def _state(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by path, aliases too; a ``state_dict`` may have been renamed by hooks."""
    return {
        f"{name}.{attribute}".lstrip("."): tensor
        for name, module in _submodules(model).items()
        for attribute, tensor in [*module._parameters.items(), *module._buffers.items()]
        if tensor is not None and attribute not in module._non_persistent_buffers_set
    }


def _submodules(model: nn.Module) -> dict[str, nn.Module]:
    return dict(model.named_modules(remove_duplicate=False))


def _kernels(model: nn.Module) -> dict[str, torch.Size]:
    """What no removal changes of a weight's shape: the window of a convolution."""
    return {
        f"{name}.weight".lstrip("."): weight.shape[2:]
        for name, module in _submodules(model).items()
        if isinstance(module, _ConvNd) and (weight := module._parameters.get("weight")) is not None
    }


def _optional(model: nn.Module) -> dict[str, Tensor | None]:
    """What a file may hold beyond the class: a parameter that was None (folding makes a bias), a buffer not saved."""
    return {
        f"{name}.{attribute}".lstrip("."): tensor
        for name, module in _submodules(model).items()
        for attribute, tensor in [
            *((a, None) for a, parameter in module._parameters.items() if parameter is None),
            *((a, module._buffers[a]) for a in module._non_persistent_buffers_set),
        ]
    }


def _read(path: Path) -> tuple[dict[str, Tensor], _Layout]:
    if not path.is_file():
        raise FileError(f"there is no file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT or not {"layout", "sha256"} <= metadata.keys():
                raise FileError(
                    f"{path} was not written by gasl.save (format {metadata.get('format')!r}, wanted {_FORMAT!r})"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise FileError(f"{path} is truncated or not a safetensors file: {error}") from error
    if _digest(tensors, metadata["layout"]) != metadata["sha256"]:
        raise FileError(f"{path} was altered after it was written: its SHA-256 does not match")
    return tensors, _parsed(metadata["layout"], tensors, path)


def _parsed(text: str, tensors: Mapping[str, Tensor], path: Path) -> _Layout:
    """The layout, held against the tensors: a file may have been made by anyone."""
    try:
        layout = _Layout(**json.loads(text))
        sound = (
            isinstance(layout.attributes, dict)
            and all(isinstance(name, str) for name in layout.gathers)
            and all(target in tensors and name not in tensors for name, target in layout.aliases.items())
        )
    except (ValueError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise FileError(f"{path} has a layout that this version cannot read; was it written by a newer one?")
    return layout


def _digest(tensors: Mapping[str, Tensor], layout: str) -> str:
    digest = hashlib.sha256(layout.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()
