"""What a method's words choose among the kinds of groups: units, single weights, columns, or whole layers."""

from collections.abc import Mapping, Sequence

from torch import nn

from gasl.errors import InputError
from gasl.groups.columns import ColumnGroups
from gasl.groups.depth import depth_axis
from gasl.groups.selection import protected_axes, unit_groups, weight_groups
from gasl.groups.units import UnitGroups
from gasl.groups.weights import WeightGroups
from gasl.maths.norms import Orientation
from gasl.structure.axes import Structure
from gasl.structure.inputs import ExampleInputs

__all__ = ["network_groups"]


def network_groups(
    model: nn.Module,
    structure: Structure,
    example_inputs: ExampleInputs,
    granularity: str,
    scope: str,
    linear: Orientation,
    protect: Sequence[str],
    floors: Mapping[str, int],
) -> UnitGroups | WeightGroups:
    """The groups of a network.

    Args:
        model: The network.
        structure: Its trace.
        example_inputs: What it was traced with.
        granularity: ``unit`` or ``weight``.
        scope: ``shape``, ``depth``, or as in :func:`~gasl.groups.membership.group_members`.
        linear: Orientation of linear layers.
        protect: Names or patterns of axes and modules to leave whole.
        floors: Units that stay, by axis.

    Returns:
        The groups.

    Raises:
        InputError: If there is nothing to group.

    Example:
        >>> import torch
        >>> from gasl.structure.trace import trace
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> structure = trace(model, torch.zeros(1, 4))
        >>> network_groups(model, structure, torch.zeros(1, 4), "unit", "shape", "in", (), {}).names
        ('0.weight', '2.weight')
    """
    if granularity == "weight":
        return weight_groups(model, structure, protect)
    if scope == "shape":
        weights = weight_groups(model, structure, protect)
        return ColumnGroups({name: tensor for name, tensor in weights.tensors.items() if weights.inputs.get(name) == 1})
    if scope == "depth":
        axis = depth_axis(model, structure, example_inputs, weight_groups(model, structure, protect).tensors)
        if axis is None:
            raise InputError(
                "no layer of this network has a shortcut around it, a sum that goes on when the layer is zero, and is "
                "free to change; scope 'depth' needs residual branches"
            )
        return UnitGroups(dict(model.named_parameters()), [axis], scope, linear)
    return unit_groups(model, structure, scope, linear, protected_axes(protect, structure, model), floors)
