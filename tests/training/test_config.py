"""What a training run refuses."""

from typing import Any

import pytest

from gasl.errors import InputError
from gasl.training import TrainConfig


@pytest.mark.parametrize(
    "field",
    [
        {"lr": 0.0},
        {"lr": float("nan")},
        {"lr": float("inf")},
        {"epochs": 0},
        {"batch_size": -1},
        {"clip": 0.0},
        {"drop_after": 0},
        {"stop_after": 0},
        {"momentum": 1.0},
        {"momentum": -0.1},
        {"drop_factor": 1.0},
        {"weight_decay": -1e-9},
        {"seed": -1},
        {"seed": 2**63},  # no generator takes it
        {"seed": 0.5},
        {"optimizer": "lbfgs"},
        {"own_lr": 0.0},
        {"decay_from": -1},
        {"decay_from": 300},
        {"decay_from": 0},  # beside drop_after
        {"one_cycle": 0.3},  # beside drop_after
        {"watch_from": -1},
        {"precision": "bf16"},
    ],
)
def test_impossible_numbers_are_named(field: dict[str, Any]) -> None:
    (name,) = field
    with pytest.raises(InputError, match=name):
        TrainConfig(**field)


@pytest.mark.parametrize("part", [-0.1, 1.0])
def test_a_cycle_rises_in_a_part_of_the_steps(part: float) -> None:
    with pytest.raises(InputError, match="one_cycle must be 0 or more and below 1"):
        TrainConfig(one_cycle=part, drop_after=None)


def test_null_switches_off() -> None:
    config = TrainConfig(clip=None, drop_after=None, stop_after=None)
    assert (config.clip, config.drop_after, config.stop_after) == (None, None, None)


def test_numbers_of_the_paper() -> None:
    config = TrainConfig()
    assert (config.clip, config.drop_after, config.drop_factor, config.stop_after) == (0.1, 5, 0.1, 20)
    assert config.epochs == 300
