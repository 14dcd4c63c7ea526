"""A network's modules and tensors, in one walk: PyTorch's own generators take longer than a pass needs them to."""

from collections.abc import Iterable

from torch import Tensor, nn

__all__ = ["modules_of", "set_training", "tensors_of"]


def modules_of(model: nn.Module) -> dict[str, nn.Module]:
    """Every module by name, as ``model.named_modules()`` gives them: one that is used twice under its first name.

    Args:
        model: The network.

    Returns:
        Name to module, the network itself as ``""``.

    Example:
        >>> list(modules_of(nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh()))))
        ['', '0', '1', '1.0']
    """
    found: dict[str, nn.Module] = {}
    _walk(model, "", set(), found)
    return found


def _walk(module: nn.Module, name: str, seen: set[int], found: dict[str, nn.Module]) -> None:
    if id(module) in seen:
        return
    seen.add(id(module))
    found[name] = module
    for own, child in module._modules.items():
        if child is not None:
            _walk(child, f"{name}.{own}" if name else own, seen, found)


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter, then every buffer, by name; a tied one under its first name.

    Args:
        model: The network.

    Returns:
        Name to tensor.

    Example:
        >>> list(tensors_of(nn.BatchNorm1d(2, affine=False)))
        ['running_mean', 'running_var', 'num_batches_tracked']
    """
    modules = modules_of(model)
    found: dict[str, Tensor] = {}
    for kind in ("_parameters", "_buffers"):
        seen: set[int] = set()
        for name, module in modules.items():
            own: dict[str, Tensor | None] = vars(module)[kind]
            for key, tensor in own.items():
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    found[f"{name}.{key}" if name else key] = tensor
    return found


def set_training(model: nn.Module, modules: Iterable[nn.Module], mode: bool) -> None:
    """``model.train(mode)``, with what a class of the user's does there, and quicker where none does anything.

    Args:
        model: The network.
        modules: All of its modules.
        mode: Training, or evaluation.

    Example:
        >>> layer = nn.Dropout()
        >>> set_training(layer, [layer], False)
        >>> layer.training
        False
    """
    modules = list(modules)
    if all(type(m).train is nn.Module.train and type(m).eval is nn.Module.eval for m in modules):
        for module in modules:
            vars(module)["training"] = mode
    elif mode:
        model.train()
    else:
        model.eval()
