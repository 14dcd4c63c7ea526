"""Two processes on one machine: one run, one folder, equal weights."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os
import sys
from pathlib import Path

import torch
from torch import nn
from gasl.data import DataSplits, ImageSet
from gasl.methods import GASL
from gasl.training import Hardware, TrainConfig, fit

torch.set_num_threads(1)
torch.manual_seed(0)
labels = torch.arange(31) % 3
part = ImageSet(torch.randint(256, (31, 1, 4, 4), dtype=torch.uint8), labels, ("a", "b", "c"), "x")
model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
result = fit(
    model,
    DataSplits(part, part, part),
    sys.argv[1],
    config=TrainConfig(epochs=2, batch_size=4),
    method=GASL(strength=0.02, beta="fresh", step=sys.argv[2]),
    hardware=Hardware(accelerator="cpu", devices=2, strategy="ddp"),
    progress=False,
    resume=True,
)
total = sum(p.detach().double().abs().sum().item() for p in model.parameters())
rank = os.environ.get("LOCAL_RANK", "0")
Path(sys.argv[1] + rank).write_text(f"{total} {result.history[-1]['val_error']} {result.sparsifier.state.step}")
"""


def started(command: list[str], cwd: Path) -> str:
    """What it printed."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=variables, cwd=cwd)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_processes_end_with_the_same_network(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-W", "error::UserWarning", str(tmp_path / "script.py"), str(tmp_path / "run"), "loss"]
    started(command, tmp_path)
    first, second = ((tmp_path / f"run{rank}").read_text() for rank in (0, 1))
    assert first == second
    assert first.endswith(" 8")  # 15 images for each process, 4 at a time, 2 epochs


def test_one_of_the_processes_of_a_run_measures_and_reports(tmp_path: Path) -> None:
    run = "train --out run --model mlp --data mnist5k --method group_lasso --progress false"
    phases = "--dense.epochs 1 --sparse.epochs 1 --tune.epochs 1"
    where = "--hardware.accelerator cpu --hardware.devices 2 --hardware.strategy ddp"
    command = [str(Path(sys.executable).with_name("gasl")), *f"{run} {phases} {where}".split()]
    printed = started(command, tmp_path).splitlines()
    assert printed.count("measuring") == sum(line.startswith("written:") for line in printed) == 1
    assert json.loads((tmp_path / "run" / "result.json").read_text())["seed"] == 0
    assert len((tmp_path / "run" / "history.csv").read_text().splitlines()) == 4
