"""Whether a target was met: what was asked for, what is left, and since when."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gasl.sparsifier.target import Target

__all__ = ["Reached"]

_CLOCK = 0.1  # a time is met to within this part of it: no clock repeats itself


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What came of a target.

    Args:
        target: What was asked for.
        asked: The same as a share of the whole. Where axes have targets of their own 0: all that was to go.
        left: What is left, counted alike; of a latency the medians' ratio.
        step: The optimizer step from which on nothing was to die any more; None while there is still something to do.
        milliseconds: Of a latency the medians of the whole network and of the smaller one, in turn.

    Example:
        >>> reached = Reached(target=Target(macs=0.5), asked=0.5, left=0.493, step=380)
        >>> reached.met, str(reached)
        (True, 'target macs=0.5 met: a share of 0.493 is left, from step 380 on')
    """

    target: Target
    asked: float
    left: float
    step: int | None = None
    milliseconds: tuple[float, float] | None = None

    @property
    def met(self) -> bool:
        """Whether no more is left than was asked for; of a latency, to within a tenth."""
        return self.left <= self.asked * (1 + _CLOCK if self.milliseconds else 1) + 1e-9

    def __str__(self) -> str:
        if self.milliseconds is not None:
            whole, small = self.milliseconds
            threads = "1 thread" if self.target.threads == 1 else f"{self.target.threads} threads"
            place = f"batch {self.target.batch}, {threads}, {self.target.device}"
            found = f"{small:.3g} ms, the whole network {whole:.3g} ms, at {place}"
        elif isinstance(self.target.sparsity, Mapping):
            found = "the axes have what was asked for" if self.met else f"a share of {self.left:.3g} is still to go"
        else:
            found = f"a share of {self.left:.3g} is left"
        since = "" if self.step is None else f", from step {self.step} on"
        return f"target {self.target} {'met' if self.met else 'not met'}: {found}{since}"

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, for a record."""
        found = {"asked": self.asked, "left": self.left, "met": self.met, "step": self.step, "words": str(self)}
        if self.milliseconds is None:
            return found
        place = {name: getattr(self.target, name) for name in ("batch", "threads", "device")}
        return found | place | {"latency_ms": dict(zip(("dense", "small"), self.milliseconds, strict=True))}
