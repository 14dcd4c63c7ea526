"""Two processes train every case together: both end with the same network, that of one process on the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from contract.ranks import WORLD, trained
from contract.table import every_case
from contract.training import same


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "contract.ranks", str(folder), str(rank)],
            stderr=subprocess.PIPE,
            text=True,
            env=variables,
        )
        for rank in range(WORLD)
    ]
    errors = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0] * WORLD, errors
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(WORLD)]


@every_case()
def test_two_processes_end_with_the_same_network(case, ranks):
    first, second = (results[str(case)] for results in ranks)
    assert not isinstance(first, str), first
    assert not isinstance(second, str), second
    assert all(bool(t.isfinite().all()) for t in first.values())
    assert same(first, second)
    if case.network != "residual" and case.setting.draws != "example":  # a rank has its own batch statistics and noise
        alone = trained(case, rank=0, world=1)
        assert list(alone) == list(first)
        for name, value in first.items():
            torch.testing.assert_close(value, alone[name], rtol=1e-8, atol=1e-10)
