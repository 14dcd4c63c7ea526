"""Gates and posteriors: a method's own parameters, which live in the network while it trains.

A :class:`Posterior` becomes the network's last child. From then on the network's modules read what it makes of their
parameters (:mod:`gasl.structure.replaced`):

* in training a sample, with gradients for the parameter and for the posterior's own;
* in test mode the parameter times a factor: exactly 0 where the method counts it as dead, elsewhere what the method
  multiplies survivors with.

What is removed in the end is what the test-mode network has at zero.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Self

import torch
from torch import Tensor, nn

from gasl.groups.sites import UnitSite
from gasl.methods.draws import Draws
from gasl.structure.replaced import Run

__all__ = ["Posterior", "UnitPosterior"]


class Posterior(nn.Module, ABC):
    """What a method adds to a network while it trains.

    Args:
        draws: Its random numbers.
        names: The parameters that it replaces.
        noisy: Those of them that are weights of layers whose output gets the noise (:meth:`layer`).
    """

    def __init__(self, draws: Draws, names: Iterable[str], noisy: Iterable[str] = ()) -> None:
        super().__init__()
        self.draws = draws
        self.names = frozenset(names)
        self.noisy = frozenset(noisy)
        self._fixed: dict[str, Tensor] | None = None

    def forward(self, *passed: Any) -> Any:
        """What comes in, unchanged: a network that runs its children in turn (``nn.Sequential``) meets this one too."""
        return passed[0] if len(passed) == 1 else passed

    @abstractmethod
    def sampled(self, name: str, tensor: Tensor) -> Tensor:
        """What training reads in place of a parameter; the same in every pass of an optimizer step.

        Also of the weight of a noisy layer, where something else than the layer's own forward reads it.
        """

    @abstractmethod
    def factor(self, name: str, tensor: Tensor) -> Tensor:
        """What test mode multiplies a parameter with: 0 where it is dead; to be broadcast over the parameter."""

    def layer(self, name: str, run: Run, inputs: Tensor) -> Tensor:
        """The training forward of a noisy layer.

        Args:
            name: The layer's weight.
            run: The layer as a function of inputs, weight and bias.
            inputs: Its inputs.

        Returns:
            Its outputs.
        """
        raise NotImplementedError(name)  # a posterior that names noisy layers has this

    def constrain_(self) -> None:
        """Bring the posterior's own parameters back into their range, after each optimizer step."""

    def effective(self, name: str, tensor: Tensor, training: bool) -> Tensor:
        """What a module reads in place of a parameter.

        Args:
            name: The parameter's name in the network.
            tensor: The parameter.
            training: Whether the module that reads it is in training mode.

        Returns:
            A tensor of the same shape.
        """
        if self._fixed is not None:
            return tensor * self._fixed[name]
        if training:
            return self.sampled(name, tensor)
        with torch.no_grad():
            factor = self.factor(name, tensor)
        return tensor * factor

    @torch.no_grad()
    def freeze(self, tensors: dict[str, Tensor]) -> None:
        """From now on training, too, reads what test mode reads at this moment.

        Survivors' factors are multiplied into the parameters: one that is learned behind a factor of a few percent
        would learn by its square more slowly. What is dead stays 0.

        Args:
            tensors: The network's parameters by name.
        """
        if self._fixed is not None:
            return
        factors = {name: self.factor(name, tensors[name]).clone() for name in self.names}
        for name, factor in factors.items():
            tensors[name].mul_(factor)
        self._fixed = {name: (factor != 0).to(factor) for name, factor in factors.items()}

    @torch.no_grad()
    def fold_(self, tensors: dict[str, Tensor]) -> None:
        """Write the test-mode network's parameters into the network (that this posterior was just taken off)."""
        for name in self.names:
            tensors[name].copy_(self.effective(name, tensors[name], training=False))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What is fixed moves with the network (``nn.Module.to``)."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # of PyTorch
        if self._fixed is not None:
            self._fixed = {name: fn(factor) for name, factor in self._fixed.items()}
        return self

    def own(self, place: str, **tensors: Tensor) -> nn.Module:
        """A child that holds parameters of the posterior's own.

        Args:
            place: The axis or parameter of the network that they belong to.
            **tensors: Their values at the start.

        Returns:
            The child, with the parameters as attributes.
        """
        child = self._modules.get(key := _key(place)) or nn.Module()
        for name, tensor in tensors.items():
            child.register_parameter(name, nn.Parameter(tensor))
        self._modules[key] = child
        return child

    def at(self, place: str) -> nn.Module:
        """The child that :meth:`own` made for an axis or parameter of the network."""
        return self.get_submodule(_key(place))

    def extra_state(self) -> dict[str, Any]:
        """What is fixed, for the sparsifier's state."""
        return {"draws": self.draws.state_dict(), "fixed": self._fixed}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`extra_state` was taken."""
        self.draws.load_state_dict(state["draws"])
        device = next(self.parameters()).device
        self._fixed = state["fixed"] and {name: factor.to(device) for name, factor in state["fixed"].items()}


class UnitPosterior(Posterior):
    """One random multiplier z for each unit of each axis, which all carriers of the unit share.

    A subclass gives the three things that make a method: a sample of z, its value in test mode, and a score that is
    above 0 for the units that are alive. Of an axis that would keep fewer units than it must, the ones with the highest
    scores stay, of those that are still there.

    Args:
        draws: Its random numbers.
        units: The axes.
        more: Further parameters that a subclass replaces.
        noisy: As for :class:`Posterior`.
    """

    def __init__(
        self, draws: Draws, units: tuple[UnitSite, ...], more: Iterable[str] = (), noisy: Iterable[str] = ()
    ) -> None:
        super().__init__(draws, {u.place[0] for site in units for u in site.carriers} | set(more), noisy)
        self.units = units
        self.floors = [site.floor for site in units]  # may be set while training goes on
        self.there = [torch.ones(site.size, dtype=torch.bool) for site in units]  # what a floor may hold; set likewise
        self._carried = {
            name: [(i, u) for i, site in enumerate(units) for u in site.carriers if u.place[0] == name]
            for name in self.names
        }

    @abstractmethod
    def sample(self, axis: int) -> Tensor:
        """The multipliers z of an axis in this optimizer step, shape ``(M,)``, with a graph."""

    @abstractmethod
    def mean(self, axis: int) -> Tensor:
        """What survivors of an axis are multiplied with, shape ``(M,)``, never 0 for a unit that may stay."""

    @abstractmethod
    def score(self, axis: int) -> Tensor:
        """Above 0 for units that are alive, shape ``(M,)``."""

    def test(self, axis: int) -> Tensor:
        """The multipliers of test mode: the mean of units that are alive, else exactly 0."""
        score, floor = self.score(axis), self.floors[axis]
        there = self.there[axis].to(score.device)
        alive = score > 0
        if int((alive & there).sum()) < floor:
            alive[score.where(there, -torch.inf).topk(floor).indices] = True
        return torch.where(alive, self.mean(axis), 0.0)

    def extra_state(self) -> dict[str, Any]:
        """What is fixed, and what is there."""
        return super().extra_state() | {"there": self.there}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`extra_state` was taken."""
        super().load_extra_state(state)
        self.there = state.get("there", self.there)

    def sampled(self, name: str, tensor: Tensor) -> Tensor:
        """The parameter times z of each of its units."""
        return tensor * self._spread(name, tensor, [self.sample(i) for i, _ in self._carried[name]])

    def factor(self, name: str, tensor: Tensor) -> Tensor:
        """Z of test mode."""
        return self._spread(name, tensor, [self.test(i) for i, _ in self._carried[name]])

    def _spread(self, name: str, tensor: Tensor, multipliers: list[Tensor]) -> Tensor:
        product = tensor.new_ones(())
        for (_, units), z in zip(self._carried[name], multipliers, strict=True):
            product = product * units.over(z, tensor)
        return product


def _key(place: str) -> str:
    return place.replace(".", "/")  # a module's name has no dots
