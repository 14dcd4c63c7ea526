"""Which layers can be zero as a whole: those with a shortcut around them, and what is zero with them."""

import pytest
import torch
from torch import nn

import gasl
from gasl.errors import InputError
from gasl.groups.kinds import network_groups
from gasl.models import LeNet5, ResNet18
from gasl.structure.trace import trace
from structure.nets import Fn

RESIDUAL = ["layer1.0", "layer1.1", "layer2.1", "layer3.1", "layer4.1"]  # the others fit their input by a convolution


def depth(model, x, protect=()):
    return network_groups(model, trace(model, x), x, "unit", "depth", "in", protect, {})


def owned(groups):
    """Of each layer the tensors that go with it."""
    (axis,) = groups.axes
    found = [[] for _ in range(axis.size)]
    for member in axis.members:
        assert member.units.unique().numel() == 1
        found[int(member.units[0])].append(member.tensor)
    return found


def test_of_a_resnet_they_are_the_ends_of_the_identity_blocks():
    model = ResNet18(width=0.125).double()
    groups = depth(model, torch.zeros(1, 3, 32, 32, dtype=torch.float64))
    assert owned(groups) == [[f"{b}.conv2.weight", f"{b}.bn2.weight", f"{b}.bn2.bias"] for b in RESIDUAL]
    expected = [
        torch.cat([model.get_parameter(name).flatten() for name in names]).norm().item() for names in owned(groups)
    ]
    torch.testing.assert_close(groups.norms()[0].tolist(), expected)
    assert groups.floors == [0]


def test_with_all_of_them_zero_the_network_still_answers_and_their_blocks_shrink_to_one_unit():
    model = ResNet18(width=0.125).double()
    x = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    groups = depth(model, x)
    groups.clear_([torch.ones(5, dtype=torch.bool)])
    assert groups.dead()[0].all()
    outputs = model.eval()(x)
    assert not torch.allclose(outputs[0], outputs[1])
    small, removal = gasl.shrink(model, x)
    for block in RESIDUAL:
        assert removal.widths[f"{block}.conv1"][1] == 1
    assert removal.widths["layer2.0.conv1"][1] > 1
    torch.testing.assert_close(small(x), outputs, rtol=1e-10, atol=1e-12)


def test_protected_and_frozen_layers_stay():
    model = ResNet18(width=0.125)
    model.layer3[1].bn2.bias.requires_grad_(False)
    groups = depth(model, torch.zeros(1, 3, 32, 32), protect=["layer1.*"])
    assert [names[0] for names in owned(groups)] == ["layer2.1.conv2.weight", "layer4.1.conv2.weight"]


def layers(**more):
    torch.manual_seed(0)
    return {"enter": nn.Linear(5, 8), "a": nn.Linear(8, 6), "b": nn.Linear(6, 8), "leave": nn.Linear(8, 3), **more}


def test_a_sum_goes_on_and_a_product_does_not():
    def added(m, x):
        x = m.enter(x)
        return m.leave(x + m.b(torch.relu(m.a(x))))

    def multiplied(m, x):
        x = m.enter(x)
        return m.leave(x * m.b(torch.relu(m.a(x))))

    assert owned(depth(Fn(added, **layers()), torch.zeros(2, 5))) == [["b.weight", "b.bias"]]
    with pytest.raises(InputError, match="no layer of this network has a shortcut around it"):
        depth(Fn(multiplied, **layers()), torch.zeros(2, 5))


def test_layers_side_by_side_are_no_branch():
    def gated(m, x):
        x = m.enter(x)
        return m.leave(torch.sigmoid(m.a(x)) * m.other(x))

    model = Fn(gated, **{**layers(other=nn.Linear(8, 6)), "leave": nn.Linear(6, 3)})
    with pytest.raises(InputError, match="no layer of this network has a shortcut around it"):
        depth(model, torch.zeros(2, 5))
    with pytest.raises(InputError, match="no layer of this network has a shortcut around it"):
        depth(LeNet5(), torch.zeros(1, 1, 28, 28))


def test_a_layer_that_is_called_twice_is_left_alone():
    def twice(m, x):
        x = m.enter(x)
        for _ in range(2):
            x = x + m.b(torch.relu(m.a(x)))
        return m.leave(x)

    with pytest.raises(InputError, match="no layer of this network has a shortcut around it"):
        depth(Fn(twice, **layers()), torch.zeros(2, 5))


def test_in_a_transformer_they_are_the_projections_back_into_the_stream():
    def block(m, x):
        x = m.enter(x)
        q, k, v = m.qkv(m.norm(x)).chunk(3, -1)
        x = x + m.out(nn.functional.scaled_dot_product_attention(q, k, v))
        return m.leave(x + m.b(torch.relu(m.a(m.norm2(x)))))

    more = {"norm": nn.LayerNorm(8), "norm2": nn.LayerNorm(8), "qkv": nn.Linear(8, 24), "out": nn.Linear(8, 8)}
    model = Fn(block, **layers(**more))
    expected = [["out.weight", "out.bias"], ["b.weight", "b.bias"]]
    assert owned(depth(model, torch.zeros(2, 4, 5))) == expected


def test_the_model_is_left_as_it_was():
    model = ResNet18(width=0.125).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    depth(model, torch.zeros(1, 3, 32, 32))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), random)
