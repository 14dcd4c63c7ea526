"""Gaussian weights: their divergence from a Gaussian prior, the moments of a product, and sampling of activations.

With weights w ~ N(mu, s^2), independent of each other, a layer's output is a sum of products x w, so that

::

    mean = layer(x, mu) + b        variance = layer(x^2, s^2)        output = mean + sqrt(variance) * noise

Drawing the outputs instead of the weights (the local reparameterisation of Kingma et al. 2015) gives every example
noise of its own and gradients of smaller variance. It is exact where each output is looked at by itself; that outputs
of a convolution at different places share their weights is left out.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gasl.maths.blocks import total
from gasl.maths.layout import single

__all__ = ["gaussian_kl", "local_sample", "local_variance", "product_variance", "total_gaussian_kl"]

Layer = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mu, s^2) || N(0, 1)) = (s^2 + mu^2 - 1 - log s^2) / 2, element by element.

    Args:
        mean: mu; half precision is computed in float32.
        log_variance: log s^2, as many.

    Returns:
        A tensor like them, >= 0, differentiable.

    Example:
        >>> gaussian_kl(torch.tensor([0.0, 2.0]), torch.tensor([0.0, 0.0]))
        tensor([0., 2.])
    """
    mean, log_variance = single(mean), single(log_variance)
    return 0.5 * (torch.expm1(log_variance) - log_variance + mean.square())


def total_gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The sum over all weights of :func:`gaussian_kl`, in little memory.

    Args:
        mean: mu; half precision is computed in float32.
        log_variance: log s^2, as many.

    Returns:
        A 0-dim tensor, differentiable; its gradient is found in closed form.

    Example:
        >>> total_gaussian_kl(torch.tensor([0.0, 2.0]), torch.tensor([0.0, 0.0]))
        tensor(2.)
    """
    return total(gaussian_kl, lambda mu, lv: (mu, 0.5 * torch.expm1(lv)), mean, log_variance)


def product_variance(mean_a: Tensor, variance_a: Tensor, mean_b: Tensor, variance_b: Tensor) -> Tensor:
    """Variance of the product of two independent numbers: m_a^2 v_b + v_a m_b^2 + v_a v_b. Its mean is m_a m_b.

    Args:
        mean_a: Mean of the first, e.g. of a unit's scale.
        variance_a: Its variance.
        mean_b: Mean of the second, e.g. of a weight; any shape that broadcasts.
        variance_b: Its variance.

    Returns:
        The variance, differentiable.

    Example:
        >>> product_variance(torch.tensor(2.0), torch.tensor(0.5), torch.tensor(3.0), torch.tensor(1.0))  # 4 + 4.5 + .5
        tensor(9.)
    """
    return mean_a.square() * variance_b + variance_a * (mean_b.square() + variance_b)


def local_variance(layer: Layer, x: Tensor, variance: Tensor, bias_variance: Tensor | None = None) -> Tensor:
    """Variance of each output of a layer with independent random weights: layer(x^2, s^2). Its mean is layer(x, mu).

    Args:
        layer: A function ``(input, weight, bias) -> output``, linear in its weight: ``torch.nn.functional.linear``,
            ``conv2d``, a convolution with its stride and padding bound.
        x: Its input.
        variance: Variance of each weight.
        bias_variance: Variance of each bias; None where there is none, or it is no random number.

    Returns:
        The variance, differentiable in everything.

    Example:
        >>> from torch.nn.functional import linear
        >>> local_variance(linear, torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 0.25]]))  # 0.5 + 4 * 0.25
        tensor([[1.5000]])
    """
    return layer(x.square(), variance, bias_variance)


def local_sample(mean: Tensor, variance: Tensor, noise: Tensor, eps: float = 1e-8) -> Tensor:
    """Draw outputs with given moments: mean + sqrt(variance + eps) * noise.

    Args:
        mean: Mean of each output.
        variance: Its variance; what rounding has made negative counts as 0.
        noise: Standard normal numbers, as many.
        eps: Keeps the slope of the root finite where nothing comes in.

    Returns:
        The sampled outputs, differentiable in both moments.

    Example:
        >>> local_sample(torch.tensor([1.0, 1.0]), torch.tensor([4.0, 0.0]), torch.tensor([1.5, -1.0]))
        tensor([4.0000, 0.9999])
    """
    return torch.addcmul(mean, (variance.clamp(min=0) + eps).sqrt(), noise)
