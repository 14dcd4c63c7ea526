"""The Python code in the README and in the documents runs as it stands there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
OTHERS_WITH_CODE = [path for path in PAGES if path != README and FENCE.search(path.read_text())]


def run(page: Path) -> dict[str, object]:
    """Execute the fences of a page one after another in one namespace; tracebacks name the page and its line."""
    text = page.read_text()
    names: dict[str, object] = {"__name__": "__main__"}
    for fence in FENCE.finditer(text):
        lines_before = text[: fence.start(1)].count("\n")
        exec(compile("\n" * lines_before + fence[1], str(page), "exec"), names)
    return names


@pytest.mark.parametrize("page", OTHERS_WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(page)


def test_the_readme_runs_and_its_quick_start_finds_what_matters(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = run(README)
    removal = names["sparsifier"].removal
    assert removal.widths["0.in"] == (20, 2)  # the label depends on two of the twenty inputs
    assert removal.widths["0"][1] < 32
    assert (names["small"](names["x"]).argmax(1) == names["y"]).float().mean() > 0.95
    assert str(removal) in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []
