"""Pairs of the ablation's runs that differ in one field; the table of docs/readings.md is what the records say."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gasl.experiments.ablation import catalogue
from gasl.experiments.identity import described, identity
from gasl.methods import GASL, GroupLasso, StructuredAttention
from gasl.report.effects import BEGIN, effects, effects_table
from gasl.report.marks import between

ROOT = Path(__file__).parents[2]
FIXED = GASL(strength=0.05, beta="fixed")
METHODS = {
    "ablate/mlp/sa": StructuredAttention(strength=0.3),
    "ablate/mlp/fixed": FIXED,
    "ablate/mlp/fixed-10": replace(FIXED, alpha=10.0),
    "ablate/mlp/fixed-10-filter": replace(FIXED, alpha=10.0, scope="filter"),
    "ablate/mlp/ssl": GroupLasso(),
    "ablate/lenet5/sa": StructuredAttention(),
}


def found(errors):
    return [(e.reading, e.value, e.model, e.seed, e.points) for e in effects(errors, METHODS)]


def test_pairs_differ_in_one_field_and_share_network_and_seed():
    errors = {(name, 0): 2.0 for name in METHODS} | {("ablate/mlp/fixed", 0): 1.5, ("ablate/mlp/fixed-10", 1): 1.0}
    assert found(errors) == [
        ("R9", "fixed", "mlp", 0, -0.5),
        ("R15", 10.0, "mlp", 0, 0.5),
        ("R2", "filter", "mlp", 0, 0.0),
    ]


def test_guided_runs_are_compared_with_each_other_too_and_each_pair_is_counted_once():
    runs = {f"ablate/lenet5/{beta}": GASL(beta=beta) for beta in ("rank", "fresh", "fixed")}
    errors = {(name, 2): error for name, error in zip(runs, (1.5, 1.25, 1.75), strict=True)}
    pairs = [(e.usual, e.value, e.points) for e in effects(errors, runs)]
    assert pairs == [("rank", "fresh", -0.25), ("rank", "fixed", 0.25)]


def test_a_run_that_missed_its_target_counts_as_missed_and_is_compared_with_nothing():
    assert found({("ablate/mlp/sa", 3): 2.0, ("ablate/mlp/fixed", 3): None}) == [("R9", "fixed", "mlp", 3, None)]
    assert found({("ablate/mlp/sa", 3): None, ("ablate/mlp/fixed", 3): 2.0}) == []


@pytest.fixture
def records(tmp_path):
    """Two seeds of attention with and without guidance, one of which missed the target."""
    for name, seed, error, left in (
        ("sa-standardised-alpha1-coupled", 1, 2.0, 15),
        ("sa-standardised-alpha1-coupled", 2, 2.5, 15),
        ("gasl-standardised-fixed-alpha1-coupled", 1, 1.75, 15),
        ("gasl-standardised-fixed-alpha1-coupled", 2, 2.75, 15),
        ("gasl-standardised-rank-alpha1-coupled", 1, 1.0, 16),
    ):
        run = replace(catalogue()[f"ablate/mlp/{name}"], seed=seed)
        widths = {"fc1.in": [282, 784], "fc1": [100, 500], "fc2": [left, 300]}
        record = {"identity": identity(run), "spec": described(run), "widths": widths, "error_validation": error}
        path = tmp_path / "ablate" / "mlp" / f"{name}-seed{seed}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record))
    return tmp_path


def test_the_table_has_mean_spread_pairs_and_misses(records):
    assert effects_table(records).strip().splitlines()[2:] == [
        "| R9: `beta` none → fixed | +0.00 ± 0.35 (2) |  |  |  |",
        "| R9: `beta` none → rank | - (0, 1 missed) |  |  |  |",
    ]


def test_the_page_is_what_the_records_say():
    text = (ROOT / "docs" / "readings.md").read_text()
    assert between(text, BEGIN, effects_table(ROOT / "docs" / "records" / "ablation")) == text
