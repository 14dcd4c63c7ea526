"""``gasl.shrink``: remove every dead unit, prove that no output changed, or change nothing."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gasl.errors import InputError, RemovalError, unknown_name
from gasl.removal.apply import apply_plan, duplicate
from gasl.removal.liveness import Liveness, liveness
from gasl.removal.plan import Plan, plan
from gasl.removal.verify import difference_between
from gasl.structure.axes import Structure
from gasl.structure.groups import UnitGroups
from gasl.structure.running import ExampleInputs, copied, named_tensors, unwrapped
from gasl.structure.trace import trace

__all__ = ["AxisSparsity", "Removal", "shrink", "sparsity"]

EXACT, SINGLE = 1e-10, 1e-5  # float64; any narrower type, and beyond it a float64 copy decides


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

    Example:
        >>> print(Removal((AxisSparsity("conv1", 20, 10, 5),), Plan({}, {}, ()), max_rel_diff=0.0))
        axis   before  after  own sparsity  propagated
        conv1      20      5         50.0%       75.0%
        largest relative output difference 0.0e+00
    """

    axes: tuple[AxisSparsity, ...]
    plan: Plan
    max_rel_diff: float

    @property
    def widths(self) -> dict[str, tuple[int, int]]:
        """Units before and after, by axis."""
        return {axis.name: (axis.size, axis.alive) for axis in self.axes}

    def __str__(self) -> str:
        width = max(len("axis"), *(len(a.name) for a in self.axes))
        lines = [f"{'axis':{width}}  before  after  own sparsity  propagated"]
        lines += [
            f"{a.name:{width}}  {a.size:6d}  {a.alive:5d}  {a.sparsity_own:11.1f}%  {a.sparsity_propagated:9.1f}%"
            for a in self.axes
        ]
        return "\n".join([*lines, f"largest relative output difference {self.max_rel_diff:.1e}"])


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


def shrink(
    model: nn.Module, example_inputs: ExampleInputs, *, protect: Collection[str] = (), gather: bool = True
) -> tuple[nn.Module, Removal]:
    """Remove every unit whose removal changes no output. The model itself is not touched.

    A unit goes if it is exactly zero where it counts, wherever the zeros came from: nobody reads it, or it emits a
    constant that its readers' biases can take up. What was asked for is checked: both networks are run on the
    example inputs and on noise of the same shapes.

    Args:
        model: Any traceable network.
        example_inputs: What :func:`gasl.trace` takes.
        protect: Names of axes to leave whole.
        gather: Whether single features of a flattened map (or of the input) may go; else whole maps only.

    Returns:
        The smaller network, and what was removed.

    Raises:
        InputError: If the network has nothing that could be removed, or ``protect`` a name that it has not.
        RemovalError: If an output would have changed, with the axis concerned; then nothing was changed.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> _ = nn.init.zeros_(model[0].weight[:6])
        >>> small, removal = shrink(model, torch.randn(2, 4))
        >>> removal.widths["0"], small[0]
        ((8, 2), Linear(in_features=4, out_features=2, bias=True))
    """
    model = unwrapped(model)
    structure = trace(model, example_inputs)
    if not structure.axes:
        reasons = (
            "; ".join(f"{p.name}: {p.reason}" for p in structure.protected) or "no convolution or linear layer ran"
        )
        raise InputError(f"this network has no unit that could be removed ({reasons})")
    live = _alive(model, structure, _checked(protect, structure), gather)
    steps = plan(structure, live)
    small = apply_plan(model, steps)
    difference = difference_between(model, small, example_inputs)
    exact = all(p.dtype is torch.float64 for p in model.parameters() if p.is_floating_point())
    if not difference <= (EXACT if exact else SINGLE):
        if not exact:
            difference = _in_double(model, structure, live, example_inputs)
        if not difference <= EXACT:
            raise _explain(model, structure, live, example_inputs, difference, gather)
    return small, Removal(sparsity(named_tensors(model), structure, live), steps, difference)


def _checked(protect: Collection[str], structure: Structure) -> frozenset[str]:
    if isinstance(protect, str):
        raise InputError(f"protect takes a list of names, got the string {protect!r}; write protect=[{protect!r}]")
    names = [axis.name for axis in structure.axes]
    for name in protect:
        if name not in names and name not in {p.name for p in structure.protected}:
            raise unknown_name("axis", name, names)
    return frozenset(protect)


def _alive(model: nn.Module, structure: Structure, protect: frozenset[str], gather: bool) -> Liveness:
    return liveness(named_tensors(model), structure, protect, gather)


def _in_double(model: nn.Module, structure: Structure, live: Liveness, example_inputs: ExampleInputs) -> float:
    """The same removal on a float64 copy, where rounding cannot hide or feign a difference."""
    double = duplicate(model).double()
    inputs = copied(example_inputs, double)
    try:
        exact = trace(double, inputs)
    except InputError:  # a forward that holds a narrower type
        return float("inf")
    same = exact.classes.keys() == structure.classes.keys() and all(
        torch.equal(classes, exact.classes[key]) for key, classes in structure.classes.items()
    )
    return difference_between(double, apply_plan(double, plan(exact, live)), inputs) if same else float("inf")


def _explain(
    model: nn.Module,
    structure: Structure,
    live: Liveness,
    example_inputs: ExampleInputs,
    difference: float,
    gather: bool,
) -> RemovalError:
    """Find an axis that cannot be cut alone, for the message."""
    everything = frozenset(axis.name for axis in structure.axes)
    for axis in structure.axes:
        if bool(live.kept[axis.name].all()):
            continue
        alone = _alive(model, structure, everything - {axis.name}, gather)
        small = apply_plan(model, plan(structure, alone))
        if not difference_between(model, small, example_inputs) <= 1e-3:
            return RemovalError(
                f"removing units of {axis.name!r} would change the outputs (the forward holds its width as a number, or"
                f" mixes its units in a way the trace did not see); nothing was changed. Use protect=[{axis.name!r}]"
            )
    return RemovalError(f"the smaller network differs by {difference:.1e} of the largest output; nothing was changed")
