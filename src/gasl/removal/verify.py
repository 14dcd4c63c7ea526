"""Do two networks give the same outputs?"""

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from gasl.structure.running import ExampleInputs, call, copied, eager, output_tensors, undisturbed

__all__ = ["difference_between", "largest_difference"]


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


def difference_between(model: nn.Module, small: nn.Module, example_inputs: ExampleInputs) -> float:
    """How far the outputs of two networks are apart, on the example inputs and, where the model takes it, on noise.

    Args:
        model: The reference.
        small: What should give the same; infinitely far apart if it does not run where the reference does.
        example_inputs: What :func:`gasl.trace` takes.

    Returns:
        The larger of both :func:`largest_difference`.
    """
    generator = torch.Generator().manual_seed(0)

    def noise(leaf: object) -> object:
        if isinstance(leaf, Tensor) and leaf.is_floating_point():
            return torch.randn(leaf.shape, generator=generator).to(leaf)
        return leaf

    largest = 0.0
    for inputs in (example_inputs, tree_map(noise, copied(example_inputs, model))):
        with undisturbed(model), undisturbed(small), eager():
            try:
                wanted = call(model, copied(inputs, model))
            except Exception:  # the model's own rules for its inputs
                if inputs is example_inputs:
                    raise
                continue
            try:
                got = call(small, copied(inputs, model))
            except Exception:  # sizes that a forward holds as numbers
                return float("inf")
            largest = max(largest, largest_difference(wanted, got))
    return largest
