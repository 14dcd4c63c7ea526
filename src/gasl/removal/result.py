"""What a removal did: sizes, the plan, the proof; and the same cut for a copy of the network."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from gasl.errors import InputError
from gasl.groups.units import UnitGroups
from gasl.removal.apply import smaller_tensors
from gasl.removal.inplace import check_single, commit
from gasl.removal.liveness import Liveness
from gasl.removal.plan import Plan
from gasl.structure.axes import Structure
from gasl.structure.running import named_tensors, unwrapped

__all__ = ["AxisSparsity", "Removal", "sparsity"]

NOTABLE = 1e-5  # a difference in training mode that the table mentions


@dataclass(frozen=True)
class AxisSparsity:
    """How many units of an axis are left.

    Args:
        name: The axis.
        size: Units before.
        alive_own: Units whose own group is not zero.
        alive: Units that stay, after what nobody feeds or reads has gone too.

    Example:
        >>> entry = AxisSparsity("conv1", size=20, alive_own=10, alive=5)
        >>> entry.sparsity_own, entry.sparsity_propagated
        (50.0, 75.0)
    """

    name: str
    size: int
    alive_own: int
    alive: int

    @property
    def sparsity_own(self) -> float:
        """Percent of units that are dead by their own weights."""
        return 100 * (1 - self.alive_own / self.size)

    @property
    def sparsity_propagated(self) -> float:
        """Percent of units that can be removed."""
        return 100 * (1 - self.alive / self.size)


@dataclass(frozen=True, eq=False)
class Removal:
    """What was removed and how exactly the outputs agree. Printing it shows a table.

    Args:
        axes: Units before and after.
        plan: What was kept of each tensor.
        max_rel_diff: Largest output difference over the largest output, on the example inputs and on noise.
        max_rel_diff_train: The same in training mode; None where the network draws random numbers in it (dropout) or
            does not run in it.
        shapes: Shape of every tensor before.

    Example:
        >>> print(Removal((AxisSparsity("conv1", 20, 10, 5),), Plan({}, {}, ()), max_rel_diff=0.0))
        axis   before  after  own sparsity  propagated
        conv1      20      5         50.0%       75.0%
        largest relative output difference 0.0e+00
    """

    axes: tuple[AxisSparsity, ...]
    plan: Plan
    max_rel_diff: float
    max_rel_diff_train: float | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def widths(self) -> dict[str, tuple[int, int]]:
        """Units before and after, by axis."""
        return {axis.name: (axis.size, axis.alive) for axis in self.axes}

    def apply_(self, other: nn.Module) -> None:
        """Cut a copy of the network in place as the network was cut: a moving average of its weights, for one.

        The copy keeps its own values: what it has of the units that stay. A constant that a removed unit emitted goes
        into the copy's biases through the copy's own weights. Nothing is checked on outputs, since in an average of
        weights the units need not be dead yet.

        Args:
            other: A copy with the shapes of before; an ``AveragedModel`` or compiled wrapper is looked through.

        Raises:
            InputError: If its names or shapes are others; then it is not changed.

        Example:
            >>> import copy, torch, gasl
            >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
            >>> average = torch.optim.swa_utils.AveragedModel(model)
            >>> _ = nn.init.zeros_(model[0].weight[:6])
            >>> removal = gasl.shrink_(model, torch.randn(2, 4))
            >>> removal.apply_(average)
            >>> average.update_parameters(model)
            >>> average.module[0]
            Linear(in_features=4, out_features=2, bias=True)
        """
        check_single(other)
        model = unwrapped(other)
        while isinstance(model, AveragedModel):
            model = unwrapped(model.module)
        tensors = named_tensors(model)
        found = shapes_of(tensors)
        for name in [*self.shapes, *found]:
            if self.shapes.get(name) != found.get(name):
                have = f"shape {found[name]}" if name in found else "none"
                want = f"shape {self.shapes[name]}" if name in self.shapes else "none"
                raise InputError(
                    f"{name!r}: this {type(model).__name__} has {have}, the network had {want} before the removal; "
                    "apply_ takes a copy of the network that was not cut yet"
                )
        commit(model, self.plan, smaller_tensors(tensors, self.plan), ())

    def __str__(self) -> str:
        width = max(len("axis"), *(len(a.name) for a in self.axes))
        lines = [f"{'axis':{width}}  before  after  own sparsity  propagated"]
        lines += [
            f"{a.name:{width}}  {a.size:6d}  {a.alive:5d}  {a.sparsity_own:11.1f}%  {a.sparsity_propagated:9.1f}%"
            for a in self.axes
        ]
        last = f"largest relative output difference {self.max_rel_diff:.1e}"
        if self.max_rel_diff_train is not None and self.max_rel_diff_train > NOTABLE:
            last += f", in training mode {self.max_rel_diff_train:.1e}"
        return "\n".join([*lines, last])


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def sparsity(tensors: dict[str, Tensor], structure: Structure, live: Liveness) -> tuple[AxisSparsity, ...]:
    """Own and propagated sparsity of each axis.

    Args:
        tensors: The model's parameters and buffers.
        structure: Its trace.
        live: What stays.

    Returns:
        One entry an axis.
    """
    norms = UnitGroups(tensors, structure.axes, "filter", "in").norms()
    return tuple(
        AxisSparsity(axis.name, axis.size, int((n > 0).sum()), int(live.kept[axis.name].sum()))
        for axis, n in zip(structure.axes, norms, strict=True)
    )
