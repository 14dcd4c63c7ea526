"""Sizes that a forward computes: what they come to when classes go, and which attributes follow."""

import pytest
import torch
from torch import nn

from gasl.removal import liveness, plan
from gasl.structure.claims import Claim, followed, resolved
from gasl.structure.numbers import Attribute, Extent, Number
from gasl.structure.trace import trace
from removal.halving import halved, removable
from structure.nets import Fn

HEADS, INNER, WIDTH = Attribute("heads"), Attribute("inner"), Attribute("width")
GRID = torch.arange(1, 7).reshape(2, 3)


def gone(*classes, size=7):
    removed = torch.zeros(size, dtype=torch.bool)
    removed[list(classes)] = True
    return removed


def test_a_claim_holds_if_the_number_comes_out_as_what_is_left():
    heads, inner = Number(2, HEADS), Number(6, INNER)
    claim = Claim(inner // heads, GRID, 1)
    assert claim.holds({HEADS: 1, INNER: 3}, gone(1, 2, 3))
    assert claim.holds({HEADS: 2, INNER: 4}, gone(1, 4))
    assert not claim.holds({HEADS: 2, INNER: 6}, gone(1, 4))
    assert not claim.holds({HEADS: 0, INNER: 6}, gone(1, 4))  # the code would divide by zero


def test_extents_follow_their_own_labels():
    whole = Extent(GRID.flatten(), 0)
    (claim,) = resolved([Claim(Number(6, whole) // 2, GRID, 1)], lambda labels: labels)
    assert claim.holds({}, gone())
    assert claim.holds({}, gone(1, 4))
    assert not claim.holds({}, gone(1, 2, 3))  # 3 // 2 are not 3


def test_classes_are_resolved_before_they_are_counted():
    roots = torch.tensor([0, 1, 1, 3, 4, 4, 6])
    claim = Claim(Number(3, WIDTH) * 1, GRID, 1)
    (settled,) = resolved([claim], lambda labels: roots[labels])
    assert settled.labels.tolist() == [[1, 1, 3], [4, 4, 6]]
    assert settled.holds({WIDTH: 1}, gone(1, 4))


def test_an_attribute_that_counts_has_as_many_as_are_left():
    changed, broken = followed([], {"heads": torch.tensor([1, 4])}, (), gone(4))
    assert (changed, broken) == ({"heads": 1}, [])
    assert followed([], {"heads": torch.tensor([1, 4])}, (), gone()) == ({}, [])


def test_an_attribute_that_a_size_is_computed_from_gets_the_value_that_fits():
    inner = Claim(Number(6, INNER) // Number(2, HEADS), GRID, 1)
    changed, broken = followed([inner], {"heads": torch.tensor([1, 4])}, (), gone(2, 5))
    assert changed["inner"] // 2 == 2
    assert broken == []


@pytest.mark.parametrize("turn", [1, -1])
def test_a_value_that_suits_all_sizes_is_found_in_any_order(turn):
    inner = Claim(Number(6, INNER) // Number(2, HEADS), GRID, 1)
    flat = Claim(Number(6, INNER) + 0, GRID.reshape(1, 6), 1)
    changed, broken = followed([flat, inner][::turn], {"heads": torch.tensor([1, 4])}, (), gone(2, 5))
    assert (changed, broken) == ({"inner": 4}, [])


def test_what_is_held_keeps_its_value_and_breaks_the_claim():
    claim = Claim(Number(6, INNER) // 2, GRID, 1)
    changed, broken = followed([claim], {}, {"inner"}, gone(1, 4))
    assert (changed, broken) == ({}, [claim])
    assert followed([claim], {}, (), gone(1, 4))[1] == []


def test_two_sizes_that_want_different_values_break():
    left = Claim(Number(3, WIDTH) + 0, GRID[:1], 1)
    right = Claim(Number(3, WIDTH) + 0, GRID[1:], 1)
    changed, broken = followed([left, right], {}, (), gone(1))
    assert len(broken) == 1
    assert changed in ({"width": 2}, {})
    assert followed([left, right], {}, (), gone(1, 4)) == ({"width": 2}, [])


# -- in networks -------------------------------------------------------------------------------------------------------


def split(view, **numbers):
    """12 features that a forward splits into 3 by 4, summed over the 3, and 4 that are read."""

    def make():
        model = Fn(lambda m, x: m.b(view(m, m.a(x)).sum(1)), a=nn.Linear(5, 12), b=nn.Linear(4, 2))
        for name, value in numbers.items():
            setattr(model, name, value)
        return model

    return make


def points(batch):
    return torch.randn(batch, 5)


def _two_attributes():
    return split(lambda m, y: y.view(-1, m.parts, m.width // m.parts), parts=3, width=12)


def test_sizes_computed_from_two_attributes():
    assert removable(_two_attributes(), points) == {"parts": 3, "a": 4}
    small, removal = halved(_two_attributes()(), points)
    assert removal.plan.attributes["parts"] == small.parts == 2
    assert small.width // small.parts == small.b.in_features == 2


def test_a_quotient_that_was_exact_stays_so():
    assert halved(_two_attributes()(), points)[1].plan.attributes == {"parts": 2, "width": 4}


def test_sizes_computed_from_a_tensor():
    for view in (
        lambda m, y: y.view(y.shape[0], m.parts, y.shape[1] // m.parts),
        lambda m, y: y.view(y.size(0), -1, y.size(1) // m.parts),
        lambda m, y: y.view(len(y), m.parts, -1),
    ):
        assert sorted(removable(split(view, parts=3), points).values()) == [3, 4]


def test_the_plan_holds_the_new_values():
    model = split(lambda m, y: y.view(-1, m.parts, m.each), parts=3, each=4)().double()
    structure = trace(model, points(2).double())
    (axis,) = [a for a in structure.axes if a.kind == "width" and a.size == 4]
    axis.zero_([0, 2, 3])
    structure = trace(model, points(2).double())  # its constants belong to these weights
    steps = plan(structure, liveness(dict(model.named_parameters()), structure))
    assert steps.attributes == {"each": 1}
    assert steps.keep["a.weight", 0].tolist() == [1, 5, 9]
    assert "each becomes 1" in str(steps)
