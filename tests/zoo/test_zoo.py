"""The zoo: half of the units of every axis are killed, and what is left computes the same, trains, and can be kept."""

import pytest

import gasl
from gasl.removal.verify import largest_difference
from zoo.floors import FLOORS
from zoo.harness import drawn, examine, outputs_of, prepared, reload, train_step
from zoo.registry import WHOLE, ZOO


@pytest.mark.parametrize("name", FLOORS)
def test_half_of_everything_goes(name):
    entry = ZOO[name]
    result = examine(entry)
    assert result.difference <= 1e-10
    assert result.reported <= 1e-5  # more than the above only where a forward computes in float32
    assert result.weakest > 1e-3  # else a fault could hide
    floor = FLOORS[name]
    assert result.left <= floor.left
    assert result.share >= floor.body
    assert result.total >= floor.total
    inputs = drawn(entry, 4, entry.size, 5)
    again = reload(entry, result.small)
    assert largest_difference(outputs_of(result.small, inputs), outputs_of(again, inputs)) <= 1e-12  # another layout
    train_step(again, inputs)


@pytest.mark.parametrize("name", FLOORS)
def test_units_that_emit_a_constant(name):
    result = examine(ZOO[name], felt=False, constant=True)
    assert result.difference <= 1e-10
    assert result.reported <= 1e-5


@pytest.mark.parametrize("name", WHOLE)
def test_a_network_of_which_nothing_can_go_says_why(name):
    entry = ZOO[name]
    model, example = prepared(entry), drawn(entry, 2, entry.size, 1)
    structure = gasl.trace(model, example)
    assert structure.axes == ()
    assert WHOLE[name] in str(structure)
    with pytest.raises(gasl.InputError, match=WHOLE[name]):
        gasl.shrink(model, example)
