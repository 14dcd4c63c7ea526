"""Every method has a card with the agreed headings, and a row in each table of the comparison."""

import re
from pathlib import Path

import pytest

from contract.networks import NETWORKS
from contract.table import ROWS
from gasl.methods import METHODS

CARDS = Path(__file__).parents[2] / "docs" / "methods"
HEADINGS = ["Use", "Maths", "Suggested values", "Interacts with", "Evidence", "Reference"]
every_method = pytest.mark.parametrize("name", list(METHODS))


def tables():
    """The comparison's tables: of each the header and the rows, cells without their spaces."""
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")] if line.startswith("|") else None
        for line in (CARDS / "index.md").read_text().splitlines()
    ]
    found, table = [], []
    for row in [*rows, None]:
        if row is not None:
            table.append(row)
        elif table:
            found.append((table[0], table[2:]))
            table = []
    return found


def measured():
    """Of docs/records/methods-cost.txt: by method the two cells, each with the figures of its defaults and variants."""
    cells = {}
    for line in (CARDS.parent / "records" / "methods-cost.txt").read_text().splitlines()[2:]:
        found = re.match(r"(\w+)(?:, (\S+))? +[\d.]+ +([\d.]+) +\d+ +([\d.]+)  ", line)
        name, variant, *figures = found.groups()
        for cell, figure in zip(cells.setdefault(name, ([], [])), figures, strict=True):
            cell.append(f"{variant} {figure}" if variant else figure)
    return {name: [", ".join(figures) for figures in pair] for name, pair in cells.items()}


def test_what_a_method_adds_to_the_step_is_what_was_measured():
    _, (header, rows) = tables()
    assert header[-2:] == ["time, times the plain step's", "memory"]
    assert measured().keys() == METHODS.keys()
    assert {row[0]: row[-2:] for row in rows} == {
        f"[{METHODS[name].__name__}]({name}.md)": cells for name, cells in measured().items()
    }


def test_the_comparison_says_which_bounds_held():
    """The record calls L0 on single weights variational, since as a gate it is over its bound."""
    text = " ".join((CARDS / "index.md").read_text().split())
    record = (CARDS.parent / "records" / "methods-cost.txt").read_text()
    assert set(re.findall(r": (\w+)$", record, flags=re.MULTILINE)) == {"held"}
    (bound,) = set(re.findall(r"gate ([\d.]+)x", record))
    (time,) = re.findall(r"^l0, weight +[\d.]+ +([\d.]+)", record, flags=re.MULTILINE)
    assert float(time) > float(bound)
    assert f"at {float(time):.2f} times it is over the gates' {bound}" in text


def test_the_comparison_says_which_networks_a_method_refuses():
    refused = {name: set(settings[0].refused) for name, settings in ROWS.items() if settings[0].refused}
    assert refused == {"network_slimming": NETWORKS.keys() - {"residual"}}
    text = " ".join((CARDS / "index.md").read_text().split())
    assert "NetworkSlimming passes them on the residual network alone; it refuses the four others" in text


@every_method
def test_a_card_has_the_agreed_headings_and_says_something_under_each(name):
    card = (CARDS / f"{name}.md").read_text()
    assert card.startswith(f"# {METHODS[name].__name__}\n")
    parts = re.split(r"^## (.+)$", card, flags=re.MULTILINE)
    assert parts[1::2] == HEADINGS
    assert all(len(text.split()) >= 4 for text in parts[2::2])
    assert f"{METHODS[name].__name__}(" in card


def test_no_card_is_of_a_method_that_is_not_there():
    assert {path.stem for path in CARDS.glob("*.md")} == {"index", *METHODS}


def test_the_comparison_has_every_method_once_in_each_table():
    found = tables()
    assert [header[0] for header, _ in found] == ["method", "method"]
    for header, rows in found:
        assert [row[0] for row in rows] == [f"[{METHODS[name].__name__}]({name}.md)" for name in sorted(METHODS)]
        assert all(len(row) == len(header) and all(row) for row in rows)
