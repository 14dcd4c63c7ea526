"""Layers whose weights are random: noise on what they put out, instead of on their weights.

See :mod:`gasl.maths.gaussian`. The variance is computed in float32 whatever the precision of the rest: a standard
deviation of 0.01 has a square that half precision does not hold.
"""

import torch
from torch import Tensor

from gasl.maths.gaussian import local_sample, local_variance
from gasl.maths.layout import single
from gasl.methods.draws import Draws
from gasl.structure.replaced import Run

__all__ = ["noisy_output"]


def noisy_output(
    run: Run,
    inputs: Tensor,
    weight: tuple[Tensor, Tensor],
    bias: tuple[Tensor | None, Tensor | None],
    draws: Draws,
) -> Tensor:
    """Run a layer with random weights, each output drawn by itself.

    Args:
        run: The layer as a function of inputs, weight and bias.
        inputs: Its inputs.
        weight: Mean and variance of each weight.
        bias: Mean and variance of each bias; None for a layer without one, and for a bias that is not random.
        draws: Gives the noise.

    Returns:
        The outputs, in the type that the layer gives.

    Example:
        >>> from torch.nn.functional import linear
        >>> weight, draws = torch.ones(1, 2), Draws(torch.Generator(), seed=0)
        >>> outputs = noisy_output(linear, torch.ones(9999, 2), (weight, 0.5 * weight), (None, None), draws)
        >>> [round(value.item(), 1) for value in (outputs.mean(), outputs.var())]
        [2.0, 1.0]
    """
    mean = run(inputs, weight[0], bias[0])
    with torch.autocast(inputs.device.type, enabled=False):
        bias_variance = None if bias[1] is None else single(bias[1])
        variance = local_variance(run, single(inputs), single(weight[1]), bias_variance)
    return local_sample(single(mean), variance, draws.fresh(variance)).to(mean.dtype)
