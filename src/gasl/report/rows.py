"""A result as rows of text: the one wording that page and terminal share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Row", "environment_rows", "result_rows"]


@dataclass(frozen=True)
class Row:
    """One quantity before and after.

    Attributes:
        name: The quantity.
        before: Its value for the network before.
        after: Its value for the smaller network.
        change: The comparison in words.

    Example:
        >>> Row("parameters", "100", "50", "2.00x fewer").change
        '2.00x fewer'
    """

    name: str
    before: str
    after: str
    change: str


def result_rows(result: Mapping[str, Any]) -> list[Row]:
    """The quantities of a result, one row each; :class:`gasl.report.ReportData` describes the entries.

    Args:
        result: The content of ``result.json``.

    Returns:
        Error, parameters, MACs, bytes, then the latency at each batch size.

    Example:
        >>> pair = {"dense": 200, "small": 100}
        >>> result = {"error_dense": 1.0, "error_small": 1.25, "params": pair, "macs": pair, "bytes": pair,
        ...           "latency_ms": {"dense": {"1": 3.0}, "small": {"1": 2.0}}, "speedup": {"1": 1.5},
        ...           "latency_spread_ms": {"dense": {"1": [2.9, 3.1]}, "small": {"1": [1.9, 2.2]}}}
        >>> for row in result_rows(result):
        ...     print(row.name, "|", row.before, "|", row.after, "|", row.change)
        test error | 1.00 % | 1.25 % | +0.25 points
        parameters | 200 | 100 | 2.00x fewer
        MACs, one example | 200 | 100 | 2.00x fewer
        bytes | 200 | 100 | 2.00x fewer
        latency, batch 1 | 3 ms (2.9 to 3.1) | 2 ms (1.9 to 2.2) | 1.50x faster
    """
    before, after = result["error_dense"], result["error_small"]
    rows = [Row("test error", f"{before:.2f} %", f"{after:.2f} %", f"{after - before:+.2f} points")]
    for name, key in (("parameters", "params"), ("MACs, one example", "macs"), ("bytes", "bytes")):
        dense, small = result[key]["dense"], result[key]["small"]
        rows.append(Row(name, f"{dense:,}", f"{small:,}", f"{dense / small:.2f}x fewer" if small else ""))
    for batch in sorted(result["speedup"], key=int):
        dense, small = _time(result, "dense", batch), _time(result, "small", batch)
        rows.append(Row(f"latency, batch {batch}", dense, small, _speed(result["speedup"][batch])))
    return rows


def environment_rows(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a reader needs to run it again: device, threads, seed, versions, and every further text or number.

    Args:
        result: The content of ``result.json``.

    Returns:
        Pairs of a name and a value.

    Example:
        >>> environment_rows({"device": "cpu", "threads": 1, "seed": 0, "versions": {"torch": "2.13.0"}, "epochs": 3})
        [('device', 'cpu'), ('threads', '1'), ('seed', '0'), ('epochs', '3'), ('torch', '2.13.0')]
    """
    first = ("device", "threads", "seed")
    further = [key for key, value in result.items() if key not in _ELSEWHERE and isinstance(value, str | int | float)]
    rows = [(key, str(result[key])) for key in (*first, *further)]
    return rows + [(name, str(version)) for name, version in result["versions"].items()]


_ELSEWHERE = ("device", "threads", "seed", "title", "error_dense", "error_small", "max_rel_diff")  # shown by others


def _time(result: Mapping[str, Any], side: str, batch: str) -> str:
    low, high = result["latency_spread_ms"][side][batch]
    return f"{result['latency_ms'][side][batch]:.3g} ms ({low:.3g} to {high:.3g})"


def _speed(ratio: float) -> str:
    return f"{ratio:.2f}x faster" if ratio >= 1 else f"{1 / ratio:.2f}x slower"
