"""How the random scales of units are distributed: normal-Jeffreys or horseshoe (Bayesian Compression)."""

import math
from typing import Literal

import torch
from torch import Tensor

from gasl.groups.sites import Sites
from gasl.maths.horseshoe import log_normal_gamma_kl, log_normal_inverse_gamma_kl, log_normal_mean, root_of_product
from gasl.maths.log_uniform import log_alpha, log_uniform_kl
from gasl.methods.draws import Draws
from gasl.methods.scales import Scales

__all__ = ["HorseshoeScales", "JeffreysScales", "Rule"]

Rule = Literal["noise", "mode"]


class JeffreysScales(Scales):
    """Scales N(mu, sigma^2) under the improper prior 1 / |z|; the KL is that of variational dropout.

    Args:
        sites: The places in the network.
        draws: The random numbers.
        threshold: Of log sigma^2 - log mu^2.
        log_variance: Log of every variance at the start.
        bound: As for :class:`Scales`.
    """

    def __init__(self, sites: Sites, draws: Draws, threshold: float, log_variance: float, bound: float | None) -> None:
        super().__init__(sites, draws, threshold, log_variance, bound)
        for site in sites.units:
            ones = sites.tensors[site.carriers[0].place[0]].new_ones(site.size)
            self.own(site.name, mean=ones, log_variance=torch.full_like(ones, log_variance))

    def scaled(self, axis: int, noise: Tensor) -> Tensor:
        """N(mu, sigma^2)."""
        mean, log_variance = self._of(axis)
        return mean + (log_variance / 2).exp() * noise

    def scale_kl(self, axis: int) -> Tensor:
        """That of variational dropout, with alpha = sigma^2 / mu^2."""
        return log_uniform_kl(log_alpha(*self._of(axis))).sum()

    def mean(self, axis: int) -> Tensor:
        """The mean mu of each scale."""
        return self._of(axis)[0]

    def score(self, axis: int) -> Tensor:
        """Threshold minus log alpha."""
        return self._threshold - log_alpha(*self._of(axis))

    def _of(self, axis: int) -> tuple[Tensor, Tensor]:
        own = self.at(self.units[axis].name)
        return own.get_parameter("mean"), own.get_parameter("log_variance")


class HorseshoeScales(Scales):
    """Scales sqrt(s_a s_b a_j b_j) with log-normal factors; a, b of each unit, s_a, s_b of the axis.

    At the start the scale is 1 and each factor where its divergence is least for that: s_a near tau^2, s_b near
    1 / tau^2. The scale of a unit is drawn by its own marginal distribution, so that s is not common to a sample.

    Args:
        sites: The places in the network.
        draws: The random numbers.
        threshold: Where a unit is dead.
        log_variance: Log of every variance at the start.
        bound: As for :class:`Scales`.
        tau: Scale of the global half-Cauchy.
        rule: With s z ~ LN(m, v), of what the threshold is: "noise", log(exp(v) - 1), the logarithm of variance over
            squared mean; or "mode", v - m, minus the logarithm of the mode.
    """

    def __init__(
        self,
        sites: Sites,
        draws: Draws,
        threshold: float,
        log_variance: float,
        bound: float | None,
        tau: float,
        rule: Rule,
    ) -> None:
        super().__init__(sites, draws, threshold, log_variance, bound)
        self._tau2, self._rule = tau**2, rule
        start = -math.log1p(1 / tau**2)
        for site in sites.units:
            like = sites.tensors[site.carriers[0].place[0]]
            units = like.new_tensor([[-math.log(2)], [math.log(2)]]).repeat(1, site.size)
            common = like.new_tensor([[start], [-start]])
            self.own(
                site.name,
                mean=units,
                log_variance=torch.full_like(units, log_variance),
                common_mean=common,
                common_log_variance=torch.full_like(common, log_variance),
            )

    def scaled(self, axis: int, noise: Tensor) -> Tensor:
        """LN(m, v)."""
        mu, variance = self._log_normal(axis)
        return (mu + variance.sqrt() * noise).exp()

    def scale_kl(self, axis: int) -> Tensor:
        """That of the factors of all units, and of the two that they have in common."""
        units, common = self._of(axis)
        gammas = (
            log_normal_gamma_kl(common[0][0], common[1][0], self._tau2),
            log_normal_gamma_kl(units[0][0], units[1][0]),
        )
        inverse = [log_normal_inverse_gamma_kl(mean[1], log_variance[1]) for mean, log_variance in (common, units)]
        return torch.stack([kl.sum() for kl in (*gammas, *inverse)]).sum()

    def mean(self, axis: int) -> Tensor:
        """exp(m + v / 2)."""
        return log_normal_mean(*self._log_normal(axis))

    def score(self, axis: int) -> Tensor:
        """Threshold minus log(exp(v) - 1), or minus (v - m)."""
        mu, variance = self._log_normal(axis)
        return self._threshold - (variance.expm1().log() if self._rule == "noise" else variance - mu)

    def _log_normal(self, axis: int) -> tuple[Tensor, Tensor]:
        (mean, log_variance), (common_mean, common_log_variance) = self._of(axis)
        variances = [*log_variance.exp(), *common_log_variance.exp()]
        return root_of_product([*mean, *common_mean], variances)

    def _of(self, axis: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        get = self.at(self.units[axis].name).get_parameter
        return (get("mean"), get("log_variance")), (get("common_mean"), get("common_log_variance"))
