"""What several tables say in the same words: means with their spread, units and weights that are left, MACs, speed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from gasl.experiments.latencies import ALONE
from gasl.report.marks import spread

__all__ = [
    "Record",
    "dashes",
    "faster",
    "fewer",
    "machines",
    "matched",
    "milliseconds",
    "overall_sparsity",
    "row",
    "shares",
    "timed",
    "units_left",
    "weights_left",
    "weights_share",
]

Record = Mapping[str, Any]


def row(*cells: str) -> str:
    """A row of a Markdown table.

    Example:
        >>> row("a", "", "b")
        '| a | | b |'
    """
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def dashes(widths: Sequence[int]) -> str:
    """Widths as the papers write them.

    Example:
        >>> dashes([20, 50])
        '20-50'
    """
    return "-".join(map(str, widths))


def _mean_widths(counts: Sequence[Sequence[int]]) -> list[int]:
    """Rounded means over seeds, layer by layer."""
    return [round(mean(column)) for column in zip(*counts, strict=True)]


def units_left(records: Sequence[Record]) -> str:
    """Mean units left of each layer; those that are alive by their own weights where that says something else.

    Example:
        >>> units_left([{"layers": [{"size": 8, "alive": 2, "sparsity_own": 50.0}]}])
        '2 (own 4)'
    """
    counts = [[layer["alive"] for layer in r["layers"]] for r in records]
    own = [[round(x["size"] * (1 - x["sparsity_own"] / 100)) for x in r["layers"]] for r in records]
    widths = dashes(_mean_widths(counts))
    return widths if own == counts else f"{widths} (own {dashes(_mean_widths(own))})"


def shares(records: Sequence[Record]) -> list[float]:
    """Percent of each weight tensor that is not zero, mean over seeds.

    Example:
        >>> shares([{"nonzero": {"fc.weight": [4, 1]}}])
        [25.0]
    """
    names = records[0]["nonzero"]
    return [mean(100 * r["nonzero"][name][1] / r["nonzero"][name][0] for r in records) for name in names]


def weights_left(records: Sequence[Record]) -> str:
    """The same as text.

    Example:
        >>> weights_left([{"nonzero": {"fc1.weight": [40, 1], "fc2.weight": [4, 1]}}])
        '2.5-25'
    """
    return "-".join(f"{share:.1f}" if share < 10 else f"{share:.0f}" for share in shares(records))


def fewer(count: float, whole: float) -> str:
    """A count, and how many times fewer it is.

    Example:
        >>> fewer(500.0, 1000.0), fewer(1000.0, 1000.0)
        ('500 (2.0x fewer)', '1,000')
    """
    return f"{count:,.0f}" if count >= whole else f"{count:,.0f} ({whole / count:.1f}x fewer)"


def faster(records: Sequence[Record]) -> str:
    """Measured speed-up at batch 1 and 128.

    Example:
        >>> faster([{"speedup": {"1": 1.25, "128": 4.0}}])
        '1.2x / 4.0x'
    """
    return " / ".join(f"{spread([r['speedup'][batch] for r in records], 1)}x" for batch in ("1", "128"))


def milliseconds(records: Sequence[Record]) -> str:
    """Measured latency at batch 1 and 128, mean over seeds: of the small network, and of the dense one in brackets.

    Example:
        >>> milliseconds([{"latency_ms": {"small": {"1": 0.0954, "128": 1.1}, "dense": {"1": 0.2, "128": 14.2}}}])
        '0.095 (0.20) / 1.1 (14)'
    """
    times = {
        which: [_two(mean(r["latency_ms"][which][batch] for r in records)) for batch in ("1", "128")]
        for which in ("small", "dense")
    }
    return " / ".join(f"{small} ({dense})" for small, dense in zip(times["small"], times["dense"], strict=True))


def _two(value: float) -> str:
    return f"{value:#.2g}" if value < 10 else f"{value:.0f}"  # digits


def matched(runs: Sequence[Record], others: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Runs with those of the same seed among others: what the seed decides is then no part of their difference.

    Example:
        >>> matched([{"seed": 0}, {"seed": 1, "a": 2}], [{"seed": 1}])
        [({'seed': 1, 'a': 2}, {'seed': 1})]
    """
    known = {other["seed"]: other for other in others}
    return [(run, known[run["seed"]]) for run in runs if run["seed"] in known]


def machines(records: Sequence[Record]) -> list[str]:
    """One line that says what our runs ran on; none if there are none.

    Example:
        >>> machines([{"device": "AMD EPYC", "threads": 1}, {"device": "AMD EPYC", "threads": 2}])
        ['Ours ran on AMD EPYC (1 thread), AMD EPYC (2 threads).']
        >>> machines([{"device": "AMD EPYC", "threads": 1}, {"device": "AMD EPYC", "threads": 1, "trained_on": "H100"}])
        ['Ours ran on AMD EPYC (1 thread); 1 of 2 were trained on H100.']
        >>> machines([])
        []
    """
    known = sorted({(r["device"], r["threads"]) for r in records})
    said = ", ".join(f"{device} ({threads} thread{'s' * (threads > 1)})" for device, threads in known)
    gpus = Counter(r["trained_on"] for r in records if r.get("trained_on", "cpu") != "cpu")
    more = [f"; {n} of {len(records)} were trained on {gpu}" for gpu, n in sorted(gpus.items())]
    return [f"Ours ran on {said}{''.join(more)}."] if known else []


def overall_sparsity(record: Record) -> float:
    """Percent of all units that were removed.

    Example:
        >>> overall_sparsity({"layers": [{"size": 4, "alive": 1}, {"size": 4, "alive": 3}]})
        50.0
    """
    layers = record["layers"]
    return float(100 * (1 - sum(x["alive"] for x in layers) / sum(x["size"] for x in layers)))


def weights_share(record: Record) -> float:
    """Percent of all weights that are left and not zero.

    Example:
        >>> weights_share({"nonzero": {"a": [10, 1], "b": [30, 9]}})
        25.0
    """
    counts = record["nonzero"].values()
    return float(100 * sum(left for _, left in counts) / sum(whole for whole, _ in counts))


def timed(records: Sequence[Record]) -> str:
    """Of how many records the latencies are those of a machine with nothing else to do.

    Example:
        >>> timed([{"timed_alone": True}, {}]), timed([])
        ('1 of 2 with nothing else running (`make latencies`), the others beside other runs', 'nothing yet')
    """
    alone = sum(bool(record.get(ALONE)) for record in records)
    if not records:
        return "nothing yet"
    if not alone:
        return "beside other runs"
    which = "all" if alone == len(records) else f"{alone} of {len(records)}"
    rest = "" if alone == len(records) else ", the others beside other runs"
    return f"{which} with nothing else running (`make latencies`){rest}"
