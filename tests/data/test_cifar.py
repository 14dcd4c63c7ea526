"""The reader of CIFAR's binary version, and the refusal of the pickled one."""

from pathlib import Path

import pytest
import torch

from gasl.data.cifar import cifar_files, read_cifar, refuse_pickles
from gasl.errors import FileError


def rows(count: int, label_bytes: int, seed: int, classes: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    table = torch.randint(256, (count, label_bytes + 3072), dtype=torch.uint8, generator=generator)
    table[:, :label_bytes] %= classes
    return table


def test_cifar10_rows(tmp_path: Path) -> None:
    parts = [rows(4, 1, seed, 10) for seed in range(5)]
    for number, part in enumerate(parts, 1):
        (tmp_path / f"data_batch_{number}.bin").write_bytes(part.numpy().tobytes())
    paths = cifar_files(tmp_path, "train")
    assert paths is not None
    data = read_cifar(paths, "cifar10")
    assert len(data) == 20
    assert data.num_classes == 10
    assert data.labels.tolist() == torch.cat(parts)[:, 0].tolist()
    # A pixel's place by hand: image 1 of batch 2, green plane, row 3, column 7.
    assert data.images[5, 1, 3, 7] == parts[1][1, 1 + 1024 + 3 * 32 + 7]


def test_cifar100_takes_the_fine_label(tmp_path: Path) -> None:
    table = rows(6, 2, 0, 20)
    table[:, 1] = torch.tensor([99, 0, 50, 60, 70, 80])
    (tmp_path / "test.bin").write_bytes(table.numpy().tobytes())
    (tmp_path / "fine_label_names.txt").write_text("\n".join(f"class{i}" for i in range(100)) + "\n")
    paths = cifar_files(tmp_path, "test")
    assert paths is not None
    data = read_cifar(paths, "cifar100")
    assert data.labels.tolist() == [99, 0, 50, 60, 70, 80]
    assert data.classes[99] == "class99"
    assert data.images[2, 0, 0, 0] == table[2, 2]


@pytest.mark.parametrize("content", [b"", bytes(3072), bytes(3073) + b"\0", bytes([10]) + bytes(3072)])
def test_damage_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "test_batch.bin"
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"test_batch\.bin is damaged"):
        read_cifar([path], "cifar10")


def test_fine_label_out_of_range_is_damage(tmp_path: Path) -> None:
    (tmp_path / "test.bin").write_bytes(bytes([0, 100]) + bytes(3072))
    with pytest.raises(FileError, match="not below 100"):
        read_cifar([tmp_path / "test.bin"], "cifar100")


def test_a_missing_batch_is_named(tmp_path: Path) -> None:
    for number in (1, 2, 4, 5):
        (tmp_path / f"data_batch_{number}.bin").touch()
    with pytest.raises(FileError, match=r"lacks data_batch_3\.bin"):
        cifar_files(tmp_path, "train")


@pytest.mark.parametrize(
    ("inner", "names"),
    [(".", ["batches.meta", "data_batch_1"]), ("cifar-100-python", ["meta", "train"])],
)
def test_the_pickled_version_is_refused(tmp_path: Path, inner: str, names: list[str]) -> None:
    (tmp_path / inner).mkdir(exist_ok=True)
    for name in names:
        (tmp_path / inner / name).write_bytes(b"\x80\x02")
    with pytest.raises(FileError, match="binary version"):
        refuse_pickles(tmp_path)
