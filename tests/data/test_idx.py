"""The IDX reader on whole, damaged and foreign files."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gasl.data.idx import idx_files, read_idx, read_idx_pair
from gasl.errors import FileError

Write = Callable[[torch.Tensor], bytes]


def digits(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.randint(256, (count, 28, 28), dtype=torch.uint8)
    return images, (torch.arange(count) % 10).to(torch.uint8)


@pytest.mark.parametrize("compress", [False, True])
def test_values_come_back(tmp_path: Path, idx_bytes: Write, compress: bool) -> None:
    values = torch.arange(24, dtype=torch.uint8).reshape(2, 3, 4)
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(idx_bytes(values)) if compress else idx_bytes(values))
    assert torch.equal(read_idx(path), values)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "html": lambda whole: b"<!DOCTYPE html>",
    "16-bit values": lambda whole: bytes([0, 0, 11]) + whole[3:],
    "cut": lambda whole: whole[:-1],
    "longer": lambda whole: whole + b"\0",
    "cut header": lambda whole: whole[:10],
    "cut gzip": lambda whole: gzip.compress(whole)[:-9],
    "flipped gzip": lambda whole: gzip.compress(whole)[:20] + b"\xff\xff" + gzip.compress(whole)[22:],
    "only a gzip header": lambda whole: gzip.compress(whole)[:5],
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named(tmp_path: Path, idx_bytes: Write, kind: str) -> None:
    path = tmp_path / "some-file"
    path.write_bytes(DAMAGE[kind](idx_bytes(torch.arange(24, dtype=torch.uint8).reshape(2, 3, 4))))
    with pytest.raises(FileError, match="some-file"):
        read_idx(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="not-here"):
        read_idx(tmp_path / "not-here")


def test_pair_becomes_grey_images(tmp_path: Path, idx_bytes: Write) -> None:
    images, labels = digits(20)
    (tmp_path / "i").write_bytes(idx_bytes(images))
    (tmp_path / "l").write_bytes(idx_bytes(labels))
    data = read_idx_pair(tmp_path / "i", tmp_path / "l", "x")
    assert data.shape == (1, 28, 28)
    assert torch.equal(data.images[:, 0], images)
    assert data.labels.tolist() == labels.tolist()


def test_pair_of_different_sets_is_refused(tmp_path: Path, idx_bytes: Write) -> None:
    (tmp_path / "i").write_bytes(idx_bytes(digits(20)[0]))
    (tmp_path / "l").write_bytes(idx_bytes(digits(19)[1]))
    with pytest.raises(FileError, match=r"\[20, 28, 28\].*\[19\]"):
        read_idx_pair(tmp_path / "i", tmp_path / "l", "x")


def test_half_a_pair_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").touch()
    assert idx_files(tmp_path, "train") is None
    (tmp_path / "train-labels.idx1-ubyte").touch()
    assert idx_files(tmp_path, "train") is not None
