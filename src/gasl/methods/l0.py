"""L0 regularisation (Louizos, Welling and Kingma 2017): a hard concrete gate on every unit, or on every weight.

z_g is the gate of unit g, w_g the weights that it governs, |g| their number (:mod:`gasl.maths.hard_concrete`)::

    z_g   = min(1, max(0, s_g (zeta - gamma) + gamma)),  s_g = sigmoid((log u - log(1 - u) + log alpha_g) / beta)
    value = strength * sum over g of P(z_g > 0) (factor |g| + decay / 2 ||w_g||^2)

With strength 1 / N, factor lambda and decay the weight decay it is the paper's bound. In test mode the gate has no
noise, and what is dead has a gate of exactly 0. Reading: docs/readings.md, R27 (attention over it).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, final, get_args

import torch
from torch import Tensor

from gasl.errors import InputError
from gasl.groups.sites import Sites
from gasl.maths.hard_concrete import (
    GateRule,
    hard_concrete_active,
    hard_concrete_mean,
    hard_concrete_sample,
    hard_concrete_test,
)
from gasl.maths.lasso import group_lasso, group_lasso_rates
from gasl.methods.base import Groups, Scope, check_choice, check_number
from gasl.methods.by_axis import by_axis, check_factors
from gasl.methods.draws import Draws
from gasl.methods.posterior import Posterior, UnitPosterior
from gasl.methods.stochastic import Stochastic

__all__ = ["L0", "Gates"]

_LARGEST = math.log(100.0)  # of |log alpha|, as in the authors' code


@final
@dataclass(frozen=True, kw_only=True)
class L0(Stochastic):
    """Hard concrete gates that learn which units, or which weights, are needed.

    Departures: a convolution's bias is gated with its filter in training too, where the authors' code leaves it out;
    it adds nothing to the value, where theirs subtracts.

    Args:
        strength: Weight of the expected number of weights, lambda / N for N training examples.
        scope: Which weights a unit's gate governs, for the value: its own filter (for linear layers what reads the
            unit), channel, scale, or all that are removed with it.
        linear: Units of a linear layer: "in" (its input units) or "out" (its neurons).
        granularity: "unit", or "weight" for a gate on every single weight (scope and linear then mean nothing).
        warmup: Optimizer steps over which the penalty grows to its full strength.
        delay: Optimizer steps before that without the penalty.
        factors: Multiplier of the expected number by axis (by weight for single weights), others 1.
        decay: Weight of half the squared norm of what a gate governs, relative to one weight in the expected number.
        detach_decay: Whether the decay leaves the gates alone, as in constrained L0 (Gallego-Posada 2022).
        drop_rate: Probability of the binary gate behind the relaxation to be 0 at the start.
        test: The gate of test mode: "paper" (without the temperature) or "median" (of the random gate), dead earlier.

    Example:
        >>> import gasl
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> sparsifier = gasl.Sparsifier(model, L0(strength=1e-3), torch.zeros(2, 4))
        >>> [name for name, _ in model.named_parameters() if "log_alpha" in name]
        ['_gasl.0/in.log_alpha', '_gasl.0.log_alpha']
        >>> print(f"{sparsifier.penalty():.4f}")  # 32 + 24 weights, each there with a probability of 0.83
        0.0466
    """

    paper: ClassVar[str] = (
        "Christos Louizos, Max Welling, Diederik P. Kingma. Learning sparse neural networks through L0 regularization. "
        "ICLR 2018"
    )
    usual_strength: ClassVar[float | None] = 2e-6

    scope: Scope = "filter"
    factors: Mapping[str, float] | None = field(default=None, hash=False)
    decay: float = 0.0
    detach_decay: bool = False
    drop_rate: float = 0.5
    test: GateRule = "paper"

    def __post_init__(self) -> None:
        """Refuse what no training could use."""
        super().__post_init__()
        check_factors(self.factors)
        check_number("decay", self.decay)
        check_choice("test", self.test, get_args(GateRule))
        if not 0 < self.drop_rate < 1:
            raise InputError(f"drop_rate must lie between 0 and 1, got {self.drop_rate}")

    def posterior(self, sites: Sites, draws: Draws) -> Posterior:
        """One log alpha a gate, near log((1 - p) / p)."""
        return (_WeightGates if self.granularity == "weight" else _UnitGates)(self, sites, draws)

    def cost(self, groups: Groups, posterior: Posterior) -> Tensor:
        """The expected number of weights, and the decay."""
        assert isinstance(posterior, Gates)
        return self.sparsity(posterior.expected()) + self.shrinkage(groups, posterior)

    def shrinkage(self, groups: Groups, posterior: "Gates") -> Tensor:
        """The decay's part of the value at strength 1, 0-dim.

        Args:
            groups: What the gates govern.
            posterior: The gates.

        Returns:
            Half the decay times the sum of P(z > 0) ||w||^2.
        """
        if self.decay == 0:
            return groups.zero()
        norms = dict(zip(groups.names, groups.norms(), strict=True))
        active = [p.detach() if self.detach_decay else p for p in posterior.active()]
        squares = [norms[name].square() for name in posterior.places]
        return self.decay / 2 * torch.stack([(p * n).sum() for p, n in zip(active, squares, strict=True)]).sum()

    def sparsity(self, sizes: Sequence[Tensor]) -> Tensor:
        """The sum of the expected sizes of all groups: what an attention over this penalty is added to."""
        return group_lasso(sizes, normalise=False)

    def value(self, sizes: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> Tensor:
        """Strength times :meth:`sparsity`; ``beta`` is not used."""
        return strength * self.sparsity(sizes)

    def rates(self, sizes: Sequence[Tensor], strength: float, beta: Sequence[Tensor] | None = None) -> list[Tensor]:
        """The derivative of :meth:`value` by each size: the strength; ``beta`` is not used."""
        return group_lasso_rates(sizes, normalise=False, strength=strength)


class Gates(Posterior):
    """What gates on units and gates on weights share.

    Args:
        method: The settings.
        places: The axes, or the names of the weights.
    """

    places: tuple[str, ...]
    _method: L0

    def start(self, method: L0, likes: Mapping[str, Tensor], governed: Sequence[Tensor]) -> None:
        """Make one log alpha a gate.

        Args:
            method: The settings.
            likes: A tensor for each axis or weight, with shape, dtype and device of its log alphas.
            governed: Number of weights behind each gate, by axis or weight.

        Raises:
            InputError: If there is no place for a gate, or a factor belongs to none.
        """
        self._method, self.places = method, tuple(likes)
        if not likes:
            raise InputError(f"L0 has nothing to put a gate on: no free {method.granularity} can be removed")
        factors = by_axis(method.factors, self.places)
        mean = math.log((1 - method.drop_rate) / method.drop_rate)
        for (place, like), factor, each in zip(likes.items(), factors, governed, strict=True):
            noise = self.draws.once(f"start of {place}", like, "normal")
            child = self.own(place, log_alpha=mean + 0.01 * noise)
            child.register_buffer("size", factor * each.to(like), persistent=False)
        self.draws.forget()

    def log_alpha(self, place: str) -> Tensor:
        """The parameter of an axis or weight."""
        return self.at(place).get_parameter("log_alpha")

    def active(self) -> list[Tensor]:
        """P(z > 0), one flat tensor an axis or weight."""
        return [hard_concrete_active(self.log_alpha(place).flatten()) for place in self.places]

    def expected(self) -> list[Tensor]:
        """Factor times expected number of weights behind each gate, one flat tensor an axis or weight."""
        sizes = [self.at(place).get_buffer("size") for place in self.places]
        return [p * size for p, size in zip(self.active(), sizes, strict=True)]

    def drawn(self, place: str) -> Tensor:
        """The gates of this optimizer step."""
        log_alpha = self.log_alpha(place)
        return hard_concrete_sample(log_alpha, self.draws.once(place, log_alpha, "uniform"))

    def fixed(self, place: str) -> Tensor:
        """The gates of test mode."""
        return hard_concrete_test(self.log_alpha(place), rule=self._method.test)

    def kept(self, place: str) -> Tensor:
        """The gates of test mode, but E z for what has to stay though its gate is 0."""
        gates, log_alpha = self.fixed(place), self.log_alpha(place)
        return torch.where(gates > 0, gates, hard_concrete_mean(log_alpha))

    @torch.no_grad()
    def constrain_(self) -> None:
        """Clamp log alpha to +- log 100."""
        for parameter in self.parameters():
            parameter.clamp_(-_LARGEST, _LARGEST)


class _UnitGates(Gates, UnitPosterior):
    def __init__(self, method: L0, sites: Sites, draws: Draws) -> None:
        UnitPosterior.__init__(self, draws, sites.units)
        likes = {s.name: sites.tensors[s.carriers[0].place[0]].new_empty(s.size) for s in sites.units}
        self.start(method, likes, [site.governed for site in sites.units])

    def sample(self, axis: int) -> Tensor:
        return self.drawn(self.places[axis])

    def mean(self, axis: int) -> Tensor:
        return self.kept(self.places[axis])

    def score(self, axis: int) -> Tensor:
        gates = self.fixed(self.places[axis])
        return torch.where(gates > 0, gates, self.log_alpha(self.places[axis]))  # below 0 where the gate is shut


class _WeightGates(Gates):
    def __init__(self, method: L0, sites: Sites, draws: Draws) -> None:
        likes = {site.weight: site.tensor for site in sites.layers}
        super().__init__(draws, likes)
        self.start(method, likes, [torch.ones(())] * len(likes))

    def sampled(self, name: str, tensor: Tensor) -> Tensor:
        return tensor * self.drawn(name)

    def factor(self, name: str, tensor: Tensor) -> Tensor:
        gates = self.fixed(name)
        if not bool((gates > 0).any()):  # one weight stays
            best = gates.flatten()
            best[self.log_alpha(name).argmax()] = self.kept(name).max()
            gates = best.view_as(gates)
        return gates
