"""The README's table of results is what the records say, digit for digit."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
ROWS = {
    "LeNet-5-Caffe, 4,000 MNIST digits (`gasl demo`)": "demo-seed*.json",
    "LeNet-5-Caffe, full MNIST (`gasl train`)": "lenet5-mnist-seed*.json",
}
HEAD = [
    "| network, data | seeds | test error dense, % | small, % | units left | MACs | faster, batch 128 |",
    "|---|---|---|---|---|---|---|",
]


def records(pattern: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((ROOT / "docs" / "records").glob(pattern))]


def spread(values: Sequence[float], digits: int) -> str:
    """Mean, and the standard deviation where there is one."""
    text = f"{mean(values):.{digits}f}"
    return f"{text} ± {stdev(values):.{digits}f}" if len(values) > 1 else text


def row(name: str, runs: list[dict[str, Any]]) -> str:
    axes = [[layer["alive"] for layer in run["layers"]] for run in runs]
    cells = [
        name,
        str(len(runs)),
        spread([run["error_dense"] for run in runs], 2),
        spread([run["error_small"] for run in runs], 2),
        "-".join(f"{mean(counts):.0f}" for counts in zip(*axes, strict=True)),
        f"{spread([run['macs']['dense'] / run['macs']['small'] for run in runs], 1)}x fewer",
        f"{spread([run['speedup']['128'] for run in runs], 1)}x",
    ]
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("name", ROWS)
def test_the_table_is_that_of_the_records(name):
    text = (ROOT / "README.md").read_text()
    assert "\n".join(HEAD) in text
    assert row(name, records(ROWS[name])) in text.splitlines()


@pytest.mark.parametrize("name", ROWS)
def test_every_recorded_run_kept_its_outputs(name):
    for run in records(ROWS[name]):
        assert run["max_rel_diff"] <= 1e-5
        assert run["error_before_removal"] == run["error_after_removal"]
        assert run["uncounted"] == {"dense": [], "small": []}
