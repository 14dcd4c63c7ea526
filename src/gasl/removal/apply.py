"""Carry out a plan: the smaller tensors, and a copy of the model that holds them."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gasl.errors import InputError
from gasl.removal.plan import Plan
from gasl.removal.resize import fit_attributes, set_attributes, set_gather, set_tensors
from gasl.structure.parts import modules_of
from gasl.structure.running import named_tensors

__all__ = ["apply_plan", "cut", "cuts_of", "duplicate", "fit_structure", "smaller_tensors"]

Cut = tuple[int, Tensor]  # a dimension and the indices that stay, see Plan.keep

_LARGE = 2**20  # elements that are cut in one go


def cuts_of(plan: Plan) -> dict[str, list[Cut]]:
    """What the plan keeps, tensor by tensor."""
    cuts: dict[str, list[Cut]] = {}
    for (name, dim), index in plan.keep.items():
        cuts.setdefault(name, []).append((dim, index))
    return cuts


def cut(tensor: Tensor, cuts: Sequence[Cut]) -> Tensor:
    """The part of a tensor that stays, in memory of its own and in the same memory format.

    Example:
        >>> cut(torch.arange(6).reshape(2, 3), [(0, torch.tensor([1])), (1, torch.tensor([0, 2]))])
        tensor([[3, 5]])
    """
    part = tensor
    whole = all(index.ndim == 1 for _, index in cuts)
    if len(cuts) > 1 and whole and tensor.layout is torch.strided and tensor.numel() > _LARGE:
        part = _in_pieces(tensor, cuts)
    else:
        for dim, index in cuts:
            part = _selected(part, dim, index.to(part.device))
    if tensor.layout is torch.strided and not tensor.is_contiguous():
        last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(tensor.ndim)
        if last is not None and tensor.is_contiguous(memory_format=last):
            part = part.contiguous(memory_format=last)
    return part if part is not tensor else tensor.clone()


def _selected(tensor: Tensor, dim: int, index: Tensor) -> Tensor:
    """Some indices of a dimension; a matrix has a row for each block of dimension 0."""
    if index.ndim == 1:
        return tensor.index_select(dim, index)
    blocks = tensor.chunk(index.shape[0])
    return torch.cat([block.index_select(dim, own) for block, own in zip(blocks, index, strict=True)])


def _in_pieces(tensor: Tensor, cuts: Sequence[Cut]) -> Tensor:
    """The same without a second copy on the way: what the first cut leaves is never there as a whole."""
    (first, rows), *others = cuts
    sizes = list(tensor.shape)
    for dim, index in cuts:
        sizes[dim] = index.numel()
    part = tensor.new_empty(sizes)
    for piece in torch.arange(rows.numel()).split(max(1, _LARGE * tensor.shape[first] // tensor.numel())):
        found = tensor.index_select(first, rows[piece].to(tensor.device))
        for dim, index in others:
            found = found.index_select(dim, index.to(tensor.device))
        part.narrow(first, int(piece[0]), piece.numel()).copy_(found)
    return part


@torch.no_grad()
def smaller_tensors(tensors: Mapping[str, Tensor], plan: Plan) -> dict[str, Tensor]:
    """The tensors that a plan changes, as they will be. Nothing is written to.

    Args:
        tensors: Parameters and buffers of the network that the plan was made for, or of a copy of it.
        plan: What to keep.

    Returns:
        New tensors by name; a name that was not there is a bias that takes up a constant.
    """
    changed: dict[str, Tensor] = {}
    for fold in plan.folds:
        weight = tensors[fold.weight]
        read = weight.index_select(1, fold.columns.to(weight.device))
        shift = (read.flatten(2).sum(dim=2) if read.ndim > 2 else read) @ fold.value.to(weight)
        old = changed.get(fold.bias, tensors.get(fold.bias))
        changed[fold.bias] = shift if old is None else old + shift
    for name, factor in plan.scales.items():
        changed[name] = changed.get(name, tensors[name]) * factor.to(tensors[name])
    for name, cuts in cuts_of(plan).items():
        changed[name] = cut(changed.get(name, tensors[name]).detach(), cuts)
    for fold in plan.folds:  # a bias that was made has no plan of its own: it follows the rows of its weight
        rows = plan.keep.get((fold.weight, 0))
        if fold.bias not in tensors and rows is not None:
            changed[fold.bias] = cut(changed[fold.bias], [(0, rows)])
    return changed


def duplicate(model: nn.Module, replaced: Mapping[int, Tensor] | None = None) -> nn.Module:
    """A deep copy of a model, also of one that still holds activations of its last pass.

    Args:
        model: The model.
        replaced: By the id of a tensor of the model, what the copy has in its place; such a tensor is not copied.

    Returns:
        The copy.

    Raises:
        InputError: If something else in it cannot be copied.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> layer.last = layer(torch.ones(1))
        >>> duplicate(layer).last.requires_grad
        False
    """
    held = [
        value for module in modules_of(model).values() for value in vars(module).values() if isinstance(value, Tensor)
    ]
    known = {id(tensor): tensor.detach().clone() for tensor in held if not tensor.is_leaf}
    try:
        other = copy.deepcopy(model, known | dict(replaced or {}))
    except (RuntimeError, TypeError) as error:
        raise InputError(f"{type(model).__name__} cannot be copied: {error}") from error
    flags = {name: module.training for name, module in modules_of(model).items()}
    for name, module in modules_of(other).items():  # one may be copied by building it anew (einops' layers)
        vars(module)["training"] = flags.get(name, module.training)
    return other


@torch.no_grad()
def apply_plan(model: nn.Module, plan: Plan) -> nn.Module:
    """A smaller copy of the model; the model itself is not touched, and its large tensors are not copied.

    Args:
        model: The network that the plan was made for.
        plan: What to keep.

    Returns:
        A network of the same class, with the same names in the same order (and a bias more where a constant had to
        go somewhere).
    """
    tensors = named_tensors(model)
    changed = smaller_tensors(tensors, plan)
    replaced = {id(tensors[name]): _as(tensors[name], value) for name, value in changed.items() if name in tensors}
    small = duplicate(model, replaced)
    set_tensors(small, {name: value for name, value in changed.items() if name not in tensors})
    fit_structure(small, plan)
    return small


def fit_structure(model: nn.Module, plan: Plan) -> None:
    """Let classes and attributes of a network's modules follow its smaller tensors.

    A buffer that was not persistent becomes so where it was cut: the class can no longer make it again.
    """
    for module, index in plan.gathers.items():
        set_gather(model, module, index)
    set_attributes(model, plan.attributes)
    fit_attributes(model)
    names = {*plan.scales, *(name for name, _ in plan.keep)}
    changed = {id(tensor) for name, tensor in named_tensors(model).items() if name in names}
    for owner in modules_of(model).values():
        if owner._buffers:
            owner._non_persistent_buffers_set -= {k for k, buffer in owner._buffers.items() if id(buffer) in changed}


def _as(old: Tensor, value: Tensor) -> Tensor:
    return nn.Parameter(value, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else value
