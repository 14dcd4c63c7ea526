"""Every method has a card with the agreed headings, and a row in each table of the comparison."""

import re
from pathlib import Path

import pytest

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
