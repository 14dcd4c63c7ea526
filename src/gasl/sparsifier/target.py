"""``gasl.Target``: how small a network is to become, as a number that the user gives."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from gasl.errors import InputError

__all__ = ["TOLERANCE", "Target"]

TOLERANCE = 0.01  # the share left is to lie this far below the target at most
_STEPS = 2000
_KINDS = {"latency_ms": "latency", "macs": "macs", "params": "params", "sparsity": "units"}


@dataclass(frozen=True, kw_only=True)
class Target:
    """One of sparsity, params, macs or latency_ms. The sparsifier finds the strength, and stops when it is met.

    The strength begins with the method's own, or its usual one, and stays within 20 times of it, either way, until the
    steps are over; only then does it grow further. A target in very few steps at a small learning rate is met late.
    Methods without such a strength (magnitude pruning, DepGraph's norms) cut along the way, by their own ranking; a
    rule of their own about how much goes is refused. What came of it: :attr:`gasl.Sparsifier.reached`.

    Args:
        sparsity: Share of all units that is to be removed, 0.8 for 80 %; or of axes by name, others stay whole.
            Of methods of single weights the share of weights that is to be zero.
        params: Share of the parameters that is to be left, 0.25 for a quarter.
        macs: Share of the multiply-accumulates that is to be left.
        latency_ms: Milliseconds that a forward pass is to take; they are measured while it trains, in turn with the
            whole network's, and hold for this machine. Such a run does not repeat to the bit.
            Milliseconds, parameters and multiply-accumulates need a method of units: single zeros save none of them.
        device: Where the latency is measured, e.g. "cpu".
        batch: Examples in the pass.
        threads: Threads that PyTorch may use in it.
        steps: Optimizer steps in which the target is to be met, well before the training with the method ends; null for
            three fifths of a run of :func:`gasl.training.fit`, and for 2,000 in a loop of one's own.

    Raises:
        InputError: If not exactly one is given, or a number is out of its range.

    Example:
        >>> Target(macs=0.25).goal()
        0.25
        >>> Target(sparsity=0.8, params=0.1)
        Traceback (most recent call last):
        gasl.errors.InputError: a target is one of latency_ms, macs, params and sparsity, got params and sparsity; ...
    """

    sparsity: float | Mapping[str, float] | None = None
    params: float | None = None
    macs: float | None = None
    latency_ms: float | None = None
    device: str = "cpu"
    batch: int = 1
    threads: int = 1
    steps: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no training could meet."""
        given = [name for name in _KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            got = " and ".join(given) or "none"
            raise InputError(f"a target is one of latency_ms, macs, params and sparsity, got {got}; leave one of them")
        if self.sparsity == {}:
            raise InputError("sparsity must name an axis or be a number, got {}; 0.8 removes 80 % of all units")
        numbers = self.sparsity if isinstance(self.sparsity, Mapping) else {given[0]: getattr(self, given[0])}
        for name, value in numbers.items():
            if not isinstance(value, int | float):
                raise InputError(f"{name} must be a number, got {value!r}")
            if name == "latency_ms" and not 0 < value < float("inf"):
                raise InputError(f"latency_ms must be positive and finite, got {value}")
            if name != "latency_ms" and not 0 < value < 1:
                raise InputError(f"{name} must lie between 0 and 1, got {value}; 0.25 is a quarter")
        try:
            torch.device(self.device)
        except RuntimeError as error:
            raise InputError(f"device must be one that PyTorch knows, as 'cpu', got {self.device!r}") from error
        for name in ("batch", "threads", "steps"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, int):
                raise InputError(f"{name} must be a whole number, got {value!r}")
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, got {value}")

    def __str__(self) -> str:
        name = next(name for name, kind in _KINDS.items() if kind == self.kind)
        return f"{name}={getattr(self, name)}"

    @property
    def horizon(self) -> int:
        """Optimizer steps in which it is to be met."""
        return self.steps or _STEPS

    @property
    def kind(self) -> str:
        """What is counted: units, params, macs or latency."""
        return next(kind for name, kind in _KINDS.items() if getattr(self, name) is not None)

    def goal(self, whole: float = 1.0) -> float:
        """The share that is to be left; 0 where each axis has its own and what is above it counts.

        Args:
            whole: Milliseconds of the whole network, for a latency.

        Returns:
            The share.

        Raises:
            InputError: If the whole network is fast enough as it is.
        """
        if self.latency_ms is not None:
            if self.latency_ms >= whole:
                raise InputError(f"the network takes {whole:.3g} ms as it is; ask for fewer than that")
            return self.latency_ms / whole
        if self.kind != "units":
            return float(getattr(self, self.kind))
        return 0.0 if isinstance(self.sparsity, Mapping) else 1 - float(self.sparsity or 0.0)
