"""One of two processes that train every case together, each on half of the batch; run by ``test_processes.py``."""

import sys
import traceback
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from contract.networks import batch
from contract.table import Case, cases
from contract.training import Training

__all__: list[str] = []

WORLD, STEPS = 2, 3


def trained(case: Case, rank: int, world: int) -> dict[str, Tensor]:
    """The sparsifier is made first: what it adds to the model must be among what DDP keeps equal."""
    training = Training(case)
    wrapped = DistributedDataParallel(training.model) if world > 1 else training.model
    x, y = (part.chunk(world)[rank] for part in batch(case.network))
    for _ in range(STEPS):
        loss = cross_entropy(wrapped(x), y)
        loss = loss + training.sparsifier.penalty(loss)
        training.optimizer.zero_grad()
        loss.backward()
        training.optimizer.step()
        training.sparsifier.step(training.optimizer)
    return {name: t for name, t in training.tensors().items() if "running" not in name}  # a rank has its own batches


def main(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORLD, timeout=timedelta(seconds=30)
    )
    torch.manual_seed(rank)  # a rank's own random numbers must not matter
    results: dict[str, dict[str, Tensor] | str] = {}
    for case in cases():
        try:
            results[str(case)] = trained(case, rank, WORLD)
        except Exception:  # whatever it is, the test of this case shows it; the other rank must not wait
            results[str(case)] = traceback.format_exc()
    torch.save(results, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
