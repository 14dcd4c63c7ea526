"""What was found, in ten lines whose numbers and verdicts come from the records."""

from collections.abc import Callable, Mapping, Sequence
from statistics import mean

from gasl.experiments.tables import LABELS
from gasl.report.aims import aim
from gasl.report.cells import Record, matched
from gasl.report.marks import spread
from gasl.report.printed import PRINTED_RISE
from gasl.report.published import PRINTED, PUBLISHED, macs, printed_widths
from gasl.report.stages import rises
from gasl.report.targets import missed_target

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


def _seeds(runs: Sequence[object]) -> str:
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


def _gap(runs: Sequence[Record], others: Sequence[Record]) -> str:
    """The difference of two errors, seed by seed where they share seeds."""
    gaps = _gaps(runs, others)
    return f"{spread(gaps, 2).lstrip('-')} points {'above' if mean(gaps) > 0 else 'below'}"


def _gaps(runs: Sequence[Record], others: Sequence[Record]) -> list[float]:
    gaps = [run["error_small"] - other["error_small"] for run, other in matched(runs, others)]
    return gaps or [_error(runs) - _error(others)]


def _met(rows: Runs) -> tuple[dict[str, list[Record]], str]:
    """The runs that met their target, by method; and which were left out."""
    kept = {name: [run for run in runs if not missed_target(run)] for name, runs in rows.items()}
    out = {name: len(runs) - len(kept[name]) for name, runs in rows.items() if len(runs) > len(kept[name])}
    said = _listed([f"{LABELS[name]} ({count} of {len(rows[name])} runs)" for name, count in out.items()])
    return {name: runs for name, runs in kept.items() if runs}, f"; left out, as above their target: {said}" * bool(out)


def _pair(runs: Runs, first: str, second: str) -> list[str]:
    """The second beside the first, network by network and seed by seed."""
    said = []
    places = {**{f"{n}/": title for n, title in _NETWORKS.items()}, f"{_CIFAR}/": "VGG-16 on CIFAR-10"}
    for place, title in places.items():
        if pairs := matched(runs.get(place + second, ()), runs.get(place + first, ())):
            mine, others = zip(*pairs, strict=True)
            more, ratio = spread(_gaps(mine, others), 2, "+"), _macs(mine) / _macs(others)
            said.append(f"{title} {more} points at {ratio:.2f}x the MACs ({_seeds(pairs)})")
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
    return f"{text}; missed: {_listed(missed)}." if missed else f"{text}."


def _at_equal_macs(runs: Runs) -> tuple[dict[str, list[Record]], str]:
    names = {method: f"{_CIFAR}/{method}" for method in LABELS if method not in (*_SINGLE, "baseline")}
    return _met({method: runs[name] for method, name in names.items() if runs.get(name)})


def _cifar(runs: Runs) -> str:
    rows, out = _at_equal_macs(runs)
    title = "CIFAR-10, VGG-16 at width 0.25, a quarter of the MACs"
    if "gasl" not in rows or len(rows) < 2:
        return f"{title}: nothing to rank SA + GASL with{out}." if out else f"{title}: not run yet."
    ranked = sorted(rows, key=lambda method: _error(rows[method]))
    place = ranked.index("gasl") + 1
    best = ranked[0] if place > 1 else ranked[1]
    text = f"{title}: SA + GASL {_said(rows['gasl'])} is number {place} of {len(rows)} in error, "
    text += f"{_gap(rows['gasl'], rows[best])} {LABELS[best]}"
    if dense := runs.get(f"{_CIFAR}/baseline"):
        text += f"; baseline {spread([r['error_small'] for r in dense], 2)} %"
    return f"{text}{out}."


def _speed(runs: Runs) -> str:
    rows, out = _at_equal_macs(runs)
    if not rows:
        return f"Speed where a quarter of the MACs is left: not run yet; the paper has {_PAPERS_SPEED}x."
    faster = {method: mean(r["speedup"]["128"] for r in rs) for method, rs in rows.items()}
    low, high = min(faster.values()), max(faster.values())
    text = f"Speed where a quarter of the MACs is left: {low:.1f}x to {high:.1f}x at batch 128, one thread"
    if "gasl" in faster:
        own = spread([r["speedup"]["128"] for r in rows["gasl"]], 2)
        text += f", SA + GASL {own}x for {_fewer(rows['gasl'])} fewer MACs"
    reached = sum(f >= _PAPERS_SPEED for f in faster.values())
    return (
        f"{text}; {_PAPERS_SPEED}x, the paper's for CIFAR-100, is reached by {reached} of {len(faster)} methods{out}."
    )


def _fewer(runs: Sequence[Record]) -> str:
    return f"{mean(r['macs']['dense'] / r['macs']['small'] for r in runs):.1f}x"


def _levels(runs: Runs) -> str:
    """The rise at 80 % of every method that was run and came there."""
    dense = runs.get(f"{_CIFAR}/baseline", ())
    methods = [key.split("/")[1] for key in PRINTED_RISE if key.startswith("rise/")]
    rows, out = _met({m: there for m in methods if (there := runs.get(f"{_CIFAR}/stages/{m}-80"))})
    known = {m: values for m, each in rows.items() if (values := rises(each, dense))}
    title, printed = "Table 3, rise of the error at 80 % of the units", PRINTED_RISE["rise/gasl"][2]
    if "gasl" not in known:
        return f"{title}: {f'SA + GASL has none{out}' if out else 'not run yet'}; the paper has {printed}."
    text = f"{title}: SA + GASL {spread(known['gasl'], 2, '+')} points"
    if others := sorted(known.keys() - {"gasl"}, key=lambda m: mean(known[m])):
        stands = "the lowest" if mean(known["gasl"]) <= mean(known[others[0]]) else "not the lowest"
        said = _listed([f"{LABELS[m]} {spread(known[m], 2, '+')} at {_fewer(rows[m])}" for m in others])
        text += f", {stands}, {_gap(rows['gasl'], rows[others[0]])} {LABELS[others[0]]}"
        text += f" (all, and how many times fewer MACs: {said}; SA + GASL at {_fewer(rows['gasl'])})"
    return f"{text}; the paper has {printed} on CIFAR-100{out}."


def _alphas(runs: Runs) -> str:
    dense = runs.get(f"{_CIFAR}/baseline", ())
    rows, left = {}, []
    for alpha in (0.01, 0.1, 1.0, 10.0, 100.0):
        each = runs.get(f"{_CIFAR}/stages/" + ("gasl-80" if alpha == 1 else f"gasl-alpha{alpha:g}-80"), ())
        met = [run for run in each if not missed_target(run)]
        left += [f"{len(each) - len(met)} of {len(each)} runs at {alpha:g}"] * (len(met) < len(each))
        if rises(met, dense):
            rows[alpha] = met
    out = f"; left out, as above their target: {_listed(left)}" if left else ""
    if len(rows) < 2:
        return f"Table 4, alpha: not run yet; the paper calls its effect small from 0.1 to 10{out}."
    said = ", ".join(f"{spread(rises(each, dense), 2, '+')} at {alpha:g}" for alpha, each in rows.items())
    inner = sorted((a for a in rows if 0.1 <= a <= 10), key=lambda a: mean(rises(rows[a], dense)))
    papers = [PRINTED_RISE[f"alpha/{alpha:g}"][2] for alpha in (0.1, 1.0, 10.0)]
    text = f"Table 4, rise of the error at 80 % by alpha: {said}"
    if len(inner) > 1:
        gaps = _gaps(rows[inner[-1]], rows[inner[0]])
        text += f"; {spread(gaps, 2)} points between the worst and the best from 0.1 to 10"
        text += f", where the paper has {max(papers) - min(papers):.2f}"
    return f"{text}; MACs are {_listed([_fewer(each) for each in rows.values()])} fewer{out}."


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
