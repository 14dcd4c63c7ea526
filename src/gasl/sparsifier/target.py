"""``gasl.Target``: how small a network is to become, as a number that the user gives."""

from collections.abc import Mapping
from dataclasses import dataclass

from gasl.errors import InputError

__all__ = ["TOLERANCE", "Target"]

TOLERANCE = 0.01  # the share left is to lie this far below the target at most
_STEPS = 2000
_SHARES = ("params", "macs")


@dataclass(frozen=True, kw_only=True)
class Target:
    """One of sparsity, params or macs. The sparsifier finds the strength by itself, and stops when it is met.

    The strength begins with the method's own, or its usual one, and stays within 20 times of it, either way, until the
    steps are over; only then does it grow further. A target in very few steps at a small learning rate is met late.

    Args:
        sparsity: Share of all units that is to be removed, 0.8 for 80 %; or of axes by name, others stay whole.
        params: Share of the parameters that is to be left, 0.25 for a quarter.
        macs: Share of the multiply-accumulates that is to be left.
        steps: Optimizer steps in which the target is to be met, well before the training with the method ends; null for
            three fifths of a run of :func:`gasl.training.fit`, and for 2,000 in a loop of one's own.

    Raises:
        InputError: If not exactly one is given, or a share does not lie between 0 and 1.

    Example:
        >>> Target(macs=0.25).share
        0.25
        >>> Target(sparsity=0.8, params=0.1)
        Traceback (most recent call last):
        gasl.errors.InputError: a target is one of sparsity, params and macs, got params and sparsity; leave one of ...
    """

    sparsity: float | Mapping[str, float] | None = None
    params: float | None = None
    macs: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no training could meet."""
        given = [name for name in ("macs", "params", "sparsity") if getattr(self, name) is not None]
        if len(given) != 1:
            got = " and ".join(given) or "none"
            raise InputError(f"a target is one of sparsity, params and macs, got {got}; leave one of them")
        numbers = self.sparsity if isinstance(self.sparsity, Mapping) else {given[0]: getattr(self, given[0])}
        for name, value in numbers.items():
            if not 0 < value < 1:
                raise InputError(f"{name} must lie between 0 and 1, got {value}; 0.25 is a quarter")
        if self.steps is not None and self.steps < 1:
            raise InputError(f"steps must be at least 1, got {self.steps}")

    def __str__(self) -> str:
        name = "sparsity" if self.kind == "units" else self.kind
        return f"{name}={getattr(self, name)}"

    @property
    def horizon(self) -> int:
        """Optimizer steps in which it is to be met."""
        return self.steps or _STEPS

    @property
    def kind(self) -> str:
        """What is counted: units, params or macs."""
        return next((name for name in _SHARES if getattr(self, name) is not None), "units")

    @property
    def share(self) -> float | None:
        """The share that is to be left; None where each axis has its own."""
        if self.kind != "units":
            return float(getattr(self, self.kind))
        return None if isinstance(self.sparsity, Mapping) else 1 - float(self.sparsity or 0.0)
