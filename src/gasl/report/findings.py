"""What was found, in ten lines whose numbers and verdicts come from the records."""

from collections.abc import Callable, Mapping, Sequence
from statistics import mean

from gasl.experiments.tables import LABELS
from gasl.report.cards import aim
from gasl.report.cells import Record, spread
from gasl.report.printed import PRINTED_RISE
from gasl.report.published import PRINTED, PUBLISHED, macs, printed_widths
from gasl.report.stages import rises

__all__ = ["Runs", "findings"]

Runs = Mapping[str, Sequence[Record]]

_NETWORKS = {"lenet5": "LeNet-5", "mlp": "784-500-300"}
_CIFAR = "cifar10/vgg16-0.25-short"
_SINGLE = ("l1", "magnitude_pruning", "sparse_vd", "unstructured_attention")  # single weights: no equal MACs
_PAPERS_SPEED = 2.91  # the paper's for CIFAR-100


def findings(runs: Runs) -> list[str]:
    """The findings.

    Args:
        runs: The records of all rows of all tables, by name.

    Returns:
        Ten lines.

    Example:
        >>> findings({})[0]
        'LeNet-5, SA + GASL: not run yet.'
        >>> len(findings({}))
        10
    """
    parts: list[Callable[[Runs], str]] = [
        lambda runs: _against_all(runs, "lenet5"),
        lambda runs: _against_all(runs, "mlp"),
        _attention,
        _guidance,
        _baselines,
        _cifar,
        _speed,
        _levels,
        _alphas,
        _printed,
    ]
    return [part(runs) for part in parts]


def _error(runs: Sequence[Record]) -> float:
    return float(mean(r["error_small"] for r in runs))


def _macs(runs: Sequence[Record]) -> float:
    return float(mean(r["macs"]["small"] for r in runs))


def _said(runs: Sequence[Record]) -> str:
    """Error, how many times fewer MACs, seeds."""
    fewer = runs[0]["macs"]["dense"] / _macs(runs)
    return f"{spread([r['error_small'] for r in runs], 2)} % at {fewer:.1f}x fewer MACs ({_seeds(runs)})"


def _seeds(runs: Sequence[Record]) -> str:
    return f"{len(runs)} seed{'s' if len(runs) > 1 else ''}"


def _against_all(runs: Runs, network: str) -> str:
    """Where SA + GASL stands on the frontier of error and MACs."""
    title, ours = _NETWORKS[network], runs.get(f"{network}/gasl")
    if not ours:
        return f"{title}, SA + GASL: not run yet."
    others = {m: runs[f"{network}/{m}"] for m in LABELS if m not in ("gasl", "baseline") and runs.get(f"{network}/{m}")}
    better = [LABELS[m] for m, r in others.items() if _error(r) <= _error(ours) and _macs(r) <= _macs(ours)]
    lower = [m for m, r in others.items() if _error(r) < _error(ours)]
    stands = f"beaten in both by {_listed(better)}" if better else "no other method has as low an error at as few MACs"
    more = ""
    if lower and not better:
        best, near = min(lower, key=lambda m: _error(others[m])), min(lower, key=lambda m: _macs(others[m]))
        count = f"{len(lower)} method{'s' * (len(lower) > 1)}"
        more = f"; lower errors at more MACs: {count}, the lowest {LABELS[best]} {_said(others[best])}"
        more += "" if near == best else f", the smallest {LABELS[near]} {_said(others[near])}"
    return f"{title}, SA + GASL: {_said(ours)}; {stands}{more}."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1] if names else "none"


def _pair(runs: Runs, first: str, second: str) -> list[str]:
    """The second beside the first, network by network."""
    said = []
    places = {**{f"{n}/": title for n, title in _NETWORKS.items()}, f"{_CIFAR}/": "VGG-16 on CIFAR-10"}
    for place, title in places.items():
        a, b = runs.get(place + first), runs.get(place + second)
        if a and b:
            said.append(f"{title} {_error(b) - _error(a):+.2f} points at {_macs(b) / _macs(a):.2f}x the MACs")
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
    text += f"{len(run)} rows that were run meet it, {len(known) - len(run)} have not been run"
    return f"{text}; missed: {_listed(missed)}." if missed else f"{text}."


def _at_equal_macs(runs: Runs) -> dict[str, Sequence[Record]]:
    names = {method: f"{_CIFAR}/{method}" for method in LABELS if method not in (*_SINGLE, "baseline")}
    return {method: runs[name] for method, name in names.items() if runs.get(name)}


def _cifar(runs: Runs) -> str:
    rows = _at_equal_macs(runs)
    if "gasl" not in rows or len(rows) < 2:
        return "CIFAR-10 at a quarter of the MACs: not run yet."
    ranked = sorted(rows, key=lambda method: _error(rows[method]))
    place = ranked.index("gasl") + 1
    best = ranked[0] if place > 1 else ranked[1]
    gap = _error(rows["gasl"]) - _error(rows[best])
    text = f"CIFAR-10, VGG-16 at width 0.25, a quarter of the MACs: SA + GASL {_said(rows['gasl'])} is number {place} "
    text += f"of {len(rows)} in error, {abs(gap):.2f} points {'above' if gap > 0 else 'below'} {LABELS[best]}"
    if dense := runs.get(f"{_CIFAR}/baseline"):
        text += f"; baseline {spread([r['error_small'] for r in dense], 2)} %"
    return f"{text}."


def _speed(runs: Runs) -> str:
    rows = {method: r for method, r in _at_equal_macs(runs).items() if mean(_ratio(r)) >= 3.9}
    if not rows:
        return f"Speed where a quarter of the MACs is left: not run yet; the paper has {_PAPERS_SPEED}x."
    faster = {method: mean(r["speedup"]["128"] for r in rs) for method, rs in rows.items()}
    low, high = min(faster.values()), max(faster.values())
    text = f"Speed where a quarter of the MACs is left: {low:.1f}x to {high:.1f}x at batch 128, one thread"
    if "gasl" in faster:
        text += f", SA + GASL {faster['gasl']:.2f}x for {mean(_ratio(rows['gasl'])):.1f}x fewer MACs"
    reached = sum(f >= _PAPERS_SPEED for f in faster.values())
    return f"{text}; {_PAPERS_SPEED}x, the paper's for CIFAR-100, is reached by {reached} of {len(faster)} methods."


def _ratio(runs: Sequence[Record]) -> list[float]:
    return [r["macs"]["dense"] / r["macs"]["small"] for r in runs]


def _levels(runs: Runs) -> str:
    """The rise at 80 % of every method that was run."""
    dense = runs.get(f"{_CIFAR}/baseline", ())
    methods = [key.split("/")[1] for key in PRINTED_RISE if key.startswith("rise/")]
    rise = {m: rises(runs.get(f"{_CIFAR}/stages/{m}-80", ()), dense) for m in methods}
    known = {m: mean(values) for m, values in rise.items() if values}
    title, printed = "Table 3, rise of the error at 80 % of the units", PRINTED_RISE["rise/gasl"][2]
    if "gasl" not in known:
        return f"{title}: not run yet; the paper has {printed}."
    others = _listed([f"{LABELS[m]} {value:+.2f}" for m, value in known.items() if m != "gasl"])
    verdict = "the lowest" if known["gasl"] == min(known.values()) else "not the lowest"
    return (
        f"{title}: SA + GASL {known['gasl']:+.2f} points, {verdict} ({others}); the paper has {printed} on CIFAR-100."
    )


def _alphas(runs: Runs) -> str:
    dense = runs.get(f"{_CIFAR}/baseline", ())
    found = {}
    for alpha in (0.01, 0.1, 1.0, 10.0, 100.0):
        name = "gasl-80" if alpha == 1 else f"gasl-alpha{alpha:g}-80"
        if values := rises(runs.get(f"{_CIFAR}/stages/{name}", ()), dense):
            found[alpha] = mean(values)
    if len(found) < 2:
        return "Table 4, alpha: not run yet; the paper calls its effect small from 0.1 to 10."
    said = ", ".join(f"{value:+.2f} at {alpha:g}" for alpha, value in found.items())
    inner = [value for alpha, value in found.items() if 0.1 <= alpha <= 10]
    papers = [PRINTED_RISE[f"alpha/{alpha:g}"][2] for alpha in (0.1, 1.0, 10.0)]
    text = f"Table 4, rise of the error at 80 % by alpha: {said}"
    if len(inner) > 1:
        text += f"; {max(inner) - min(inner):.2f} points between the best and the worst from 0.1 to 10"
        text += f", where the paper has {max(papers) - min(papers):.2f}"
    return f"{text}."


def _printed(runs: Runs) -> str:
    """What is printed and cannot be, and how near we came to the headline."""
    _, maps, inputs, _ = widths = printed_widths("lenet5", PRINTED["lenet5/gasl"])
    text = (
        f"Printed and impossible: LeNet-5's row 76-88-86-95 leaves {maps} maps, hence {16 * maps} inputs of the next "
        f"layer, not the {inputs} that it says; Table 3 has {PRINTED_RISE['rise/gasl'][2]} where Table 4 has "
        f"{PRINTED_RISE['alpha/1'][2]} for the same run; Table 4's alpha = 0.01 is Table 3's l1 at 70 and 80 %"
    )
    if ours := runs.get("lenet5/gasl"):
        share = _macs(ours) / macs("lenet5", widths)
        text += f"; at {share:.2f}x that row's MACs we have {_error(ours):.2f} % for its {PRINTED['lenet5/gasl'].error}"
    return f"{text}."
