"""A network that is cut in the middle of its training goes on as the large one with its dead held would."""

import copy

import pytest
import torch
from torch import nn

from gasl.removal import GatherLinear, Plan, shrink, shrink_
from gasl.removal.apply import smaller_tensors
from gasl.removal.inplace import commit
from removal.training import OPTIMIZERS, Held, backward, batch, network, setup, small_part
from removal.zeros import assert_same, convs, kill
from structure.nets import Fn


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("pending", [False, True])
def test_the_next_steps_are_those_of_the_large_network_with_its_dead_held(kind, pending):
    model, optimizer, large, large_optimizer = setup(OPTIMIZERS[kind])
    if pending:
        backward(model, 7)
        backward(large, 7)
    removal = shrink_(model, batch()[0], optimizer=optimizer)
    assert removal.widths == {"0": (8, 5), "3": (6, 4), "7.in": (54, 34), "7": (10, 7)}
    assert removal.max_rel_diff_train <= 1e-10
    held = Held(large, large_optimizer, removal)
    for seed in range(3):
        if not (pending and seed == 0):
            for one, its in ((model, optimizer), (large, large_optimizer)):
                its.zero_grad()
                backward(one, seed)
        optimizer.step()
        held.step()
        assert_same(model, large, batch(99)[0])
    for (name, p), old in zip(model.named_parameters(), large.parameters(), strict=True):
        if name not in {fold.bias for fold in removal.plan.folds}:
            torch.testing.assert_close(p.detach(), small_part(name, old, removal), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_what_is_left_of_the_state_is_the_same_to_the_bit(kind):
    model, optimizer, large, large_optimizer = setup(OPTIMIZERS[kind])
    backward(model, 7)
    backward(large, 7)
    before = list(model.parameters())
    members = [list(group["params"]) for group in optimizer.param_groups]
    groups = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    removal = shrink_(model, batch()[0], optimizer=optimizer)
    assert all(a is b for a, b in zip(model.parameters(), before, strict=True))
    for group, wanted in zip(optimizer.param_groups, members, strict=True):
        assert all(a is b for a, b in zip(group["params"], wanted, strict=True))
    assert [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups] == groups
    compared = 0
    for (name, p), old in zip(model.named_parameters(), large.parameters(), strict=True):
        assert torch.equal(p.grad, small_part(name, old.grad, removal))
        assert p.shape == p.grad.shape
        assert optimizer.state.get(p, {}).keys() == large_optimizer.state.get(old, {}).keys()
        for key, value in optimizer.state.get(p, {}).items():
            other = large_optimizer.state[old][key]
            if key == "ax" and name in {fold.bias for fold in removal.plan.folds}:
                moved = p - small_part(name, old, removal)
                torch.testing.assert_close(value - small_part(name, other, removal), moved.detach())
            elif isinstance(value, torch.Tensor) and value.ndim > 0:
                assert torch.equal(value, small_part(name, other, removal))
                compared += 1
            else:
                assert value == other
    assert compared or kind == "sgd"


def test_it_is_what_shrink_makes():
    model, optimizer, large, _ = setup(OPTIMIZERS["adam"])
    small, wanted = shrink(large, batch()[0])
    removal = shrink_(model, batch()[0], optimizer=optimizer)
    assert str(removal) == str(wanted)
    assert str(removal.plan) == str(wanted.plan)
    assert repr(model) == repr(small)
    assert isinstance(model[7], GatherLinear)
    ours, theirs = model.state_dict(), small.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert model.training


def test_schedulers_go_on():
    model, optimizer, large, large_optimizer = setup(OPTIMIZERS["momentum"])
    schedulers = [torch.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=9) for o in (optimizer, large_optimizer)]
    removal = shrink_(model, batch()[0], optimizer=optimizer)
    held = Held(large, large_optimizer, removal)
    for seed in range(3):
        backward(model, seed)
        backward(large, seed)
        optimizer.step()
        held.step()
        for scheduler in schedulers:
            scheduler.step()
        optimizer.zero_grad()
        large_optimizer.zero_grad()
    assert optimizer.param_groups[0]["lr"] == large_optimizer.param_groups[0]["lr"] != 0.05
    assert_same(model, large, batch(5)[0])


def test_buffers_are_cut_too_and_stay_the_same_objects():
    model, optimizer, large, _ = setup(OPTIMIZERS["sgd"])
    buffer = model[1].running_var
    removal = shrink_(model, batch()[0], optimizer=optimizer)
    assert model[1].running_var is buffer
    assert torch.equal(buffer, large[1].running_var[removal.plan.keep["1.running_var", 0]])
    assert model[1].num_batches_tracked == large[1].num_batches_tracked == 3


def test_a_bias_that_is_made_joins_the_group_of_its_weight():
    model, x = convs(second_bias=False)
    rest = [p for p in model.parameters() if p is not model[2].weight]
    named = [("late", model[2].weight)]
    optimizers = [torch.optim.SGD(rest, lr=0.1), torch.optim.Adam([{"params": named, "lr": 0.01}])]
    for optimizer in optimizers:
        model(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    kill(model[0], 1)
    large = copy.deepcopy(model)
    removal = shrink_(model, x, optimizer=optimizers)
    bias = model[2].bias
    assert removal.widths["0"] == (4, 3)
    assert bias is not None
    assert bias.requires_grad
    assert_same(model, large, x)
    group = optimizers[1].param_groups[0]
    assert [p is q for p, q in zip(group["params"], [model[2].weight, bias], strict=True)] == [True, True]
    assert group["param_names"] == ["late", "2.bias"]
    assert bias not in optimizers[1].state
    assert len(optimizers[0].param_groups[0]["params"]) == len(rest)
    before = bias.detach().clone()
    model(x).square().mean().backward()
    for optimizer in optimizers:
        optimizer.step()
    assert float((bias.detach() - before).abs().max()) == pytest.approx(0.01, rel=1e-3)  # Adam's first step: lr itself
    assert [n for n, _ in model.named_parameters()] == [
        "0.weight",
        "0.bias",
        "2.weight",
        "2.bias",
        "4.weight",
        "4.bias",
    ]


def test_several_biases_are_made_in_one_group_each_behind_its_weight():
    model = nn.Sequential(
        kill(nn.Linear(3, 4), 1), nn.Sigmoid(), kill(nn.Linear(4, 5, bias=False), 2), nn.Sigmoid(),
        nn.Linear(5, 2, bias=False),
    ).double()  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    large, x = copy.deepcopy(model), torch.randn(5, 3).double()
    shrink_(model, x, optimizer=optimizer)
    assert all(a is b for a, b in zip(optimizer.param_groups[0]["params"], model.parameters(), strict=True))
    assert len(optimizer.param_groups[0]["params"]) == 6
    assert_same(model, large, x)


def test_tied_frozen_and_recurrent_weights():
    model = Fn(
        lambda m, x: m.b(m.rnn(m.a(x))[0]) + m.tied(m.a(x)),
        a=kill(nn.Linear(3, 4), 1, bias=True), rnn=nn.LSTM(4, 4), b=nn.Linear(4, 2), tied=nn.Linear(4, 2),
    ).double()  # fmt: skip
    model.again = nn.Module()
    model.again.weight = model.a.weight
    model.a.bias.requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad])
    x = torch.randn(5, 2, 3).double()
    model(x).sum().backward()
    large = copy.deepcopy(model)
    removal = shrink_(model, x, optimizer=optimizer)
    assert removal.widths["a"] == (4, 3)
    assert model.again.weight is model.a.weight
    assert not model.a.bias.requires_grad
    assert all(any(p is flat for p in model.rnn.parameters()) for flat in model.rnn._flat_weights)
    assert_same(model, large, x)
    optimizer.step()
    model(x).sum().backward()


def test_a_removed_network_can_be_cut_again_and_again():
    model, optimizer, _, _ = setup(OPTIMIZERS["adamw"])
    shrink_(model, batch()[0], optimizer=optimizer)
    sizes = [sum(p.numel() for p in model.parameters())]
    for row in range(2):
        kill(model[7], row, bias=True)
        kill(model[0], row, bias=True)
        with torch.no_grad():
            model[1].weight[row] = model[1].bias[row] = 0
        wanted = copy.deepcopy(model)
        shrink_(model, batch()[0], optimizer=optimizer)
        assert_same(model, wanted, batch(3)[0])
        backward(model)
        optimizer.step()
        sizes.append(sum(p.numel() for p in model.parameters()))
    assert sizes[0] > sizes[1] > sizes[2]


def test_the_gradient_of_a_scaled_weight_is_that_of_the_scaled_one():
    """A norm whose scale makes up for a width that went: outputs as before, and gradients as a backward would give."""
    model = nn.Sequential(nn.Linear(3, 4), nn.RMSNorm(4, eps=0.0), nn.Linear(4, 2)).double()
    kill(model[0], 1, bias=True)
    index = torch.tensor([0, 2, 3])
    steps = Plan(
        {("0.weight", 0): index, ("0.bias", 0): index, ("1.weight", 0): index, ("2.weight", 1): index},
        {}, (), {"1.normalized_shape": (3,)}, {"1.weight": torch.tensor((4 / 3) ** 0.5, dtype=torch.float64)},
    )  # fmt: skip
    x = torch.randn(5, 3).double()
    wanted = model(x)
    wanted.square().sum().backward()
    commit(model, steps, smaller_tensors(dict(model.named_parameters()), steps), ())
    torch.testing.assert_close(model(x), wanted, rtol=1e-12, atol=1e-12)
    pending = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model(x).square().sum().backward()
    for p, gradient in zip(model.parameters(), pending, strict=True):
        torch.testing.assert_close(p.grad, gradient, rtol=1e-10, atol=1e-12)


def test_nothing_dead_nothing_changed():
    model = network()
    kept = [(p, p.data_ptr()) for p in model.parameters()]
    removal = shrink_(model, batch()[0])
    assert str(removal.plan) == "nothing to remove"
    assert kept == [(p, p.data_ptr()) for p in model.parameters()]
