"""Tables that write units by themselves: embeddings, positions, tokens that are learnt."""

import pytest
import torch
from torch import nn

from gasl.groups.membership import group_members
from gasl.removal import shrink
from gasl.structure.trace import trace
from removal.halving import halved, randomised, removable, same_outputs
from structure.nets import Fn, axes_of, groups_of, reasons_of


def words(batch):
    return torch.randint(7, (batch, 5))


def points(batch):
    return torch.randn(batch, 5, 3)


def test_the_columns_of_an_embedding_are_units():
    def make():
        return nn.Sequential(nn.Embedding(7, 6), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))

    assert removable(make, words) == {"0": 6, "1": 5}
    assert groups_of(make(), words(2))["0"] == {"0.weight[1]", "1.weight[1]"}
    small, _ = halved(make(), words)
    assert (small[0].embedding_dim, small[0].num_embeddings) == (3, 7)


@pytest.mark.parametrize(
    "look_up",
    [
        pytest.param(lambda m, x: m.table[x], id="index"),
        pytest.param(lambda m, x: nn.functional.embedding(x, m.table), id="function"),
    ],
)
def test_a_table_that_is_a_parameter(look_up):
    def make():
        return Fn(
            lambda m, x: m.b(look_up(m, x)), table=nn.Parameter(torch.randn(7, 6)), b=nn.Linear(6, 2)
        )  # fmt: skip

    assert removable(make, words) == {"table": 6}
    assert trace(make(), words(2)).relations.tables == (("table", 1),)


POSITIONS = {
    "embedding": (lambda m, x: m.positions(torch.arange(x.shape[1])), lambda: nn.Embedding(5, 6)),
    "parameter": (lambda m, x: m.positions, lambda: nn.Parameter(torch.randn(1, 5, 6))),
    "buffer": (lambda m, x: m.positions, lambda: torch.randn(5, 6)),
    "rows of a parameter": (lambda m, x: m.positions[torch.arange(5)], lambda: nn.Parameter(torch.randn(9, 6))),
}


@pytest.mark.parametrize("name", POSITIONS)
def test_positions_are_added_to_units_and_go_with_them(name):
    function, table = POSITIONS[name]

    def make():
        return Fn(
            lambda m, x: m.b(m.a(x) + function(m, x)),
            a=nn.Embedding(7, 6), positions=table(), b=nn.Linear(6, 2),
        )  # fmt: skip

    assert removable(make, words) == {"a": 6}
    assert any(member.startswith("positions") for member in groups_of(make(), words(2))["a"])


def test_positions_in_a_buffer_belong_to_no_group():
    model = Fn(
        lambda m, x: m.b(m.a(x) + m.positions), a=nn.Embedding(7, 6), positions=torch.randn(5, 6), b=nn.Linear(6, 2)
    )
    axis = trace(model, words(2)).axis("a")
    assert "positions" in {m.tensor for m in axis.members}
    assert "positions" not in {m.tensor for m in group_members(axis, "coupled", "in")}


def test_a_column_that_varies_from_row_to_row_is_no_constant():
    def make():
        return randomised(nn.Sequential(nn.Embedding(7, 6), nn.Linear(6, 2)))

    model = make()
    with torch.no_grad():
        model[0].weight[:, 1] = 0.5  # the same whatever the word
        model[0].weight[:3, 2] = 0.0  # not for all words
    small, removal = shrink(model, words(2))
    assert removal.widths["0"] == (6, 5)
    assert [fold.bias for fold in removal.plan.folds] == ["1.bias"]
    same_outputs(small, model, torch.arange(7)[None])


def test_a_table_that_the_output_is_read_from_ends_and_begins_a_width():
    model = nn.Sequential(nn.Embedding(7, 6), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 6), nn.Linear(6, 7, bias=False))
    model[4].weight = model[0].weight
    assert axes_of(model, words(2)) == {"1": 4, "3": 6}
    assert {"0.weight[1]", "1.weight[1]", "3.weight[0]"} < groups_of(model, words(2))["3"]
    assert reasons_of(model, words(2)) == {"0": "model output"}  # its other dimension: the words
    small, _ = halved(model, words)
    assert small[4].weight is small[0].weight


def test_a_table_read_twice_is_one_width():
    def make():
        return Fn(lambda m, x: m.l(m.e(x)) @ m.e.weight.t(), e=nn.Embedding(7, 6), l=nn.Linear(6, 6))

    axes = axes_of(make(), words(2))
    assert axes["l"] == 6
    halved(make(), words)


def test_a_scale_of_its_own_follows_nothing():
    def make(size):
        return Fn(lambda m, x: m.b(m.a(x) * size(m)), a=nn.Embedding(7, 6), b=nn.Linear(6, 2))

    assert removable(lambda: make(lambda m: 6**0.5), words) == {"a": 6}
    own = make(lambda m: m.width**0.5)
    own.width = 6
    assert axes_of(own, words(2)) == {"a": 6}  # nobody says that it is the same number
    halved(own, words)


def test_a_size_of_a_standard_layer_that_scales_is_protected():
    tied = Fn(lambda m, x: m.b(m.a(x) * m.a.embedding_dim**0.5), a=nn.Embedding(7, 6), b=nn.Linear(6, 2))
    assert axes_of(tied, words(2)) == {}
    assert "also used as a number that is no size" in reasons_of(tied, words(2))["a"]


def test_a_scale_of_each_unit_goes_with_it():
    def make():
        return Fn(
            lambda m, x: m.c((y := m.a(x)) + m.gamma * m.b(y)),
            a=nn.Linear(3, 6), b=nn.Linear(6, 6), gamma=nn.Parameter(torch.randn(6)), c=nn.Linear(6, 2),
        )  # fmt: skip

    assert removable(make, points) == {"a": 6}
    assert "gamma[0]" in groups_of(make(), points(2))["a"]


def test_bags_of_words_have_no_rule():
    model = nn.Sequential(nn.EmbeddingBag(7, 6), nn.Linear(6, 2))
    assert axes_of(model, words(2)) == {}
