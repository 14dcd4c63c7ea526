"""Truncated log-normal noise of Structured Bayesian Pruning (Neklyudov 2017), one theta for each unit.

Prior and posterior of log theta live on [a, b] = [-20, 0]: uniform, and normal(mu, sigma^2) cut to the interval.
With alpha = (a - mu) / sigma, beta = (b - mu) / sigma and Z = Phi(beta) - Phi(alpha)::

    KL      = log(b - a) - log(sigma sqrt(2 pi e)) - log Z - (alpha phi(alpha) - beta phi(beta)) / (2 Z)
    E theta = exp(mu + sigma^2 / 2) (Phi(beta - sigma) - Phi(alpha - sigma)) / Z
    SNR     = E theta / Std theta = 1 / sqrt(E theta^2 / (E theta)^2 - 1)

Read literally these lose every digit where mu is outside of the interval or sigma is small (Z underflows, and terms of
size beta^2 cancel). With h = max(alpha, -beta), how far mu is outside in sigmas, w = (b - a) / sigma and
N = integral over [0, w] of exp(-s^2/2 - h s), the scaled Z, nothing cancels, and a moment of theta is a ratio of two N.
"""

import math

import torch
from torch import Tensor

from gasl.errors import InputError
from gasl.maths.tails import tail_moment

__all__ = [
    "truncated_log_normal_kl",
    "truncated_log_normal_mean",
    "truncated_log_normal_sample",
    "truncated_log_normal_snr",
]

_ROOT = math.sqrt(2.0)
_HALF = math.sqrt(math.pi / 2)
_NEARLY_CERTAIN = 1e-5  # relative spread of theta below which its variance is taken to first order
_FAR = 30.0


def truncated_log_normal_kl(mu: Tensor, log_sigma: Tensor, a: float = -20.0, b: float = 0.0) -> Tensor:
    """KL of the truncated log-normal from the log-uniform prior; see the module.

    Computed in double precision. It is 0 for sigma without bound, and does not change when mu is mirrored at the
    middle of [a, b].

    Args:
        mu: Location of log theta, any.
        log_sigma: Log of its scale, like ``mu``.
        a: Lower end of log theta.
        b: Upper end; ``b - a`` at least 1.

    Returns:
        One divergence per element, in the dtype of ``mu``, differentiable.

    Raises:
        InputError: If the interval is no interval, or shorter than 1.

    Example:
        >>> truncated_log_normal_kl(torch.tensor([0.0, -3.0, -3.0]), torch.tensor([-5.0, -5.0, 2.0]))
        tensor([7.2699, 6.5768, 0.1779])
    """
    alpha, beta, w, _ = _standard(mu, log_sigma, a, b)
    h = torch.maximum(alpha, -beta)
    # mu inside: E[((log theta - mu) / sigma)^2] = 1 + (alpha phi(alpha) - beta phi(beta)) / Z
    low, high = alpha.clamp(max=0), beta.clamp(min=0)
    z = _scaled_z(alpha, beta, w)
    square = 1 + (low * (-low * low / 2).exp() - high * (-high * high / 2).exp()) / z
    # mu outside: E[s^2 + 2 h s], E[s^2 + h s] being 1 - w exp(-w^2/2 - h w) / N
    x = h.clamp(min=0)
    n, first, end = _outside(x, w)
    square = torch.where(h < 0, square, 1 + (x * first - w * end) / n)
    kl = w.log() - z.log() - square / 2
    return kl.to(mu.dtype)


def truncated_log_normal_mean(mu: Tensor, log_sigma: Tensor, a: float = -20.0, b: float = 0.0) -> Tensor:
    """E theta, what survivors are multiplied with; see the module. Computed in double precision.

    Args:
        mu: Location of log theta, any.
        log_sigma: Log of its scale, like ``mu``.
        a: Lower end of log theta.
        b: Upper end; ``b - a`` at least 1.

    Returns:
        One mean per element, between e^a and e^b, in the dtype of ``mu``, differentiable.

    Raises:
        InputError: If the interval is no interval, or shorter than 1.

    Example:
        >>> truncated_log_normal_mean(torch.tensor([0.0, -3.0, -3.0]), torch.tensor([-5.0, -5.0, 5.0]))
        tensor([0.9946, 0.0498, 0.0501])
    """
    alpha, beta, w, sigma = _standard(mu, log_sigma, a, b)
    gain = _gain(-beta, sigma) - _gain(-alpha, sigma)
    ratio = _scaled_z(alpha - sigma, beta - sigma, w) / _scaled_z(alpha, beta, w)
    return ((b + gain).exp() * ratio).to(mu.dtype)


def truncated_log_normal_snr(mu: Tensor, log_sigma: Tensor, a: float = -20.0, b: float = 0.0) -> Tensor:
    """E theta / Std theta; a unit at or below 1 is dead. See the module. Computed in double precision.

    Where it is above 1e5 it is taken to first order in 1 / SNR.

    Args:
        mu: Location of log theta, any.
        log_sigma: Log of its scale, like ``mu``.
        a: Lower end of log theta.
        b: Upper end; ``b - a`` at least 1.

    Returns:
        One ratio per element, > 0, in the dtype of ``mu``.

    Raises:
        InputError: If the interval is no interval, or shorter than 1.

    Example:
        >>> truncated_log_normal_snr(torch.tensor([0.0, -3.0, -3.0]), torch.tensor([-5.0, -5.0, 5.0]))
        tensor([246.6992, 148.4115,   0.3337])
    """
    alpha, beta, w, sigma = _standard(mu, log_sigma, a, b)
    # log of E theta^2 / (E theta)^2 is a second difference in sigma
    z, one, two = (_scaled_z(alpha - k * sigma, beta - k * sigma, w) for k in range(3))
    log_ratio = _bend(-beta, sigma) - _bend(-alpha, sigma) + (two / one).log() - (one / z).log()
    # or, to first order, sigma^2 times the variance of s, one end being near
    h = torch.maximum(alpha, -beta)
    p, x = -h.clamp(max=0), h.clamp(min=0)
    slope = (-p * p / 2).exp() / (_HALF * (1 + (p / _ROOT).erf()))
    moments = [tail_moment(x, n) for n in range(3)]
    variance = torch.where(
        h < 0, 1 - p * slope - slope * slope, moments[2] / moments[0] - (moments[1] / moments[0]).square()
    )
    first_order = sigma.square() * variance
    ratio = torch.where(first_order < _NEARLY_CERTAIN**2, first_order, log_ratio.expm1())
    return ratio.rsqrt().to(mu.dtype)


def truncated_log_normal_sample(mu: Tensor, log_sigma: Tensor, u: Tensor, a: float = -20.0, b: float = 0.0) -> Tensor:
    """Theta = exp(mu + sigma Phi^-1((1 - u) Phi(alpha) + u Phi(beta))), the u-quantile.

    Counted from the end that is nearer to mu, in double precision; where mu is more than 30 sigmas outside, by a Newton
    step from the exponential distribution that it nearly is there.

    Args:
        mu: Location of log theta, any.
        log_sigma: Log of its scale, like ``mu``.
        u: Uniform numbers in [0, 1], like ``mu``.
        a: Lower end of log theta.
        b: Upper end; ``b - a`` at least 1.

    Returns:
        One theta per element, between e^a and e^b, in the dtype of ``mu``, differentiable in ``mu`` and ``log_sigma``.

    Raises:
        InputError: If the interval is no interval, or shorter than 1.

    Example:
        >>> mu, log_sigma = torch.tensor([0.0, -3.0, -3.0]), torch.tensor([-5.0, -5.0, 5.0])
        >>> truncated_log_normal_sample(mu, log_sigma, torch.tensor([0.5, 0.5, 0.9]))
        tensor([0.9955, 0.0498, 0.1358])
    """
    alpha, beta, w, sigma = _standard(mu, log_sigma, a, b)
    low = alpha > -beta  # the lower end is the near one
    h = torch.where(low, alpha, -beta)
    u = u.to(h.dtype).clamp(2.0**-53, 1 - 2.0**-53)
    v = torch.where(low, u, 1 - u)
    x = h.clamp(max=_FAR)
    near = -torch.special.ndtri(((1 - v) * (x / _ROOT).erfc() + v * ((x + w) / _ROOT).erfc()) / 2) - x
    x = h.clamp(min=_FAR)
    energy = -torch.log1p(-v * (1 - (-w * (w / 2 + x)).exp()))
    start = 2 * energy / (x + (x * x + 2 * energy).sqrt())
    tail = tail_moment(x + start, 0)
    step = start * (start / 2 + x) + tail_moment(x, 0).log() - tail.log() - energy
    s = torch.where(h < _FAR, near, start - step * tail)
    s = torch.minimum(s.clamp(min=0), w)
    return torch.where(low, a + sigma * s, b - sigma * s).exp().to(mu.dtype)


def _standard(mu: Tensor, log_sigma: Tensor, a: float, b: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if not (math.isfinite(a) and math.isfinite(b) and b - a >= 1):
        raise InputError(f"the truncated log-normal needs an interval with b - a >= 1, got a={a}, b={b}")
    mu, sigma = mu.double(), log_sigma.double().exp()
    return (a - mu) / sigma, (b - mu) / sigma, (b - a) / sigma, sigma


def _outside(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    # for h = x >= 0: N, the same integral of s exp(-s^2/2 - h s), and exp(-w^2/2 - h w)
    end = (-w * (w / 2 + x)).exp()
    none, one = tail_moment(x + w, 0), tail_moment(x + w, 1)
    return tail_moment(x, 0) - end * none, tail_moment(x, 1) - end * (one + w * none), end


def _scaled_z(alpha: Tensor, beta: Tensor, w: Tensor) -> Tensor:
    # N: sqrt(2 pi) Z with mu inside, else Z / phi at the end that is near mu
    h = torch.maximum(alpha, -beta)
    inside = _HALF * ((alpha.clamp(max=0) / -_ROOT).erf() + (beta.clamp(min=0) / _ROOT).erf())
    return torch.where(h < 0, inside, _outside(h.clamp(min=0), w)[0])


def _gain(x: Tensor, step: Tensor) -> Tensor:
    # min(x + step, 0)^2 / 2 - min(x, 0)^2 / 2 for step >= 0, without the squares
    inside = torch.minimum((-x).clamp(min=0), step)
    return inside * (x.clamp(max=0) + inside / 2)


def _bend(x: Tensor, step: Tensor) -> Tensor:
    # the second difference of min(x, 0)^2 / 2
    crossing = (x + 2 * step).clamp(max=0).square() / 2 - (x + step).clamp(max=0).square() + x.clamp(max=0).square() / 2
    return torch.where(x + 2 * step <= 0, step.square(), crossing)
