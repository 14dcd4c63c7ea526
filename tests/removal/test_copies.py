"""``Removal.apply_``: a moving average of the weights is cut like the network."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gasl.errors import InputError
from gasl.removal import shrink, shrink_
from removal.training import OPTIMIZERS, backward, batch, network, setup, small_part
from removal.zeros import assert_same, convs, kill


@pytest.mark.parametrize("use_buffers", [True, False])
def test_an_average_goes_on_with_its_own_values(use_buffers):
    model, optimizer, _, _ = setup(OPTIMIZERS["momentum"], steps=0)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=use_buffers)
    for seed in range(3):
        backward(model, seed)
        optimizer.step()
        optimizer.zero_grad()
        average.update_parameters(model)
    kill(model[3], 1, bias=True)
    large, before = copy.deepcopy(average), list(average.parameters())
    removal = shrink_(model, batch()[0], optimizer=optimizer)
    removal.apply_(average)
    assert all(a is b for a, b in zip(average.parameters(), before, strict=True))
    taking = {fold.bias for fold in removal.plan.folds}
    for (name, p), old in zip(average.module.named_parameters(), large.parameters(), strict=True):
        assert name in taking or torch.equal(p, small_part(name, old, removal))
    assert torch.equal(
        average.module[1].running_mean, small_part("1.running_mean", large.module[1].running_mean, removal)
    )
    backward(model, 5)
    optimizer.step()
    average.update_parameters(model)
    assert repr(average.module) == repr(model)
    assert [tuple(p.shape) for p in average.parameters()] == [tuple(p.shape) for p in model.parameters()]


def test_a_constant_is_folded_through_the_copys_own_weights():
    model, x = convs()
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[2].weight.mul_(3)
    wanted = copy.deepcopy(other)
    _, removal = shrink(model, x)
    removal.apply_(other)
    assert_same(other, wanted, x)
    shift = 3 * 0.7 * model[2].weight[:, 1].sum((1, 2))
    torch.testing.assert_close(other[2].bias, model[2].bias + shift)


def test_a_bias_is_made_in_the_copy_too():
    model, x = convs(second_bias=False)
    other, wanted = copy.deepcopy(model), copy.deepcopy(model)
    shrink(model, x)[1].apply_(torch.compile(other, backend="eager"))
    assert other[2].bias is not None
    assert_same(other, wanted, x)


def test_other_networks_are_refused_and_left_alone():
    model, x = convs()
    _, removal = shrink(model, x)
    wider = nn.Sequential(nn.Conv2d(3, 5, 3), *model[1:])
    with pytest.raises(
        InputError, match=r"'0.weight': this Sequential has shape \(5, 3, 3, 3\), the network had shape"
    ):
        removal.apply_(wider)
    other = copy.deepcopy(model)
    other.extra = nn.Linear(1, 1)
    with pytest.raises(InputError, match=r"'extra.weight': this Sequential has shape \(1, 1\), the network had none"):
        removal.apply_(other)
    with pytest.raises(InputError, match=r"'0.weight': this Linear has none"):
        removal.apply_(nn.Linear(2, 2))
    assert other[0].weight.shape == (4, 3, 3, 3)
    removal.apply_(model)
    with pytest.raises(InputError, match="a copy of the network that was not cut yet"):
        removal.apply_(model)


def test_a_copy_on_another_type_and_without_gradients():
    model = network()
    kill(model[3], 1, 2, bias=True)
    other = copy.deepcopy(model).float().eval().requires_grad_(False)
    removal = shrink_(model, batch()[0])
    removal.apply_(other)
    assert not any(p.requires_grad for p in other.parameters())
    assert not other.training
    torch.testing.assert_close(other(batch()[0].float()).double(), model.eval()(batch()[0]), rtol=1e-4, atol=1e-5)
