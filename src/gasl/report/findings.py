"""What was found, in twelve lines whose numbers and verdicts come from the records."""

from gasl.experiments.at_target import target_entries
from gasl.experiments.tables import LABELS
from gasl.report.aims import aim
from gasl.report.cells import matched
from gasl.report.findings_cifar import CIFAR, findings_cifar
from gasl.report.marks import spread
from gasl.report.phrases import Runs, error_at, gaps, listed, mean_error, mean_macs, seeds
from gasl.report.printed import PRINTED_RISE
from gasl.report.published import PRINTED, PUBLISHED, macs, printed_widths

__all__ = ["findings"]

_NETWORKS = {"lenet5": "LeNet-5", "mlp": "784-500-300"}


def findings(runs: Runs) -> list[str]:
    """The findings.

    Args:
        runs: The records of all rows of all tables, by name.

    Returns:
        Twelve lines.

    Example:
        >>> findings({})[0]
        'LeNet-5, SA + GASL: not run yet.'
        >>> len(findings({}))
        12
    """
    return [
        *(_against_all(runs, network) for network in _NETWORKS),
        *(_at_units(runs, network) for network in _NETWORKS),
        _attention(runs),
        _guidance(runs),
        _baselines(runs),
        *findings_cifar(runs),
        _printed(runs),
    ]


def _against_all(runs: Runs, network: str) -> str:
    """Where SA + GASL stands on the frontier of error and MACs."""
    title, ours = _NETWORKS[network], runs.get(f"{network}/gasl")
    if not ours:
        return f"{title}, SA + GASL: not run yet."
    others = {m: runs[f"{network}/{m}"] for m in LABELS if m not in ("gasl", "baseline") and runs.get(f"{network}/{m}")}
    better = [
        LABELS[m] for m, r in others.items() if mean_error(r) <= mean_error(ours) and mean_macs(r) <= mean_macs(ours)
    ]
    lower = [m for m, r in others.items() if mean_error(r) < mean_error(ours)]
    stands = f"beaten in both by {listed(better)}" if better else "no other method has as low an error at as few MACs"
    more = ""
    if lower and not better:
        best, near = min(lower, key=lambda m: mean_error(others[m])), min(lower, key=lambda m: mean_macs(others[m]))
        count = f"{len(lower)} method{'s' * (len(lower) > 1)}"
        more = f"; lower errors at more MACs: {count}, the lowest {LABELS[best]} {error_at(others[best])}"
        more += "" if near == best else f", the smallest {LABELS[near]} {error_at(others[near])}"
    return f"{title}, SA + GASL: {error_at(ours)}; {stands}{more}."


def _at_units(runs: Runs, network: str) -> str:
    """How near the runs at the paper's units come to its error."""
    known = [e for e in target_entries() if e.spec.model == network and e.spec.target and e.spec.target.sparsity]
    rows = {entry.label: there for entry in known if (there := runs.get(entry.name))}
    title, printed = f"{_NETWORKS[network]} at the paper's units", PRINTED[f"{network}/gasl"].error
    if not rows:
        return f"{title}: not run yet; the paper has {printed} %."
    said = "; ".join(f"{label} {error_at(there)}" for label, there in rows.items())
    best = min(rows, key=lambda label: mean_error(rows[label]))
    more = mean_error(rows[best]) - printed
    verdict = f"is not reached, by {more:.2f} points" if more > 0 else f"is reached by {best}"
    return f"{title}: {said}; the {printed} % that the paper prints {verdict}."


def _pair(runs: Runs, first: str, second: str) -> list[str]:
    """The second beside the first, network by network and seed by seed."""
    said = []
    places = {**{f"{n}/": title for n, title in _NETWORKS.items()}, f"{CIFAR}/": "VGG-16 on CIFAR-10"}
    for place, title in places.items():
        if pairs := matched(runs.get(place + second, ()), runs.get(place + first, ())):
            mine, others = zip(*pairs, strict=True)
            more, ratio = spread(gaps(mine, others), 2, "+"), mean_macs(mine) / mean_macs(others)
            said.append(f"{title} {more} points at {ratio:.2f}x the MACs ({seeds(pairs)})")
    return said


def _attention(runs: Runs) -> str:
    said = _pair(runs, "group_lasso", "structured_attention")
    return f"Attention: SA beside SSL, whose penalty it has, {'; '.join(said) if said else 'not run yet'}."


def _guidance(runs: Runs) -> str:
    said = _pair(runs, "structured_attention", "gasl")
    return f"Guidance: SA + GASL beside SA, {'; '.join(said) if said else 'not run yet'}."


def _baselines(runs: Runs) -> str:
    """How our baselines compare with their own papers on MNIST."""
    known = [name for name in PUBLISHED if not name.endswith("/baseline")]
    run = {name: aim(name.split("/")[0], name, runs[name]) for name in known if runs.get(name)}
    met = [name for name, (_, missed) in run.items() if not missed]
    missed = [f"{name} ({', '.join(why)})" for name, (_, why) in run.items() if why]
    text = f"Baselines beside their own papers (at most 0.3 points above at no more of the network): {len(met)} of "
    text += f"{len(run)} rows that were run meet it"
    if left := len(known) - len(run):
        text += f", {left} have not been run"
    return f"{text}; missed: {listed(missed)}." if missed else f"{text}."


def _printed(runs: Runs) -> str:
    """What is printed and cannot be, and how near we came to the headline."""
    _, maps, inputs, _ = widths = printed_widths("lenet5", PRINTED["lenet5/gasl"])
    text = (
        f"Printed and impossible: LeNet-5's row 76-88-86-95 leaves {maps} maps, hence {16 * maps} inputs of the next "
        f"layer, not the {inputs} that it says; Table 3 has {PRINTED_RISE['rise/gasl'][2]} where Table 4 has "
        f"{PRINTED_RISE['alpha/1'][2]} for the same run; Table 4's alpha = 0.01 is Table 3's l1 at 70 and 80 %"
    )
    if ours := runs.get("lenet5/gasl"):
        share = mean_macs(ours) / macs("lenet5", widths)
        text += (
            f"; at {share:.2f}x that row's MACs we have {mean_error(ours):.2f} % for its {PRINTED['lenet5/gasl'].error}"
        )
    return f"{text}."
