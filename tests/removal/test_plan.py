"""Liveness and plan as data, before any network is touched."""

import pytest
import torch
from torch import nn

from gasl.removal import Plan, apply, liveness, plan
from gasl.removal.apply import apply_plan, cut, duplicate
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


def test_scales_and_attributes_are_carried_out_too():
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3)).double()
    model[1].weight.data.copy_(torch.tensor([1.0, 2.0, 3.0]))
    index = torch.tensor([0, 2])
    keep = {("0.weight", 0): index, ("0.bias", 0): index, ("1.weight", 0): index, ("1.bias", 0): index}
    scales = {"1.weight": torch.tensor([2.0, 1.0, 3.0]), "0.bias": torch.tensor(0.5)}
    steps = Plan(keep, {}, (), {"1.normalized_shape": (2,), "1.eps": 0.25}, scales)
    small = apply_plan(model, steps)
    assert small[1].weight.tolist() == [2.0, 9.0]
    assert torch.equal(small[0].bias, 0.5 * model[0].bias[index])
    assert (small[1].normalized_shape, small[1].eps, model[1].eps) == ((2,), 0.25, 1e-5)
    assert small(torch.ones(1, 2).double()).shape == (1, 2)
    assert "1.weight is scaled" in str(steps)
    assert "1.eps becomes 0.25" in str(steps)


def test_weights_keep_their_memory_format():
    model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    small = apply_plan(model, Plan({("weight", 0): torch.tensor([1, 3])}, {}, ()))
    assert small.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(small.weight, model.weight[[1, 3]])


def test_a_buffer_that_was_cut_is_kept_in_the_state_from_now_on():
    model = nn.Module()
    model.register_buffer("table", torch.arange(3.0), persistent=False)
    model.register_buffer("other", torch.arange(3.0), persistent=False)
    small = apply_plan(model, Plan({("table", 0): torch.tensor([2])}, {}, ()))
    assert {name: value.tolist() for name, value in small.state_dict().items()} == {"table": [2.0]}
    assert not model.state_dict()


@pytest.mark.parametrize("dims", [(0, 1), (1, 0), (0, 1, 2)])
def test_large_tensors_are_cut_piece_by_piece(dims, monkeypatch):
    tensor = torch.randn(7, 6, 5)
    cuts = [(dim, torch.randperm(5)[:4]) for dim in dims]
    wanted = cut(tensor, cuts)
    monkeypatch.setattr(apply, "_LARGE", 50)
    assert torch.equal(cut(tensor, cuts), wanted)
    assert wanted.shape == tuple(4 if dim in dims else n for dim, n in enumerate(tensor.shape))


class Rebuilt(nn.Module):
    """Copied by its constructor, as the layers of einops are."""

    def __reduce__(self):
        return (Rebuilt, ())


def test_a_duplicate_is_in_the_same_mode():
    model = nn.Sequential(nn.Linear(2, 2), Rebuilt()).eval()
    model[0].train()
    assert [module.training for module in duplicate(model).modules()] == [False, True, False]
