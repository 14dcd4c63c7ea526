"""Whether a run met its target: what did not is never ranked beside what did."""

from collections.abc import Mapping
from typing import Any

from gasl.report.cells import Record, overall_sparsity, weights_share

__all__ = ["missed_target"]

_ROUNDING = 0.005  # a weight that trains to zero by itself, and the like


def missed_target(record: Record) -> bool:
    """Whether more is left of a network than its target allows.

    Args:
        record: Of a run, with a target or without. What the run itself said of its target counts; older records do not
            have that, and what they have is compared, but for milliseconds.

    Returns:
        False where it met its target, or has none.

    Example:
        >>> macs = {"dense": 1000, "small": 260}
        >>> [missed_target({"macs": macs, "spec": {"target": {"macs": share}}}) for share in (0.26, 0.25)]
        [False, True]
    """
    if (found := record.get("target")) is not None:
        return not found["met"] and found["left"] > found["asked"] + _ROUNDING
    spec = record.get("spec") or {}
    target = spec.get("target") or {}
    wanted = target.get("sparsity")
    if isinstance(wanted, Mapping):
        return any(x["sparsity_propagated"] / 100 < wanted[x["name"]] - _ROUNDING for x in _named(record, wanted))
    if wanted and spec["method"]["granularity"] == "weight":
        return weights_share(record) / 100 > 1 - float(wanted) + _ROUNDING
    if wanted:
        return 1 - overall_sparsity(record) / 100 > _units_allowed(spec) + _ROUNDING
    counts = ((record[what], target[what]) for what in ("macs", "params") if target.get(what))
    return any(count["small"] / count["dense"] > share + _ROUNDING for count, share in counts)


def _named(record: Record, wanted: Mapping[str, float]) -> list[Mapping[str, Any]]:
    return [layer for layer in record["layers"] if layer["name"] in wanted]


def _units_allowed(spec: Mapping[str, Any]) -> float:
    """The share of all units that may be left; a target counts what its own stage began with."""
    start = spec.get("start") or {}
    wanted = (start.get("target") or {}).get("sparsity")
    return float((1 - spec["target"]["sparsity"]) * (_units_allowed(start) if wanted else 1.0))
