"""Checks of image sets and the stratified split."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gasl.data import ImageSet, hold_out, stratified
from gasl.errors import InputError


def make(labels: torch.Tensor, classes: int = 10) -> ImageSet:
    images = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    return ImageSet(images, labels, tuple(map(str, range(classes))), "x")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 1, 2, 2), torch.zeros(2, dtype=torch.int64), "uint8"),
        (torch.zeros(2, 2, 2, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), r"\(N, C, H, W\)"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), r"int64 \(2,\)"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.zeros(2, dtype=torch.int32), "int64"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 2]), "0..2, but it has 2 classes"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.tensor([-1, 1]), "-1..1"),
        (torch.zeros(0, 1, 2, 2, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64), "no images"),
    ],
)
def test_what_does_not_fit_is_refused(images: torch.Tensor, labels: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ImageSet(images, labels, ("a", "b"), "x")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=60), st.data(), st.integers(0, 5))
def test_every_class_has_its_share_to_within_one(classes: list[int], data: st.DataObject, seed: int) -> None:
    labels = torch.tensor(classes)
    count = data.draw(st.integers(1, len(classes)))
    chosen = stratified(labels, count, seed)
    assert len(chosen) == count == len(set(chosen.tolist()))
    share = labels.bincount(minlength=4) * count / len(labels)
    assert (labels[chosen].bincount(minlength=4) - share).abs().max() <= 1


def test_parts_are_disjoint_complete_and_always_the_same() -> None:
    whole = make(torch.arange(100) // 10)
    rest, held = hold_out(whole, 20, seed=3)
    again = hold_out(whole, 20, seed=3)
    other = hold_out(whole, 20, seed=4)
    numbers = [part.images[:, 0, 0, 0] for part in (rest, held)]
    assert sorted(torch.cat(numbers).tolist()) == list(range(100))
    assert held.labels.bincount().tolist() == [2] * 10
    assert torch.equal(again[1].images, held.images)
    assert not torch.equal(other[1].images, held.images)


@pytest.mark.parametrize("count", [0, 11])
def test_impossible_subsets_are_refused(count: int) -> None:
    with pytest.raises(InputError, match="of 10 images"):
        stratified(torch.zeros(10, dtype=torch.int64), count, 0)


def test_holding_out_everything_is_refused() -> None:
    with pytest.raises(InputError, match="more images"):
        hold_out(make(torch.zeros(4, dtype=torch.int64)), 4, 0)
