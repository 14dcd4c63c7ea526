"""Heads and the width of heads, in every form in which attention is written."""

import itertools
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from removal.halving import halved, removable
from structure.attentions import FUSED, SEPARATE, Attention, attend, heads_of, tokens
from structure.nets import axes_of, groups_of, reasons_of
from zoo.attention import Fused, FusedAsWide

MASK = torch.ones(5, 5).bool().tril()


@pytest.mark.parametrize("name", SEPARATE)
def test_separate_projections(name):
    mix, axes = SEPARATE[name]
    assert removable(lambda: Attention(mix, mask=MASK), tokens) == axes


@pytest.mark.parametrize("name", FUSED)
def test_one_projection_for_all(name):
    mix, axes = FUSED[name]
    assert removable(lambda: Attention(mix, fused=True), tokens) == axes


@pytest.mark.parametrize("name", SEPARATE)
def test_the_batch_size_does_not_matter(name):
    model = Attention(SEPARATE[name][0], mask=MASK)
    assert axes_of(model, tokens(1)) == axes_of(model, tokens(3)) == SEPARATE[name][1]


def test_a_head_is_made_of_its_rows_in_three_layers_and_its_columns_in_one():
    model = Attention(SEPARATE["attributes"][0])
    wanted = {f"{layer}.{tensor}[0]" for layer in "qkv" for tensor in ("weight", "bias")} | {"o.weight[1]"}
    assert groups_of(model, tokens(2))["heads"] == groups_of(model, tokens(2))["dim"] == wanted


def test_the_numbers_that_a_forward_holds_follow():
    model = Attention(SEPARATE["attributes"][0])
    small, removal = halved(model, tokens)
    assert removal.plan.attributes == {"heads": 2, "dim": 2}
    assert (small.heads, small.dim, small.inner, small.scale) == (2, 2, 12, 0.5)
    assert (model.heads, model.dim) == (3, 4)
    small, removal = halved(Attention(SEPARATE["bmm"][0]), tokens)
    assert removal.plan.attributes == {"heads": 2, "dim": 2, "inner": 4}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("both as numbers", "aten.view holds its size as the number 3"),
        ("scaled by an attribute", "dim is also used as a number that is no size"),
    ],
)
def test_what_is_protected_says_so(name, words):
    assert words in reasons_of(Attention(SEPARATE[name][0]), tokens(2)).values()


def test_heads_whose_width_is_taken_from_the_input_cannot_go():
    """``reshape(b, t, c)`` with c the width of a LayerNorm: no smaller product of heads and head width fits it."""
    model, x = nn.Sequential(nn.Linear(7, 30), nn.LayerNorm(30), FusedAsWide(30, 5)), torch.randn(2, 4, 7)
    assert reasons_of(model, x)["2.heads"] == "the forward computes a size that would not follow"
    for heads, width in itertools.product(range(1, 6), range(1, 7)):
        model[2].heads, model[2].head = heads, width
        model[2].qkv, model[2].proj = nn.Linear(30, 3 * heads * width), nn.Linear(heads * width, 30)
        with nullcontext() if heads * width == 30 else pytest.raises(RuntimeError, match="invalid for input of size"):
            model(x)
    assert axes_of(nn.Sequential(*model[:2], Fused(30, 5)), x) == {"2.heads": 5}


def test_a_split_by_a_number_is_protected():
    model = Attention(FUSED["split by a number"][0], fused=True)
    assert set(reasons_of(model, tokens(2)).values()) == {"aten.split holds its size as the number 12", "model output"}


def test_a_single_head_is_a_sum_over_its_width():
    def mix(m, x):
        q, k, v = m.q(x), m.k(x), m.v(x)
        return (q @ k.transpose(1, 2) * m.scale).softmax(-1) @ v

    assert removable(lambda: Attention(mix), tokens) == {"enter": 9, "q": 12, "v": 12, "o": 6}
    one = Attention(SEPARATE["minus one"][0], heads=1)
    assert axes_of(one, tokens(2)) == {"enter": 9, "q": 4, "v": 4, "o": 6}


# -- masks and biases --------------------------------------------------------------------------------------------------


def biased(bias):
    def mix(m, x, *given):
        return attend(*heads_of(m, x), m.scale, bias(m, *given)).transpose(1, 2).flatten(-2)

    return mix


def test_a_bias_that_all_heads_share_changes_nothing():
    axes = {"enter": 9, "q": 3, "dim": 4, "o": 6}
    shared = biased(lambda m: m.bias)
    assert removable(lambda: Attention(shared, bias=torch.randn(5, 5)), tokens) == axes
    hidden = biased(lambda m: torch.zeros(5, 5).masked_fill(~MASK, -torch.inf))
    assert removable(lambda: Attention(hidden), tokens) == axes


def test_a_mask_that_is_given_with_the_input_is_shared_by_all_heads():
    def inputs(batch):
        return tokens(batch), torch.randn(batch, 5, 5)

    given = biased(lambda m, mask: mask[:, None])
    assert removable(lambda: Attention(given), inputs) == {"enter": 9, "q": 3, "dim": 4, "o": 6}


def test_a_bias_parameter_of_each_head_goes_with_the_head():
    def make():
        return Attention(biased(lambda m: m.bias), bias=nn.Parameter(torch.randn(1, 3, 5, 5)))

    assert removable(make, tokens) == {"enter": 9, "q": 3, "dim": 4, "o": 6}
    assert "bias[1]" in groups_of(make(), tokens(2))["q"]


def test_a_slope_of_each_head_goes_with_the_head():
    def make():
        slopes = biased(lambda m: m.slopes[:, None, None] * torch.arange(5))
        return Attention(slopes, slopes=torch.rand(3))

    assert removable(make, tokens) == {"enter": 9, "q": 3, "dim": 4, "o": 6}
    assert "slopes[0]" in groups_of(make(), tokens(2))["q"]


def test_a_mask_of_fixed_size_for_each_head_holds_the_heads():
    whole = torch.randn(3, 5, 5) > 0
    model = Attention(SEPARATE["one op, masked"][0], mask=whole | torch.eye(5).bool())
    assert axes_of(model, tokens(2)) == {"enter": 9, "dim": 4, "o": 6}
    assert "aten.add with a tensor of fixed size" in reasons_of(model, tokens(2)).values()


INDEX = torch.arange(25).reshape(5, 5) % 9


@pytest.mark.parametrize(
    "look_up",
    [
        pytest.param(lambda m: m.table(INDEX).permute(2, 0, 1), id="embedding"),
        pytest.param(lambda m: m.table.weight[INDEX.view(-1)].view(5, 5, -1).permute(2, 0, 1)[None], id="index"),
    ],
)
@pytest.mark.parametrize("fused", [False, True])
def test_the_table_of_relative_positions_goes_with_the_heads(look_up, fused):
    def mix(m, x):
        if fused:
            out = F.scaled_dot_product_attention(*heads_of(m, x), look_up(m).expand(len(x), -1, -1, -1), scale=m.scale)
        else:
            out = attend(*heads_of(m, x), m.scale, look_up(m))
        return out.transpose(1, 2).flatten(-2)

    def make():
        return Attention(mix, table=nn.Embedding(9, 3))

    assert removable(make, tokens) == {"enter": 9, "q": 3, "dim": 4, "o": 6}
    assert "table.weight[1]" in groups_of(make(), tokens(2))["q"]
