"""The horseshoe prior in the form that Bayesian Compression (Louizos et al. 2017) trains.

A half-Cauchy scale is the root of a product, z ~ C+(0, tau) <=> z^2 = a b with a ~ Gamma(1/2, scale tau^2) and
b ~ InverseGamma(1/2, 1). With log-normal posteriors of a and b all that is needed has a closed form::

    KL(LN(m, v) || Gamma(1/2, scale t))     = -m/2 - 1/2 log v - (1 + log 2)/2 + 1/2 log t + exp(m + v/2) / t
    KL(LN(m, v) || InverseGamma(1/2, 1))    =  m/2 - 1/2 log v - (1 + log 2)/2 + exp(-m + v/2)
    sqrt(a b ...)                           ~ LN((m_a + m_b + ...) / 2, (v_a + v_b + ...) / 4)
    mean, mode of LN(m, v)                  = exp(m + v/2), exp(m - v)
"""

import math
from collections.abc import Sequence
from functools import reduce
from operator import add

import torch
from torch import Tensor

from gasl.errors import InputError
from gasl.maths.layout import single

__all__ = [
    "log_normal_gamma_kl",
    "log_normal_inverse_gamma_kl",
    "log_normal_mean",
    "log_normal_mode",
    "root_of_product",
]


def log_normal_gamma_kl(mu: Tensor, log_variance: Tensor, scale: float = 1.0) -> Tensor:
    """KL(LN(mu, v) || Gamma(1/2, scale)) element by element; the module says how.

    Args:
        mu: Mean of the logarithm; half precision is computed in float32.
        log_variance: log v, v the variance of the logarithm.
        scale: Scale t of the Gamma distribution: tau^2 for a half-Cauchy of scale tau.

    Returns:
        A tensor like them, >= 0, differentiable.

    Raises:
        InputError: If the scale is not above 0.

    Example:
        >>> log_normal_gamma_kl(torch.tensor(0.0), torch.tensor(0.0))  # exp(1/2) - (1 + log 2) / 2
        tensor(0.8021)
    """
    if not (math.isfinite(scale) and scale > 0):
        raise InputError(f"log_normal_gamma_kl needs a finite scale > 0, got {scale}")
    relative = single(mu) - math.log(scale)  # in units of the prior's scale: exp(mu) / t neither over- nor underflows
    return _kl(relative, single(log_variance))


def log_normal_inverse_gamma_kl(mu: Tensor, log_variance: Tensor) -> Tensor:
    """KL(LN(mu, v) || InverseGamma(1/2, 1)) element by element: that of 1/x, LN(-mu, v), from Gamma(1/2, 1).

    Args:
        mu: Mean of the logarithm; half precision is computed in float32.
        log_variance: log v, v the variance of the logarithm.

    Returns:
        A tensor like them, >= 0, differentiable.

    Example:
        >>> log_normal_inverse_gamma_kl(torch.tensor(0.0), torch.tensor(0.0))  # exp(1/2) - (1 + log 2) / 2
        tensor(0.8021)
    """
    return _kl(-single(mu), single(log_variance))


def root_of_product(mus: Sequence[Tensor], variances: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The root of a product of independent log-normals: LN(sum mu / 2, sum v / 4).

    For the horseshoe s z_i of Bayesian Compression these are s_a, s_b of the layer and a_i, b_i of its units.

    Args:
        mus: Mean of the logarithm of each factor; shapes that broadcast.
        variances: Variance of the logarithm of each factor.

    Returns:
        Mean and variance of the logarithm of the root, differentiable.

    Example:
        >>> layer, units = torch.tensor(1.0), torch.tensor([1.0, 3.0])
        >>> root_of_product([layer, units], [layer, units])
        (tensor([1., 2.]), tensor([0.5000, 1.0000]))
    """
    return reduce(add, mus) / 2, reduce(add, variances) / 4


def log_normal_mean(mu: Tensor, variance: Tensor) -> Tensor:
    """exp(mu + v / 2), the mean of LN(mu, v).

    Args:
        mu: Mean of the logarithm.
        variance: Variance of the logarithm.

    Returns:
        A tensor like them, differentiable.

    Example:
        >>> log_normal_mean(torch.tensor(0.0), torch.tensor(2.0))
        tensor(2.7183)
    """
    return torch.exp(mu + variance / 2)


def log_normal_mode(mu: Tensor, variance: Tensor) -> Tensor:
    """exp(mu - v), where the density of LN(mu, v) is largest; near 0 for a scale that is not needed.

    Args:
        mu: Mean of the logarithm.
        variance: Variance of the logarithm.

    Returns:
        A tensor like them, differentiable.

    Example:
        >>> log_normal_mode(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 1.0]))
        tensor([0.1353, 1.0000])
    """
    return torch.exp(mu - variance)


def _kl(mu: Tensor, log_variance: Tensor) -> Tensor:
    # KL(LN(mu, v) || Gamma(1/2, 1)); that from Gamma(1/2, t) is the same of x / t.
    return torch.exp(mu + log_variance.exp() / 2) - mu / 2 - log_variance / 2 - (1 + math.log(2)) / 2
