"""Structured Bayesian Pruning (Neklyudov, Molchanov, Ashukha and Vetrov 2017): noise on every unit, measured by a KL.

Unit k is multiplied with theta_k, whose log is uniform on [-20, 0] in the prior and normal(mu_k, sigma_k^2), cut to the
same interval, in the posterior (:mod:`gasl.maths.truncated_log_normal`)::

    training    theta_k ~ q,  one draw an optimizer step
    value       strength * sum over axes of factor * sum over k of KL(q_k || prior)
    test mode   E theta_k  where  SNR_k = E theta_k / Std theta_k > threshold,  else 0
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, final

import torch
from torch import Tensor

from gasl.errors import InputError
from gasl.groups.sites import Sites
from gasl.maths.truncated_log_normal import (
    truncated_log_normal_kl,
    truncated_log_normal_mean,
    truncated_log_normal_sample,
    truncated_log_normal_snr,
)
from gasl.methods.base import Groups, check_number
from gasl.methods.by_axis import by_axis, check_factors
from gasl.methods.draws import Draws
from gasl.methods.posterior import Posterior, UnitPosterior
from gasl.methods.stochastic import Stochastic

__all__ = ["StructuredBP"]

_RANGE = (-20.0, 5.0)  # of mu and of log sigma, as in the authors' code


@final
@dataclass(frozen=True, kw_only=True)
class StructuredBP(Stochastic):
    """Multiplicative noise on units; those whose noise drowns their signal are removed.

    Departures: theta multiplies what the next layer reads, so a bias of the unit is multiplied too; the authors' noise
    sits in front of it.

    Args:
        strength: Weight of the KL; 1 / N for N training examples is the variational bound.
        scope: Has no meaning here: theta multiplies the whole unit.
        linear: Units of a linear layer: "in" (its input units) or "out" (its neurons).
        granularity: "unit"; single weights have SparseVD.
        warmup: Optimizer steps over which the penalty grows to its full strength.
        delay: Optimizer steps before that without the penalty.
        factors: Multiplier of the KL by axis, others 1; of the paper's SBPa 10 and 5 for its widest maps.
        threshold: Signal-to-noise ratio up to which a unit is dead.
        log_sigma: Log sigma at the start, where mu is 0.

    Example:
        >>> import gasl
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> sparsifier = gasl.Sparsifier(model, StructuredBP(strength=1e-3), torch.zeros(2, 4))
        >>> [name for name, _ in model.named_parameters() if "mu" in name]
        ['_gasl.0/in.mu', '_gasl.0.mu']
        >>> print(f"{sparsifier.penalty():.4f}")  # 12 units, each with a KL of 7.27
        0.0872
    """

    paper: ClassVar[str] = (
        "Kirill Neklyudov, Dmitry Molchanov, Arsenii Ashukha, Dmitry Vetrov. "
        "Structured Bayesian pruning via log-normal multiplicative noise. NIPS 2017"
    )
    usual_strength: ClassVar[float | None] = 2e-5

    factors: Mapping[str, float] | None = field(default=None, hash=False)
    threshold: float = 1.0
    log_sigma: float = -5.0

    def __post_init__(self) -> None:
        """Refuse what no training could use."""
        super().__post_init__()
        check_factors(self.factors)
        check_number("threshold", self.threshold)
        if self.granularity != "unit":
            raise InputError(
                f"StructuredBP acts on units, got granularity={self.granularity!r}; take SparseVD for single weights"
            )
        if not _RANGE[0] <= self.log_sigma <= _RANGE[1]:
            raise InputError(f"log_sigma must lie in {_RANGE[0]:g}..{_RANGE[1]:g}, got {self.log_sigma}")

    def posterior(self, sites: Sites, draws: Draws) -> Posterior:
        """One mu and one log sigma a unit."""
        return _Noise(self, sites, draws)

    def cost(self, groups: Groups, posterior: Posterior) -> Tensor:
        """The KL divergence of all units, axis by axis times its factor."""
        assert isinstance(posterior, _Noise)
        kl = posterior.divergence()
        factors = by_axis(self.factors, [site.name for site in posterior.units])
        return torch.stack([f * each.sum() for f, each in zip(factors, kl, strict=True)]).sum()


class _Noise(UnitPosterior):
    def __init__(self, method: StructuredBP, sites: Sites, draws: Draws) -> None:
        super().__init__(draws, sites.units)
        if not sites.units:
            raise InputError("StructuredBP has nothing to put noise on: no free unit can be removed")
        by_axis(method.factors, [site.name for site in sites.units])
        self._threshold = method.threshold
        for site in sites.units:
            like = sites.tensors[site.carriers[0].place[0]]
            self.own(site.name, mu=like.new_zeros(site.size), log_sigma=like.new_full((site.size,), method.log_sigma))

    def of(self, axis: int) -> tuple[Tensor, Tensor]:
        """Mu and log sigma of an axis."""
        child = self.at(self.units[axis].name)
        return child.get_parameter("mu"), child.get_parameter("log_sigma")

    def divergence(self) -> list[Tensor]:
        """The KL of each unit, one ``(M,)`` tensor an axis; all axes at once."""
        mu, log_sigma = (torch.cat(each) for each in zip(*map(self.of, range(len(self.units))), strict=True))
        kl = truncated_log_normal_kl(mu, log_sigma)
        return list(kl.split([site.size for site in self.units]))

    def sample(self, axis: int) -> Tensor:
        mu, log_sigma = self.of(axis)
        u = self.draws.once(self.units[axis].name, mu, "uniform")
        return truncated_log_normal_sample(mu, log_sigma, u)

    def mean(self, axis: int) -> Tensor:
        return truncated_log_normal_mean(*self.of(axis))

    def score(self, axis: int) -> Tensor:
        return truncated_log_normal_snr(*self.of(axis)) - self._threshold

    @torch.no_grad()
    def constrain_(self) -> None:
        for parameter in self.parameters():
            parameter.clamp_(*_RANGE)
