"""Do two networks give the same outputs?"""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from gasl.structure.inputs import SIDE, ExampleInputs, call, copied, fewer_places, noise_like
from gasl.structure.parts import modules_of, set_training, tensors_of
from gasl.structure.running import eager, output_tensors, undisturbed

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
        outputs: What it gives on the example inputs in evaluation mode, where that is known already.
        brief: Draw the noise for fewer places than the example has, as :func:`~gasl.structure.running.fewer_places`
            says, where the network takes it.

    Attributes:
        brief: Whether anything was drawn for fewer places.

    Example:
        >>> layer = nn.Linear(3, 2)
        >>> reference = Reference(layer, torch.zeros(1, 3))
        >>> _ = layer.weight.data[:, 0].zero_()
        >>> reference.difference(layer) > 0
        True
    """

    def __init__(
        self, model: nn.Module, example_inputs: ExampleInputs, outputs: object = None, brief: bool = False
    ) -> None:
        given = copied(example_inputs, model)
        whole = noise_like(given)
        evaluated, trained = [whole], [whole]
        if brief and (small := fewer_places(given, SIDE)) is not None and (half := fewer_places(given)) is not None:
            evaluated, trained = [noise_like(small), whole], [noise_like(half), whole]
        if not any(isinstance(leaf, Tensor) and leaf.is_floating_point() for leaf in tree_leaves(given)):
            evaluated = []
        self._cases = []
        with undisturbed(model), eager():
            self._cases.append((given, call(model, copied(given, model)) if outputs is None else outputs))
            for noise in evaluated:
                with suppress(Exception):  # the model's own rules for its inputs
                    self._cases.append((noise, call(model, copied(noise, model))))
                    break
        self._training_inputs, self._training = given, None
        for noise in trained if len(self._cases) > 1 else [given]:
            with suppress(Exception):  # e.g. a batch of one in front of a batch norm
                self._training_inputs, self._training = noise, self._run(model, noise)
                break
        self.brief = not {id(self._cases[-1][0]), id(self._training_inputs)} <= {id(given), id(whole)}

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
            got = self._run(other, self._training_inputs)
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

    def _run(self, model: nn.Module, given: ExampleInputs) -> tuple[object] | None:
        """The outputs in training mode; None if random numbers are drawn, which a dropout says before it does it."""
        inputs = copied(given, model)
        with training(model), eager(), _dropouts_told(model):
            before = _generators(model)
            try:
                outputs = call(model, inputs)
            except _DrawsError:
                return None
            return (outputs,) if _generators(model) == before else None


class _DrawsError(Exception):
    """A network is about to draw random numbers."""


@contextmanager
def _dropouts_told(model: nn.Module) -> Iterator[None]:
    """Inside the block a dropout that would draw ends the pass: the rest of it would be of no use."""

    def stop(module: nn.Module, inputs: tuple[object, ...]) -> None:
        if module.training and inputs and isinstance(inputs[0], Tensor) and inputs[0].numel() > 0:
            raise _DrawsError

    kinds = [kind.forward for kind in (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)]
    drops = [m for m in modules_of(model).values() if type(m).forward in kinds and 0 < m.p < 1]  # type: ignore[operator]
    hooks = [module.register_forward_pre_hook(stop) for module in drops]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def training(model: nn.Module) -> Iterator[None]:
    """Training mode without gradients; flags, buffers and random generators are as before afterwards."""
    flags = {module: module.training for module in modules_of(model).values()}
    state, numpy = random.getstate(), sys.modules.get("numpy")
    drawn = numpy.random.get_state() if numpy is not None else None
    try:
        with undisturbed(model):
            if any(flags.values()):
                for module, flag in flags.items():
                    vars(module)["training"] = flag
            else:
                set_training(model, flags, True)
            yield
    finally:
        random.setstate(state)
        if numpy is not None:
            numpy.random.set_state(drawn)


def _generators(model: nn.Module) -> list[object]:
    """The states of all random generators that a forward draws from if it is given none."""
    numpy = sys.modules.get("numpy")
    devices = {tensor.device for tensor in tensors_of(model).values() if tensor.device.type == "cuda"}
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
