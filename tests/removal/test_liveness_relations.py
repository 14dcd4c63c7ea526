"""Which units go where values meet: what is multiplied, summed up, or depends on each other."""

import pytest
import torch
from torch import nn

from gasl.removal import shrink
from removal.halving import damaged, halved, randomised, same_outputs
from structure.attentions import SEPARATE, Attention, attend, heads_of, tokens
from structure.nets import Fn, image


def points(batch):
    return torch.randn(batch, 5, 3)


def dead(model, layer, rows, bias=None):
    """Zero rows of a layer, and give their biases a value."""
    with torch.no_grad():
        layer.weight[rows] = 0
        if bias is not None:
            layer.bias[rows] = bias
    return model


def widths(model, inputs, **options):
    small, removal = shrink(model, inputs(2).double(), gather=False, **options)
    for batch in (2, 3):
        same_outputs(small, model, inputs(batch).double())
    return {name: after for name, (_, after) in removal.widths.items() if not name.endswith(".in")}


# -- multiplied --------------------------------------------------------------------------------------------------------


def times(function):
    return randomised(Fn(lambda m, x: m.b(function(m.a(x), x)), a=nn.Conv2d(3, 6, 1), b=nn.Conv2d(6, 2, 1)))


SCALES = {
    "mean": lambda a, x: a * x.mean((1, 2, 3), keepdim=True),
    "map": lambda a, x: a * x[:, :1],
    "left": lambda a, x: x.mean() * a,
    "quotient": lambda a, x: a / (1 + x[:, :1] ** 2),
    "weights of tokens": lambda a, x: x[:, 0].softmax(-1)[:, None] @ a,
}


@pytest.mark.parametrize("name", SCALES)
def test_a_constant_that_the_input_scales_stays_unless_it_is_zero(name):
    model = times(SCALES[name])
    assert widths(dead(model, model.a, [1, 4], 0.7), image) == {"a": 6}
    assert widths(dead(model, model.a, [1, 4], 0.0), image) == {"a": 4}


def test_a_constant_behind_the_scale_goes():
    model = times(lambda a, x: (a * x.mean()).relu() + 1)
    assert widths(dead(model, model.a, [1, 4], 0.0), image) == {"a": 4}  # a constant 1, whatever the scale


def test_what_is_divided_by_a_unit_is_no_scale_of_it():
    model = times(lambda a, x: x.mean() / (a.abs() + 1))
    assert widths(dead(model, model.a, [1, 4], 0.0), image) == {"a": 6}


def test_two_factors_of_which_one_is_dead():
    model = randomised(Fn(lambda m, x: m.c(m.a(x) * m.b(x)), a=nn.Linear(3, 6), b=nn.Linear(3, 6), c=nn.Linear(6, 2)))
    dead(model, model.a, [1, 4], 0.0)  # the product is zero, but b is not: the two are one unit
    assert widths(model, points) == {"a": 6}
    dead(model, model.b, [4], 0.5)
    assert widths(model, points) == {"a": 5}


# -- summed up ---------------------------------------------------------------------------------------------------------


def total(function):
    return randomised(Fn(lambda m, x: function(m.a(x)), a=nn.Linear(3, 6)))


@pytest.mark.parametrize(
    "function",
    [
        lambda y: y.sum(-1),
        lambda y: y.relu().sum((1, 2)),
        lambda y: (y**2).sum(-1),
        lambda y: torch.einsum("bnc,bmc->bnm", y, y),
        lambda y: y @ y.transpose(1, 2),
        lambda y: (y * y.sum(1, keepdim=True)).sum(-1),
    ],
)
def test_of_a_sum_over_the_width_only_zeros_go(function):
    model = total(function)
    dead(model, model.a, [0, 3], 0.7)
    dead(model, model.a, [5], 0.0)
    assert widths(model, points) == {"a": 5}


def test_a_sum_of_what_zeros_become():
    model = total(lambda y: y.exp().sum(-1))
    assert widths(dead(model, model.a, [0, 3], 0.0), points) == {"a": 6}


def test_a_sum_needs_what_it_sums():
    model = randomised(Fn(lambda m, x: m.b(m.a(x)).sum(-1), a=nn.Linear(3, 6), b=nn.Linear(6, 4)))
    with torch.no_grad():
        model.b.weight[:, 2] = 0
    assert widths(model, points) == {"a": 5, "b": 4}


def test_a_sum_inside_parts_counts_constants():
    model = randomised(
        Fn(lambda m, x: m.b(m.a(x).unflatten(-1, (4, -1)).sum(-1)), a=nn.Linear(3, 12), b=nn.Linear(4, 2))
    )
    rows = [0, 3, 6, 9]  # the first place of every part
    assert widths(dead(model, model.a, rows, 0.7), points) == {"a": 3}
    assert widths(dead(model, model.a, rows, 0.0), points) == {"a": 2}


# -- depending on each other -------------------------------------------------------------------------------------------


def attention(name="minus one"):
    return randomised(Attention(SEPARATE[name][0]))


def head(number):
    return slice(4 * number, 4 * number + 4)


def test_a_head_goes_with_its_values_or_with_whoever_reads_it():
    model = attention()
    dead(model, model.v, head(1), 0.0)
    assert widths(model, tokens)["heads"] == 2
    model = attention()
    with torch.no_grad():
        model.o.weight[:, head(1)] = 0
    assert widths(model, tokens)["heads"] == 2


def test_a_head_without_queries_attends_to_all_alike_and_stays():
    model = attention()
    for layer in (model.q, model.k):
        dead(model, layer, head(1), 0.0)
    assert widths(model, tokens) == {"enter": 9, "heads": 3, "q": 4, "v": 4, "o": 6}


def test_a_head_whose_values_are_constant_stays():
    model = attention()
    for layer in (model.q, model.k, model.v):
        dead(model, layer, head(1))
    assert widths(model, tokens)["heads"] == 3


def test_a_part_of_a_head_is_no_unit():
    model = attention()
    dead(model, model.v, [4, 5, 6], 0.0)
    assert widths(model, tokens) == {"enter": 9, "heads": 3, "q": 4, "v": 4, "o": 6}


def test_the_same_place_of_every_head_goes_if_queries_or_keys_lack_it_in_all():
    model = attention()
    dead(model, model.q, [1, 5, 9], 0.0)
    assert widths(model, tokens)["q"] == 4  # keys still have it; the product is zero, but they vary
    dead(model, model.k, [1, 5, 9], 0.0)
    assert widths(model, tokens)["q"] == 3
    model = attention()
    for layer in (model.q, model.k):
        dead(model, layer, [1, 5], 0.0)  # not in the third head
    assert widths(model, tokens)["q"] == 4


@pytest.mark.parametrize("form", [torch.relu, torch.sigmoid, lambda a: a.softmax(-1)])
def test_a_constant_product_of_queries_and_keys_counts(form):
    def mix(m, x):
        q, k, v = (t.unflatten(-1, (m.heads, -1)).transpose(1, 2) for t in (m.q(x), m.k(x), m.v(x)))
        return (form(q @ k.transpose(2, 3) * m.scale) @ v).transpose(1, 2).flatten(2)

    model = randomised(Attention(mix))
    for layer in (model.q, model.k):
        dead(model, layer, [1, 5, 9], 0.8)
    widths(model, tokens)  # whatever goes, nothing changes
    damaged(Attention(mix), tokens)


def test_what_only_dead_heads_read_goes_too():
    def make():
        return Attention(lambda m, x: attend(*heads_of(m, x), m.scale).transpose(1, 2).flatten(2), heads=2)

    model = randomised(make())
    with torch.no_grad():
        model.o.weight[:, head(0)] = 0
        for layer in (model.q, model.k, model.v):
            layer.weight[head(1), 3] = 0  # the other head does not read the third feature
    got = widths(model, tokens)
    assert (got["q"], got["enter"]) == (1, 8)


def test_a_group_is_dead_only_as_a_whole():
    def make():
        return randomised(nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 12, 1, groups=4), nn.Conv2d(12, 2, 1)))

    model = make()
    with torch.no_grad():
        model[2].weight[:, 3:5] = 0
    assert widths(model, image)["1.groups"] == 4
    with torch.no_grad():
        model[2].weight[:, 5] = 0
    assert widths(model, image) == {"1.groups": 3, "0": 2, "1": 3}


# -- floors and held units ---------------------------------------------------------------------------------------------


def test_the_last_head_stays():
    model = attention("attributes")
    with torch.no_grad():
        model.o.weight.zero_()
    got = widths(model, tokens)
    assert (got["heads"], got["dim"]) == (1, 1)


def test_protected_heads_stay_and_so_does_what_they_need():
    model = attention("attributes")
    with torch.no_grad():
        model.o.weight[:, head(1)] = 0
    assert widths(model, tokens, protect=["heads"])["heads"] == 3
    assert widths(model, tokens)["heads"] == 2


def test_attributes_in_the_plan_are_what_is_left():
    _, removal = halved(Attention(SEPARATE["attributes"][0]), tokens, axes=["heads"])
    assert removal.plan.attributes == {"heads": 2}
    _, removal = halved(Attention(SEPARATE["attributes"][0]), tokens, axes=["o"])
    assert removal.plan.attributes == {}
