import io
import sys

import pytest
from rich.console import Console

from gasl.errors import MissingExtraError
from gasl.report import result_view


def shown(result):
    text = io.StringIO()
    Console(file=text, width=120).print(result_view(result))
    return text.getvalue()


def test_everything_is_in_it(result):
    text = shown(result)
    for part in ("65.0 %", "75.0 %", "20 -> 5", "27.93x fewer", "21.3 ms (21 to 22.1)", "4.35x faster", "2.3e-07"):
        assert part in text, part
    for part in ("a processor", "threads 2", "seed 7", "torch 2.13.0"):
        assert part in text, part


def test_names_are_not_markup(result):
    result["layers"][0]["name"] = "blocks[bold]"
    assert "blocks[bold]" in shown(result)


def test_without_rich(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.table", None)
    with pytest.raises(MissingExtraError, match=r"pip install"):
        result_view(result)
