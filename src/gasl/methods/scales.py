"""Random scales of units over Gaussian weights: the posterior of Bayesian Compression, one class a prior.

A sampled parameter is (theta + s_w * noise) * z. A layer that is called as a module has the noise on its output; and
where all that a unit's scale multiplies is one such layer, the scale is drawn for every example::

    columns of a linear layer   mean = layer(x z, theta) + b       variance = layer((x z)^2, s_w^2)
    rows of a convolution       mean = z (layer(x, theta) + b)     variance = z^2 layer(x^2, s_w^2)
"""

from abc import abstractmethod
from collections.abc import Collection

import torch
from torch import Tensor

from gasl.groups.sites import Sites, UnitSite
from gasl.maths.gaussian import total_gaussian_kl
from gasl.methods.draws import Draws
from gasl.methods.noise import noisy_output
from gasl.methods.posterior import UnitPosterior
from gasl.structure.replaced import Run

__all__ = ["Scales"]

_LOWEST, _HIGHEST = -30.0, 10.0  # of the logarithm of a variance


class Scales(UnitPosterior):
    """Gaussian weights under random scales; a subclass says how the scales are distributed.

    Args:
        sites: The places in the network.
        draws: The random numbers.
        threshold: Where a unit is dead.
        log_variance: Log of the variance of each weight and bias at the start.
        bound: Largest log variance of layers that read the network's input; None for no bound.
    """

    def __init__(self, sites: Sites, draws: Draws, threshold: float, log_variance: float, bound: float | None) -> None:
        layers = {site.weight: site for site in sites.layers}
        trained = {name for name, tensor in sites.tensors.items() if tensor.requires_grad}
        biases = [s.bias for s in sites.layers if s.bias is not None and s.bias in trained]
        super().__init__(draws, sites.units, [*layers, *biases], [s.weight for s in sites.layers if s.called])
        self._threshold, self._bound = threshold, bound
        self._tensors, self._layers = sites.tensors, layers
        self._gaussian = tuple(dict.fromkeys([*layers, *biases]))
        entry = (name for s in sites.layers if s.entry for name in (s.weight, s.bias))
        self._entry = [name for name in entry if name in self._gaussian]
        self._single = frozenset(i for i, unit in enumerate(sites.units) if self._in_one_layer(unit))
        for name in self._gaussian:
            self.own(name, log_variance=torch.full_like(sites.tensors[name], log_variance))

    @abstractmethod
    def scaled(self, axis: int, noise: Tensor) -> Tensor:
        """Scales of an axis from standard normal numbers of shape ``(..., M)``."""

    @abstractmethod
    def scale_kl(self, axis: int) -> Tensor:
        """Divergence of the scales of an axis, 0-dim."""

    def sample(self, axis: int) -> Tensor:
        """One scale a unit for this optimizer step."""
        site = self.units[axis]
        like = self._tensors[site.carriers[0].place[0]].new_empty(site.size)
        return self.scaled(axis, self.draws.once(site.name, like, "normal"))

    def sampled(self, name: str, tensor: Tensor) -> Tensor:
        """The parameter with noise of its own, times the scales of its units."""
        if name in self._gaussian:
            tensor = tensor + self._variance(name).sqrt() * self.draws.once(f"{name}~", tensor, "normal")
        return super().sampled(name, tensor)

    def layer(self, name: str, run: Run, inputs: Tensor) -> Tensor:
        """The layer with noise on its outputs, and with a scale for each example where that can be."""
        site = self._layers[name]
        bias = None if site.bias is None else self._tensors[site.bias]
        if self._fixed is not None:
            if bias is not None and site.bias in self.names:
                bias = self.effective(site.bias, bias, training=True)
            return run(inputs, self.effective(name, site.tensor, training=True), bias)
        each = self._single if inputs.ndim == site.tensor.ndim else frozenset()
        after = None
        for axis, units in self._carried[name]:
            if axis in each:
                noise = self.draws.fresh(site.tensor.new_empty(len(inputs), self.units[axis].size))
                scales = units.spread(self.scaled(axis, noise))
                if units.place[1] == 1:
                    inputs = inputs * _along_channels(scales, inputs)
                else:
                    after = scales
        outputs = noisy_output(
            run,
            inputs,
            self._moments(name, site.tensor, each),
            (None, None) if bias is None else self._moments(str(site.bias), bias, each),
            self.draws,
        )
        return outputs if after is None else outputs * _along_channels(after, outputs)

    def divergence(self) -> Tensor:
        """KL of all scales, weights and biases, 0-dim."""
        scales = [self.scale_kl(axis) for axis in range(len(self.units))]
        weights = [total_gaussian_kl(self._tensors[name], self._log_variance(name)) for name in self._gaussian]
        return torch.stack([*scales, *weights]).sum()

    @torch.no_grad()
    def constrain_(self) -> None:
        """Keep log variances in their range, those of layers that read the network's input below their bound."""
        for name, tensor in self.named_parameters():
            if name.endswith("log_variance"):
                tensor.clamp_(_LOWEST, _HIGHEST)
        for place in self._entry if self._bound is not None else ():
            self._log_variance(place).clamp_(max=self._bound)

    def _moments(self, name: str, tensor: Tensor, without: Collection[int]) -> tuple[Tensor, Tensor]:
        """Mean and variance of each weight, scaled for the whole batch along all axes but some."""
        variance = self._variance(name) if name in self._gaussian else torch.zeros_like(tensor)
        for axis, units in self._carried.get(name, ()):
            if axis not in without:
                scale = units.over(self.sample(axis), tensor)
                tensor, variance = tensor * scale, variance * scale.square()
        return tensor, variance

    def _in_one_layer(self, unit: UnitSite) -> bool:
        places = [units.place for units in unit.carriers]
        for site in self._layers.values():
            if site.called and site.straight:
                rows = [(site.weight, 0)] + [(site.bias, 0)] * (site.bias is not None)
                if places == [(site.weight, 1)] or sorted(places) == sorted(rows):
                    return True
        return False

    def _log_variance(self, name: str) -> Tensor:
        return self.at(name).get_parameter("log_variance")

    def _variance(self, name: str) -> Tensor:
        return self._log_variance(name).exp()


def _along_channels(factors: Tensor, like: Tensor) -> Tensor:
    """``(batch, channels)`` for multiplication with images or vectors."""
    return factors.to(like.dtype).view(*factors.shape, *[1] * (like.ndim - 2))
