"""Dropout rates without a bound, and what they cost under the log-uniform prior (Molchanov et al. 2017).

A weight (or a unit's scale) is N(theta, sigma^2) with alpha = sigma^2 / theta^2, its prior p(log |w|) uniform. The
divergence is known up to a constant, and depends on alpha alone::

    KL(alpha) = -1/2 log alpha + E_{e ~ N(1, alpha)} log |e| + C                    Eq. 11 of that paper
              ~ k1 sigmoid(-(k2 + k3 log alpha)) + 1/2 log(1 + 1/alpha)             Eq. 14

It falls to 0 as alpha grows: a weight that is all noise is free. Bayesian Compression (Louizos et al. 2017) uses the
same function for the scales of units under the normal-Jeffreys prior.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from gasl.maths.blocks import each, total
from gasl.maths.layout import single

__all__ = ["bounded_variance", "log_alpha", "log_uniform_kl", "total_log_uniform_kl"]

_K1, _K2, _K3 = 0.63576, 1.87320, 1.48695  # fitted by Molchanov et al.


def log_alpha(mean: Tensor, log_variance: Tensor, eps: float = 1e-8, clip: float | None = None) -> Tensor:
    """The noise of each weight relative to its size: log alpha = log sigma^2 - log(theta^2 + eps).

    Args:
        mean: theta; half precision is computed in float32.
        log_variance: log sigma^2, as many.
        eps: Keeps the logarithm finite where a weight is exactly 0.
        clip: Bound on either side; beyond it the gradient is 0. None is no bound.

    Returns:
        A tensor like ``mean``, differentiable.

    Example:
        >>> log_alpha(torch.tensor([1.0, 0.0]), torch.tensor([-3.0, -10.0]))
        tensor([-3.0000,  8.4207])
        >>> log_alpha(torch.tensor([1.0, 0.0]), torch.tensor([-3.0, -10.0]), clip=8.0)
        tensor([-3.,  8.])
    """
    rates = single(log_variance) - torch.log(single(mean).square() + eps)
    return rates if clip is None else rates.clamp(-clip, clip)


def log_uniform_kl(log_alpha: Tensor) -> Tensor:
    """KL(N(theta, alpha theta^2) || log-uniform) of each weight, approximately, so that it is 0 at alpha = infinity.

    k1 sigmoid(-(k2 + k3 log alpha)) + 1/2 softplus(-log alpha): off by less than 0.01 for every alpha.

    Args:
        log_alpha: log alpha of each weight; half precision is computed in float32.

    Returns:
        A tensor like it, >= 0, falling in alpha, differentiable and finite for every finite log alpha.

    Example:
        >>> log_uniform_kl(torch.tensor([-8.0, 0.0, 3.0]))
        tensor([4.6359, 0.4312, 0.0254])
    """
    rates = single(log_alpha)
    return _K1 * torch.sigmoid(-(_K2 + _K3 * rates)) + 0.5 * softplus(-rates)


def total_log_uniform_kl(mean: Tensor, log_variance: Tensor, eps: float = 1e-8, clip: float = math.inf) -> Tensor:
    """The sum over all weights of :func:`log_uniform_kl` at their :func:`log_alpha`, in little memory.

    Args:
        mean: theta; half precision is computed in float32.
        log_variance: log sigma^2, as many.
        eps: Added to theta^2.
        clip: Bound of log alpha on either side.

    Returns:
        A 0-dim tensor, differentiable; its gradient is found in closed form.

    Example:
        >>> total_log_uniform_kl(torch.tensor([1.0, 1.0]), torch.tensor([-8.0, 0.0]))  # 4.6359 + 0.4312
        tensor(5.0671)
    """

    def value(theta: Tensor, lv: Tensor) -> Tensor:
        return log_uniform_kl(log_alpha(theta, lv, eps, clip))

    def slopes(theta: Tensor, lv: Tensor) -> tuple[Tensor, Tensor]:
        squares = theta.square() + eps
        rates = lv - squares.log()
        s = torch.sigmoid(-(_K2 + _K3 * rates))
        slope = -_K1 * _K3 * s * (1 - s) - 0.5 * torch.sigmoid(-rates)
        slope = torch.where(rates.abs() <= clip, slope, 0.0)
        return -2 * slope * theta / squares, slope

    return total(value, slopes, mean, log_variance)


def bounded_variance(mean: Tensor, log_variance: Tensor, eps: float, clip: float) -> Tensor:
    """sigma^2 where log alpha is within +-clip, else what it would be at the bound: exp(+-clip) (theta^2 + eps).

    Args:
        mean: theta; half precision is computed in float32.
        log_variance: log sigma^2, as many.
        eps: Added to theta^2.
        clip: Bound of log alpha on either side.

    Returns:
        The variances, differentiable.

    Example:
        >>> bounded_variance(torch.tensor([1.0, 1.0]), torch.tensor([math.log(2.0), 9.0]), eps=0.0, clip=1.0)
        tensor([2.0000, 2.7183])
    """
    low, high = math.exp(-clip), math.exp(clip)

    def value(theta: Tensor, lv: Tensor) -> Tensor:
        squares = theta.square() + eps
        return lv.exp().clamp(low * squares, high * squares)

    def slopes(theta: Tensor, lv: Tensor) -> tuple[Tensor, Tensor]:
        squares, variance = theta.square() + eps, lv.exp()
        bounded = variance.clamp(low * squares, high * squares)
        by_lv = variance * (bounded == variance)
        return 2 * theta * (bounded - by_lv) / squares, by_lv  # at a bound exp(+-clip) is bounded / squares

    return each(value, slopes, mean, log_variance)
