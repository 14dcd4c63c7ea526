"""The tables of the method cards, made from the records of ``gasl run`` and from what the papers print.

``python -m gasl.report.cards`` in the repository writes them again, between two marks in ``docs/methods/NAME.md``.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from gasl.experiments.identity import described
from gasl.experiments.recipes import RECIPES, SEEN
from gasl.experiments.store import is_of
from gasl.experiments.tables import NETWORKS
from gasl.methods import METHODS
from gasl.report.aims import AIM, aim
from gasl.report.cells import Record, dashes, faster, fewer, milliseconds, row, timed, units_left, weights_left
from gasl.report.marks import END, between, spread
from gasl.report.published import PRINTED, PUBLISHED, SIZES, Published, macs, printed_widths
from gasl.training import TrainConfig

__all__ = ["card_names", "evidence", "read_records", "with_evidence", "write_cards"]

BEGIN = "<!-- from the records, by make cards -->"
_COLUMNS = ("error, %", "units left", "weights left, %", "parameters", "MACs", "faster, batch 1 / 128", "ms (dense)")


def read_records(folder: Path) -> dict[str, list[Record]]:
    """The records of all recipes as they are now.

    Args:
        folder: ``docs/records/methods``, or the ``--records`` of ``gasl run``.

    Returns:
        For each recipe its records by seed; those of other settings than the recipe's are left out.

    Example:
        >>> read_records(Path("nowhere"))["lenet5/gasl"]
        []
    """
    found: dict[str, list[Record]] = {name: [] for name in RECIPES}
    for path in sorted(folder.glob("*/*-seed*.json")):
        record = json.loads(path.read_text())
        name = record["recipe"]
        if name in RECIPES and is_of(record, RECIPES[name].seeded(record["seed"])):
            found[name].append(record)
    return {name: sorted(records, key=lambda r: r["seed"]) for name, records in found.items()}


def card_names() -> dict[str, list[str]]:
    """The recipes of each method card.

    Returns:
        The names of :data:`gasl.methods.METHODS` that have recipes, each with them.

    Example:
        >>> card_names()["gasl"]
        ['lenet5/gasl', 'mlp/gasl']
    """
    cards: dict[str, list[str]] = {}
    for name, spec in RECIPES.items():
        if not name.endswith("/baseline"):
            (card,) = [known for known, cls in METHODS.items() if type(spec.method) is cls]
            cards.setdefault(card, []).append(name)
    return cards


def evidence(names: Sequence[str], records: Mapping[str, Sequence[Record]]) -> str:
    """The tables of one card: what is published, what the GASL paper prints, and ours.

    Args:
        names: The card's recipes.
        records: From :func:`read_records`.

    Returns:
        Markdown.

    Example:
        >>> print(evidence(["mlp/gasl"], read_records(Path("nowhere"))).splitlines()[7])
        | GASL paper, Table 1 | 1.53 | 282-100-15 | | | 29,850 (18.3x fewer) | 1.23x | |
    """
    parts = [
        "MNIST; test part read once, with the weights of the last epoch; mean ± standard deviation over seeds; units",
        "left after removal; milliseconds of a batch of 1 / 128 on one thread, in brackets the dense network's;",
        f"timed: {timed([record for name in names for record in records.get(name, [])])}.",
    ]
    sources: list[str] = []
    for network, title in NETWORKS.items():
        own = [name for name in names if name.startswith(f"{network}/")]
        if not own:
            continue
        parts += ["", f"| {title} | {' | '.join(_COLUMNS)} |", "|---" * (len(_COLUMNS) + 1) + "|"]
        notes = []
        for name in [f"{network}/baseline", *own]:
            parts += _rows(network, name, records.get(name, []), sources)
            if name in own:
                notes += [f"`{name}`: {_recipe(name)}.", *_aim(network, name, records.get(name, []))]
                notes += ["Test errors of other strengths, seed 0, had been seen when this one was chosen."] * (
                    name in SEEN
                )
        parts += ["", *(f"- {note}" for note in notes)]
    parts += ["", *(f"[{i}] {source}." for i, source in enumerate(sources, 1))] if sources else []
    parts += ["", f"Again: {', '.join(f'`gasl run {name} --seed 0`' for name in names)} and further seeds."]
    return "\n".join(parts)


def _rows(network: str, name: str, records: Sequence[Record], sources: list[str]) -> list[str]:
    label, rows = f"ours, `{name}`", []
    if name.endswith("/baseline"):
        label = f"no penalty, {_epochs(name)} epochs"
    if not name.endswith("/baseline"):
        rows = [_published_row(network, published, sources) for published in PUBLISHED.get(name, ())]
        if name in PRINTED:
            printed = printed_widths(network, PRINTED[name])
            cells = [f"{PRINTED[name].error}", dashes(printed), "", "", _fewer(macs(network, printed), network)]
            rows.append(row("GASL paper, Table 1", *cells, f"{PRINTED[name].speedup:.2f}x", ""))
    if not records:
        return [*rows, row(label, "not run", *[""] * (len(_COLUMNS) - 1))]
    seeds = f"{len(records)} seed{'s' if len(records) > 1 else ''}"
    params = [r["params"]["small"] for r in records]
    cells = [spread([r["error_small"] for r in records], 2), units_left(records), weights_left(records)]
    cells += [f"{mean(params):,.0f}", _fewer(mean(r["macs"]["small"] for r in records), network)]
    return [*rows, row(f"{label}, {seeds}", *cells, faster(records), milliseconds(records))]


def _published_row(network: str, published: Published, sources: list[str]) -> str:
    if published.source not in sources:
        sources.append(published.source)
    widths = published.widths
    weights = "-".join(f"{share:g}" for share in published.weights or ())
    cells = [dashes(widths), weights, "", _fewer(macs(network, widths), network)] if widths else ["", weights, "", ""]
    return row(f"published [{sources.index(published.source) + 1}]", f"{published.error}", *cells, "", "")


def _epochs(name: str) -> int:
    spec = RECIPES[name]
    return spec.dense.epochs + spec.sparse.epochs + (spec.tune.epochs if spec.tune else 0)


def _recipe(name: str) -> str:
    """How our runs were made, in one line."""
    spec = RECIPES[name]
    said = described(spec.method, defaults=False)
    fields = ", ".join(f"{key}={_short(value)}" for key, value in said.items() if key != "class")
    method = f"{said['class']}({fields})"
    phases = [f"{spec.dense.epochs} epochs dense, {spec.sparse.epochs} with {method} by {_steps(spec.sparse)}"]
    phases += [f"{spec.tune.epochs} for what is left by {_steps(spec.tune)}"] if spec.tune else []
    return ", ".join(phases)


def _steps(config: TrainConfig) -> str:
    own = "" if config.own_lr is None else f" (the method's own {config.own_lr:g})"
    falling = "" if config.decay_from is None else f", falling from epoch {config.decay_from}"
    return f"{config.optimizer.upper() if config.optimizer == 'sgd' else 'Adam'} {config.lr:g}{own}{falling}"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else repr(value)


def _aim(network: str, name: str, records: Sequence[Record]) -> list[str]:
    """The aim in words."""
    if not records or not (name in PUBLISHED or name in PRINTED):
        return []
    said, missed = aim(network, name, records)
    verdict = f"missed ({', '.join(missed)})" if missed else "met"
    return [
        f"`{name}`: {' at '.join(said)}; the aim (at most {AIM} points above, no more of the network) is {verdict}."
    ]


def _fewer(count: float, network: str) -> str:
    return fewer(count, macs(network, SIZES[network]))


def with_evidence(text: str, made: str) -> str:
    r"""A card with its tables: between the marks, or at the end of the section Evidence if there are no marks yet.

    Args:
        text: The card.
        made: From :func:`evidence`.

    Returns:
        The card.

    Example:
        >>> card = with_evidence("## Evidence\n\nTests.\n\n## Reference\n", "| a |")
        >>> with_evidence(card, "| b |") == card.replace("| a |", "| b |")
        True
    """
    if BEGIN not in text:
        head, mark, tail = text.partition("\n## Reference")
        text = f"{head.rstrip()}\n\n{BEGIN}{END}\n{mark}{tail}"
    return between(text, BEGIN, made)


def write_cards(root: Path) -> list[Path]:
    """Write the tables of all cards that are there.

    Args:
        root: The repository.

    Returns:
        The cards whose text changed.

    Example:
        >>> write_cards(Path("nowhere"))
        []
    """
    records, changed = read_records(root / "docs" / "records" / "methods"), []
    for card, names in card_names().items():
        path = root / "docs" / "methods" / f"{card}.md"
        if path.is_file() and (text := with_evidence(path.read_text(), evidence(names, records))) != path.read_text():
            path.write_text(text)
            changed.append(path)
    return changed


if __name__ == "__main__":
    for written in write_cards(Path.cwd()):
        print(written)
