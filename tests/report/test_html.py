import re
import sys

import pytest

from gasl.errors import MissingExtraError
from gasl.report import ReportData, write_report


def test_the_page_holds_everything_and_loads_nothing(run_dir, tmp_path):
    page = write_report(tmp_path / "pages" / "report.html", ReportData.load(run_dir)).read_text()
    for part in ("27.93x fewer", "21.3 ms (21 to 22.1)", "2.3e-07", "fc1.in", "87.5 %", "a processor", "2.13.0"):
        assert part in page, part
    for heading in (
        "Before and after",
        "Widths",
        "Training",
        "Norms of the units",
        "Norms over the training",
        "Feature maps",
    ):
        assert f"<h2>{heading}" in page, heading
    assert page.count("<svg") == 4
    assert 'style="width: 25.00%"' in page
    links = re.findall(r'(?:src|href)="([^"]*)"', page) + re.findall(r"url\(([^)]*)\)", page)
    assert links
    assert [link for link in links if not link.startswith(("#", "data:"))] == []
    assert "<script" not in page
    assert "@import" not in page


def test_ids_are_unique_and_references_meet_them(run_dir, tmp_path):
    page = write_report(tmp_path / "report.html", ReportData.load(run_dir)).read_text()
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', page) + re.findall(r"url\(#([^)]*)\)", page)) <= set(ids)


def test_texts_are_escaped(run_dir, tmp_path):
    page = write_report(tmp_path / "report.html", ReportData.load(run_dir)).read_text()
    assert "<h1>LeNet &lt;&amp;&gt; digits</h1>" in page


def test_missing_parts_are_left_out(result, tmp_path):
    page = write_report(tmp_path / "report.html", ReportData(result)).read_text()
    assert "<svg" not in page
    assert "<h2>Training" not in page
    assert "<h2>Widths" in page


def test_the_same_run_gives_the_same_page(run_dir, tmp_path):
    pages = [write_report(tmp_path / name, ReportData.load(run_dir)).read_bytes() for name in ("a.html", "b.html")]
    assert pages[0] == pages[1]


def test_a_missing_extra_is_named(result, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r'jinja2; pip install "gasl\[report\]"'):
        write_report(tmp_path / "report.html", ReportData(result))
    assert list(tmp_path.iterdir()) == []
