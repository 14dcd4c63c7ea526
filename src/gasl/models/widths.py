"""Scaling of channel counts, shared by the networks that have a width factor."""

from gasl.errors import InputError

__all__ = ["scaled"]


def scaled(channels: int, width: float) -> int:
    """``channels * width``, rounded, and at least 1.

    Args:
        channels: The channel count at width 1.
        width: The factor, > 0.

    Returns:
        The scaled count.

    Raises:
        InputError: If the factor is not a positive finite number.

    Example:
        >>> scaled(64, 0.25)
        16
    """
    if not 0 < width < float("inf"):
        raise InputError(f"width must be a positive finite number, got {width}; 1.0 is the network as published")
    return max(1, round(channels * width))
