"""Give a module's tensors other shapes, keeping names, order, aliases and ``requires_grad``."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from gasl.errors import InputError
from gasl.structure.gather import GatherLinear
from gasl.structure.heads import HeadAttention

__all__ = ["Attribute", "changed_attributes", "fit_attributes", "set_attributes", "set_gather", "set_tensors"]

Attribute = int | float | tuple[int, ...] | list[int]
_RECORD = "_gasl_attributes"  # on the module itself, so that it stays with it in a copy, and wherever it is moved to


def set_tensors(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Replace parameters and buffers by name; every alias of a replaced one follows.

    A buffer that was not persistent becomes so: the class can no longer make it again.

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
                owner._non_persistent_buffers_set.discard(key)
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


def set_attributes(model: nn.Module, attributes: Mapping[str, Attribute]) -> None:
    """Change numbers that a module's forward reads (its heads, its groups), and note them for :func:`gasl.save`.

    Args:
        model: Changed in place; not at all if a name or value does not fit.
        attributes: New values by path, e.g. ``"encoder.attention.num_heads"``. Tuples of numbers may be lists here.

    Raises:
        InputError: If there is no such number, or the value is of another kind.

    Example:
        >>> model = nn.Sequential(nn.GroupNorm(4, 8))
        >>> set_attributes(model, {"0.num_groups": 2})
        >>> model[0].num_groups, changed_attributes(model)
        (2, {'0.num_groups': 2})
    """
    changes = []
    modules = dict(model.named_modules(remove_duplicate=False)) if attributes else {}
    for path, value in attributes.items():
        name, _, attribute = path.rpartition(".")
        module = modules.get(name)
        old = vars(module).get(attribute) if module is not None else None
        if module is None or attribute not in vars(module) or (new := _like(old, value)) is None:
            found = "there is none" if old is None else f"the module has {old!r}"
            raise InputError(f"{path!r} cannot become {value!r}: {found}")
        changes.append((module, attribute, new))
    for module, attribute, new in changes:
        if isinstance(module, nn.MultiheadAttention):
            HeadAttention.of(module)
        setattr(module, attribute, new)
        module.__dict__.setdefault(_RECORD, {})[attribute] = new


def changed_attributes(model: nn.Module) -> dict[str, Attribute]:
    """Every number that :func:`set_attributes` has changed since the network was built, by path."""
    return {
        f"{name}.{attribute}".lstrip("."): value
        for name, module in model.named_modules()
        for attribute, value in vars(module).get(_RECORD, {}).items()
    }


def _like(old: object, new: object) -> object:
    """The new value in the type of the old one, or None where it is of another kind."""
    if isinstance(old, bool) or isinstance(new, bool):
        return None
    if isinstance(old, int):
        return new if isinstance(new, int) else None
    if old is None or isinstance(old, float):  # a norm's eps may be None: PyTorch then takes the type's own
        return float(new) if isinstance(new, (int, float)) else None
    if not (isinstance(old, (tuple, list)) and isinstance(new, (tuple, list)) and len(new) == len(old)):
        return None
    return type(old)(new) if all(isinstance(number, int) for number in [*old, *new]) else None


def fit_attributes(model: nn.Module) -> None:
    """Let the size attributes of standard layers say what their tensors' shapes are.

    What no shape tells (heads, groups, the width of a norm without weights) is :func:`set_attributes`' part, before
    this. A weight that is computed (a parametrization) or packed is not asked: reading it can change it.
    """
    for module in model.modules():
        weight = _own(module, "weight")
        if isinstance(module, nn.MultiheadAttention):
            _fit_attention(module)
        elif isinstance(module, nn.RNNBase):
            _fit_recurrent(module)
        elif isinstance(module, nn.RNNCellBase):
            if (inputs := _own(module, "weight_ih")) is not None and (state := _own(module, "weight_hh")) is not None:
                module.hidden_size, module.input_size = state.shape[1], inputs.shape[1]
        elif isinstance(module, _NormBase):
            if (sized := module.running_mean if weight is None else weight) is not None:
                module.num_features = sized.numel()
        elif weight is None:
            continue
        elif isinstance(module, nn.Linear):
            module.out_features, module.in_features = weight.shape
        elif isinstance(module, nn.Bilinear):
            module.out_features, module.in1_features, module.in2_features = weight.shape
        elif isinstance(module, _ConvTransposeNd):
            module.in_channels, module.out_channels = weight.shape[0], weight.shape[1] * module.groups
        elif isinstance(module, _ConvNd):
            module.out_channels, module.in_channels = weight.shape[0], weight.shape[1] * module.groups
        elif isinstance(module, nn.GroupNorm):
            module.num_channels = weight.numel()
        elif isinstance(vars(module).get("normalized_shape"), tuple):  # those of PyTorch, and those written like them
            vars(module)["normalized_shape"] = tuple(weight.shape)
        elif isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
            module.num_embeddings, module.embedding_dim = weight.shape
        elif isinstance(module, nn.PReLU):
            module.num_parameters = weight.numel()


def _own(module: nn.Module, name: str) -> Tensor | None:
    """A parameter that a module holds itself, as numbers."""
    tensor = module._parameters.get(name)
    return tensor if tensor is not None and tensor.is_floating_point() else None


def _fit_attention(module: nn.MultiheadAttention) -> None:
    if (weight := _own(module.out_proj, "weight")) is None:
        return
    if weight.shape[1] != module.num_heads * module.head_dim:
        module.head_dim = weight.shape[1] // module.num_heads
    joint = _own(module, "in_proj_weight")
    reads = _own(module, "q_proj_weight") if joint is None else joint
    if reads is not None and (reads.shape[1] != module.embed_dim or weight.shape[0] != module.embed_dim):
        HeadAttention.of(module).embed_dim = reads.shape[1]
    module.kdim = module.vdim = module.embed_dim
    keys, values = _own(module, "k_proj_weight"), _own(module, "v_proj_weight")
    if keys is not None and values is not None:
        module.kdim, module.vdim = keys.shape[1], values.shape[1]


def _fit_recurrent(module: nn.RNNBase) -> None:
    """A recurrent layer; on a GPU its weights have to lie side by side again."""
    if (weight := _own(module, "weight_ih_l0")) is None:
        return
    module.input_size, module.hidden_size = (
        weight.shape[1],
        weight.shape[0] // {"LSTM": 4, "GRU": 3}.get(module.mode, 1),
    )
    if module.proj_size > 0 and (projection := _own(module, "weight_hr_l0")) is not None:
        module.proj_size = projection.shape[0]
    module.flatten_parameters()
