"""Single features in front of a linear layer."""

import torch
from torch import nn

from gasl.removal import GatherLinear, shrink
from removal.zeros import assert_same, ignore, kill, lenet
from structure.nets import Fn, image


def test_single_features_are_gathered():
    model, x = lenet()
    small, removal = shrink(model, x)
    assert removal.widths == {"conv1": (20, 17), "conv2": (50, 25), "fc1.in": (800, 353), "fc1": (500, 300)}
    assert isinstance(small.fc1, GatherLinear)
    assert list(small.state_dict()) == [*list(model.state_dict())[:6], "fc1.index", *list(model.state_dict())[6:]]
    assert_same(small, model, x)


def test_without_gathering_whole_maps_go():
    model, x = lenet()
    small, removal = shrink(model, x, gather=False)
    assert removal.widths["fc1.in"] == (800, 400)
    assert type(small.fc1) is nn.Linear
    assert_same(small, model, x)


def test_a_gathered_network_shrinks_again():
    model, x = lenet()
    small, _ = shrink(model, x)
    kill(small.conv2, 3, 4, bias=True)
    ignore(small.fc1, 7, 11, 351)
    for gather in (True, False):
        smaller, removal = shrink(small, x, gather=gather)
        assert removal.widths["conv2"] == (25, 23)
        assert_same(smaller, small, x)
    kill(smaller.fc1, 0)
    assert_same(shrink(smaller, x)[0], smaller, x)


def test_one_feature_of_each_map_can_be_left_and_shrunk_again():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Flatten(), nn.Linear(12, 4), nn.Linear(4, 2)).double()
    ignore(model[2], *(set(range(12)) - {0, 5, 10}))
    x = image(size=2).double()
    small, _ = shrink(model, x)
    assert small[2].index.tolist() == [0, 5, 10]
    kill(small[0], 1, bias=True)
    smaller, removal = shrink(small, x)
    assert (smaller[2].index.tolist(), removal.widths["2.in"]) == ([0, 6], (3, 2))
    assert_same(smaller, small, x)


def test_gathered_features_on_three_dimensions_shrink_again():
    model = nn.Sequential(
        nn.Linear(3, 4), nn.ReLU(), GatherLinear(torch.tensor([0, 2, 3]), 5), nn.Linear(5, 2)
    ).double()
    x = torch.randn(2, 6, 3).double()
    kill(model[0], 2, bias=True)
    small, removal = shrink(model, x)
    assert removal.widths["0"] == (4, 2)  # 1 is not gathered by anyone
    assert small[2].index.tolist() == [0, 1]
    assert_same(small, model, x)


def test_a_linear_layer_that_is_the_whole_model_gathers():
    model = ignore(nn.Linear(5, 2), 1, 2).double()
    x = torch.randn(3, 5).double()
    small, _ = shrink(model, x)
    assert isinstance(small, GatherLinear)
    assert_same(small, model, x)
    assert type(model) is nn.Linear


def test_hooks_aliases_and_attributes_of_a_gathering_layer_stay():
    layer = ignore(nn.Linear(12, 4), 0, 3).double()
    calls = []
    layer.register_forward_hook(lambda *_: calls.append(1))
    layer.note = "mine"
    model = nn.Sequential(nn.Conv2d(3, 3, 1).double(), nn.Flatten(), layer, nn.Linear(4, 2).double())
    model.alias = nn.ModuleList([layer])
    model.forward = lambda x: model[3](model[2](model[1](model[0](x))))
    plain = Fn(
        lambda m, x: m.body[3](m.again[0](m.body[1](m.body[0](x)))), body=nn.Sequential(*model), again=model.alias
    )
    x = image(size=2).double()
    small, _ = shrink(plain, x)
    assert small.body[2] is small.again[0]
    assert small.again[0].note == "mine"
    calls.clear()
    small(x)
    assert calls
