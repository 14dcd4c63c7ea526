"""``gasl.shrink``: remove every dead unit, prove that no output changed, or change nothing."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from gasl.errors import InputError, RemovalError
from gasl.removal.apply import apply_plan
from gasl.removal.liveness import Liveness, liveness
from gasl.removal.plan import Plan, plan
from gasl.structure.axes import Structure
from gasl.structure.groups import UnitGroups
from gasl.structure.trace import ExampleInputs, call, eval_mode, plain, trace

__all__ = ["AxisSparsity", "Removal", "largest_difference", "shrink", "sparsity"]

_TOLERANCE = {torch.float64: 1e-10}  # any narrower type: 1e-5, and beyond it a float64 copy decides


@dataclass(frozen=True)
class AxisSparsity:
    """How many units of an axis are left.

    Args:
        name: The axis.
        size: Units before.
        alive_own: Units whose own group is not zero.
        alive: Units that stay, after what nobody feeds or reads has gone too.
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
    model: nn.Module, example_inputs: ExampleInputs, *, protect: frozenset[str] = frozenset(), gather: bool = True
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
        InputError: If the network has nothing that could be removed.
        RemovalError: If an output would have changed, with the axis concerned; then nothing was changed.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> _ = nn.init.zeros_(model[0].weight[:6])
        >>> small, removal = shrink(model, torch.randn(2, 4))
        >>> removal.widths["0"], small[0]
        ((8, 2), Linear(in_features=4, out_features=2, bias=True))
    """
    model = plain(model)
    structure = trace(model, example_inputs)
    if not structure.axes:
        reasons = (
            "; ".join(f"{p.name}: {p.reason}" for p in structure.protected) or "no convolution or linear layer ran"
        )
        raise InputError(f"this network has no unit that could be removed ({reasons})")
    live = _alive(model, structure, protect, gather)
    small, steps = _cut(model, structure, live)
    difference = _difference(model, small, example_inputs)
    dtype = next(model.parameters()).dtype
    if not difference <= _TOLERANCE.get(dtype, 1e-5):
        if dtype is not torch.float64:
            difference = _in_double(model, example_inputs, protect, gather)
        if not difference <= _TOLERANCE[torch.float64]:
            raise _explain(model, structure, live, example_inputs, difference)
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    return small, Removal(sparsity(tensors, structure, live), steps, difference)


def largest_difference(left: object, right: object) -> float:
    """Max |left - right| / max |left| over all output tensors; infinite where shapes differ.

    Args:
        left: Outputs of the reference: a tensor or any nesting of tensors.
        right: Outputs to compare.

    Returns:
        The relative difference.

    Example:
        >>> largest_difference(torch.tensor([2.0, 4.0]), torch.tensor([2.0, 3.0]))
        0.25
    """
    pairs = list(zip(_tensors(left), _tensors(right), strict=True))
    if any(a.shape != b.shape for a, b in pairs):
        return float("inf")
    scale = max((float(a.abs().max()) for a, _ in pairs if a.numel()), default=0.0)
    gap = max((float((a - b).abs().max()) for a, b in pairs if a.numel()), default=0.0)
    return gap / scale if scale > 0 else gap


def _tensors(outputs: object) -> list[Tensor]:
    return [t.detach() for t in tree_leaves(outputs) if isinstance(t, Tensor)]


def _alive(model: nn.Module, structure: Structure, protect: frozenset[str], gather: bool) -> Liveness:
    return liveness(dict(model.named_parameters()) | dict(model.named_buffers()), structure, protect, gather)


def _cut(model: nn.Module, structure: Structure, live: Liveness) -> tuple[nn.Module, Plan]:
    steps = plan(structure, live)
    return apply_plan(model, steps), steps


@torch.no_grad()
def _difference(model: nn.Module, small: nn.Module, example_inputs: ExampleInputs) -> float:
    generator = torch.Generator().manual_seed(0)

    def noise(leaf: object) -> object:
        if isinstance(leaf, Tensor) and leaf.is_floating_point():
            return torch.randn(leaf.shape, generator=generator).to(leaf)
        return leaf

    with eval_mode(model), eval_mode(small):
        try:
            return max(
                largest_difference(call(model, inputs), call(small, inputs))
                for inputs in (example_inputs, tree_map(noise, example_inputs))
            )
        except RuntimeError:  # sizes that a forward holds as numbers
            return float("inf")


def _in_double(model: nn.Module, example_inputs: ExampleInputs, protect: frozenset[str], gather: bool) -> float:
    """The same removal on a float64 copy, where rounding cannot hide or feign a difference."""
    double = copy.deepcopy(model).double()
    inputs = tree_map(lambda t: t.double() if isinstance(t, Tensor) and t.is_floating_point() else t, example_inputs)
    structure = trace(double, inputs)
    small, _ = _cut(double, structure, _alive(double, structure, protect, gather))
    return _difference(double, small, inputs)


def _explain(
    model: nn.Module, structure: Structure, live: Liveness, example_inputs: ExampleInputs, difference: float
) -> RemovalError:
    """Find an axis that cannot be cut alone, for the message."""
    everything = frozenset(axis.name for axis in structure.axes)
    for axis in structure.axes:
        if bool(live.kept[axis.name].all()):
            continue
        alone = _alive(model, structure, everything - {axis.name}, gather=True)
        small, _ = _cut(model, structure, alone)
        if not _difference(model, small, example_inputs) <= 1e-3:
            return RemovalError(
                f"removing units of {axis.name!r} would change the outputs (the forward holds its width as a number, or"
                f" mixes its units in a way the trace did not see); nothing was changed. Use protect=[{axis.name!r}]"
            )
    return RemovalError(f"the smaller network differs by {difference:.1e} of the largest output; nothing was changed")
