"""Whole layers as groups: the last layer of each residual branch, without which the shortcut goes on."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gasl.structure.affine import Affine
from gasl.structure.axes import Axis, Member, Role, Structure
from gasl.structure.inputs import ExampleInputs, arguments, copied, noise_like
from gasl.structure.running import output_tensors, undisturbed

__all__ = ["branch_ends", "depth_axis"]


def branch_ends(structure: Structure) -> list[tuple[Affine, list[Affine]]]:
    """Layers with a shortcut around them: what they write was written before, and read on the way to them.

    Args:
        structure: The trace.

    Returns:
        Each with the layers before; the weight of each is used by this one call.
    """
    found = []
    for position, affine in enumerate(structure.affines):
        own = {*affine.rows.tolist()}
        before = [a for a in _sources(affine, structure.affines[:position]) if own <= {*a.rows.tolist()}]
        if before and affine.sole and 0 not in own:
            found.append((affine, before))
    return found


def depth_axis(
    model: nn.Module, structure: Structure, example_inputs: ExampleInputs, free: Mapping[str, Tensor]
) -> Axis | None:
    """One unit for each layer that can be zero as a whole: its weight, bias, and scale and shift of the norm behind.

    Where it is zero the branch adds a constant, and what the branch has inside is read by nobody. That the output then
    still depends on what came before is tried out, for a product would end it.

    Args:
        model: The network.
        structure: Its trace.
        example_inputs: What it was traced with.
        free: Weights that may be changed, by name.

    Returns:
        The axis; None where there is no such layer.
    """
    parameters = dict(model.named_parameters())
    members: list[Member] = []
    count = 0
    for affine, before in branch_ends(structure):
        parts = [part for part in _parts(model, affine) if part[0] in parameters]
        zeros = {name: torch.zeros_like(parameters[name]) for name, _ in parts}
        free_ones = affine.weight in free and all(parameters[name].requires_grad for name in zeros)
        if free_ones and _goes_on(model, example_inputs, zeros, [a.weight for a in before]):
            for name, role in parts:
                members.append(Member(name, 0, torch.full((len(parameters[name]),), count), role, affine.conv))
            count += 1
    return Axis("depth", count, "width", tuple(members), tensors=parameters) if count else None


def _sources(affine: Affine, earlier: Sequence[Affine]) -> list[Affine]:
    """The layers that what an affine reads was made by."""
    read, found = {*affine.labels.tolist()}, []
    for other in reversed(earlier):
        if any(row > 0 and row in read for row in other.rows.tolist()):
            read |= {*other.labels.tolist()}
            found.append(other)
    return found


def _parts(model: nn.Module, affine: Affine) -> Iterator[tuple[str, Role]]:
    yield affine.weight, "producer"
    if affine.bias is not None:
        yield affine.bias, "bias"
    for gamma in affine.gammas:
        yield gamma, "norm"
        path = gamma.rpartition(".")[0]
        if isinstance(getattr(model.get_submodule(path), "bias", None), nn.Parameter):
            yield f"{path}.bias".lstrip("."), "norm"


def _goes_on(
    model: nn.Module, example_inputs: ExampleInputs, zeros: Mapping[str, Tensor], before: Sequence[str]
) -> bool:
    """Whether the output depends on some of the weights ``before`` while others are zero."""
    parameters = dict(model.named_parameters())
    sources = [parameters[name].detach().requires_grad_() for name in before if name in parameters]
    with undisturbed(model), torch.enable_grad():
        args, kwargs = arguments(noise_like(copied(example_inputs, model)))
        replaced = {**dict(zip(before, sources, strict=True)), **zeros}
        outputs = output_tensors(functional_call(model, replaced, args, kwargs))
        total = sum((o.double().sin().sum() for o in outputs if o.requires_grad), start=torch.zeros(()))
        if not total.requires_grad:
            return False
        slopes = torch.autograd.grad(total, sources, allow_unused=True)
    return any(slope is not None and bool((slope != 0).any()) for slope in slopes)
