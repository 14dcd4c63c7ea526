"""Liveness and plan as data, before any network is touched."""

import torch
from torch import nn

from gasl.removal import liveness, plan
from gasl.removal.apply import apply_plan, duplicate
from gasl.removal.resize import set_tensors
from gasl.structure.trace import trace


def network():
    model = nn.Sequential(
        nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4), nn.Linear(4, 2, bias=False)
    ).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
        model[0].weight[1] = 0  # a constant 1 in the second map
        model[3].weight[:, 0] = 0  # one feature unread
        model[4].weight[:, 3] = 0  # one neuron unread
    x = torch.rand(2, 1, 2, 2).double()
    structure = trace(model, x)
    live = liveness(dict(model.named_parameters()), structure)
    return model, x, structure, live


def test_liveness_by_hand():
    _, _, _, live = network()
    assert {name: kept.nonzero().flatten().tolist() for name, kept in live.kept.items()} == {
        "0": [0, 2],
        "3.in": [1, 2, 3, 8, 9, 10, 11],
        "3": [0, 1, 2],
    }


def test_the_plan_by_hand():
    _, _, structure, live = network()
    steps = plan(structure, live)
    assert {key: index.tolist() for key, index in steps.keep.items()} == {
        ("0.weight", 0): [0, 2],
        ("0.bias", 0): [0, 2],
        ("3.weight", 0): [0, 1, 2],
        ("3.weight", 1): [1, 2, 3, 8, 9, 10, 11],
        ("3.bias", 0): [0, 1, 2],
        ("4.weight", 1): [0, 1, 2],
    }
    assert {name: index.tolist() for name, index in steps.gathers.items()} == {"3": [1, 2, 3, 4, 5, 6, 7]}
    (fold,) = steps.folds
    assert (fold.weight, fold.bias, fold.columns.tolist(), fold.value.tolist()) == (
        "3.weight",
        "3.bias",
        [4, 5, 6, 7],
        [1.0] * 4,
    )
    assert str(steps).splitlines() == [
        *(
            f"{n}[{d}] keeps {k}"
            for n, d, k in [
                ("0.weight", 0, 2),
                ("0.bias", 0, 2),
                ("3.weight", 0, 3),
                ("3.weight", 1, 7),
                ("3.bias", 0, 3),
                ("4.weight", 1, 3),
            ]
        ),
        "3 gathers 7 features",
        "3.bias takes up 4 constants",
    ]


def test_applying_by_hand():
    model, x, structure, live = network()
    small = apply_plan(model, plan(structure, live))
    assert small[3].bias.tolist() == [5.0, 5.0, 5.0]
    assert (small[3].in_features, small[3].out_features, small[4].in_features) == (7, 3, 3)
    torch.testing.assert_close(small(x), model(x), rtol=1e-12, atol=0)


def test_protection_and_floors_in_liveness():
    model, _, structure, _ = network()
    tensors = dict(model.named_parameters())
    assert liveness(tensors, structure, frozenset({"0"})).kept["0"].all()
    assert liveness(tensors, structure, frozenset({"3.in"})).kept["3.in"].tolist() == (
        [True] * 4 + [False] * 4 + [True] * 4
    )
    with torch.no_grad():
        model[4].weight.zero_()
    dead = liveness(tensors, structure)
    assert [int(kept.sum()) for kept in dead.kept.values()] == [1, 3, 1]  # the one neuron that must stay reads three


def test_every_alias_of_a_tensor_follows():
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    b.weight = a.weight
    norm, twin = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    twin.running_mean = norm.running_mean
    model = nn.ModuleList([a, b, norm, twin])
    set_tensors(model, {"0.weight": torch.zeros(1, 2), "2.running_mean": torch.zeros(1)})
    assert a.weight is b.weight
    assert norm.running_mean is twin.running_mean
    assert isinstance(a.weight, nn.Parameter)


def test_a_duplicate_shares_nothing():
    model = nn.Linear(2, 2)
    model.last = model(torch.ones(2))
    other = duplicate(model)
    assert other.weight.data_ptr() != model.weight.data_ptr()
    assert model.last.requires_grad
