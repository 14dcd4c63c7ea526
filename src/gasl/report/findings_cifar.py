"""What was found with VGG-16 on CIFAR-10: Tables 2, 3 and 4."""

from statistics import mean

from gasl.experiments.tables import LABELS
from gasl.report.cells import Record
from gasl.report.marks import spread
from gasl.report.phrases import Runs, error_at, gap, gaps, listed, mean_error, met_only, times_fewer
from gasl.report.printed import PRINTED_RISE
from gasl.report.stages import rises
from gasl.report.targets import missed_target

__all__ = ["CIFAR", "findings_cifar"]

CIFAR = "cifar10/vgg16-0.25-short"

_SINGLE = ("l1", "magnitude_pruning", "sparse_vd", "unstructured_attention")  # single weights: no equal MACs
_PAPERS_SPEED = 2.91  # the paper's for CIFAR-100


def findings_cifar(runs: Runs) -> list[str]:
    """Where SA + GASL stands at a quarter of the MACs, how fast that is, and what Tables 3 and 4 come to.

    Args:
        runs: The records of all rows of all tables, by name.

    Returns:
        Four lines.

    Example:
        >>> findings_cifar({})[0]
        'CIFAR-10, VGG-16 at width 0.25, a quarter of the MACs: not run yet.'
    """
    return [_ranked(runs), _speed(runs), _levels(runs), _alphas(runs)]


def _at_equal_macs(runs: Runs) -> tuple[dict[str, list[Record]], str]:
    names = {method: f"{CIFAR}/{method}" for method in LABELS if method not in (*_SINGLE, "baseline")}
    return met_only({method: runs[name] for method, name in names.items() if runs.get(name)})


def _ranked(runs: Runs) -> str:
    rows, out = _at_equal_macs(runs)
    title = "CIFAR-10, VGG-16 at width 0.25, a quarter of the MACs"
    if "gasl" not in rows or len(rows) < 2:
        return f"{title}: nothing to rank SA + GASL with{out}." if out else f"{title}: not run yet."
    ranked = sorted(rows, key=lambda method: mean_error(rows[method]))
    place = ranked.index("gasl") + 1
    best = ranked[0] if place > 1 else ranked[1]
    text = f"{title}: SA + GASL {error_at(rows['gasl'])} is number {place} of {len(rows)} in error, "
    text += f"{gap(rows['gasl'], rows[best])} {LABELS[best]}"
    if dense := runs.get(f"{CIFAR}/baseline"):
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
        text += f", SA + GASL {own}x for {times_fewer(rows['gasl'])} fewer MACs"
    reached = sum(f >= _PAPERS_SPEED for f in faster.values())
    return (
        f"{text}; {_PAPERS_SPEED}x, the paper's for CIFAR-100, is reached by {reached} of {len(faster)} methods{out}."
    )


def _levels(runs: Runs) -> str:
    """The rise at 80 % of every method that was run and came there."""
    dense = runs.get(f"{CIFAR}/baseline", ())
    methods = [key.split("/")[1] for key in PRINTED_RISE if key.startswith("rise/")]
    rows, out = met_only({m: there for m in methods if (there := runs.get(f"{CIFAR}/stages/{m}-80"))})
    known = {m: values for m, each in rows.items() if (values := rises(each, dense))}
    title, printed = "Table 3, rise of the error at 80 % of the units", PRINTED_RISE["rise/gasl"][2]
    if "gasl" not in known:
        return f"{title}: {f'SA + GASL has none{out}' if out else 'not run yet'}; the paper has {printed}."
    text = f"{title}: SA + GASL {spread(known['gasl'], 2, '+')} points"
    if others := sorted(known.keys() - {"gasl"}, key=lambda m: mean(known[m])):
        stands = "the lowest" if mean(known["gasl"]) <= mean(known[others[0]]) else "not the lowest"
        said = listed([f"{LABELS[m]} {spread(known[m], 2, '+')} at {times_fewer(rows[m])}" for m in others])
        text += f", {stands}, {gap(rows['gasl'], rows[others[0]])} {LABELS[others[0]]}"
        text += f" (all, and how many times fewer MACs: {said}; SA + GASL at {times_fewer(rows['gasl'])})"
    return f"{text}; the paper has {printed} on CIFAR-100{out}."


def _alphas(runs: Runs) -> str:
    dense = runs.get(f"{CIFAR}/baseline", ())
    rows, left = {}, []
    for alpha in (0.01, 0.1, 1.0, 10.0, 100.0):
        each = runs.get(f"{CIFAR}/stages/" + ("gasl-80" if alpha == 1 else f"gasl-alpha{alpha:g}-80"), ())
        met = [run for run in each if not missed_target(run)]
        left += [f"{len(each) - len(met)} of {len(each)} runs at {alpha:g}"] * (len(met) < len(each))
        if rises(met, dense):
            rows[alpha] = met
    out = f"; left out, as above their target: {listed(left)}" if left else ""
    if len(rows) < 2:
        return f"Table 4, alpha: not run yet; the paper calls its effect small from 0.1 to 10{out}."
    said = ", ".join(f"{spread(rises(each, dense), 2, '+')} at {alpha:g}" for alpha, each in rows.items())
    inner = sorted((a for a in rows if 0.1 <= a <= 10), key=lambda a: mean(rises(rows[a], dense)))
    papers = [PRINTED_RISE[f"alpha/{alpha:g}"][2] for alpha in (0.1, 1.0, 10.0)]
    text = f"Table 4, rise of the error at 80 % by alpha: {said}"
    if len(inner) > 1:
        apart = gaps(rows[inner[-1]], rows[inner[0]])
        text += f"; {spread(apart, 2)} points between the worst and the best from 0.1 to 10"
        text += f", where the paper has {max(papers) - min(papers):.2f}"
    return f"{text}; MACs are {listed([times_fewer(each) for each in rows.values()])} fewer{out}."
