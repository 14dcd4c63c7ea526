"""``gasl.save`` and ``gasl.load``: a smaller network as one safetensors file, without pickle.

The file holds every tensor once. Its metadata say which layers gather single features, which names are aliases of
one tensor, and the SHA-256 of the data, which safetensors itself does not check.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from gasl.errors import FileError, InputError
from gasl.files.whole import whole_file
from gasl.removal.resize import fit_attributes, set_gather, set_tensors
from gasl.structure.gather import GatherLinear
from gasl.structure.running import unwrapped

__all__ = ["load", "save"]

_FORMAT = "gasl-1"


def save(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write a network's tensors and what is needed to put them back into its class.

    Args:
        model: Any network, shrunk or not.
        path: The file; it is written whole or not at all.

    Raises:
        InputError: If the network keeps state that is not a tensor.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "small.safetensors"
        >>> save(nn.Linear(4, 2), path)
        >>> load(path, build=lambda: nn.Linear(9, 2))  # the file's shapes win
        Linear(in_features=4, out_features=2, bias=True)
    """
    model = unwrapped(model)
    own = model.state_dict(keep_vars=True)
    for name, value in own.items():
        if not isinstance(value, Tensor):
            raise InputError(f"{name!r} is a {type(value).__name__}; only tensors can be saved without pickle")
    aliases = _aliases(own)
    tensors = {n: value.detach().cpu().contiguous().clone() for n, value in own.items() if n not in aliases}
    gathers = [name for name, module in model.named_modules() if isinstance(module, GatherLinear)]
    layout = {"aliases": aliases, "gathers": gathers}
    metadata = {"format": _FORMAT, "layout": json.dumps(layout, sort_keys=True)}
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
            names, ties between tensors, numbers of dimensions and kernel sizes must agree.
        InputError: If ``build`` does not make a network.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "small.safetensors"
        >>> save(nn.Linear(4, 2), path)
        >>> load(path, build=lambda: nn.Linear(4, 2)).training
        False
    """
    tensors, layout = _read(Path(path))
    model = build()
    if not isinstance(model, nn.Module):
        raise InputError(f"build must make an nn.Module, got {type(model).__name__}")
    model = unwrapped(model)
    for name in layout["gathers"]:
        if not isinstance(_submodule(model, name), nn.Linear):
            raise FileError(
                f"{path} has a linear layer {name!r} and {type(model).__name__} has none; is build its class?"
            )
        set_gather(model, name, tensors[f"{name}.index"])
    full = tensors | {name: tensors[target] for name, target in layout["aliases"].items()}
    own = model.state_dict(keep_vars=True)
    made = {name for name in full if name not in own and _empty_slot(model, name)}
    if missing := [*sorted(set(own) - set(full)), *sorted(set(full) - set(own) - made)]:
        raise FileError(
            f"{path} does not fit {type(model).__name__}: {', '.join(missing[:5])} "
            f"{'is' if len(missing) == 1 else 'are'} in only one of them; build must make the class that was saved"
        )
    for name, value in full.items():
        if name in own and _kernel(own[name]) != _kernel(value):
            raise FileError(
                f"{path} does not fit {type(model).__name__}: {name!r} has shape {tuple(value.shape)} in the file and "
                f"{tuple(own[name].shape)} in the class; only widths may differ"
            )
    if (ties := _aliases(own)) != layout["aliases"]:
        name = sorted(set(ties.items()) ^ set(layout["aliases"].items()))[0][0]
        raise FileError(f"{path} does not fit {type(model).__name__}: {name!r} is tied to another in only one of them")
    set_tensors(model, tensors)
    fit_attributes(model)
    return model.to(device).eval()


def _aliases(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """For each name of a tensor that has an earlier one, that one."""
    first: dict[int, str] = {}
    names = {name: first.setdefault(id(tensor), name) for name, tensor in tensors.items()}
    return {name: target for name, target in names.items() if name != target}


def _kernel(tensor: Tensor) -> tuple[int, ...]:
    """What of a shape is no width: the number of dimensions, and all sizes after the second."""
    return (tensor.ndim, *tensor.shape[2:])


def _submodule(model: nn.Module, name: str) -> nn.Module | None:
    return dict(model.named_modules()).get(name)


def _empty_slot(model: nn.Module, name: str) -> bool:
    """Whether a parameter of this name exists and is None: a bias that folding made."""
    path, _, attribute = name.rpartition(".")
    module = _submodule(model, path)
    return module is not None and attribute in module._parameters and module._parameters[attribute] is None


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
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
    layout: dict[str, Any] = json.loads(metadata["layout"])
    return tensors, layout


def _digest(tensors: Mapping[str, Tensor], layout: str) -> str:
    digest = hashlib.sha256(layout.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()
