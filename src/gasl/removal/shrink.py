"""``gasl.shrink`` and ``gasl.shrink_``: remove every dead unit, prove that no output changed, or change nothing."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.optim import Optimizer

from gasl.removal.apply import apply_plan, smaller_tensors
from gasl.removal.decide import Decision, decide
from gasl.removal.inplace import check_single, commit, resized
from gasl.removal.plan import Plan
from gasl.removal.result import Removal, shapes_of, sparsity
from gasl.removal.rounding import check_round_to
from gasl.removal.states import optimizers_of
from gasl.structure.inputs import ExampleInputs
from gasl.structure.running import named_tensors, unwrapped

__all__ = ["shrink", "shrink_"]


def shrink(
    model: nn.Module,
    example_inputs: ExampleInputs,
    *,
    protect: Collection[str] = (),
    gather: bool = True,
    round_to: int | None = None,
) -> tuple[nn.Module, Removal]:
    """Remove every unit whose removal changes no output. The model itself is not touched.

    A unit goes if it is exactly zero where it counts, wherever the zeros came from: nobody reads it, or it emits a
    constant that its readers' biases can take up. What was asked for is checked: both networks are run on the
    example inputs and on noise, in evaluation mode and, where it draws no random numbers, in training mode. Of large
    images the noise has fewer places, unless that is not enough to agree on. Behind a batch norm a dead filter may
    emit one constant in evaluation and another in training, until the running statistics have settled: such a unit
    stays in a network that is given in training mode, and goes from one in evaluation mode, where
    :attr:`Removal.max_rel_diff_train` tells.

    A dead unit of which the constant depends on the size of an image or the length of a sequence (a sigmoid summed over
    places, a softmax over time, a factor ``sqrt(length)``) stays: where a constant is to be folded, the network is
    traced once more with each size of the example halved, or doubled where it does not take half.

    Args:
        model: Any traceable network.
        example_inputs: What :func:`gasl.trace` takes, best in the size that will be used.
        protect: Axes (or modules whose axes) to leave whole; shell patterns are allowed.
        gather: Whether single features of a flattened map (or of the input) may go; else whole maps only.
        round_to: Keep each width at a multiple of this, or at its full size; units stay for it though they are dead.

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
    made: dict[int, nn.Module] = {}

    @contextmanager
    def copy(steps: Plan) -> Iterator[nn.Module]:
        made.clear()
        made[id(steps)] = apply_plan(model, steps)
        yield made[id(steps)]

    decision = decide(model, example_inputs, protect, gather, check_round_to(round_to), copy)
    small = made.get(id(decision.plan)) or apply_plan(model, decision.plan)
    return small, _removal(model, decision)


def shrink_(
    model: nn.Module,
    example_inputs: ExampleInputs,
    *,
    optimizer: Optimizer | Iterable[Optimizer] | None = None,
    protect: Collection[str] = (),
    gather: bool = True,
    round_to: int | None = None,
) -> Removal:
    """Remove dead units from a network where it stands, in the middle of its training.

    The modules and ``Parameter`` objects stay, with their names, order, ``requires_grad``, hooks and param groups, so
    that optimizers, schedulers and whoever else holds them go on. Pending gradients and the optimizer's state are cut
    with the weights; what is left of either is the same to the bit. The next training step is that of the large
    network in which the removed weights are held, with two exceptions. The scale of an RMS norm with n' of n units left
    is multiplied by sqrt(n / n') and its gradient divided by it, so that a step moves it by another share (1.5 % of the
    output after one step of SGD, as measured). And Adafactor takes means over whole weights, which are others without
    the entries that went.

    A constant that a removed unit emitted goes into the biases of its readers. A layer without a bias is given one: a
    new parameter, which joins the param groups of the layer's weight and starts without state. Weight decay of a bias
    sees what it has taken up. Graphs from before are void: a loss that is still to be differentiated must be so first.
    While it works there is room needed for one more copy of what is cut: weights, gradients and state.

    Args:
        model: Any traceable network; a compiled wrapper is looked through, a distributed one refused.
        example_inputs: What :func:`gasl.trace` takes.
        optimizer: The optimizer of its weights, or all of them. State of the weights' own shape can be cut (SGD, Adam,
            AdamW, RMSprop, Adagrad and their kin), and that of Adafactor; other is refused.
        protect: As for :func:`gasl.shrink`.
        gather: As for :func:`gasl.shrink`.
        round_to: As for :func:`gasl.shrink`.

    Returns:
        What was removed; :meth:`Removal.apply_` does the same to a moving average of the weights.

    Raises:
        InputError: If the network has nothing that could be removed, is wrapped for several processes, or an
            optimizer's state cannot be cut.
        RemovalError: If an output would have changed. Whatever is raised, nothing was changed.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> optimizer = torch.optim.Adam(model.parameters())
        >>> weight = model[0].weight
        >>> model(torch.randn(2, 4)).sum().backward(); optimizer.step()
        >>> _ = nn.init.zeros_(weight[:6])
        >>> removal = shrink_(model, torch.randn(2, 4), optimizer=optimizer)
        >>> model[0].weight is weight, weight.shape, optimizer.state[weight]["exp_avg"].shape
        (True, torch.Size([2, 4]), torch.Size([2, 4]))
    """
    check_single(model)
    model = unwrapped(model)
    optimizers = optimizers_of(optimizer)

    @contextmanager
    def in_place(steps: Plan) -> Iterator[nn.Module]:
        with resized(model, steps, smaller_tensors(named_tensors(model), steps)) as small:
            yield small

    decision = decide(model, example_inputs, protect, gather, check_round_to(round_to), in_place)
    removal = _removal(model, decision)
    commit(model, decision.plan, smaller_tensors(named_tensors(model), decision.plan), optimizers)
    return removal


def _removal(model: nn.Module, decision: Decision) -> Removal:
    tensors = named_tensors(model)
    with torch.no_grad():
        axes = sparsity(tensors, decision.structure, decision.live)
    return Removal(axes, decision.plan, decision.difference, decision.difference_train, shapes_of(tensors))
