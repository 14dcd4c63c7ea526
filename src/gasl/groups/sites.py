"""Where a method's own parameters act: on the units of an axis, and on the weights of a layer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from gasl.groups.membership import Units, group_members
from gasl.maths.norms import Orientation
from gasl.structure.axes import Axis, Member, Structure

__all__ = ["Connections", "LayerSite", "Sites", "UnitSite", "carriers", "sites"]

_CALLED = {  # layers that are linear in weight and input and nothing else
    nn.Linear,
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
}


@dataclass(frozen=True, eq=False)
class UnitSite:
    """The units of an axis, and the slices of weights that a multiplier of each unit goes to.

    Args:
        name: The axis.
        size: Number of units, M.
        floor: Units that stay alive at least.
        carriers: What is multiplied.
        governed: Number of weights in each unit's group, shape ``(M,)``.
    """

    name: str
    size: int
    floor: int
    carriers: tuple[Units, ...]
    governed: Tensor


@dataclass(frozen=True, eq=False)
class LayerSite:
    """The weights of a layer.

    Args:
        weight: Name of the weight.
        bias: Name of the bias, or None.
        tensor: The weight.
        called: Whether the network reads the weight only by calling its ``nn.Linear`` or ``nn.Conv*`` module, so that
            noise can be put on the layer's output instead of its weights.
        straight: Whether each row of the weight makes one output and each column reads one input, as in no grouped or
            transposed convolution.
        entry: Whether the layer reads the network's input.
        fan_in: Weights in a row.
    """

    weight: str
    bias: str | None
    tensor: Tensor
    called: bool
    straight: bool
    entry: bool
    fan_in: int


@dataclass(frozen=True, eq=False)
class Connections:
    """The weights that an axis' units are made of, and those that read them.

    Args:
        name: The axis.
        size: Number of units, M.
        floor: Units that stay alive at least.
        made: Slices of the weights that make a unit; none for single input features.
        read: Slices of the weights that read it.
    """

    name: str
    size: int
    floor: int
    made: tuple[Units, ...]
    read: tuple[Units, ...]


@dataclass(frozen=True, eq=False)
class Sites:
    """Everything in a network that a method may put parameters of its own on.

    Args:
        units: One entry an axis.
        layers: One entry a weight.
        tensors: The network's parameters by name.
        connections: One entry an axis of the network, whether or not its units are made sparse as units.
    """

    units: tuple[UnitSite, ...]
    layers: tuple[LayerSite, ...]
    tensors: Mapping[str, Tensor]
    connections: tuple[Connections, ...] = ()


def sites(
    model: nn.Module,
    structure: Structure,
    scope: str,
    linear: Orientation,
    floors: Mapping[str, int],
    axes: Sequence[Axis],
    weights: Mapping[str, Tensor],
    made: Collection[str] = (),
) -> Sites:
    """The places for a method's own parameters.

    Args:
        model: The network.
        structure: Its trace.
        scope: Which weights a unit governs, ``filter`` or ``coupled``.
        linear: Orientation of linear layers.
        floors: Units that stay, by axis.
        axes: Those that may be made sparse.
        weights: Those that may be made sparse, by name.
        made: Axes whose multipliers go to those who make the units, because a unit that its readers do without stays.

    Returns:
        The places.
    """
    tensors = dict(model.named_parameters())
    bare = any(_bare(module) for module in model.modules())
    units = []
    for axis in axes:
        found = _writers(axis, structure) if axis.name in made else carriers(axis, structure, linear, bare)
        if found and all(tensors[member.tensor].requires_grad for member in found):
            governed = torch.zeros(axis.size)
            for member in group_members(axis, scope, linear):
                shape = tensors[member.tensor].shape
                each = torch.full((shape[member.dim],), float(shape.numel() // shape[member.dim]))
                owned = Units(member, axis.size).collect(each)
                governed += owned
            places = tuple(Units(member, axis.size) for member in found)
            units.append(UnitSite(axis.name, axis.size, floors[axis.name], places, governed))
    layers = _layers(model, structure, weights)
    return Sites(tuple(units), layers, tensors, tuple(_connections(axis, floors[axis.name]) for axis in structure.axes))


def carriers(axis: Axis, structure: Structure, linear: Orientation, bare: bool = False) -> tuple[Member, ...]:
    """The slices that a multiplier of a unit goes to, so that all who read the unit read it multiplied, once.

    Behind a norm these are its scale and shift, since in front of it a factor would cancel; for a convolution without
    one its filter and bias; for everything else the weights of those who read the unit.

    Args:
        axis: The axis.
        structure: The trace.
        linear: ``out`` takes a linear layer's own rows where no norm follows.
        bare: Whether some norm has no scale, in which nothing tells which convolutions it follows.

    Returns:
        The members.

    Example:
        >>> from gasl.structure.trace import trace
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 3), nn.Conv2d(3, 2, 3))
        >>> structure = trace(model, torch.zeros(2, 1, 9, 9))
        >>> [[member.tensor for member in carriers(axis, structure, "in")] for axis in structure.axes]
        [['1.weight', '1.bias'], ['2.weight', '2.bias']]
    """
    trained = [member for member in axis.members if member.trains]
    producers = tuple(member for member in trained if member.role in ("producer", "bias"))
    consumers = tuple(member for member in trained if member.role == "consumer")
    if axis.kind == "features":
        return consumers
    if any(_meet(norm.classes, axis.classes) for norm in structure.relations.norms):
        return _writers(axis, structure)  # a root mean square sees the unit itself, not what its readers make of it
    writers = [affine for affine in structure.affines if _meet(affine.rows, axis.classes)]
    once = not any(_meet(affine.labels, axis.classes) for affine in writers)  # neither depthwise nor recurrent
    once &= bool(writers) and not any(member.role == "elementwise" for member in trained)
    if once and all(affine.gammas for affine in writers):
        behind = {affine.gammas[-1].rpartition(".")[0] for affine in writers}
        return tuple(m for m in trained if m.role == "norm" and m.tensor.rpartition(".")[0] in behind)
    normed = bare or any(member.role in ("norm", "statistic") for member in axis.members)
    if once and not normed and (linear == "out" or any(member.conv for member in producers)):
        return producers
    return consumers or producers


def _writers(axis: Axis, structure: Structure) -> tuple[Member, ...]:
    """Everything that makes the units: also a bias that a layer adds in a step of its own, or what else is added."""
    gammas = {norm.gamma for norm in structure.relations.norms}
    roles = ("producer", "bias", "elementwise")
    return tuple(m for m in axis.members if m.trains and m.role in roles and m.tensor not in gammas)


def _connections(axis: Axis, floor: int) -> Connections:
    made, read = (
        tuple(Units(m, axis.size) for m in axis.members if m.trains and m.role == role)
        for role in ("producer", "consumer")
    )
    return Connections(axis.name, axis.size, floor, made, read)


def _meet(one: Tensor, other: Tensor) -> bool:
    return bool(torch.isin(one, other).any())


def _bare(module: nn.Module) -> bool:
    norm = isinstance(module, (_NormBase, nn.GroupNorm))
    return norm and getattr(module, "weight", None) is None


def _layers(model: nn.Module, structure: Structure, weights: Mapping[str, Tensor]) -> tuple[LayerSite, ...]:
    owners: dict[int, int] = {}
    for module in model.modules():
        for parameter in module._parameters.values():
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    modules, parameters = dict(model.named_modules()), dict(model.named_parameters())
    found = []
    for name, tensor in weights.items():
        calls = [affine for affine in structure.affines if affine.weight == name]
        owner = name.rpartition(".")[0]
        called = all(affine.module == owner and affine.plain and affine.sole for affine in calls)
        called &= type(modules[owner]) in _CALLED and owners[id(tensor)] == 1
        called &= calls[0].bias is None or calls[0].bias in parameters
        module = modules[owner]
        straight = (
            isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)) and getattr(module, "groups", 1) == 1
        )
        entry = not any(bool((affine.labels > 0).any()) for affine in calls)
        fan_in = calls[0].labels.numel() * tensor[0, 0].numel() if tensor.ndim > 1 else tensor.numel()
        found.append(LayerSite(name, calls[0].bias, tensor, called, straight, entry, fan_in))
    return tuple(found)
