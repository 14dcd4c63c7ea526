import pytest
import torch
from torch import nn

import gasl
from gasl.errors import InputError
from gasl.groups.selection import weight_groups
from gasl.groups.weights import WeightGroups
from gasl.maths import below_deviation
from gasl.methods import MagnitudePruning
from gasl.sparsifier.optimizers import states_of
from methods.toy import ToyGroups, new_state, train_step
from sparsifier.nets import batchnorm, examples, mlp, sgd, train


def prune(method, groups, steps=1, state=None):
    state = new_state(0.0) if state is None else state
    for _ in range(steps):
        method.before_step(groups, state)
        method.after_step(groups, state, lambda _: 0.1)
        state.step += 1
    return state


def test_rounds_by_hand():
    weight = torch.tensor([[1.0, -2.0, 3.0, -4.0], [5.0, -6.0, 7.0, -8.0]])
    groups, state = WeightGroups({"w": weight}), new_state(0.0)
    left = []
    for _ in range(9):
        prune(MagnitudePruning(density=1 / 8, rounds=3, start=3, every=2), groups, state=state)
        left.append(int((weight != 0).sum()))
    assert left == [8, 8, 4, 4, 2, 2, 1, 1, 1]  # half of what is left in each round
    assert weight.flatten().tolist() == [0.0] * 7 + [-8.0]


def test_the_quality_grows_evenly_and_zeros_count_in_the_deviation():
    weight = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first = weight * ~below_deviation(weight, 0.5)
    second = first * ~below_deviation(first, 1.0)
    groups = WeightGroups({"w": weight.clone()})
    state = prune(MagnitudePruning(quality=1.0, rounds=2, every=1), groups)
    assert torch.equal(groups.tensors["w"], first)
    prune(MagnitudePruning(quality=1.0, rounds=2, every=1), groups, state=state)
    assert torch.equal(groups.tensors["w"], second)
    assert 0 < int((second != 0).sum()) < int((first != 0).sum()) < 120


def test_what_went_once_stays_gone_whatever_else_is_zero():
    weight = torch.tensor([3.0, 0.1, 4.0])
    method, groups, state = (
        MagnitudePruning(density=0.6, rounds=2, every=1),
        WeightGroups({"w": weight}),
        new_state(0.0),
    )
    prune(method, groups, state=state)  # 2 of 3 are left, and in the second round too
    weight[0] = 0.0
    prune(method, groups, state=state)
    assert state.dead[0].tolist() == [True, True, False]


def test_layers_have_their_own_numbers():
    layers = {"conv.weight": torch.arange(1.0, 11), "fc.weight": torch.arange(1.0, 11), "out": torch.arange(1.0, 11)}
    groups = WeightGroups(layers)
    method = MagnitudePruning(density={"conv": 0.5, "out": 0.2}, rounds=1)
    method.check(groups)
    prune(method, groups)
    assert [int((w != 0).sum()) for w in layers.values()] == [5, 10, 2]
    prune(
        MagnitudePruning(quality={"fc.weight": 1.0}, rounds=1),
        groups := WeightGroups({"fc.weight": torch.arange(1.0, 11)}),
    )
    assert groups.tensors["fc.weight"].tolist() == [0.0, 0.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]  # std is 2.87
    with pytest.raises(InputError, match="unknown layer 'cnv'; did you mean 'conv'"):
        MagnitudePruning(density={"cnv": 0.5}).check(WeightGroups(layers))


def test_one_weight_of_each_layer_stays():
    for method in (MagnitudePruning(density=0.0, rounds=1), MagnitudePruning(quality=100.0, rounds=1)):
        weight = torch.tensor([1.0, 2.0, -3.0])
        prune(method, WeightGroups({"w": weight}))
        assert weight.tolist() == [0.0, 0.0, -3.0]


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.1),
}


@pytest.mark.parametrize("make", [mlp, batchnorm])
@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
@pytest.mark.parametrize(
    "method",
    [
        MagnitudePruning(density=0.3, start=4, every=2, rounds=2),
        MagnitudePruning(quality=1.0, start=4, every=2, rounds=2),
        MagnitudePruning(density=0.5, granularity="unit", start=4, every=2, rounds=2),
    ],
    ids=["density", "quality", "unit"],
)
def test_the_mask_holds_after_every_step(make, optimizer, method):
    model = make()
    sparsifier = gasl.Sparsifier(model, method, examples(model), seed=1)
    optimizer = OPTIMIZERS[optimizer](sparsifier.param_groups())
    assert sparsifier.strength == 0
    train(model, sparsifier, optimizer, 3)
    assert sparsifier.state.dead is None
    gone = 0
    for step in range(4, 12):
        train(model, sparsifier, optimizer, 1)
        dead = sparsifier.state.dead
        for now, mask in zip(sparsifier.groups.dead(), dead, strict=True):
            assert now[mask].all()
        if step in (4, 6):
            total = sum(int(d.sum()) for d in dead)
            assert total > gone
            gone = total
            for state in states_of(optimizer, sparsifier.groups.tensors):
                before = {name: buffer.clone() for name, buffer in state.items()}
                sparsifier.groups.clear_(dead, within=state)
                assert all(torch.equal(state[name], before[name]) for name in state)
    assert sum(int(d.sum()) for d in sparsifier.state.dead) == gone
    assert not all(d.all() for d in sparsifier.groups.dead())


def test_units_go_by_their_norm_within_each_axis_down_to_the_floor():
    groups = ToyGroups(torch.tensor([[3.0], [1.0], [2.0], [4.0]]), torch.tensor([[30.0], [10.0]]))
    state = prune(MagnitudePruning(granularity="unit", density=0.5, rounds=1), groups)
    assert [d.tolist() for d in state.dead] == [[False, True, True, False], [False, True]]
    model = mlp()
    method = MagnitudePruning(granularity="unit", density=0.0, rounds=1)
    sparsifier = gasl.Sparsifier(model, method, examples(model), min_units={"0": 3, "2": 2})
    train(model, sparsifier, sgd(sparsifier), 1)
    sparsifier.finish()
    assert sparsifier.removal.widths == {"0.in": (6, 1), "0": (8, 3), "2": (5, 2)}


def widths_of(pattern):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=2),
        nn.ConvTranspose2d(8, 6, 2),
        nn.Flatten(),
        nn.Linear(150, 3),
    )
    groups = weight_groups(model, gasl.trace(model, torch.zeros(1, 3, 8, 8)), ())
    method = MagnitudePruning(pattern=pattern, rounds=1)
    method.check(groups)
    prune(method, groups)
    return model


def test_a_pattern_lies_along_the_inputs():
    model = widths_of("2:4")
    assert (model[0].weight != 0).all()  # three inputs
    assert ((model[2].weight != 0).unflatten(1, (-1, 4)).sum(2) == 2).all()
    assert ((model[3].weight != 0).unflatten(0, (-1, 4)).sum(1) == 2).all()
    assert (model[5].weight != 0).all()  # 150 is no multiple of 4
    model = widths_of("1:3")
    assert ((model[0].weight != 0).sum(1) == 1).all()
    assert ((model[5].weight != 0).unflatten(1, (-1, 3)).sum(2) == 1).all()
    assert (model[2].weight != 0).all()


def test_a_pattern_in_rounds_takes_one_after_the_other():
    weight = torch.tensor([[4.0, 3.0, 2.0, 1.0]])
    groups, left, state = WeightGroups({"w": weight}, {"w": 1}), [], new_state(0.0)
    for _ in range(3):
        prune(MagnitudePruning(pattern="1:4", rounds=3, every=1), groups, state=state)
        left.append(weight[0].tolist())
    assert left == [[4.0, 3.0, 2.0, 0.0], [4.0, 3.0, 0.0, 0.0], [4.0, 0.0, 0.0, 0.0]]


def test_packed_projections_have_input_dimensions_and_weights_used_both_ways_have_none():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    groups = weight_groups(layer, gasl.trace(layer, torch.zeros(1, 3, 8)), ())
    assert set(groups.inputs.values()) == {1}
    assert set(groups.inputs) == set(groups.tensors)
    assert any("in_proj" in name for name in groups.inputs)

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.code, self.other = nn.Linear(8, 4), nn.Linear(8, 8)

        def forward(self, x):
            return self.other(torch.relu(self.code(x)) @ self.code.weight)

    model = Tied()
    groups = weight_groups(model, gasl.trace(model, torch.zeros(1, 8)), ())
    assert groups.inputs == {"other.weight": 1}


def test_a_pattern_that_fits_nowhere_is_refused():
    model = mlp()
    with pytest.raises(InputError, match=r"no layer reads a multiple of 7 inputs, for pattern 1:7: 0.weight \(8, 6\)"):
        gasl.Sparsifier(model, MagnitudePruning(pattern="1:7"), examples(model))


def test_the_rest_starts_again_where_a_run_was_cut_off_before_its_mask_was_made():
    weight = torch.arange(1.0, 9)
    state = new_state(0.0)
    state.step = 100  # long after the rounds
    prune(MagnitudePruning(density=0.25, start=1, every=2, rounds=2), WeightGroups({"w": weight}), state=state)
    assert int((weight != 0).sum()) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": 0.1}, "MagnitudePruning has no penalty, got strength=0.1; leave it out"),
        ({"density": 0.1, "quality": 1.0}, "one rule says what goes, got density and quality"),
        ({"granularity": "unit", "quality": 1.0}, "quality is a rule for single weights; give units a density"),
        ({"granularity": "unit", "pattern": "2:4"}, "pattern is a rule for single weights"),
        ({"density": 1.5}, "density must be a number from 0 to 1, got 1.5"),
        ({"density": {"fc": -0.5}}, "density must be a number from 0 to 1, got -0.5"),
        ({"quality": -1.0}, "quality must be a finite number >= 0"),
        ({"pattern": "4:2"}, "pattern must be N:M with 1 <= N <= M, as '2:4', got '4:2'"),
        ({"pattern": "half"}, "pattern must be N:M"),
        ({"start": 0}, "start must be 1 or more, got 0"),
        ({"every": 0}, "every must be 1 or more"),
        ({"rounds": 0}, "rounds must be 1 or more"),
    ],
)
def test_wrong_settings_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        MagnitudePruning(**options)


def test_it_has_no_term_of_the_loss():
    groups, state = ToyGroups(torch.ones(3, 2)), new_state(0.0)
    assert MagnitudePruning().penalty(groups, state) == 0
    train_step(MagnitudePruning(granularity="unit"), groups, state, lr=0.1)
    assert not MagnitudePruning().penalty(groups, state).requires_grad
