"""``gasl demo``: the whole path on real digits, in under two minutes."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gasl.experiments.networks import example_for, factory
from gasl.experiments.run import RunOptions, train_run
from gasl.experiments.spec import demo_spec
from gasl.files import export, load

__all__ = ["run_demo"]


def run_demo(out: Path, seed: int = 0, progress: bool = True, say: Callable[[str], None] = print) -> dict[str, Any]:
    """LeNet-5-Caffe on 5,000 MNIST digits: train with SA + GASL, remove, tune, measure, export.

    A demonstration that was cut off goes on; one that is complete starts anew.

    Args:
        out: Its folder; gets what :func:`gasl.experiments.train_run` writes, and ``model.onnx``.
        seed: Of everything random.
        progress: Show a progress bar.
        say: Is told, in one line, what happens now.

    Returns:
        The content of ``result.json``.

    Raises:
        InputError: If the folder is in use, or holds the beginning of a run with another seed.
    """
    spec = demo_spec(seed)
    if (out / "result.json").exists():
        for phase in ("dense", "sparse", "tune"):
            shutil.rmtree(out / phase, ignore_errors=True)
        (out / "result.json").unlink()
    result = train_run(spec, out, RunOptions(resume=True, progress=progress, say=say))
    say("exporting")
    small = load(out / "model.safetensors", build=factory(spec.model, spec.model_args))
    example = torch.rand(example_for(spec.model, None).shape, generator=torch.Generator().manual_seed(seed))
    export(small, out / "model.onnx", example)
    return result
