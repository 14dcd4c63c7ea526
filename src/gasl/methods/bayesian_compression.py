"""Bayesian Compression (Louizos, Ullrich and Welling 2017): a random scale for each unit, a Gaussian for each weight.

With z_j the scale of unit j and w~ a weight that it multiplies, prior and posterior are::

    normal-jeffreys   p(z) ~ 1/|z|                    q(z_j) = N(mu_j, sigma_j^2)
    horseshoe         s ~ C+(0, tau), z_j ~ C+(0, 1)  s z_j = sqrt(s_a s_b a_j b_j), each factor log-normal
    both              p(w~) = N(0, 1)                 q(w~) = N(theta, s_w^2)

    value = strength * (sum of KL of the scales + sum of KL of the weights)
    dead  : log (Var / Mean^2) of the scale >= threshold: log sigma_j^2 - log mu_j^2, or log(exp(v_j) - 1)
            for s z_j ~ LN(m_j, v_j); or, as in the paper for the horseshoe, minus log mode, v_j - m_j >= threshold

strength is 1 / N for N training examples. In test mode survivors are multiplied with the mean of their scale.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, final, get_args

from torch import Tensor

from gasl.errors import InputError
from gasl.groups.sites import Sites
from gasl.methods.base import Groups, check_choice
from gasl.methods.draws import Draws
from gasl.methods.posterior import Posterior
from gasl.methods.scale_priors import HorseshoeScales, JeffreysScales, Rule
from gasl.methods.scales import Scales
from gasl.methods.stochastic import Stochastic

__all__ = ["BayesianCompression", "Prior"]

Prior = Literal["normal-jeffreys", "horseshoe"]


@final
@dataclass(frozen=True, kw_only=True)
class BayesianCompression(Stochastic):
    """Units whose scale is mostly noise, or close to 0, are removed.

    A unit's scale multiplies what :func:`gasl.groups.sites.carriers` says: scale and shift of the norm behind it,
    the rows of its convolution, or the columns that read it. Where those are one layer that is called as a module, with
    a batch of vectors or images, every example has a scale of its own; elsewhere one is drawn for an optimizer step.

    Args:
        strength: Weight of the divergence: 1 / N for N training examples.
        scope: Not used: a unit has one scale.
        linear: Units of a linear layer: "in" scales the outgoing weights of an input unit, "out" a neuron's row.
        granularity: What is sparsified: whole units.
        warmup: Optimizer steps over which the divergence grows to its full strength.
        delay: Optimizer steps before that without it.
        prior: "normal-jeffreys" or "horseshoe".
        threshold: Where a unit is dead; null is 0 for normal-jeffreys, -0.5 for horseshoe, 2 for its rule "mode".
        rule: Of what the threshold is: "noise", the relative variance of the scale; or "mode" (the paper's, horseshoe).
        log_variance: Log of every variance at the start: of scales, weights and biases.
        entry_variance: Largest variance of the weights of layers that read the network's input; null is no bound.
        tau: Scale of the horseshoe's global half-Cauchy.

    Example:
        >>> import gasl, torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> sparsifier = gasl.Sparsifier(model, BayesianCompression(strength=1e-3), torch.zeros(2, 4))
        >>> [name for name, _ in model.named_parameters() if name.startswith("_gasl.0/in")]
        ['_gasl.0/in.mean', '_gasl.0/in.log_variance']
    """

    paper: ClassVar[str] = (
        "Christos Louizos, Karen Ullrich, Max Welling. Bayesian compression for deep learning. "
        "Advances in Neural Information Processing Systems, 2017."
    )
    usual_strength: ClassVar[float | None] = 2e-5  # 1 / N for 50,000 examples

    prior: Prior = "normal-jeffreys"
    threshold: float | None = None
    rule: Rule = "noise"
    log_variance: float = -9.0
    entry_variance: float | None = 0.04
    tau: float = 1e-5

    def __post_init__(self) -> None:
        """Refuse what no training could use."""
        super().__post_init__()
        check_choice("prior", self.prior, get_args(Prior))
        check_choice("rule", self.rule, get_args(Rule))
        if self.rule == "mode" and self.prior != "horseshoe":
            raise InputError(
                f"the mode of {self.prior} scales says nothing; leave rule at 'noise', or take the horseshoe"
            )
        if self.granularity != "unit":
            raise InputError(
                "BayesianCompression gives each unit one scale, and removes units; "
                f"leave granularity at 'unit', got {self.granularity!r}"
            )
        for name in ("threshold", "log_variance"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise InputError(f"{name} must be a finite number, got {value}")
        for name in ("entry_variance", "tau"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be a finite number > 0, got {value}")

    def posterior(self, sites: Sites, draws: Draws) -> Posterior:
        """Scales of all units, and a variance for each weight and bias."""
        bound = None if self.entry_variance is None else math.log(self.entry_variance)
        usual = 0.0 if self.prior == "normal-jeffreys" else -0.5 if self.rule == "noise" else 2.0
        settings = usual if self.threshold is None else self.threshold, self.log_variance, bound
        if self.prior == "horseshoe":
            return HorseshoeScales(sites, draws, *settings, self.tau, self.rule)
        return JeffreysScales(sites, draws, *settings)

    def cost(self, groups: Groups, posterior: Posterior) -> Tensor:
        """The divergence of scales, weights and biases."""
        assert isinstance(posterior, Scales)
        return posterior.divergence()
