"""When to drop the learning rate and when to stop, from the validation error alone."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Plateau"]


@dataclass
class Plateau:
    """Counts epochs without a new lowest error.

    After every ``drop_after`` bad epochs in a row the learning rate is to be dropped, after ``stop_after`` training is
    to stop. A drop does not restart the count towards the stop.

    Args:
        drop_after: Bad epochs until a drop; ``None`` for never.
        stop_after: Bad epochs until the stop; ``None`` for never.
        best: The lowest error so far.
        bad: Epochs in a row without a new lowest error.
        waited: The same, counted anew after each drop.

    Example:
        >>> plateau = Plateau(drop_after=2, stop_after=3)
        >>> [plateau.update(error) for error in (5.0, 4.0, 4.0, 4.5, 4.0)]
        ['go on', 'go on', 'go on', 'drop', 'stop']
    """

    drop_after: int | None
    stop_after: int | None
    best: float = float("inf")
    bad: int = 0
    waited: int = 0

    def update(self, error: float) -> Literal["go on", "drop", "stop"]:
        """What to do after an epoch with this validation error; an error that is not a number is a bad epoch."""
        if error < self.best:
            self.best, self.bad, self.waited = error, 0, 0
            return "go on"
        self.bad += 1
        self.waited += 1
        if self.stopped:
            return "stop"
        if self.drop_after is not None and self.waited >= self.drop_after:
            self.waited = 0
            return "drop"
        return "go on"

    @property
    def stopped(self) -> bool:
        """Whether the epochs without gain have reached the limit."""
        return self.stop_after is not None and self.bad >= self.stop_after

    def state_dict(self) -> dict[str, float]:
        """The counts."""
        return {"best": self.best, "bad": self.bad, "waited": self.waited}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Goes on where :meth:`state_dict` was taken."""
        self.best, self.bad, self.waited = state["best"], int(state["bad"]), int(state["waited"])
