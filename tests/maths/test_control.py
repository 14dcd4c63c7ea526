"""The law of the controller."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasl.errors import InputError
from gasl.maths.control import (
    GATES_LATE,
    allowance,
    change_of_log_strength,
    lag,
    next_strength,
    shared_out,
    wanted_share,
)


@given(st.integers(0, 500), st.floats(0.01, 0.99))
def test_the_schedule_falls_from_all_to_the_target(step, target):
    now, later = wanted_share(step, 300, target), wanted_share(step + 1, 300, target)
    assert target <= later <= now <= 1
    assert wanted_share(0, 300, target) == 1
    assert wanted_share(300, 300, target) == target
    if step < 300:
        assert now == pytest.approx(target + (1 - target) * ((300 - step) / 300) ** 3)


@given(st.floats(0.02, 1), st.floats(-0.01, 1), st.lists(st.integers(0, 1000), min_size=1, max_size=4), st.floats(0, 1))
def test_what_may_go_leaves_enough(left, least, alive, fixed):
    counts = allowance(left, least, alive, fixed)
    assert all(0 <= count <= units for count, units in zip(counts, alive, strict=True))
    worst = max((count / units for count, units in zip(counts, alive, strict=True) if units), default=0)
    if fixed <= least < left:
        assert fixed + (left - fixed) * (1 - worst) ** 3 >= least - 1e-12
        assert sum(counts) >= sum(allowance(left, least, alive))
    elif left <= least:
        assert worst == 0


def test_nothing_may_go_at_the_bound():
    assert allowance(0.2, 0.2, [50]) == [0]
    assert allowance(0.2, -0.1, [50]) == [50]


@given(
    st.floats(-1, 500),
    st.lists(st.tuples(st.integers(0, 100), st.integers(1, 20)), min_size=1, max_size=5),
)
def test_a_budget_of_units_is_shared_out(budget, axes):
    """Nobody gets more than the budget allows, or has; what a unit costs is spent as far as it goes; equal parts."""
    alive, costs = zip(*axes, strict=True)
    counts = shared_out(budget, alive, costs)
    assert all(0 <= count <= units for count, units in zip(counts, alive, strict=True))
    spent = sum(count * cost for count, cost in zip(counts, costs, strict=True))
    assert spent <= max(0.0, budget) + 1e-9
    whole = sum(units * cost for units, cost in axes)
    part = min(1.0, max(0.0, budget) / max(1, whole))
    assert all(abs(count - part * units) < 1 + 1e-9 for count, units in zip(counts, alive, strict=True))
    if set(costs) == {1} and budget >= 0:
        assert spent == min(int(budget), whole)


def test_the_law():
    assert change_of_log_strength(0.1, 0.1) == pytest.approx(0.03)
    assert change_of_log_strength(0.1, 0.05) == pytest.approx(0.23)
    assert change_of_log_strength(1.0, -1.0) == 0.5
    assert change_of_log_strength(-1.0, 1.0) == -0.5


def test_a_schedule_without_steps_is_refused():
    with pytest.raises(InputError, match="at least 1"):
        wanted_share(0, 0, 0.5)


@given(st.floats(-1, 1), st.integers(0, 1000), st.sampled_from([0.05, 0.1]), st.sampled_from([GATES_LATE, math.inf]))
def test_the_strength_stays_within_its_bounds(error, late, push, most):
    highest = 2.0 * math.exp(min(push * late, most))
    assert next_strength(1e60, 0.1, error, error, late, push=push, most=most) == pytest.approx(highest)
    assert next_strength(1e-60, 0.1, error, error, late, push=push, most=most) == pytest.approx(0.005)


def test_gates_are_pushed_by_400_times_at_most():
    pushed = [next_strength(1e9, 1.0, 0.0, 0.0, late, most=GATES_LATE) / 20 for late in (0, 60, 120, 10_000)]
    assert pushed == pytest.approx([1, 20.0855, 403.43, 403.43], rel=1e-4)


@given(st.floats(0.02, 0.5), st.floats(0.05, 1.0))
def test_a_small_share_is_held_to_its_schedule_as_closely_as_a_large_one(goal, speed):
    """Of what is left a strength s takes a part of 1 - exp(-speed s) in each check."""
    left, strength, before = 1.0, 0.1, 0.0
    for step in range(1, 101):
        left *= math.exp(-speed * strength)
        error = lag(left, wanted_share(step, 100, goal))
        assert error < 0.3
        strength = next_strength(strength, 0.1, error, before, late=0)
        before = error
    assert 0.75 * goal < left < goal
