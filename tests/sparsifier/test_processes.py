"""Two processes that train together draw the same guidance and end with equal weights, those of one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = """
import sys
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.functional import cross_entropy
import gasl

rank, world, folder, step, strength = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:6]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/store{world}", rank=rank, world_size=world)
torch.manual_seed(3)
model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3)).double()
generator = torch.Generator().manual_seed(0)
x, y = torch.randn(12, 6, generator=generator).double(), torch.randint(3, (12,), generator=generator)
x, y = x.chunk(world)[rank], y.chunk(world)[rank]
wrapped = nn.parallel.DistributedDataParallel(model)
method = gasl.GASL(strength=float(strength) if strength != "none" else None, beta="fresh", step=step)
sparsifier = gasl.Sparsifier(wrapped, method, x)
optimizer = torch.optim.SGD(sparsifier.param_groups(), lr=0.1, momentum=0.9)
torch.manual_seed(rank)  # a rank's own random numbers must not matter
drawn = []
for _ in range(30):
    loss = cross_entropy(wrapped(x), y)
    loss = loss + sparsifier.penalty(loss)
    drawn += [b.clone() for b in sparsifier.state.beta]
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    sparsifier.step(optimizer)
result = {"weights": list(model.state_dict().values()), "beta": drawn, "strength": sparsifier.strength}
torch.save(result, f"{folder}/{world}-{rank}.pt")
dist.destroy_process_group()
"""


def run(folder, *options):
    """Ranks 0 and 1 of two, and one process alone, all at the same time."""
    (folder / "script.py").write_text(SCRIPT)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    ranks = [("0", "2"), ("1", "2"), ("0", "1")]
    started = [
        subprocess.Popen(
            [sys.executable, str(folder / "script.py"), *rank, str(folder), *options],
            stderr=subprocess.PIPE,
            text=True,
            env=variables,
        )
        for rank in ranks
    ]
    errors = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], errors
    return [torch.load(folder / f"{world}-{rank}.pt", weights_only=True) for rank, world in ranks]


@pytest.mark.parametrize(("step", "strength"), [("proximal", "0.4"), ("loss", "none")])
def test_two_processes_are_one(tmp_path: Path, step: str, strength: str) -> None:
    first, second, alone = run(tmp_path, step, strength)
    assert first["strength"] == second["strength"] == pytest.approx(alone["strength"])
    for key in ("weights", "beta"):
        assert len(first[key]) == len(second[key])
        assert all(torch.equal(a, b) for a, b in zip(first[key], second[key], strict=True))
    for together, one in zip(first["weights"], alone["weights"], strict=True):
        torch.testing.assert_close(together, one, rtol=1e-6, atol=1e-8)
    if step == "proximal":
        assert any(bool((w == 0).any()) for w in first["weights"])
