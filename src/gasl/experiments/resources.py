"""What a run is given where many run at a time."""

from dataclasses import dataclass

from gasl.errors import InputError

__all__ = ["Resources"]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What Ray is asked for.

    Args:
        address: Of the cluster, e.g. auto or ray://head:10001; None starts Ray on this machine.
        cpus: Cores for each run.
        gpus: GPUs for each run; a half lets two runs share one.
        retries: How often a run begins again whose worker was lost.

    Raises:
        InputError: If a number is below 0, or there is no core.

    Example:
        >>> Resources(gpus=0.5).retries
        3
    """

    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    retries: int = 3

    def __post_init__(self) -> None:
        """Refuse what no cluster could give."""
        for name, least in (("cpus", 0.01), ("gpus", 0.0), ("retries", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be {least} or more, got {getattr(self, name)}")
