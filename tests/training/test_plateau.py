"""The schedule: drop after the fifth bad epoch, stop after the twentieth."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gasl.training import Plateau


def test_drops_after_the_fifth_bad_epoch_and_stops_after_the_twentieth() -> None:
    plateau = Plateau(drop_after=5, stop_after=20)
    actions = [plateau.update(1.0) for _ in range(21)]
    assert [epoch for epoch, action in enumerate(actions) if action == "drop"] == [5, 10, 15]
    assert [epoch for epoch, action in enumerate(actions) if action == "stop"] == [20]


def test_a_gain_starts_both_counts_anew() -> None:
    plateau = Plateau(drop_after=3, stop_after=4)
    actions = [plateau.update(error) for error in (3, 3, 3, 2, 2, 2, 2, 2)]
    assert actions == [*["go on"] * 6, "drop", "stop"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(1, 6))
def test_drops_when_pytorch_drops(errors: list[int], drop_after: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=drop_after - 1, threshold=0.0, threshold_mode="abs", eps=0.0
    )
    ours, rate = Plateau(drop_after=drop_after, stop_after=None), 1.0
    for error in errors:
        theirs.step(error)
        rate *= 0.5 if ours.update(error) == "drop" else 1.0
        assert optimizer.param_groups[0]["lr"] == rate


def test_not_a_number_is_a_bad_epoch() -> None:
    plateau = Plateau(drop_after=None, stop_after=2)
    assert [plateau.update(float("nan")) for _ in range(2)] == ["go on", "stop"]


def test_never_means_never() -> None:
    plateau = Plateau(drop_after=None, stop_after=None)
    assert {plateau.update(1.0) for _ in range(100)} == {"go on"}
    assert not plateau.stopped


def test_restored_counts_go_on() -> None:
    errors = [3.0, 3.0, 3.0, 3.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    whole = Plateau(drop_after=2, stop_after=4)
    actions = [whole.update(error) for error in errors]
    first = Plateau(drop_after=2, stop_after=4)
    begun = [first.update(error) for error in errors[:6]]
    second = Plateau(drop_after=2, stop_after=4)
    second.load_state_dict(first.state_dict())
    assert begun + [second.update(error) for error in errors[6:]] == actions
    assert second.stopped
