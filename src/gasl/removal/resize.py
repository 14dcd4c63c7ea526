"""Give a module's tensors other shapes, keeping names, order, aliases and ``requires_grad``."""

from collections.abc import Mapping

from torch import Tensor, nn

from gasl.structure.gather import GatherLinear

__all__ = ["fit_attributes", "set_gather", "set_tensors"]


def set_tensors(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Replace parameters and buffers by name; every alias of a replaced one follows.

    Args:
        model: Changed in place.
        tensors: New values by name. A name that does not exist yet becomes a parameter (a folded bias).

    Example:
        >>> import torch
        >>> layer = nn.Linear(3, 2)
        >>> set_tensors(layer, {"weight": torch.zeros(2, 1)})
        >>> fit_attributes(layer)
        >>> layer
        Linear(in_features=1, out_features=2, bias=True)
    """
    owners: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for attribute, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if tensor is not None:
                owners.setdefault(id(tensor), []).append((module, attribute))
    for name, value in tensors.items():
        path, _, attribute = name.rpartition(".")
        module = model.get_submodule(path)
        old = module._parameters.get(attribute)
        if attribute in module._buffers:
            buffer = module._buffers[attribute]
            for owner, key in owners[id(buffer)]:
                owner._buffers[key] = value
        elif old is None:
            weight = module._parameters.get("weight")
            trains = weight is None or weight.requires_grad
            module.register_parameter(attribute, nn.Parameter(value, requires_grad=trains))
        else:
            new = nn.Parameter(value, requires_grad=old.requires_grad)
            for owner, key in owners[id(old)]:
                setattr(owner, key, new)  # recurrent layers keep a list of their own


def set_gather(model: nn.Module, name: str, index: Tensor) -> None:
    """Make a linear layer a :class:`GatherLinear`: the same object, so that whoever refers to it, and its hooks, stay.

    Args:
        model: Changed in place.
        name: Path of the linear layer.
        index: Which features of its input it reads from now on.

    Example:
        >>> import torch
        >>> layer = nn.Linear(2, 1)
        >>> set_gather(layer, "", torch.tensor([0, 2]))
        >>> layer(torch.zeros(1, 3)).shape
        torch.Size([1, 1])
    """
    layer = model.get_submodule(name)
    assert isinstance(layer, nn.Linear)  # only linear layers have feature axes
    layer.__class__ = GatherLinear
    layer.register_buffer("index", index.to(layer.weight.device))


def fit_attributes(model: nn.Module) -> None:
    """Let the size attributes of standard layers say what their tensors' shapes are."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.out_features, module.in_features = module.weight.shape
        elif isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            module.out_channels = module.weight.shape[0]
            module.in_channels = module.weight.shape[1] * module.groups
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
            sized = module.weight if module.weight is not None else module.running_mean
            if sized is not None:
                module.num_features = sized.numel()
        elif isinstance(module, nn.RNNBase):
            module.input_size = module.get_parameter("weight_ih_l0").shape[1]
        elif isinstance(module, nn.PReLU):
            module.num_parameters = module.weight.numel()
