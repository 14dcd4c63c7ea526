"""Do two networks give the same outputs?"""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from gasl.structure.running import ExampleInputs, call, copied, eager, noise_like, output_tensors, undisturbed

__all__ = ["Reference", "difference_between", "largest_difference"]


def largest_difference(left: object, right: object) -> float:
    """Largest over all output tensors of max |left - right| / max |left|; infinite where shapes differ.

    Each tensor has its own scale, so that a small output does not hide behind a large one. Elements that are the
    same infinity or both not a number agree.

    Args:
        left: Outputs of the reference: a tensor or any nesting of tensors.
        right: Outputs to compare.

    Returns:
        The relative difference.

    Example:
        >>> largest_difference(torch.tensor([2.0, 4.0]), torch.tensor([2.0, 3.0]))
        0.25
    """
    ours, theirs = output_tensors(left), output_tensors(right)
    if [t.shape for t in ours] != [t.shape for t in theirs]:
        return float("inf")
    return max((_gap(a.detach(), b.detach()) for a, b in zip(ours, theirs, strict=True)), default=0.0)


def _gap(left: Tensor, right: Tensor) -> float:
    wide = torch.complex128 if left.is_complex() else torch.float64
    left, right = left.to(wide), right.to(wide)
    apart = ~((left == right) | (left.isnan() & right.isnan()))
    if not bool(apart.any()):
        return 0.0
    gap = float((left - right)[apart].abs().max())
    scale = float(left.abs().nan_to_num(0.0, 0.0).max()) or 1.0
    return gap / scale if gap < float("inf") else float("inf")


class Reference:
    """What a network gives on the example inputs and, where it takes it, on noise; to hold another network against.

    In training mode it is run once, on the noise. That mode is the one that the network is in; where no module of it
    is in training mode, all are put there.

    Args:
        model: The network, as it is now; it may be changed afterwards.
        example_inputs: What :func:`gasl.trace` takes.

    Example:
        >>> layer = nn.Linear(3, 2)
        >>> reference = Reference(layer, torch.zeros(1, 3))
        >>> _ = layer.weight.data[:, 0].zero_()
        >>> reference.difference(layer) > 0
        True
    """

    def __init__(self, model: nn.Module, example_inputs: ExampleInputs) -> None:
        given = copied(example_inputs, model)
        with undisturbed(model), eager():
            self._cases = [(given, call(model, copied(given, model)))]
            noisy = noise_like(given)
            try:
                if any(isinstance(leaf, Tensor) and leaf.is_floating_point() for leaf in tree_leaves(given)):
                    self._cases.append((noisy, call(model, copied(noisy, model))))
            except Exception:  # the model's own rules for its inputs
                noisy = given
        self._training_inputs = noisy
        self._training = self._run(model)

    def difference(self, other: nn.Module) -> float:
        """How far the outputs are apart in evaluation mode; infinite if the other network does not run."""
        with undisturbed(other), eager():
            try:
                return max(largest_difference(out, call(other, copied(given, other))) for given, out in self._cases)
            except Exception:  # sizes that a forward holds as numbers
                return float("inf")

    def training_difference(self, other: nn.Module) -> float | None:
        """How far they are apart in training mode; None if the network does not run in it, or draws random numbers."""
        if self._training is None:
            return None
        try:
            got = self._run(other)
        except Exception:  # sizes that a forward holds as numbers
            return float("inf")
        return float("inf") if got is None else largest_difference(self._training[0], got[0])

    def repeatable(self, model: nn.Module) -> bool:
        """Whether the network itself gives the same again in training mode; it may draw from a generator of its own."""
        again = self.training_difference(model)
        return again is None or again == 0.0

    def training_rounding(self, model: nn.Module) -> float:
        """What rounding alone may make of the outputs in training mode: how far they move with the inputs' last bits.

        A batch norm over two values that are nearly the same divides by next to nothing.
        """

        def moved(leaf: object) -> object:
            if isinstance(leaf, Tensor) and leaf.is_floating_point():
                return leaf * (1 + 2 * torch.finfo(leaf.dtype).eps)
            return leaf

        if self._training is None:
            return 0.0
        got = self._run(model, tree_map(moved, self._training_inputs))
        return 0.0 if got is None else largest_difference(self._training[0], got[0])

    def _run(self, model: nn.Module, given: ExampleInputs | None = None) -> tuple[object] | None:
        inputs = copied(self._training_inputs if given is None else given, model)
        with training(model), eager():
            before = _generators(model)
            try:
                outputs = call(model, inputs)
            except Exception:  # e.g. a batch of one in front of a batch norm
                return None
            return (outputs,) if _generators(model) == before else None


@contextmanager
def training(model: nn.Module) -> Iterator[None]:
    """Training mode without gradients; flags, buffers and random generators are as before afterwards."""
    flags = {module: module.training for module in model.modules()}
    state, numpy = random.getstate(), sys.modules.get("numpy")
    drawn = numpy.random.get_state() if numpy is not None else None
    try:
        with undisturbed(model):
            if any(flags.values()):
                for module, flag in flags.items():
                    module.training = flag
            else:
                model.train()
            yield
    finally:
        random.setstate(state)
        if numpy is not None:
            numpy.random.set_state(drawn)


def _generators(model: nn.Module) -> list[object]:
    """The states of all random generators that a forward draws from if it is given none."""
    numpy = sys.modules.get("numpy")
    devices = {p.device for p in [*model.parameters(), *model.buffers()] if p.device.type == "cuda"}
    states = [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in devices)]
    drawn = () if numpy is None else numpy.random.get_state()
    return [
        *(state.numpy().tobytes() for state in states),
        random.getstate(),
        *(part.tobytes() if hasattr(part, "tobytes") else part for part in drawn),
    ]


def difference_between(model: nn.Module, small: nn.Module, example_inputs: ExampleInputs) -> float:
    """How far the outputs of two networks are apart, on the example inputs and, where the model takes it, on noise.

    Args:
        model: The reference.
        small: What should give the same; infinitely far apart if it does not run where the reference does.
        example_inputs: What :func:`gasl.trace` takes.

    Returns:
        The larger of both :func:`largest_difference`.
    """
    return Reference(model, example_inputs).difference(small)
