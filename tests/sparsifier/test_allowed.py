"""What may go before the next look at a target of units, parameters or MACs: all of the budget, and never more."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gasl.sparsifier.allowed import allowed
from gasl.sparsifier.last import last_units
from gasl.sparsifier.look import Look
from gasl.sparsifier.share import Share
from gasl.sparsifier.target import TOLERANCE, Target


def deep():
    """Narrow layers and wide ones."""
    widths = (16, 16, 64, 128)
    layers = [layer for a, b in pairwise((4, *widths)) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 3)), torch.zeros(2, 4)


def flat():
    """A map of the convolution has nine features behind it."""
    net = nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(54, 40), nn.ReLU(), nn.Linear(40, 3))
    return net, torch.zeros(2, 2, 5, 5)


def gathered():
    """The first input feature that goes costs a gather of all, which is more than it takes with it."""
    layers = (nn.Linear(60, 10), nn.ReLU(), nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 3))
    return nn.Sequential(*layers), torch.zeros(2, 60)


def look_at(build, target):
    torch.manual_seed(0)
    net, x = build()
    whole = Look.now(net, x)
    return whole, Share(target, whole, x, dict.fromkeys(whole.counts, 1))


def there(look):
    return {name: kept.nonzero().flatten().tolist() for name, kept in look.live.kept.items()}


def gone(units, going):
    return {name: units[name][:count] for name, count in going.items()}


def some(look, going, random):
    """Any units of each axis, so many."""
    units = there(look)
    for them in units.values():
        random.shuffle(them)
    return gone(units, going)


@pytest.mark.parametrize("dead", [(7, 7, 29, 59), (15, 14, 24, 50)], ids=["all alike", "narrow ones at their end"])
def test_near_the_goal_every_axis_goes_on(dead):
    """A part of each axis that is safe whatever a unit takes with it would be no whole unit of any.

    And the last of an axis, which would take all that reads it, is no reason to let the others wait.
    """
    look, share = look_at(deep, Target(sparsity=0.5))
    look = look.without({name: range(count) for name, count in zip(("0", "2", "4", "6"), dead, strict=True)})
    left, units = share(look), there(look)
    assert 0.5 < left < 0.57
    going = allowed(share, look, left, dict.fromkeys(units, 1), units)
    assert sum(going.values()) == int((left - 0.5 + TOLERANCE / 2) * 228)
    assert going["6"] > going["4"] > 0
    assert 0.5 - TOLERANCE / 2 <= share(look.without(gone(units, going))) <= 0.5


@pytest.mark.parametrize("kind", ["sparsity", "params", "macs"])
@pytest.mark.parametrize("build", [deep, flat, gathered])
@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 0.9), st.randoms(use_true_random=False))
def test_whatever_goes_the_goal_is_not_passed(kind, build, goal, random):
    """But for a map that goes with the last two of its features, whose cost neither has alone."""
    look, share = look_at(build, Target(**{kind: goal}))
    for _ in range(4):
        left, units = share(look), there(look)
        if left <= share.goal:
            break
        going = allowed(share, look, left, dict.fromkeys(units, 1), units)
        look = look.without(some(look, going, random))
        slack = max(share.costs(look, left, units).values()) if build is flat else TOLERANCE / 2
        assert share(look) >= share.goal - TOLERANCE / 2 - slack


@pytest.mark.parametrize("kind", ["params", "macs"])
def test_what_may_go_is_most_of_what_is_to_go(kind):
    look, share = look_at(deep, Target(**{kind: 0.25}))
    for _ in range(8):
        left, units = share(look), there(look)
        look = look.without(gone(units, allowed(share, look, left, dict.fromkeys(units, 1), units)))
    assert 0.25 - TOLERANCE / 2 <= share(look) <= 0.26


def test_costs_are_what_a_unit_takes_with_it():
    look, share = look_at(flat, Target(sparsity=0.5))
    costs = share.costs(look, 1.0, there(look))
    assert {name: round(100 * cost) for name, cost in costs.items()} == {"0": 10, "3.in": 1, "3": 1}  # of 100 units
    assert share.costs(look.without({"0": [0]}), 0.99, {}) is costs


def test_the_first_of_an_axis_may_cost_more_than_it_takes():
    look, share = look_at(gathered, Target(macs=0.5))
    units = there(look)
    assert share(look.without({"0.in": [0]})) > 1
    assert share.costs(look, 1.0, units)["0.in"] == pytest.approx(11 / share.whole)  # ten products, one moved


def test_the_last_unit_is_one_of_the_widest_axis():
    look, share = look_at(deep, Target(sparsity=0.5))
    units = there(look)
    assert last_units(share, look, share(look), units) == ("6", 1)


@pytest.mark.parametrize("target", [Target(latency_ms=1e-9), Target(sparsity={"0": 0.5})])
def test_elsewhere_nothing_bounds_what_units_take(target):
    assert not look_at(deep, target)[1].product
