"""The zoo: half of the units of every axis are killed, and what is left computes the same, trains, and can be kept."""

import pytest

from gasl.removal.verify import largest_difference
from zoo.floors import FLOORS
from zoo.harness import drawn, examine, outputs_of, reload, train_step
from zoo.registry import ZOO


@pytest.mark.parametrize("name", FLOORS)
def test_half_of_everything_goes(name):
    entry = ZOO[name]
    result = examine(entry)
    assert result.difference <= 1e-10
    assert result.weakest > 1e-3  # else a fault could hide
    floor = FLOORS[name]
    assert result.left <= floor.left
    assert result.share >= floor.body
    assert result.total >= floor.total
    inputs = drawn(entry, 4, entry.size, 5)
    again = reload(entry, result.small)
    assert largest_difference(outputs_of(result.small, inputs), outputs_of(again, inputs)) <= 1e-12  # another layout
    train_step(again, inputs)
