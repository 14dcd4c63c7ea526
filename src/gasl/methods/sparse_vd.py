"""Sparse variational dropout (Molchanov, Ashukha and Vetrov 2017): the noise of each weight is learned without a bound.

A weight is theta plus noise of variance sigma^2, both trained; alpha = sigma^2 / theta^2 is its dropout rate::

    output = layer(x, theta) + sqrt(layer(x^2, sigma^2)) * noise + b        additive, local reparameterisation
    value  = strength * sum over weights of KL(alpha)                       gasl.maths.log_uniform
    dead   : log alpha > threshold;  in test mode theta is used as it is, or 0

strength is 1 / N for N training examples. A unit is removed when all weights that it is made of, or all that read it,
are dead.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from gasl.errors import InputError
from gasl.groups.membership import Units
from gasl.groups.sites import Connections, LayerSite, Sites
from gasl.maths.log_uniform import bounded_variance, log_alpha, total_log_uniform_kl
from gasl.methods.base import Granularity, Groups, check_number
from gasl.methods.draws import Draws
from gasl.methods.noise import noisy_output
from gasl.methods.posterior import Posterior
from gasl.methods.stochastic import Stochastic
from gasl.structure.replaced import Run

__all__ = ["SparseVD"]

_EPS = 1e-8  # added to theta^2, so that a weight that is 0 has a finite rate


@final
@dataclass(frozen=True, kw_only=True)
class SparseVD(Stochastic):
    """A learned amount of noise on every weight; what is mostly noise is removed.

    The noise is on the outputs of convolutions and linear layers that are called as modules, another for each example;
    weights that are used otherwise (attention, tied weights) get noise themselves, the same in a whole optimizer step.

    Args:
        strength: Weight of the divergence: 1 / N for N training examples.
        scope: Not used: no unit has a weight of its own here.
        linear: Not used either.
        granularity: Single weights; units go when all their weights have.
        warmup: Optimizer steps over which the divergence grows to its full strength.
        delay: Optimizer steps before that without it.
        threshold: log alpha above which a weight is dead.
        clip: Bound of log alpha on either side, for noise and divergence; beyond it nothing pulls at the noise.
        log_variance: log sigma^2 of every weight at the start.
        train_clip: Whether the mean of dead weights is 0 in training, too.

    Example:
        >>> import gasl
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> sparsifier = gasl.Sparsifier(model, SparseVD(strength=1e-3), torch.zeros(2, 4))
        >>> [name for name, _ in model.named_parameters() if "log_variance" in name]
        ['_gasl.0/weight.log_variance', '_gasl.2/weight.log_variance']
    """

    paper: ClassVar[str] = (
        "Dmitry Molchanov, Arsenii Ashukha, Dmitry Vetrov. "
        "Variational dropout sparsifies deep neural networks. ICML 2017."
    )
    usual_strength: ClassVar[float | None] = 2e-5  # 1 / N for 50,000 examples
    holds_units: ClassVar[bool] = True

    granularity: Granularity = "weight"
    threshold: float = 3.0
    clip: float = 8.0
    log_variance: float = -10.0
    train_clip: bool = False

    def __post_init__(self) -> None:
        """Refuse what no training could use."""
        super().__post_init__()
        check_number("clip", self.clip)
        if self.granularity != "weight":
            raise InputError(
                "SparseVD learns the noise of single weights, and units go when all of theirs have; "
                f"leave granularity at 'weight', got {self.granularity!r}"
            )
        if not abs(self.threshold) < self.clip:
            raise InputError(
                f"threshold must lie within the bounds of log alpha, -{self.clip} and {self.clip}, got {self.threshold}"
            )
        if not math.isfinite(self.log_variance):
            raise InputError(f"log_variance must be a finite number, got {self.log_variance}")

    def posterior(self, sites: Sites, draws: Draws) -> Posterior:
        """One log sigma^2 a weight."""
        return _Noise(self, sites, draws)

    def cost(self, groups: Groups, posterior: Posterior) -> Tensor:
        """The divergence of all weights."""
        assert isinstance(posterior, _Noise)
        return posterior.divergence()


class _Noise(Posterior):
    def __init__(self, method: SparseVD, sites: Sites, draws: Draws) -> None:
        super().__init__(
            draws, [site.weight for site in sites.layers], [site.weight for site in sites.layers if site.called]
        )
        self._method = method
        self._tensors = sites.tensors
        self._connections = sites.connections
        self._layers: dict[str, LayerSite] = {site.weight: site for site in sites.layers}
        for site in sites.layers:
            self.own(site.weight, log_variance=torch.full_like(site.tensor, method.log_variance))

    def divergence(self) -> Tensor:
        """Of all weights, 0-dim."""
        clip = self._method.clip
        layers = self._layers.values()
        return torch.stack([total_log_uniform_kl(s.tensor, self._of(s.weight), _EPS, clip) for s in layers]).sum()

    def sampled(self, name: str, tensor: Tensor) -> Tensor:
        noise = self.draws.once(name, tensor, "normal")
        return self._mean(name, tensor) + (self._variance(name, tensor).sqrt() * noise).to(tensor.dtype)

    def layer(self, name: str, run: Run, inputs: Tensor) -> Tensor:
        site = self._layers[name]
        bias = None if site.bias is None else self._tensors[site.bias]
        if self._fixed is not None:
            return run(inputs, self.effective(name, site.tensor, training=True), bias)
        weight = self._mean(name, site.tensor), self._variance(name, site.tensor)
        return noisy_output(run, inputs, weight, (bias, None), self.draws)

    def factor(self, name: str, tensor: Tensor) -> Tensor:
        alive = self._alive(name, tensor)
        for axis in self._connections:
            for units in [*axis.made, *axis.read]:
                if units.place[0] == name and (stay := self._staying(axis)) is not None:
                    alive = alive | (units.over(1 - stay, tensor) == 0)
        return alive.to(tensor.dtype)

    def _alive(self, name: str, tensor: Tensor) -> Tensor:
        return self._rate(name, tensor) <= self._method.threshold

    def _rate(self, name: str, tensor: Tensor) -> Tensor:
        return log_alpha(tensor, self._of(name), _EPS)

    @torch.no_grad()
    def _staying(self, axis: Connections) -> Tensor | None:
        """1 for each unit of which all weights stay because too few are left, those with the most sure weights."""
        alive, sure = [], []
        for side in filter(None, (axis.made, axis.read)):
            if all(units.place[0] in self._layers for units in side):
                alive.append(self._per_unit(side, self._alive))
                sure.append(self._per_unit(side, lambda *weight: (-self._rate(*weight)).exp()))
        if not alive or int((torch.stack(alive).amin(0) > 0).sum()) >= axis.floor:
            return None
        best = torch.stack(sure).amin(0).topk(axis.floor).indices
        return torch.zeros_like(sure[0]).index_fill(0, best, 1)

    def _per_unit(self, side: tuple[Units, ...], each: Callable[[str, Tensor], Tensor]) -> Tensor:
        total = []
        for units in side:
            name, dim = units.place
            value = each(name, self._layers[name].tensor).float()
            total.append(units.collect(value.sum([d for d in range(value.ndim) if d != dim])))
        return torch.stack(total).sum(0)

    def _mean(self, name: str, tensor: Tensor) -> Tensor:
        return torch.where(self._alive(name, tensor), tensor, 0.0) if self._method.train_clip else tensor

    def _variance(self, name: str, tensor: Tensor) -> Tensor:
        return bounded_variance(tensor, self._of(name), _EPS, self._method.clip)

    def _of(self, name: str) -> Tensor:
        return self.at(name).get_parameter("log_variance")
