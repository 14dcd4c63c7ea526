"""Methods with parameters of their own, :class:`gasl.methods.posterior.Posterior`: their hooks, written once."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from gasl.errors import InputError
from gasl.groups.sites import Sites
from gasl.methods.base import Groups, LearningRate, Method, State
from gasl.methods.draws import Draws
from gasl.methods.posterior import Posterior

__all__ = ["Stochastic", "ramp", "stochastic"]


@dataclass(frozen=True, kw_only=True)
class Stochastic(Method, ABC):
    """Base of all methods with a posterior: the hooks, written once.

    Args:
        warmup: Optimizer steps over which the penalty grows to its full strength; in the first ``delay`` it is 0.
        delay: Optimizer steps without the penalty.
    """

    warmup: int = 0
    delay: int = 0

    def __post_init__(self) -> None:
        """Refuse what no training could use."""
        super().__post_init__()
        for name in ("warmup", "delay"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must be 0 or more optimizer steps, got {getattr(self, name)}")
        if self.scope not in ("filter", "channel", "coupled"):
            raise InputError(
                f"{type(self).__name__} acts on units and weights, for which scope must be 'filter', 'channel' or "
                f"'coupled', got {self.scope!r}; take GroupLasso for other groups"
            )

    @abstractmethod
    def posterior(self, sites: Sites, draws: Draws) -> Posterior:
        """The method's own parameters for a network, at their values of the start.

        Raises:
            InputError: If the network has no place for them.
        """

    @abstractmethod
    def cost(self, groups: Groups, posterior: Posterior) -> Tensor:
        """The penalty at strength 1: a KL divergence, or an expected number of weights; 0-dim, differentiable."""

    def penalty(self, groups: Groups, state: State) -> Tensor:
        """Strength times the cost."""
        weight = self.weight(state)
        return weight * self.cost(groups, self._of(state)) if weight > 0 else groups.zero()

    def weight(self, state: State) -> float:
        """The strength in this step, less while the penalty grows."""
        return state.strength * ramp(state.step, self.delay, self.warmup)

    def after_step(self, groups: Groups, state: State, lr: LearningRate) -> None:
        """Bring the posterior's parameters back into their range, and draw anew in the next step."""
        posterior = self._of(state)
        posterior.constrain_()
        posterior.draws.forget()

    @staticmethod
    def _of(state: State) -> Posterior:
        assert isinstance(state.posterior, Posterior)  # the sparsifier put it there
        return state.posterior


def stochastic(method: Method) -> Stochastic | None:
    """The method whose parameters come into the network: a method itself, or the one that an attention is over.

    Args:
        method: Any method.

    Returns:
        The method with a posterior; None if there is none.

    Example:
        >>> stochastic(Method())
    """
    found: Method | None = method
    while found is not None and not isinstance(found, Stochastic):
        found = getattr(found, "over", None)
    return found


def ramp(step: int, delay: int, warmup: int) -> float:
    """How much of the penalty acts: 0 for ``delay`` steps, then linearly to 1 over ``warmup`` steps.

    Args:
        step: Optimizer steps done.
        delay: Steps without it.
        warmup: Steps until it is whole.

    Returns:
        A number from 0 to 1.

    Example:
        >>> [ramp(step, delay=1, warmup=2) for step in range(5)]
        [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    if step < delay:
        return 0.0
    return 1.0 if warmup == 0 else min(1.0, (step - delay) / warmup)
