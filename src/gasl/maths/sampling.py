"""Where the random factors beta of Algorithm 1 come from: the log-normal of the paper, or any sampler."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import torch
from torch import Tensor

from gasl.errors import InputError

__all__ = ["LogNormal", "SampleFunction", "Sampler", "draw", "draw_each"]

SampleFunction = Callable[[int, torch.Generator], Tensor]


@runtime_checkable
class Sampler(Protocol):
    """Anything that draws n independent numbers from a generator."""

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw an ``(n,)`` tensor, from nothing but the generator."""


@final
@dataclass(frozen=True)
class LogNormal:
    """exp(mu + sigma * normal): concentrated near zero, with a long tail (Section 4.2 of the paper).

    Args:
        mu: Mean of the logarithm.
        sigma: Standard deviation of the logarithm.

    Example:
        >>> LogNormal().sample(2, torch.Generator().manual_seed(0)).shape
        torch.Size([2])
        >>> round(LogNormal().mean, 3), round(LogNormal().variance, 3)
        (1.649, 4.671)
    """

    mu: float = 0.0
    sigma: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no distribution."""
        if not (math.isfinite(self.mu) and math.isfinite(self.sigma) and self.sigma >= 0):
            raise InputError(f"LogNormal needs a finite mu and a finite sigma >= 0, got {self.mu} and {self.sigma}")

    @property
    def mean(self) -> float:
        """exp(mu + sigma^2 / 2)."""
        return math.exp(self.mu + self.sigma**2 / 2)

    @property
    def variance(self) -> float:
        """(exp(sigma^2) - 1) exp(2 mu + sigma^2)."""
        return math.expm1(self.sigma**2) * math.exp(2 * self.mu + self.sigma**2)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``(n,)`` float32 numbers on the generator's device."""
        return self.samples([n], generator)[0]

    def samples(self, sizes: Sequence[int], generator: torch.Generator) -> list[Tensor]:
        """Draw vectors of some lengths, as if one after the other."""
        flat = torch.empty(sum(sizes), device=generator.device, dtype=torch.float32)
        vectors = flat.split_with_sizes(list(sizes))
        for vector in vectors:
            vector.normal_(self.mu, self.sigma, generator=generator)
        flat.exp_()
        return list(vectors)


def draw(sampler: Sampler | SampleFunction, like: Tensor, generator: torch.Generator) -> Tensor:
    """One random factor for each element of a vector, in its dtype and on its device.

    The numbers depend on the generator and the length alone, not on the device.

    Args:
        sampler: A :class:`Sampler`, or a function ``(n, generator) -> (n,) tensor``.
        like: The ``(n,)`` elements.
        generator: Source of the numbers, on the CPU.

    Returns:
        An ``(n,)`` tensor without a graph.

    Raises:
        InputError: If the sampler gives another shape.

    Example:
        >>> draw(lambda n, generator: torch.arange(n), torch.zeros(3), torch.Generator())
        tensor([0., 1., 2.])
    """
    n = like.numel()
    sample = sampler.sample if isinstance(sampler, Sampler) else sampler
    beta = sample(n, generator).detach()
    if beta.shape != (n,):
        raise InputError(f"the sampler {sampler} gave shape {tuple(beta.shape)}, wanted ({n},)")
    return beta.to(device=like.device, dtype=like.dtype)


def draw_each(sampler: Sampler | SampleFunction, like: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    """:func:`draw` for one vector after the other: the same numbers, in fewer operations where that is known.

    Args:
        sampler: As for :func:`draw`.
        like: Vectors of elements.
        generator: As for :func:`draw`.

    Returns:
        Vectors of factors without a graph.

    Raises:
        InputError: If the sampler gives another shape.

    Example:
        >>> draw_each(lambda n, generator: torch.arange(n), [torch.zeros(3), torch.zeros(1)], torch.Generator())
        [tensor([0., 1., 2.]), tensor([0.])]
    """
    if not isinstance(sampler, LogNormal):
        return [draw(sampler, elements, generator) for elements in like]
    found = sampler.samples([elements.numel() for elements in like], generator)
    pairs = zip(found, like, strict=True)
    return [beta if beta.dtype == v.dtype and beta.device == v.device else beta.to(v) for beta, v in pairs]
