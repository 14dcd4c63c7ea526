"""The runs at a given size as tables and as a picture."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from gasl.cli import main
from gasl.errors import InputError
from gasl.experiments.at_target import target_entries
from gasl.experiments.identity import described, identity
from gasl.experiments.places import write_text
from gasl.experiments.store import record_path
from gasl.report.frontier import _SHORT, our_points, printed_points, write_frontier
from gasl.report.labels import Label, beside, overlap, write_labels
from gasl.report.published import macs
from gasl.report.tables import table

ROOT = Path(__file__).parents[2]
SPARSITY = {"conv1": 0.75, "conv2": 0.87, "fc1.in": 0.87, "fc1": 0.95}
UNITS = {"conv1": (20, 5), "conv2": (50, 6), "fc1.in": (800, 96), "fc1": (500, 25)}


def record(error=0.9, small=100_000, seed=0, **left):
    layers = [
        {
            "name": name,
            "size": size,
            "alive": alive,
            "sparsity_own": 0.0,
            "sparsity_propagated": 100 - 100 * alive / size,
        }
        for name, (size, alive) in (UNITS | left).items()
    ]
    return {
        "seed": seed,
        "error_small": error,
        "layers": layers,
        "macs": {"dense": 2_293_000, "small": small},
        "params": {"dense": 10, "small": 5},
        "speedup": {"1": 2.0, "128": 8.0},
        "nonzero": {"conv1.weight": [500, 75]},
        "spec": {"target": {"sparsity": SPARSITY}},
        "epochs": 100,
        "device": "a processor",
        "threads": 1,
    }


def test_rows_are_seeded_as_asked():
    rows = target_entries()
    assert len({identity(row.spec) for row in rows}) == len(rows)
    assert {row.seeds for row in rows if row.name.endswith("x")} == {1}
    assert {row.seeds for row in rows if not row.name.endswith("x")} == {5}
    assert {row.seeds for row in target_entries(2)} == {2}
    with pytest.raises(InputError, match="seeds must be 1 or more, got 0"):
        target_entries(0)


def test_a_target_that_was_missed_is_said_so():
    rows = [row for row in target_entries() if row.name == "target/lenet5/gasl-75-87-87-95"]
    met, missed = record(), record(seed=1, conv2=(50, 9))
    (made,) = table(rows, {rows[0].name: [met]})
    assert made.rows[0][1] == "0.92 / 76-88-86-95 / 2.41x"
    assert made.rows[0][8] == "100,000 (22.9x fewer)"
    (made,) = table(rows, {rows[0].name: [met, missed]})
    assert made.rows[0][8] == "100,000 (22.9x fewer), target missed by 1 of 2"


def test_points_are_means_with_their_spread():
    runs = {"a": [record(0.8, 1000), record(1.0, 3000, seed=1)], "b": []}
    assert our_points(runs, ["a", "b", "c"]) == {"a": (1146.5, pytest.approx(0.9), pytest.approx(0.1414, abs=1e-4))}


def test_printed_points_are_those_of_the_papers():
    points = printed_points("lenet5")
    assert points["structured_bp"][:2] == (2_293_000 / macs("lenet5", (3, 18, 284, 283)), 0.86)
    assert points["gasl"][1] == 0.92
    assert round(points["generalized_dropout"][0], 1) == 9.2
    assert "baseline" not in points
    assert "magnitude_pruning" not in points  # single weights


def test_the_picture_has_what_was_run(tmp_path):
    names = [row.name for row in target_entries() if row.name.startswith("target/lenet5/") and row.name.endswith("x")]
    empty = write_frontier(tmp_path, {})
    before = empty[0].read_text()
    assert "SA + GASL, at a target" not in before
    assert "as the papers print it" in before
    svg, png = write_frontier(tmp_path, {name: [record()] for name in names})
    assert "SA + GASL, at a target" in svg.read_text()
    assert "group lasso, at a target" in svg.read_text()
    assert "at the paper's units" not in svg.read_text()
    assert png.read_bytes().startswith(b"\x89PNG")


def test_the_picture_leaves_out_what_missed_its_target(tmp_path):
    name = "target/lenet5/gasl-75-87-87-95-taught"
    svg, _ = write_frontier(tmp_path, {name: [record(), record(seed=1)]})
    assert {"taught", "at the paper's units"} <= set(words(svg))
    svg, _ = write_frontier(tmp_path, {name: [record(conv2=(50, 9))]})
    assert not {"taught", "at the paper's units"} & set(words(svg))


def words(svg):
    return [element.text.strip() for element in ET.parse(svg).iter() if element.tag.endswith("text")]


def test_every_point_that_papers_print_is_named(tmp_path):
    svg, _ = write_frontier(tmp_path, {})
    named = [_SHORT[name] for network in ("lenet5", "mlp") for name in printed_points(network)]
    assert sorted(word for word in words(svg) if word in named) == sorted(named)


def test_names_stand_apart():
    """A row of points as near to each other as letters are, below a line that is drawn already."""
    points = [(100.0 + 8 * i, 50.0) for i in range(5)]
    taken, inside = [(0.0, 60.0, 300.0, 62.0)], (0.0, 0.0, 300.0, 100.0)
    boxes = beside(points, ["SSL", "GASL", "SA", "SBP", "L0"], taken, inside)
    dots = [(x - 3, y - 3, x + 3, y + 3) for x, y in points]
    assert not any(overlap(one, other) for i, one in enumerate(boxes) for other in [*boxes[:i], *taken, *dots])
    (box,) = beside([(299.0, 50.0)], ["GASL"], [], inside)
    assert box[2] <= 300


def test_a_name_in_the_picture_lies_where_its_box_is():
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.set(xlim=(0, 10), ylim=(0, 10))
    figure.draw_without_rendering()
    write_labels(axes, [Label("SA", 5, 5, 1.0, "red"), Label("SSL", 5.1, 5, 0.0, "red")], [[(0, 4), (10, 4)]])
    first, second = (text.get_window_extent() for text in axes.texts)
    assert not first.overlaps(second)
    dot = axes.transData.transform((5, 5))
    assert not any(text.get_window_extent().contains(*dot) for text in axes.texts)


def test_the_command_shows_records_and_draws(tmp_path, capsys):
    stored = json.loads(next((ROOT / "docs" / "records" / "methods" / "lenet5").glob("*.json")).read_text())
    row = next(row for row in target_entries() if row.name == "target/lenet5/gasl-12x")
    stored |= {"identity": identity(row.spec), "spec": described(row.spec), "seed": 0, "error_small": 0.77}
    write_text(record_path(tmp_path / "records", row.name, 0), json.dumps(stored))
    assert main(["frontier", "--show", "true", "--records", str(tmp_path / "records"), "--to", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert next(line for line in out.splitlines() if "SA + GASL, 12x fewer" in line).split("|")[4].strip() == "0.77"
    assert out.count("not run") == len(target_entries()) - 1
    assert f"written: {tmp_path / 'frontier.png'}" in out
    assert main(["frontier", "--dry_run", "true", "--records", str(tmp_path / "records"), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("61 of 62 runs are missing")
