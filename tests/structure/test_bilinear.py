"""Bilinear layers: three widths in one weight, two of which are multiplied by each other."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import gasl
from gasl.structure.trace import trace
from removal.halving import damaged, halved, randomised, removable
from structure.nets import Fn, groups_of, reasons_of


def points(batch):
    return torch.randn(batch, 5), torch.randn(batch, 4)


def two_encoders(bias=True):
    return Fn(
        lambda m, x, y: m.out(torch.tanh(m.score(torch.relu(m.one(x)), torch.relu(m.two(y))))),
        one=nn.Linear(5, 8), two=nn.Linear(4, 6), score=nn.Bilinear(8, 6, 7, bias=bias), out=nn.Linear(7, 2),
    )  # fmt: skip


@pytest.mark.parametrize("bias", [True, False])
def test_all_three_widths_can_go(bias):
    assert removable(lambda: two_encoders(bias), points) == {"one": 8, "two": 6, "score": 7}
    groups = groups_of(two_encoders(), *points(2))
    assert "score.weight[1]" in groups["one"]
    assert "score.weight[2]" in groups["two"]
    assert {"score.weight[0]", "score.bias[0]", "out.weight[1]"} == groups["score"]
    small, _ = halved(two_encoders(bias), points)
    assert (small.score.in1_features, small.score.in2_features, small.score.out_features) == (4, 3, 4)


def test_constants_and_half_dead_units():
    assert damaged(two_encoders(), points) > 0


def test_a_constant_unit_scales_the_other_side_and_stays():
    model = randomised(two_encoders())
    with torch.no_grad():
        model.one.weight[:3] = 0
        model.one.bias[:3] = torch.tensor([1.0, -1.0, 0.0])  # behind relu: 1, 0, 0
    x = tuple(t.double() for t in points(3))
    small, removal = gasl.shrink(model, x)
    assert removal.widths["one"] == (8, 6)
    torch.testing.assert_close(small(*x), model(*x), rtol=1e-10, atol=1e-12)


def test_what_only_one_side_reads_may_still_be_read_by_the_other():
    def make():
        return Fn(
            lambda m, x, y: m.score((z := torch.relu(m.one(x))), torch.tanh(z)),
            one=nn.Linear(5, 8), score=nn.Bilinear(8, 8, 3),
        )  # fmt: skip

    assert removable(make, points) == {"one": 8}
    model, x = randomised(make()), tuple(t.double() for t in points(3))
    with torch.no_grad():
        model.score.weight[:, [0, 1, 2], :] = 0
        model.score.weight[:, :, [1, 2, 3]] = 0
    small, removal = gasl.shrink(model, x)
    assert removal.widths["one"] == (8, 6)
    torch.testing.assert_close(small(*x), model(*x), rtol=1e-10, atol=1e-12)


def test_a_side_that_is_the_input_stays():
    def make():
        return Fn(
            lambda m, x, y: m.out(m.score(torch.relu(m.one(x)), y)),
            one=nn.Linear(5, 8), score=nn.Bilinear(8, 4, 6), out=nn.Linear(6, 2),
        )  # fmt: skip

    assert removable(make, points) == {"one": 8, "score": 6}


def test_a_function_of_a_parameter_and_sizes_that_are_its_attributes():
    def functional_form():
        return Fn(
            lambda m, x, y: m.out(functional.bilinear(m.one(x).relu(), m.two(y).relu(), m.w, m.b)),
            one=nn.Linear(5, 8), two=nn.Linear(4, 6), w=nn.Parameter(torch.randn(7, 8, 6)),
            b=nn.Parameter(torch.randn(7)), out=nn.Linear(7, 2),
        )  # fmt: skip

    def by_attributes():
        return Fn(
            lambda m, x, y: m.score(
                m.one(x).relu().view(-1, m.score.in1_features), m.two(y).relu().view(-1, m.score.in2_features)
            ),
            one=nn.Linear(5, 8), two=nn.Linear(4, 6), score=nn.Bilinear(8, 6, 3),
        )  # fmt: skip

    assert removable(functional_form, points) == {"one": 8, "two": 6, "w": 7}
    assert removable(by_attributes, points) == {"one": 8, "two": 6}


def test_sequences():
    def make():
        return Fn(
            lambda m, x: m.out(m.score(torch.relu(m.one(x)), torch.relu(m.two(x)))),
            one=nn.Linear(5, 8), two=nn.Linear(5, 6), score=nn.Bilinear(8, 6, 7), out=nn.Linear(7, 2),
        )  # fmt: skip

    assert removable(make, lambda batch: torch.randn(batch, 3, 5)) == {"one": 8, "two": 6, "score": 7}


def test_a_computed_weight_is_protected():
    model = Fn(
        lambda m, x, y: functional.bilinear(m.one(x), m.two(y), m.w * 2),
        one=nn.Linear(5, 8), two=nn.Linear(4, 6), w=nn.Parameter(torch.randn(3, 8, 6)),
    )  # fmt: skip
    assert trace(model, points(2)).axes == () or all(a.kind == "features" for a in trace(model, points(2)).axes)
    assert "_trilinear" in reasons_of(model, *points(2))["one"]
