"""What the user's words choose: which axes are protected, how many units stay, and what is left to make sparse."""

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from gasl.errors import InputError, unknown_name
from gasl.groups.membership import group_followers, group_members
from gasl.groups.units import UnitGroups
from gasl.groups.weights import WeightGroups
from gasl.maths.norms import Orientation
from gasl.structure.affine import Affine
from gasl.structure.axes import Axis, Structure

__all__ = ["protected_axes", "unit_floors", "unit_groups", "weight_groups"]


def protected_axes(protect: Collection[str], structure: Structure, model: nn.Module) -> frozenset[str]:
    """The axes that a list of names leaves whole.

    A name is that of an axis, or of a module: then every axis that the module produces or normalises, and its single
    input features. Modules inside a named module count, and shell patterns are allowed.

    Args:
        protect: The names.
        structure: The trace.
        model: The traced network.

    Returns:
        Names of axes.

    Raises:
        InputError: If a name is neither an axis nor a module; the message names the nearest.

    Example:
        >>> import torch
        >>> from gasl.structure.trace import trace
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> sorted(protected_axes(["0"], trace(model, torch.zeros(2, 4)), model))
        ['0', '0.in']
    """
    if isinstance(protect, str):
        raise InputError(f"protect takes a list of names, got the string {protect!r}; write protect=[{protect!r}]")
    for name in protect:
        if not isinstance(name, str):
            raise InputError(f"protect takes names of axes or modules, got {type(name).__name__}; e.g. protect=['fc1']")
    axes = {axis.name: _makers(axis) for axis in structure.axes}
    known = {*axes, *(p.name for p in structure.protected), *(name for name, _ in model.named_modules() if name)}
    for pattern in protect:
        if not any(_named(pattern, name) for name in known):
            raise unknown_name("axis or module", pattern, known)
    return frozenset(name for name, makers in axes.items() if any(_named(p, m) for p in protect for m in makers))


def unit_floors(min_units: int | Mapping[str, int], structure: Structure) -> dict[str, int]:
    """How many units each axis keeps at least.

    Args:
        min_units: One number for all, where an axis with fewer units keeps them all; or one by axis, others 1.
        structure: The trace.

    Returns:
        One number an axis.

    Raises:
        InputError: If an axis is unknown, or a number is not one that the axis can keep.

    Example:
        >>> import torch
        >>> from gasl.structure.trace import trace
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> unit_floors({"0": 2}, trace(model, torch.zeros(2, 4)))
        {'0.in': 1, '0': 2}
    """
    sizes = {axis.name: axis.size for axis in structure.axes}
    given = dict(min_units) if isinstance(min_units, Mapping) else {}
    for count in [*given.values()] if isinstance(min_units, Mapping) else [min_units]:
        if isinstance(count, bool) or not hasattr(count, "__index__"):
            raise InputError(f"min_units must be a whole number of units, or one by axis, got {count!r}")
    for name, count in given.items():
        if name not in sizes:
            raise unknown_name("axis", name, sizes)
        if not 1 <= count <= sizes[name]:
            raise InputError(f"min_units of {name!r} must lie in 1..{sizes[name]}, got {count}")
    if not isinstance(min_units, Mapping) and min_units < 1:
        raise InputError(f"min_units must be at least 1, got {min_units}; an axis without units cannot run")
    default = 1 if isinstance(min_units, Mapping) else min_units
    return {name: given.get(name, min(default, size)) for name, size in sizes.items()}


def unit_groups(
    model: nn.Module,
    structure: Structure,
    scope: str,
    linear: Orientation,
    protected: frozenset[str],
    floors: Mapping[str, int],
) -> UnitGroups:
    """The groups of every axis that is not protected and whose weights may all be changed.

    Args:
        model: The network.
        structure: Its trace.
        scope: As in :func:`~gasl.groups.membership.group_members`.
        linear: Orientation of linear layers.
        protected: Axes to leave whole.
        floors: Units that stay, by axis.

    Returns:
        The groups.

    Raises:
        InputError: If no axis is left, with the reasons.
    """
    parameters = dict(model.named_parameters())
    axes, silenced = [], set()
    for axis in structure.axes:
        members = group_members(axis, scope, linear)
        silent = axis.normed or _padded(axis, structure)
        changed = [*members, *(group_followers(axis, scope, linear) if silent else ())]
        if axis.name not in protected and members and all(parameters[m.tensor].requires_grad for m in changed):
            axes.append(axis)
            silenced |= {axis.name} if silent else set()
    if not axes and scope == "scale" and not any(group_members(axis, scope, linear) for axis in structure.axes):
        raise InputError(
            "no layer of this network has a batch norm right behind it, whose scale would measure its units; "
            "take a method for scope 'coupled', e.g. GroupLasso"
        )
    if not axes:
        why = [f"{p.name}: {p.reason}" for p in structure.protected]
        why += [f"{axis.name}: protected or frozen" for axis in structure.axes]
        raise InputError(f"there is nothing to make sparse in this network ({'; '.join(why) or 'no layer ran'})")
    return UnitGroups(parameters, axes, scope, linear, [floors[axis.name] for axis in axes], frozenset(silenced))


def weight_groups(model: nn.Module, structure: Structure, protect: Sequence[str]) -> WeightGroups:
    """Every single weight of the convolutions and linear layers that may be changed.

    Args:
        model: The network.
        structure: Its trace.
        protect: Names or patterns of modules whose weights stay as they are.

    Returns:
        The groups.

    Raises:
        InputError: If none is left.
    """
    parameters = dict(model.named_parameters())
    free: dict[str, Tensor] = {}
    inputs: dict[str, set[int | None]] = {}
    for affine in structure.affines:
        module = _module(affine.weight)
        held = any(_named(pattern, name) for pattern in protect for name in (module, f"{module}.in"))
        if affine.weight in parameters and parameters[affine.weight].requires_grad and not held:
            free[affine.weight] = parameters[affine.weight]
            inputs.setdefault(affine.weight, set()).add(_input_dim(affine, parameters[affine.weight]))
    if not free:
        raise InputError("there is no weight to make sparse: every convolution and linear layer is protected or frozen")
    return WeightGroups(free, {name: dim for name, (dim, *more) in inputs.items() if dim is not None and not more})


def _named(pattern: str, name: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _input_dim(affine: Affine, weight: Tensor) -> int | None:
    """The dimension of a weight that its columns lie along: each slice is read by all rows and few columns."""
    columns = affine.labels.numel()
    for dim in sorted(range(weight.ndim), key=lambda d: (weight.shape[d] == 1, d != 1)):
        probe = torch.zeros(weight.shape, dtype=torch.bool)
        probe.select(dim, 0).fill_(True)
        matrix = affine.matrix(probe)
        if bool(matrix.any(dim=1).all()) and int(matrix.any(dim=0).sum()) * weight.shape[dim] == columns:
            return dim
    return None


def _makers(axis: Axis) -> set[str]:
    if axis.kind == "features":
        return {axis.name}
    return {axis.name, *(_module(m.tensor) for m in axis.members if m.role != "consumer")}


def _module(tensor: str) -> str:
    return tensor.rpartition(".")[0]


def _padded(axis: Axis, structure: Structure) -> bool:
    read = {m.tensor for m in axis.members if m.role == "consumer"}
    return any(affine.padded for affine in structure.affines if affine.weight in read)
