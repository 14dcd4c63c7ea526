"""Whether a method's runs come up to its own paper: at most 0.3 points more error at no larger a network."""

from collections.abc import Sequence
from statistics import mean

from gasl.report.cells import Record, shares
from gasl.report.published import PRINTED, PUBLISHED, Published, macs, printed_widths

__all__ = ["AIM", "aim"]

AIM = 0.3  # percentage points that our error may lie above the published one


def aim(network: str, name: str, records: Sequence[Record]) -> tuple[list[str], list[str]]:
    """Whether the error is at most 0.3 points above the published one at no larger a MAC count, and by how much not.

    Args:
        network: lenet5 or mlp.
        name: A recipe with published or printed values.
        records: One of its records at least.

    Returns:
        Our error and MACs beside those; what is missed.

    Example:
        >>> record = {"error_small": 1.5, "macs": {"small": 111_675}, "nonzero": {"conv1.weight": [500, 75]}}
        >>> aim("lenet5", "lenet5/group_lasso", [record])
        (['error 0.50 points above the published one', '0.55x its MACs'], ['error by 0.20 points'])
    """
    goal, whose = _goal(network, name)
    gap = mean(r["error_small"] for r in records) - goal.error
    said = [f"error {abs(gap):.2f} points {'above' if gap > 0 else 'below'} the {whose} one"]
    missed = [f"error by {gap - AIM:.2f} points"] if gap > AIM else []
    if goal.widths is not None:
        ratio = mean(r["macs"]["small"] for r in records) / macs(network, goal.widths)
        said.append(f"{ratio:.2f}x its MACs")
        missed += [f"MACs by {100 * (ratio - 1):.0f} %"] if ratio > 1 else []
    for layer, ours, theirs in zip(records[0]["nonzero"], shares(records), goal.weights or (), strict=False):
        missed += [f"{layer}, of which {ours:.1f} % are left for {theirs:g} %"] if ours > theirs else []
    return said, missed


def _goal(network: str, name: str) -> tuple[Published, str]:
    """The method's own paper where its numbers are known, else what the GASL paper prints."""
    if name in PUBLISHED:
        return PUBLISHED[name][0], "published"
    return Published(PRINTED[name].error, "", printed_widths(network, PRINTED[name])), "printed"
