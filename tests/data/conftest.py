"""A cache of its own for every test, and small data sets in their original formats."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GASL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GASL_DATA", raising=False)
    return tmp_path / "cache"


def _idx_bytes(values: Tensor) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    return header + values.numpy().tobytes()


@pytest.fixture
def idx_bytes() -> Callable[[Tensor], bytes]:
    """A tensor in the format that MNIST is published in."""
    return _idx_bytes


@pytest.fixture
def write_mnist() -> Callable[..., None]:
    """Writes a set of 40 + 20 images in the four files of MNIST."""

    def write(folder: Path, *, compress: bool = True, mark: str = "-") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for prefix, count in (("train", 40), ("t10k", 20)):
            images = torch.randint(256, (count, 28, 28), dtype=torch.uint8)
            labels = (torch.arange(count) % 10).to(torch.uint8)
            for kind, values in ((f"images{mark}idx3", images), (f"labels{mark}idx1", labels)):
                content = _idx_bytes(values)
                name = f"{prefix}-{kind}-ubyte" + (".gz" if compress else "")
                (folder / name).write_bytes(gzip.compress(content) if compress else content)

    return write
