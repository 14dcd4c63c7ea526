"""A result as tables for the terminal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gasl.errors import MissingExtraError
from gasl.report.rows import environment_rows, result_rows

if TYPE_CHECKING:
    from rich.console import Group

__all__ = ["result_view"]


def result_view(result: Mapping[str, Any]) -> "Group":
    """Tables of a result, to be printed by a ``rich`` console.

    Args:
        result: The content of ``result.json``, see :class:`gasl.report.ReportData`.

    Returns:
        Layers with their sparsity and width, costs before and after, and the conditions.

    Raises:
        MissingExtraError: If ``rich`` is not installed.

    Example:
        >>> import io
        >>> from rich.console import Console
        >>> pair, times = {"dense": 20, "small": 10}, {"dense": {}, "small": {}}
        >>> layer = {"name": "fc1", "size": 8, "alive": 6, "sparsity_own": 12.5, "sparsity_propagated": 25.0}
        >>> result = {"error_dense": 1.0, "error_small": 1.0, "layers": [layer], "params": pair, "macs": pair,
        ...           "bytes": pair, "latency_ms": times, "latency_spread_ms": times, "speedup": {}, "threads": 1,
        ...           "max_rel_diff": 0.0, "seed": 0, "versions": {}, "device": "cpu"}
        >>> text = io.StringIO()
        >>> Console(file=text, width=80).print(result_view(result))
        >>> [line.split() for line in text.getvalue().splitlines() if "fc1" in line]
        [['fc1', '12.5', '%', '25.0', '%', '8', '->', '6']]
    """
    try:
        from rich.box import SIMPLE_HEAD
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text
    except ImportError as error:
        raise MissingExtraError('the tables need rich; pip install "gasl[train]"') from error
    layers = Table(box=SIMPLE_HEAD, title="Layers", title_justify="left")
    layers.add_column("axis")
    for heading in ("own sparsity", "propagated sparsity", "width"):
        layers.add_column(heading, justify="right")
    for layer in result["layers"]:
        sparsity = (f"{layer['sparsity_own']:.1f} %", f"{layer['sparsity_propagated']:.1f} %")
        layers.add_row(Text(layer["name"]), *sparsity, f"{layer['size']} -> {layer['alive']}")
    costs = Table(box=SIMPLE_HEAD, title="Before and after", title_justify="left")
    costs.add_column("quantity")
    for heading in ("before", "after", "change"):
        costs.add_column(heading, justify="right")
    for row in result_rows(result):
        costs.add_row(row.name, row.before, row.after, row.change)
    check = f"largest relative difference of an output after removal: {result['max_rel_diff']:.2g}"
    conditions = ", ".join(f"{name} {value}" for name, value in environment_rows(result))
    target = [Text(result["target"]["words"])] if "target" in result else []
    kept = [Text(words) for words in result.get("kept", ())]
    return Group(layers, *kept, costs, Text(check), *target, Text(conditions, style="dim"))
