"""The zoo: what can be removed of each architecture, and how exactly and how fast.

Each network is small, randomly initialised, in float64, and has half of the units of every axis killed. `body` is the
share of the convolution and linear weights that lie on removable axes (of transformers: of the attention and
feed-forward weights), `total` that of all parameters; `left` is what remains of the parameters. The difference is the
largest over other inputs, another batch size and another resolution or length, relative to the largest output. With
`--export`, the small network is also written as ONNX and .pt2. An inexact network ends the script with status 1.
"""

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from torch.utils._pytree import tree_map

import gasl

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from zoo.floors import FLOORS
from zoo.harness import Result, drawn, examine
from zoo.libraries import entries
from zoo.registry import ZOO


def exports(name: str, result: Result, folder: Path) -> str:
    """Which formats the small network can be written in."""
    entry = ZOO[name]
    inputs = tree_map(
        lambda t: t.float() if isinstance(t, torch.Tensor) and t.is_floating_point() else t,
        drawn(entry, 2, entry.size, 4),
    )
    small, done = result.small.float(), []
    for suffix in ("onnx", "pt2"):
        for free_batch in (True, False):
            try:
                gasl.export(small, folder / f"{name}.{suffix}", inputs, free_batch)
            except gasl.InputError:
                continue
            done.append(suffix if free_batch else f"{suffix} (fixed batch)")
            break
    return ", ".join(done) or "none"


def main() -> int:
    """Print a row a network; 1 if one is not exact."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="networks (default: all)")
    parser.add_argument("--export", action="store_true", help="also export each one")
    parser.add_argument("--libraries", action="store_true", help="networks of other model libraries instead")
    given = parser.parse_args()
    if given.libraries:
        ZOO.clear()
        ZOO.update(entries())
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(f"{'architecture':28}{'family':36}{'parameters':>11}{'body':>8}{'total':>8}{'left':>8}", end="")
    print(f"{'trace s':>9}{'shrink s':>10}{'difference':>12}")
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for name in given.names or (ZOO if given.libraries else FLOORS):
            try:
                r = examine(ZOO[name], felt=False)
            except gasl.GaslError as error:
                if "no unit that could be removed" not in str(error):  # else it is protected whole, and says why
                    failed.append(name)
                print(f"{name:28}{type(error).__name__}: {str(error)[:120]}", flush=True)
                continue
            count = sum(p.numel() for p in r.model.parameters())
            row = f"{name:28}{ZOO[name].family:36}{count:11,}{r.share:8.1%}{r.total:8.1%}{r.left:8.1%}"
            row += f"{r.seconds[0]:9.2f}{r.seconds[1]:10.2f}{r.difference:12.1e}"
            print(row + ("   " + exports(name, r, Path(folder)) if given.export else ""), flush=True)
            if not r.difference <= 1e-10:
                failed.append(name)
    print("every network exact" if not failed else f"MISSED: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
