"""L0 regularisation (Louizos, Welling and Kingma 2017): a hard concrete gate on every unit.

z_g is the gate of unit g, |g| the number of weights that it governs::

    z_g   = min(1, max(0, s_g (zeta - gamma) + gamma)),  s_g = sigmoid((log u - log(1 - u) + log alpha_g) / beta)
    value = strength * sum over g of P(z_g > 0) |g|

In test mode the gate has no noise and a unit is dead when its gate is exactly 0 (:mod:`gasl.maths.hard_concrete`).
"""

import math
from dataclasses import dataclass
from typing import final, get_args

import torch
from torch import Tensor

from gasl.errors import InputError
from gasl.maths.hard_concrete import GateRule, hard_concrete_active, hard_concrete_sample, hard_concrete_test
from gasl.methods.base import Groups, check_choice
from gasl.methods.draws import Draws
from gasl.methods.posterior import Posterior, Stochastic, UnitPosterior
from gasl.structure.sites import Sites

__all__ = ["L0"]

_LARGEST = math.log(100.0)  # of |log alpha|, as in the authors' code


@final
@dataclass(frozen=True, kw_only=True)
class L0(Stochastic):
    """Hard concrete gates that learn which units are needed.

    Args:
        strength: Weight of the expected number of weights, lambda / N for N training examples.
        scope: Which weights a unit's gate governs, for the penalty: its own filter, or all that are removed with it.
        linear: Units of a linear layer: "in" (its input units) or "out" (its neurons).
        granularity: What is sparsified: whole units.
        warmup: Optimizer steps over which the penalty grows to its full strength.
        delay: Optimizer steps before that without the penalty.
        drop_rate: Probability of the binary gate behind the relaxation to be 0 at the start.
        test: The gate of test mode: "paper" (without the temperature) or "median" (of the random gate).

    Example:
        >>> import gasl
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> sparsifier = gasl.Sparsifier(model, L0(strength=1e-3), torch.zeros(2, 4))
        >>> [name for name, _ in model.named_parameters() if "log_alpha" in name]
        ['_gasl.0/in.log_alpha', '_gasl.0.log_alpha']
    """

    drop_rate: float = 0.5
    test: GateRule = "paper"

    def __post_init__(self) -> None:
        """Refuse what no training could use."""
        super().__post_init__()
        check_choice("test", self.test, get_args(GateRule))
        if not 0 < self.drop_rate < 1:
            raise InputError(f"drop_rate must lie between 0 and 1, got {self.drop_rate}")

    def posterior(self, sites: Sites, draws: Draws) -> Posterior:
        """One log alpha a unit, near log((1 - p) / p)."""
        return _Gates(self, sites, draws)

    def cost(self, groups: Groups, posterior: Posterior) -> Tensor:
        """The expected number of weights."""
        assert isinstance(posterior, _Gates)
        active = [hard_concrete_active(log_alpha) for log_alpha in posterior.log_alpha]
        return torch.stack(
            [(p * site.governed.to(p)).sum() for p, site in zip(active, posterior.units, strict=True)]
        ).sum()


class _Gates(UnitPosterior):
    def __init__(self, method: L0, sites: Sites, draws: Draws) -> None:
        super().__init__(draws, sites.units)
        self._method = method
        start = math.log((1 - method.drop_rate) / method.drop_rate)
        for site in sites.units:
            like = sites.tensors[site.carriers[0].place[0]].new_empty(site.size)
            noise = draws.once(f"start of {site.name}", like, "normal")
            self.own(site.name, log_alpha=start + 0.01 * noise)
        draws.forget()

    @property
    def log_alpha(self) -> list[Tensor]:
        """One ``(M,)`` tensor an axis."""
        return [self.get_parameter(f"{site.name.replace('.', '/')}.log_alpha") for site in self.units]

    def sample(self, axis: int) -> Tensor:
        log_alpha = self.log_alpha[axis]
        return hard_concrete_sample(log_alpha, self.draws.once(self.units[axis].name, log_alpha, "uniform"))

    def mean(self, axis: int) -> Tensor:
        # The gate of a unit that has to stay though its gate is 0 is that of one that is just above.
        return self.score(axis).clamp(min=torch.finfo(torch.float32).eps)

    def score(self, axis: int) -> Tensor:
        return hard_concrete_test(self.log_alpha[axis], rule=self._method.test)

    @torch.no_grad()
    def constrain_(self) -> None:
        for log_alpha in self.log_alpha:
            log_alpha.clamp_(-_LARGEST, _LARGEST)
