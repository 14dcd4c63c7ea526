"""Functions of two tensors element by element, in blocks that stay in the cache, with nothing kept for the gradient.

Autograd keeps a tensor as large as the weights for nearly every operation on them. What is a few operations on numbers
that are at hand anyway is cheaper done again for the gradient.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from gasl.maths.layout import BLOCK, single

__all__ = ["each", "total"]

Value = Callable[[Tensor, Tensor], Tensor]
Slopes = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def total(value: Value, slopes: Slopes, a: Tensor, b: Tensor) -> Tensor:
    """The sum over all elements of a function of two tensors.

    Args:
        value: The function, element by element.
        slopes: Its derivatives with respect to the first and the second.
        a: The first tensor; half precision is computed in float32.
        b: The second, of the same shape and dtype.

    Returns:
        A 0-dim tensor, differentiable.

    Example:
        >>> a, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 4.0])
        >>> product = total(torch.mul, lambda a, b: (b, a), a, b)
        >>> product.backward()
        >>> product.item(), a.grad
        (11.0, tensor([3., 4.]))
    """
    result: Tensor = _Total.apply(a, b, value, slopes)  # type: ignore[no-untyped-call] # torch has no annotation here
    return result


def each(value: Value, slopes: Slopes, a: Tensor, b: Tensor) -> Tensor:
    """A function of two tensors, element by element.

    Args:
        value: The function.
        slopes: Its derivatives with respect to the first and the second.
        a: The first tensor; half precision is computed, and given, in float32.
        b: The second, of the same shape and dtype.

    Returns:
        A tensor like them, differentiable.

    Example:
        >>> a, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 4.0])
        >>> each(torch.mul, lambda a, b: (b, a), a, b).detach()
        tensor([3., 8.])
    """
    result: Tensor = _Each.apply(a, b, value, slopes)  # type: ignore[no-untyped-call] # torch has no annotation here
    return result


class _Total(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, value: Value, slopes: Slopes) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.slopes = slopes
        return torch.stack([value(*map(single, block)).sum() for block in _blocks(a, b)]).sum()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        a, b = ctx.saved_tensors
        return *_pulled(a, b, gradient, ctx.slopes), None, None


class _Each(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, value: Value, slopes: Slopes) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.slopes = slopes
        result = torch.empty_like(a, dtype=single(a.new_empty(0)).dtype)
        for out, *block in _blocks(result, a, b):
            out.copy_(value(*map(single, block)))
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        a, b = ctx.saved_tensors
        return *_pulled(a, b, gradient, ctx.slopes), None, None


def _pulled(a: Tensor, b: Tensor, gradient: Tensor, slopes: Slopes) -> tuple[Tensor, Tensor]:
    if torch.is_grad_enabled():  # the gradient is to be differentiated itself
        by_a, by_b = slopes(single(a), single(b))
        return (gradient * by_a).to(a.dtype), (gradient * by_b).to(b.dtype)
    results = torch.empty_like(a), torch.empty_like(b)
    gradients = [gradient] if gradient.shape == a.shape else []
    for (
        out_a,
        out_b,
        *block,
    ) in _blocks(*results, a, b, *gradients):
        by_a, by_b = slopes(single(block[0]), single(block[1]))
        g = block[2] if gradients else gradient
        torch.mul(by_a, g, out=out_a)
        torch.mul(by_b, g, out=out_b)
    return results


def _blocks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Vectors of the same elements of each; those of the first are written to, and have to be without gaps."""
    first = tensors[0]
    dense = sum((n - 1) * step for n, step in zip(first.shape, first.stride(), strict=True)) + 1 == first.numel()
    if dense and all(tensor.stride() == first.stride() for tensor in tensors):
        flat = [tensor.as_strided((tensor.numel(),), (1,)) for tensor in tensors]
        yield from zip(
            *(vector.split(BLOCK if vector.device.type == "cpu" else vector.numel()) for vector in flat), strict=True
        )
    else:
        yield tensors
