import pytest
import torch
from torch import nn

import gasl
from gasl.maths import prox_group_lasso
from gasl.methods import Attention, GroupLasso
from methods.toy import ToyGroups, new_state, train_step
from sparsifier.nets import batchnorm, examples, sgd, train


def test_closed_form():
    norms = [torch.tensor([3.0, 0.0, 0.0, 1.0])]
    assert GroupLasso().value(norms, 0.5) == 1
    assert GroupLasso(normalise=False).value(norms, 0.5) == 2
    assert GroupLasso().rates(norms, 0.5)[0].tolist() == [0.25] * 4


def test_its_step_is_the_proximal_step_of_eq_2():
    weight = torch.randn(6, 4, dtype=torch.float64) * torch.tensor([[0.1], [1.0], [2.0], [0.2], [1.0], [3.0]])
    groups = ToyGroups(weight)
    train_step(GroupLasso(), groups, new_state(3.0), lr=1.0)
    expected = prox_group_lasso(weight, 3.0 / 6**0.5, dim=0)
    assert (expected == 0).any()
    assert (expected != 0).any()
    torch.testing.assert_close(groups.weights[0].detach(), expected, rtol=1e-14, atol=0)
    assert torch.equal(groups.weights[0] == 0, expected == 0)


def test_on_single_weights_it_is_l1_and_soft_thresholding():
    weight = torch.randn(50, dtype=torch.float64)  # a vector: each weight is its own group, its norm |w|
    method, groups, state = GroupLasso(granularity="weight", normalise=False), ToyGroups(weight), new_state(0.3)
    torch.testing.assert_close(method.value(groups.norms(), 0.3), 0.3 * weight.abs().sum())
    train_step(method, groups, state, lr=1.0)
    expected = torch.nn.functional.softshrink(weight, 0.3)
    torch.testing.assert_close(groups.weights[0].detach(), expected, rtol=0, atol=1e-15)
    assert torch.equal(groups.weights[0] == 0, expected == 0)


class Blocks(nn.Module):
    """A stem and three residual branches, of which the task needs none."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head = nn.Linear(6, 8), nn.Linear(8, 3)
        self.a = nn.ModuleList(nn.Linear(8, 5) for _ in range(3))
        self.b = nn.ModuleList(nn.Linear(5, 8) for _ in range(3))

    def forward(self, x):
        x = self.stem(x)
        for a, b in zip(self.a, self.b, strict=True):
            x = x + b(torch.relu(a(x)))
        return self.head(x)


@pytest.mark.parametrize("over", [GroupLasso, lambda **o: Attention(over=GroupLasso(scope=o["scope"]), **o)])
def test_whole_layers_die_and_their_blocks_are_removed_down_to_one_unit(over):
    model = Blocks().double()
    with torch.no_grad():
        model.b[1].weight.mul_(0.1)
        model.b[1].bias.mul_(0.1)
    x = torch.randn(32, 6, dtype=torch.float64)
    sparsifier = gasl.Sparsifier(model, over(scope="depth", strength=2.0), x[:2])
    optimizer = torch.optim.SGD(sparsifier.param_groups(), lr=0.05)
    for _ in range(12):
        loss = torch.nn.functional.mse_loss(model(x), x[:, :3]) + sparsifier.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sparsifier.step(optimizer)
    assert sparsifier.groups.dead()[0].tolist() == [False, True, False]
    assert (model.b[1].weight == 0).all()
    assert (model.b[1].bias == 0).all()
    sparsifier.finish()
    assert sparsifier.removal.widths["a.1"] == (5, 1)
    assert sparsifier.removal.widths["a.0"] == (5, 5)


@pytest.mark.parametrize("scope", ["channel", "shape"])
@pytest.mark.parametrize("attention", [False, True])
def test_channels_and_shapes_die_in_training(scope, attention):
    model = batchnorm().double()
    method = GroupLasso(scope=scope, strength=1.0)
    if attention:
        method = Attention(over=GroupLasso(scope=scope), scope=scope, strength=1.0)
    sparsifier = gasl.Sparsifier(model, method, examples(model))
    train(model, sparsifier, sgd(sparsifier, momentum=0.9), 25)
    dead = sparsifier.groups.dead()
    assert all(0 < int(d.sum()) < d.numel() for d in dead[-2:])
    if scope == "channel":
        names = dict(zip(sparsifier.groups.names, dead, strict=True))
        assert (model[3].weight[:, names["0"]] == 0).all()
        assert (model[0].weight != 0).all()  # the filters are not in the group
    else:
        assert (model[3].weight.flatten(1)[:, dead[1]] == 0).all()
