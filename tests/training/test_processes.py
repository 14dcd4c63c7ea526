"""Two processes on one machine: one run, one folder, equal weights."""

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


def test_processes_end_with_the_same_network(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-W", "error::UserWarning", str(tmp_path / "script.py"), str(tmp_path / "run"), "loss"]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=variables, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = ((tmp_path / f"run{rank}").read_text() for rank in (0, 1))
    assert first == second
    assert first.endswith(" 8")  # 15 images for each process, 4 at a time, 2 epochs
