"""Magnitude pruning: take the smallest, train on, take more (Han et al. 2015).

::

    with step start, start + every, ...    round r of R: the smallest groups of each layer become zero
    in every step after                    they are set to zero again

What goes in round r, by one of three rules::

    density d        all but the largest d^(r/R) of the layer's groups
    quality s        weights with |w| < s r/R std(W)
    pattern N:M      all but the largest of every M consecutive inputs, of which N are left in the end

There is no term of the loss. What is left goes on from its values; the optimizer's state of what went is cleared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from gasl.errors import InputError, unknown_name
from gasl.maths.magnitude import below_deviation, outside_pattern
from gasl.maths.ranking import smallest
from gasl.methods.base import Granularity, Groups, LearningRate, Method, State, check_number

__all__ = ["MagnitudePruning"]

DENSITY = 0.1  # where no rule is given


@final
@dataclass(frozen=True, kw_only=True)
class MagnitudePruning(Method):
    """Prune and retrain, weight by weight or unit by unit; never the last group of a layer.

    Readings: zeros count in the standard deviation, in later rounds too. A round keeps the same share of what is left,
    and the quality grows evenly; the paper leaves both open. With a pattern, weights whose inputs are no multiple of M
    (a first layer of one or three channels) or are read in another way stay dense.

    Args:
        strength: There is no penalty; leave it out.
        scope: What a group is: all that is removed with a unit ("coupled"), its "filter", or as for GroupLasso.
        linear: Units of a linear layer: "in" (outgoing weights of an input unit) or "out" (a neuron's row).
        granularity: "weight" as in the paper, or "unit" by norms within each axis, down to min_units at most.
        density: Part of each layer's groups that is left in the end: one number, or one by layer (the others stay
            whole). Null with no other rule is 0.1.
        quality: s of the rule by standard deviation, one number or one by layer; single weights only.
        pattern: "N:M", as "2:4"; single weights only.
        start: The optimizer step of the first round, from 1.
        every: Steps from one round to the next.
        rounds: How many there are.

    Example:
        >>> MagnitudePruning(density=0.25, rounds=2).share("fc1.weight", done=1)  # half, and then half of that
        0.5
    """

    paper: ClassVar[str] = (
        "Song Han, Jeff Pool, John Tran, William J. Dally. Learning both weights and connections for efficient neural "
        "networks. Advances in Neural Information Processing Systems, 2015."
    )
    usual_strength: ClassVar[float | None] = None
    kills: ClassVar[bool] = False
    cuts: ClassVar[bool] = True

    granularity: Granularity = "weight"
    density: float | Mapping[str, float] | None = None
    quality: float | Mapping[str, float] | None = None
    pattern: str | None = None
    start: int = 1
    every: int = 500
    rounds: int = 5

    def __post_init__(self) -> None:
        """Refuse what no training could use."""
        super().__post_init__()
        if self.strength is not None:
            raise InputError(
                f"MagnitudePruning has no penalty, got strength={self.strength}; leave it out, see density"
            )
        given = self._given()
        if len(given) > 1:
            raise InputError(f"one rule says what goes, got {' and '.join(given)}; leave the others out")
        if self.granularity == "unit" and given not in ([], ["density"]):
            raise InputError(
                f"{given[0]} is a rule for single weights; give units a density, or set granularity='weight'"
            )
        for value in _values(self.density):
            if not 0 <= value <= 1:
                raise InputError(f"density must be a number from 0 to 1, got {value}")
        for value in _values(self.quality):
            check_number("quality", value)
        for name in ("start", "every", "rounds"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be 1 or more, got {getattr(self, name)}")
        self._parts()

    def share(self, layer: str, done: int) -> float:
        """The part of a layer's groups that a density leaves after some rounds.

        Args:
            layer: Name of the axis or weight.
            done: Rounds.

        Returns:
            d^(done / rounds).
        """
        density = DENSITY if self.density is None else _of(self.density, layer, 1.0)
        return float(density ** (done / self.rounds))

    def check(self, groups: Groups) -> None:
        """Refuse layers that are not there, and a pattern that fits none."""
        known = {name for layer in groups.names for name in (layer, *_module(layer, self.granularity))}
        for rule in (self.density, self.quality):
            for layer in rule if isinstance(rule, Mapping) else ():
                if layer not in known:
                    raise unknown_name("layer", layer, known)
        if self.pattern is not None and not any(self._fits(groups, name) for name in groups.names):
            shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in groups.tensors.items())
            raise InputError(
                f"no layer reads a multiple of {self._parts()[1]} inputs, for pattern {self.pattern}: {shapes}"
            )

    @torch.no_grad()
    def after_step(self, groups: Groups, state: State, lr: LearningRate) -> None:
        """Take what a round takes, and keep at zero what went before."""
        if state.gone is not None:  # a target says what goes
            groups.clear_(state.gone)
            return
        late = state.step + 1 - self.start
        if late >= 0 and (state.dead is None or (late % self.every == 0 and late // self.every < self.rounds)):
            state.dead = self._round(groups, min(late // self.every + 1, self.rounds), state.dead)
        if state.dead is not None:
            groups.clear_(state.dead)

    def own_amount(self) -> str | None:
        """The rule, if one is given."""
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self._given()) or None

    def chosen(self, norms: Sequence[Tensor], floors: Sequence[int], fraction: float) -> list[Tensor]:
        """The smallest groups of each layer, the same part of each."""
        sizes = [n.numel() for n in norms]
        counts = [min(round(fraction * m), m - min(f, m)) for m, f in zip(sizes, floors, strict=True)]
        return [smallest(n, count) for n, count in zip(norms, counts, strict=True)]

    def _given(self) -> list[str]:
        return [name for name in ("density", "quality", "pattern") if getattr(self, name) is not None]

    def _round(self, groups: Groups, done: int, before: list[Tensor] | None) -> list[Tensor]:
        if self.granularity == "unit":
            chosen = [
                smallest(n, n.numel() - max(min(floor, n.numel()), round(self.share(name, done) * n.numel())))
                for name, n, floor in zip(groups.names, groups.norms(), groups.floors, strict=True)
            ]
        else:
            chosen = [self._weights(groups, name, done).flatten() for name in groups.names]
        return chosen if before is None else [new | old for new, old in zip(chosen, before, strict=True)]

    def _weights(self, groups: Groups, name: str, done: int) -> Tensor:
        weight = groups.tensors[name].detach()
        if self.quality is not None:
            return below_deviation(weight, _of(self.quality, name, 0.0) * done / self.rounds)
        if self.pattern is None:
            return smallest(
                weight.flatten().abs(), weight.numel() - max(1, round(self.share(name, done) * weight.numel()))
            )
        kept, block = self._parts()
        if not self._fits(groups, name):
            return torch.zeros_like(weight, dtype=torch.bool)
        return outside_pattern(weight, block - (block - kept) * done // self.rounds, block, groups.inputs[name])

    def _fits(self, groups: Groups, name: str) -> bool:
        return name in groups.inputs and groups.tensors[name].shape[groups.inputs[name]] % self._parts()[1] == 0

    def _parts(self) -> tuple[int, int]:
        """N and M."""
        if self.pattern is None:
            return 1, 1
        kept, _, block = self.pattern.partition(":")
        if not (kept.isdecimal() and block.isdecimal() and 1 <= int(kept) <= int(block)):
            raise InputError(f"pattern must be N:M with 1 <= N <= M, as '2:4', got {self.pattern!r}")
        return int(kept), int(block)


def _values(rule: float | Mapping[str, float] | None) -> list[float]:
    if rule is None:
        return []
    return list(rule.values()) if isinstance(rule, Mapping) else [rule]


def _of(rule: float | Mapping[str, float], layer: str, otherwise: float) -> float:
    """What a rule says of a layer, which may be called by the name of its module."""
    if not isinstance(rule, Mapping):
        return rule
    return rule.get(layer, rule.get(layer.rpartition(".")[0], otherwise))


def _module(layer: str, granularity: Granularity) -> list[str]:
    return [layer.rpartition(".")[0]] if granularity == "weight" and "." in layer else []
