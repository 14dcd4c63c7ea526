import pytest
import torch
from torch import nn

import gasl
from gasl.errors import InputError
from gasl.methods import Attention, NetworkSlimming
from gasl.models import LeNet5, ResNet18
from gasl.structure import trace
from methods.toy import ToyGroups, new_state, train_step
from sparsifier.nets import batchnorm, examples, sgd, train


def test_closed_form():
    scales = [torch.tensor([0.5, 0.0, 0.25]), torch.tensor([1.0])]
    assert NetworkSlimming().value(scales, 2.0) == 3.5
    assert [r.tolist() for r in NetworkSlimming().rates(scales, 2.0)] == [[2.0] * 3, [2.0]]


def test_its_step_is_the_soft_threshold_and_its_loss_term_the_sign():
    gammas = torch.tensor([0.5, -0.5, 0.05, 0.0], dtype=torch.float64)
    for step, expected in (("proximal", [0.4, -0.4, 0.0, 0.0]), ("loss", [0.4, -0.4, -0.05, 0.0])):
        groups = ToyGroups(gammas)
        train_step(NetworkSlimming(step=step), groups, new_state(0.1), lr=1.0)
        torch.testing.assert_close(groups.weights[0].tolist(), expected)


def test_a_group_is_the_scale_of_the_norm_behind_a_layer():
    model = batchnorm().double()
    sparsifier = gasl.Sparsifier(model, NetworkSlimming(strength=0.1), examples(model))
    assert sparsifier.groups.names == ("0", "3")
    assert set(sparsifier.groups.tensors) == {"1.weight", "4.weight"}
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([1.0, -2.0, 0.0, 3.0, 1.0, 1.0]))
    assert sparsifier.groups.norms()[0].tolist() == [1.0, 2.0, 0.0, 3.0, 1.0, 1.0]


def test_units_of_a_residual_sum_have_the_scales_of_all_that_write_them():
    model = ResNet18(width=0.0625)
    axes = gasl.Sparsifier(model, NetworkSlimming(strength=0.1), torch.zeros(1, 3, 32, 32)).groups
    owned = dict(zip(axes.names, axes.parameters(), strict=True))
    assert sorted(owned["conv1"]) == ["bn1.weight", "layer1.0.bn2.weight", "layer1.1.bn2.weight"]
    assert owned["layer1.0.conv1"] == ["layer1.0.bn1.weight"]
    assert len(axes.names) == 12


class Mixed(nn.Module):
    """One width that a normed and a plain layer write, one that a normed layer writes alone."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.plain = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(4, 6)
        self.inner, self.inner_norm, self.last = nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)) + self.plain(x))
        return self.last(torch.relu(self.inner_norm(self.inner(x))))


def test_a_width_that_a_layer_without_norm_also_writes_is_left_alone():
    model = Mixed()
    assert "first" in {axis.name for axis in trace(model, torch.zeros(2, 4)).axes}
    assert gasl.Sparsifier(model, NetworkSlimming(strength=0.1), torch.zeros(2, 4)).groups.names == ("inner",)


def test_a_network_without_batch_norm_is_refused():
    with pytest.raises(InputError, match="no layer of this network has a batch norm right behind it"):
        gasl.Sparsifier(LeNet5(), NetworkSlimming(strength=0.1), torch.zeros(1, 1, 28, 28))
    model = batchnorm()
    with pytest.raises(InputError, match=r"nothing to make sparse in this network .*protected or frozen"):
        gasl.Sparsifier(model, NetworkSlimming(strength=0.1), examples(model), protect=["0", "3"])


@pytest.mark.parametrize(
    "method", [NetworkSlimming(strength=0.3), Attention(over=NetworkSlimming(), scope="scale", strength=0.3)]
)
def test_dead_units_lose_scale_shift_and_bias_and_can_be_removed(method):
    model = batchnorm().double()
    with torch.no_grad():
        model[1].weight[:2], model[4].weight[2] = 0.01, 0.01
        model[1].bias.fill_(0.5)
    sparsifier = gasl.Sparsifier(model, method, examples(model))
    train(model, sparsifier, sgd(sparsifier, momentum=0.9), 3)
    dead = sparsifier.groups.dead()
    assert dead[0][:2].all()
    assert not dead[0].all()
    assert (model[1].bias[dead[0]] == 0).all()
    assert (model[0].bias[dead[0]] == 0).all()
    assert (model[1].bias[~dead[0]] != 0).all()
    assert (model[0].weight[dead[0]] != 0).any()  # the filter is not the method's
    sparsifier.finish()
    assert sparsifier.removal.widths["0"] == (6, int((~dead[0]).sum()))


def test_the_cut_takes_the_smallest_scales_of_all_layers():
    model = batchnorm().double()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, -0.6]))
        model[4].weight.copy_(torch.tensor([5.0, -0.05, 7.0, 0.35, 9.0]))
    method = NetworkSlimming(strength=0.0, fraction=5 / 11, cut_at=1)
    sparsifier = gasl.Sparsifier(model, method, examples(model), min_units={"0": 3})
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
    train(model, sparsifier, optimizer, 2)
    dead = [d.nonzero()[:, 0].tolist() for d in sparsifier.state.dead]
    assert dead == [[0, 1, 2], [1, 3]]  # and not 0.4, of which three stay
    assert (model[1].bias[:3] == 0).all()


def test_the_cap_holds_an_axis():
    model = batchnorm().double()
    with torch.no_grad():
        model[1].weight.fill_(1e-3)
    method = NetworkSlimming(strength=0.0, fraction=0.9, cut_at=1, cap=0.5)
    sparsifier = gasl.Sparsifier(model, method, examples(model))
    train(model, sparsifier, sgd(sparsifier, lr=1e-9), 1)
    assert [int(d.sum()) for d in sparsifier.state.dead] == [3, 2]


def test_other_groups_are_refused():
    for wrong in ({"scope": "coupled"}, {"granularity": "weight"}):
        with pytest.raises(InputError, match="acts on the norm scale of each unit, got scope="):
            NetworkSlimming(**wrong)
