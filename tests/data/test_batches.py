"""Batches: order, resume, shares of several processes."""

import pytest
import torch
from torch import distributed

from gasl.data import Batches, ImageSet
from gasl.errors import InputError


def data(count: int = 20, channels: int = 1) -> ImageSet:
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, channels, 4, 4)
    return ImageSet(images, torch.arange(count), tuple(map(str, range(count))), "x")


def order(batches: Batches) -> list[int]:
    return torch.cat([labels for _, labels in batches]).tolist()


def test_images_stay_with_their_labels() -> None:
    for images, labels in Batches(data(), 7, train=True):
        assert torch.allclose(images[:, 0, 0, 0] * 255, labels.float())


def test_each_epoch_is_a_new_order_of_all_images() -> None:
    batches = Batches(data(), 7, train=True)
    first, second = order(batches), order(batches)
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second


def test_broken_off_epoch_is_not_repeated() -> None:
    whole, broken = Batches(data(), 7, train=True), Batches(data(), 7, train=True)
    order(whole)
    for _ in broken:
        break
    assert order(whole) == order(broken)


def test_any_epoch_can_be_asked_for() -> None:
    batches = Batches(data(), 7, train=True)
    first, _, third = order(batches), order(batches), order(batches)
    batches.set_epoch(2)
    assert order(batches) == third
    batches.set_epoch(0)
    assert order(batches) == first


def test_seed_decides_the_order() -> None:
    assert order(Batches(data(), 7, train=True, seed=1)) == order(Batches(data(), 7, train=True, seed=1))
    assert order(Batches(data(), 7, train=True, seed=1)) != order(Batches(data(), 7, train=True, seed=2))


def test_evaluation_keeps_the_order() -> None:
    assert order(Batches(data(), 7)) == list(range(20))


def test_restored_batches_go_on_bit_equal() -> None:
    whole = Batches(data(channels=3), 6, train=True, seed=5)
    order(whole)
    state = whole.state_dict()
    expected = [images for images, _ in whole]
    resumed = Batches(data(channels=3), 6, train=True, seed=5)
    resumed.load_state_dict(state)
    assert all(torch.equal(a, b) for a, (b, _) in zip(expected, resumed, strict=True))


@pytest.mark.parametrize("train", [False, True])
def test_processes_share_an_epoch(monkeypatch: pytest.MonkeyPatch, train: bool) -> None:
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 3)
    parts, lengths = [], []
    for rank in range(3):
        monkeypatch.setattr(distributed, "get_rank", lambda rank=rank: rank)
        batches = Batches(data(), 4, train=train)
        parts.append(order(batches))
        lengths.append(len(batches))
    together = sorted(label for part in parts for label in part)
    assert len(set(together)) == len(together)
    if train:
        assert [len(part) for part in parts] == [6, 6, 6]
        assert lengths == [2, 2, 2]
    else:
        assert together == list(range(20))


def test_length_is_the_number_of_batches() -> None:
    assert [len(Batches(data(), size)) for size in (1, 7, 20, 50)] == [20, 3, 1, 1]


def test_batch_size_must_be_positive() -> None:
    with pytest.raises(InputError, match="batch_size"):
        Batches(data(), 0)
