"""Integers that remember where they came from, and the forward that computes with them."""

import copy
import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gasl.errors import InputError
from gasl.structure.numbers import Attribute, Extent, Number, leaves_of, numbered, value_of
from gasl.structure.trace import trace
from structure.nets import Fn, axes_of, reasons_of

A, B = Attribute("a"), Attribute("b")


def number(value, leaf=A):
    return Number(value, leaf)


FORMS = {
    "sum": lambda a, b: a + b,
    "sum of a number": lambda a, b: 3 + a + 4,
    "difference": lambda a, b: a - b,
    "difference from a number": lambda a, b: 50 - a,
    "product": lambda a, b: a * b,
    "product of a number": lambda a, b: 3 * a * 2,
    "quotient": lambda a, b: a // b,
    "quotient of a number": lambda a, b: 100 // a,
    "rest": lambda a, b: a % b,
    "negative": lambda a, b: -a + b,
    "all at once": lambda a, b: (a * 3 - b) // (b + 1) % 7,
}


@pytest.mark.parametrize("form", FORMS)
def test_arithmetic_keeps_its_expression(form):
    function = FORMS[form]
    result = function(number(12), number(5, B))
    assert isinstance(result, Number)
    assert result == function(12, 5)
    assert value_of(result, {}) == function(12, 5)
    assert value_of(result, {A: 7, B: 2}) == function(7, 2)
    assert set(leaves_of(result)) <= {A, B}
    assert A in leaves_of(result)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.sampled_from(sorted(FORMS)))
def test_a_value_is_what_the_code_would_compute(a, b, other_a, other_b, form):
    function = FORMS[form]
    assert value_of(function(number(a), number(b, B)), {A: other_a, B: other_b}) == function(other_a, other_b)


def test_leaves_that_are_not_told_keep_their_value():
    assert value_of(number(12) * number(5, B), {A: 2}) == 10
    assert value_of(7, {A: 2}) == 7
    with pytest.raises(ZeroDivisionError):
        value_of(12 // number(3), {A: 0})


def test_a_number_is_an_integer_everywhere_else():
    n = number(3)
    assert (n == 3, hash(n), f"{n}", [1, 2] * 2, list(range(n))) == (True, 3, "3", [1, 2, 1, 2], [0, 1, 2])
    assert [7] * n == n * [7] == [7, 7, 7]
    assert ("ab" * n, (1,) * n) == ("ababab", (1, 1, 1))
    assert [10, 20, 30, 40][n] == 40
    assert torch.zeros(n, n).shape == (3, 3)
    assert max(n, 2) is n
    assert n < 4 <= n + 1
    assert n + 0.5 == 3.5
    assert n + torch.ones(1) == 4


@pytest.mark.parametrize(
    "use", [lambda n: n / 2, lambda n: 2 / n, lambda n: n**0.5, lambda n: n**-1, lambda n: 2**n, float, math.sqrt,
            lambda n: n * 0.5, lambda n: n + 0.5],
)  # fmt: skip
def test_what_goes_on_as_a_float_is_noted(use):
    noted = []
    n = Number(4, A, lambda leaves: noted.extend(leaves))
    assert use(n) == use(4)
    assert noted == [A]
    noted.clear()
    assert use(n + 1) == use(5)  # through arithmetic too
    assert noted == [A]


def test_integers_stay_integers_without_a_note():
    noted = []
    n = Number(4, A, lambda leaves: noted.extend(leaves))
    assert (n + 1, n * 2, n // 3, 9 // n, -n, n % 3, torch.zeros(2, n).shape) == (5, 8, 1, 2, -4, 1, (2, 4))
    assert noted == []


def test_copies_are_plain():
    for twin in (copy.copy(number(3)), copy.deepcopy([number(3)])[0], pickle.loads(pickle.dumps(number(3)))):
        assert type(twin) is int
        assert twin == 3
    assert type(int(number(3))) is int


def test_extents_are_told_apart_by_identity():
    labels = torch.tensor([1, 2])
    one, other = Extent(labels, 0), Extent(labels, 0)
    assert value_of(Number(2, one) + Number(2, other), {one: 1}) == 3


# -- in a network ------------------------------------------------------------------------------------------------------


class Counting(nn.Module):
    """Writes into its own attributes while it runs."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)
        self.width, self.calls, self.flag, self.nothing, self.seen, self._own = 4, 0, True, None, 1, 5

    def forward(self, x):
        y = self.a(x)
        self.calls += 1
        self.seen = y.shape[-1] + self.width
        self.kept = self.width
        return self.b(y.view(-1, self.width))


def test_inside_the_block_attributes_know_their_path():
    model = nn.Sequential(Counting(), nn.Linear(2, 2))
    with numbered(model, lambda leaves: None):
        assert leaves_of(model[0].width) == (Attribute("0.width"),)
        assert leaves_of(model[0].a.in_features) == (Attribute("0.a.in_features"),)
        assert leaves_of(model[1].out_features) == (Attribute("1.out_features"),)
        assert all(type(v) in (bool, int, type(None)) for v in (model[0].flag, model[0].nothing, model[0].calls))
        assert type(model[0]._own) is int  # a module's own business
    assert type(model[0].width) is int


def test_a_forward_that_stores_numbers_leaves_integers():
    model = Counting()
    assert axes_of(model, torch.randn(2, 3)) == {"a": 4}
    kinds = {name: type(value) for name, value in vars(model).items() if not name.startswith("_")}
    assert {kinds[name] for name in ("width", "calls", "seen", "kept")} == {int}
    assert (model.width, model.kept, model.seen) == (4, 4, 8)
    assert type(model.a.in_features) is type(model.b.out_features) is int


def test_attributes_are_back_after_an_error():
    class Broken(Counting):
        def forward(self, x):
            super().forward(x)
            raise ValueError("no luck")

    model = Broken()
    before = {name: id(value) for name, value in vars(model).items()}
    with pytest.raises(InputError, match="no luck"):
        trace(model, torch.randn(2, 3))
    assert type(model.width) is type(model.a.out_features) is int
    assert before["width"] == id(model.width)
    with pytest.raises(RuntimeError), numbered(model, lambda leaves: None):
        raise RuntimeError
    assert type(model.width) is int


def test_a_width_that_is_also_a_scale_is_protected():
    def with_scale(scale):
        model = Fn(lambda m, x: m.b(m.a(x).view(-1, m.width) * scale(m)), a=nn.Linear(3, 4), b=nn.Linear(4, 2))
        model.width = 4
        return model

    x = torch.randn(2, 3)
    assert axes_of(with_scale(lambda m: 2.0), x) == {"a": 4}
    for scale in (lambda m: m.width**-0.5, lambda m: 1 / m.width, lambda m: math.sqrt(m.width), lambda m: m.width):
        assert axes_of(with_scale(scale), x) == {}
        assert reasons_of(with_scale(scale), x)["a"] == "width is also used as a number that is no size"


def test_a_size_that_is_also_a_scale_is_protected():
    model = Fn(lambda m, x: m.b((y := m.a(x)) / y.shape[-1] ** 0.5), a=nn.Linear(3, 4), b=nn.Linear(4, 2))
    assert reasons_of(model, torch.randn(2, 3))["a"] == "its size is also used as a number that is no size"
