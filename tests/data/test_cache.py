"""The cache of decoded sets: hits, changed sources, damage, places that cannot be written."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gasl.data import ImageSet
from gasl.data.cache import cache_folder, cached, source_key


def splits(value: int = 1) -> dict[str, ImageSet]:
    def part() -> ImageSet:
        return ImageSet(torch.full((2, 1, 2, 2), value, dtype=torch.uint8), torch.tensor([0, 1]), ("no", "yes"), "x")

    return {"train": part(), "test": part()}


def never() -> dict[str, ImageSet]:
    raise AssertionError("the source was read again")


def test_second_read_comes_from_the_cache() -> None:
    cached("x", "k", splits)
    again = cached("x", "k", never)
    assert sorted(again) == ["test", "train"]
    assert again["train"].classes == ("no", "yes")
    assert torch.equal(again["train"].images, splits()["train"].images)


def test_changed_key_is_read_anew() -> None:
    cached("x", "k", splits)
    assert int(cached("x", "other", lambda: splits(7))["test"].images[0, 0, 0, 0]) == 7


def test_key_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"12")
    first = source_key([path])
    path.write_bytes(b"123")
    assert source_key([path]) != first


def flip(content: bytes) -> bytes:
    return content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]


def cut(content: bytes) -> bytes:
    return content[:-3]


def nothing(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("harm", [flip, cut, nothing])
def test_damaged_entry_is_made_anew(cache: Path, harm: Callable[[bytes], bytes]) -> None:
    cached("x", "k", splits)
    (entry,) = cache.glob("*.safetensors")
    entry.write_bytes(harm(entry.read_bytes()))
    assert int(cached("x", "k", lambda: splits(9))["train"].images[0, 0, 0, 0]) == 9
    assert int(cached("x", "k", never)["train"].images[0, 0, 0, 0]) == 9


def test_nothing_but_the_entry_is_left(cache: Path) -> None:
    cached("a/../b", "k", splits)
    assert [path.suffix for path in cache.iterdir()] == [".safetensors"]


def test_unwritable_cache_warns_and_still_gives_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GASL_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="set GASL_CACHE"):
        assert "train" in cached("x", "k", splits)


def test_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GASL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "gasl"
