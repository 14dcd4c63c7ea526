"""``round_to``: widths that hardware likes, with dead units that stay and do no harm."""

import copy
import random

import pytest
import torch
from torch import nn

from gasl.errors import InputError
from gasl.models import ResNet18
from gasl.removal import Liveness, shrink, shrink_
from gasl.removal.rounding import rounding_units
from gasl.structure.axes import Axis, Member, Structure
from gasl.structure.trace import trace
from removal.networks import damage, random_network
from removal.training import OPTIMIZERS, backward, batch, setup
from removal.zeros import assert_same, convs, ignore, kill
from structure.nets import Fn, image


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 20), nn.Tanh(), nn.Linear(20, 11), nn.Tanh(), nn.Linear(11, 2)).double()


@pytest.mark.parametrize(("dead", "wanted"), [(3, 20), (4, 16), (5, 16), (12, 8), (13, 8), (19, 8)])
def test_widths_are_multiples_or_whole(dead, wanted):
    model, x = mlp(), torch.randn(4, 5).double()
    kill(model[0], *range(dead), bias=True)
    kill(model[2], 1, bias=True)
    small, removal = shrink(model, x, round_to=8)
    assert removal.widths == {"0.in": (5, 5), "0": (20, wanted), "2": (11, 11)}
    assert small[0].weight.shape == (wanted, 5)
    assert_same(small, model, x)


@pytest.mark.parametrize(
    ("round_to", "gone"), [(15, [2, 3, 7, 9, 12]), (16, [2, 3, 7, 12]), (17, [2, 3, 7]), (18, [3, 7])]
)
def test_those_that_nobody_reads_stay_first(round_to, gone):
    model, x = mlp(), torch.randn(4, 5).double()
    nn.init.constant_(model[0].bias, 0.5)
    kill(model[0], 2, 3, 7)  # constants
    ignore(model[2], 9, 12)  # read by nobody
    small, removal = shrink(model, x, round_to=round_to)
    assert sorted(set(range(20)) - set(removal.plan.keep["0.weight", 0].tolist())) == gone
    assert_same(small, model, x)


def test_a_constant_that_stays_is_not_folded_as_well():
    model, x = convs()
    kill(model[0], 0, 2)
    small, removal = shrink(model, x, round_to=2)
    assert removal.widths["0"] == (4, 2)
    assert [fold.columns.tolist() for fold in removal.plan.folds] == [[1, 2]]
    assert_same(small, model, x)
    small, removal = shrink(model, x, round_to=4)
    assert removal.plan.folds == ()
    assert_same(small, model, x)


def test_a_constant_made_of_constants_stays_right():
    model = nn.Sequential(
        kill(nn.Linear(3, 4), 0, 1, 2), nn.Sigmoid(), nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 2, bias=False)
    ).double()
    ignore(model[2], 3)
    model[2].weight.data[3, 3] = 1.0
    x = torch.randn(5, 3).double()
    assert shrink(model, x)[1].widths == {"0.in": (3, 3), "0": (4, 1), "2": (4, 1)}
    for round_to in (2, 3, 4):
        small, removal = shrink(model, x, round_to=round_to)
        assert removal.widths["2"][1] % round_to in (0, 4 % round_to)
        assert_same(small, model, x)


def test_a_constant_that_comes_back_brings_what_it_is_made_of():
    model = Fn(
        lambda m, x: m.b(torch.sigmoid(torch.sigmoid(m.a(x)) @ m.w.t())),
        a=kill(nn.Linear(3, 5), 1), w=nn.Parameter(torch.randn(4, 5)), b=nn.Linear(4, 2),
    ).double()  # fmt: skip
    model.w.data[:, 1] = model.w.data[2] = 0
    model.w.data[2, 1] = 3.0  # a layer without a place for a bias: it cannot take up what it reads
    x = torch.randn(6, 3).double()
    assert {name: after for name, (_, after) in shrink(model, x)[1].widths.items()} == {"a.in": 3, "a": 4, "w": 3}
    small, removal = shrink(model, x, round_to=2)
    assert removal.widths["w"] == (4, 4)
    assert removal.widths["a"] == (5, 5)
    assert_same(small, model, x)


def test_each_branch_of_a_concatenation_is_a_multiple():
    model = Fn(
        lambda m, x: m.d(torch.cat([m.a(x), m.b(x)], 1) + m.c(x)),
        a=kill(nn.Conv2d(3, 6, 1), 0, 1, 2, bias=True), b=kill(nn.Conv2d(3, 8, 1), 0, 1, bias=True),
        c=kill(nn.Conv2d(3, 14, 1), 0, 1, 2, 6, 7, bias=True), d=nn.Conv2d(14, 2, 1),
    ).double()  # fmt: skip
    x = image().double()
    small, removal = shrink(model, x, round_to=4)
    assert removal.widths["a"] == (14, 12)
    assert (small.a.weight.shape[0], small.b.weight.shape[0], small.d.weight.shape[1]) == (4, 8, 12)
    assert_same(small, model, x)


def test_single_features_are_rounded_too():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Flatten(), nn.Linear(12, 4), nn.Linear(4, 2)).double()
    ignore(model[2], *(set(range(12)) - {0, 5, 10}))
    x = image(size=2).double()
    small, removal = shrink(model, x, round_to=4)
    assert removal.widths["2.in"] == (12, 4)
    assert small[2].index.tolist() == [0, 1, 5, 10]
    assert_same(small, model, x)


def test_in_place_and_on():
    model, optimizer, large, _ = setup(OPTIMIZERS["adam"])
    removal = shrink_(model, batch()[0], optimizer=optimizer, round_to=4)
    assert {name: after for name, (_, after) in removal.widths.items()} == {"0": 8, "3": 4, "7.in": 36, "7": 8}
    assert_same(model, large, batch(4)[0])
    backward(model)
    optimizer.step()


def test_a_residual_network():
    torch.manual_seed(1)
    model = ResNet18(width=0.25).eval().double()
    tensors = dict(model.named_parameters())
    with torch.no_grad():
        for axis in trace(model, image(size=32).double()).axes:
            for m in axis.members:
                if m.role in ("producer", "bias", "norm", "consumer"):
                    tensors[m.tensor].index_fill_(m.dim, torch.arange(0, axis.size, 3), 0.0)
    x = image(3, size=32).double()
    small, removal = shrink(model, x, round_to=8)
    assert all(after % 8 == 0 for _, after in removal.widths.values())
    assert all(after < before for before, after in removal.widths.values() if before > 16)
    assert_same(small, model, x)


@pytest.mark.parametrize("round_to", [2, 3])
def test_random_networks(round_to):
    rounded = 0
    for seed in range(60):
        torch.manual_seed(seed)
        rng = random.Random(seed)
        model, x = random_network(rng)
        damage(model, rng)
        model.train(seed % 2 == 0)
        tight = shrink(copy.deepcopy(model), x)[1]
        small, removal = shrink(model, x, round_to=round_to)
        for name, (before, after) in removal.widths.items():
            if not name.endswith(".in"):
                assert after % round_to == 0 or after == before, (seed, name)
                rounded += after != tight.widths[name][1]
        fresh = 3 * torch.randn(4, *x.shape[1:], dtype=torch.float64)
        assert_same(small.eval(), model.eval(), fresh)
    assert rounded > 20


@pytest.mark.parametrize("wrong", [0, -8, 2.0, True, "8"])
def test_what_is_no_number_of_units_is_refused(wrong):
    with pytest.raises(InputError, match="round_to must be a whole number of units, at least 1"):
        shrink(mlp(), torch.randn(4, 5).double(), round_to=wrong)


def test_units_of_neighbours_are_rounded_as_what_they_own():
    """Four heads of six: the width is a multiple of 4 for every even number of heads."""
    units = torch.arange(4).repeat_interleave(6)
    whole = Member("fused", 0, torch.cat([units, units, torch.full((3,), -1), units]), "producer")
    axis = Axis("heads", 4, "width", (whole, Member("out", 1, units, "consumer")))
    classes = {("fused", 0): torch.cat([units, units, torch.full((3,), -1), units]) + 1, ("out", 1): units + 1}
    structure = Structure((axis,), (), (), classes, frozenset(), frozenset())
    removed = torch.tensor([False, True, False, True, True])
    live = Liveness(removed, {"heads": ~removed[1:]}, ())
    assert rounding_units(live, structure, 2).tolist() == [False] * 5
    assert rounding_units(live, structure, 6).tolist() == [False] * 5
    assert rounding_units(live, structure, 4).tolist() == [False, True, False, False, False]
    assert rounding_units(live, structure, 8).tolist() == [False, True, False, True, True]


def test_a_head_comes_back_without_the_dead_places_of_all_heads():
    """Two heads of three places: classes 1 to 6."""
    cells = torch.arange(6)
    heads = Axis("heads", 2, "width", (Member("w", 0, cells // 3, "producer"),))
    places = Axis("places", 3, "width", (Member("w", 0, cells % 3, "producer"),))
    structure = Structure((heads, places), (), (), {("w", 0): cells + 1}, frozenset(), frozenset())
    removed = torch.tensor([False, True, True, True, False, False, True])  # head 0, and place 2 of both
    kept = {"heads": torch.tensor([False, True]), "places": torch.tensor([True, True, False])}
    held = rounding_units(Liveness(removed, kept, ()), structure, 2)
    assert held.tolist() == [False, True, True, False, False, False, False]
