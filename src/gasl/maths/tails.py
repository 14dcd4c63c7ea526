"""What lies in the tail of a normal distribution, scaled so that nothing underflows: Mills' ratio and its moments."""

import math

import torch
from torch import Tensor

__all__ = ["tail_moment"]

_FAR = 30.0  # from here on the asymptotic series has every digit, and up to here what cancels is x^2 of 1e16


def tail_moment(x: Tensor, n: int) -> Tensor:
    """Integral over s > 0 of s^n exp(-s^2/2 - x s), for n = 0, 1 or 2.

    ::

        n = 0    Mills' ratio  sqrt(pi/2) erfcx(x / sqrt(2)) = (1 - Phi(x)) / phi(x)
        n = 1    1 - x m0
        n = 2    m0 - x m1

    and from x = 30 on the asymptotic series n! / x^(n+1) sum_k (-1)^k (n+2k)! / (n! 2^k k!) x^(-2k).

    Args:
        x: Double precision, >= 0.
        n: Power of s: 0, 1 or 2.

    Returns:
        A tensor like ``x``, differentiable; n! / x^(n+1) for large x.

    Example:
        >>> x = torch.tensor([0.0, 1.0, 1e9], dtype=torch.float64)
        >>> tail_moment(x, 0)  # sqrt(pi/2), ...
        tensor([1.2533e+00, 6.5568e-01, 1.0000e-09], dtype=torch.float64)
        >>> tail_moment(x, 1)
        tensor([1.0000e+00, 3.4432e-01, 1.0000e-18], dtype=torch.float64)
    """
    near, far = x.clamp(max=_FAR), x.clamp(min=_FAR)
    exact = [math.sqrt(math.pi / 2) * torch.special.erfcx(near / math.sqrt(2))]
    exact.append(1 - near * exact[0])
    exact.append(exact[0] - near * exact[1])
    y = far.square().reciprocal()
    series = torch.zeros_like(x)
    for k in range(8, -1, -1):
        series = series * y + (-1) ** k * math.factorial(n + 2 * k) / (2**k * math.factorial(k))
    return torch.where(x < _FAR, exact[n], series * far ** -(n + 1))
