import pytest
import torch

import gasl
from gasl.errors import InputError
from gasl.methods import L1, Attention, GroupLasso
from methods.toy import ToyGroups, new_state, train_step
from sparsifier.nets import batchnorm, examples, mlp, sgd, train


def test_closed_form():
    layers = [torch.tensor([3.0, 0.0, 0.0, 1.0]), torch.tensor([0.5])]
    assert L1().value(layers, 0.5) == 2.25  # whatever the number of weights of a layer
    assert L1().sparsity(layers) == 4.5
    assert [r.tolist() for r in L1().rates(layers, 0.5)] == [[0.5] * 4, [0.5]]


@pytest.mark.parametrize("lr", [1.0, 0.3])
def test_its_step_minimises_the_proximal_objective(lr):
    weight = torch.tensor([2.0, -2.0, 0.31, -0.29, 0.02, 0.0], dtype=torch.float64)  # each a group of its own
    groups = ToyGroups(weight)
    train_step(L1(), groups, new_state(0.3), lr=lr)
    grid = torch.linspace(-3, 3, 600_001, dtype=torch.float64)[:, None]
    best = grid[((grid - weight).square() / 2 + lr * 0.3 * grid.abs()).argmin(0), 0]
    torch.testing.assert_close(groups.weights[0].detach(), best, rtol=0, atol=1e-5)
    assert torch.equal(groups.weights[0] == 0, weight.abs() <= lr * 0.3)


def test_with_adam_the_threshold_is_the_learning_rate_times_the_strength():
    groups, state = ToyGroups(torch.tensor([1.0, -1.0, 0.015])), new_state(0.5)
    optimizer = torch.optim.Adam(groups.weights, lr=0.01)
    slopes = torch.tensor([1e-3, 10.0, 0.0], dtype=torch.float64)  # Adam's step is its learning rate for both
    train_step(L1(), groups, state, lr=0.01, task=lambda w: (w[0] * slopes).sum(), optimizer=optimizer)
    expected = torch.tensor([1.0 - 0.01 - 0.005, -(1.0 + 0.01 - 0.005), 0.01], dtype=torch.float64)
    torch.testing.assert_close(groups.weights[0].detach(), expected, rtol=0, atol=1e-6)


def test_units_are_the_group_lasso_s():
    with pytest.raises(InputError, match="L1 acts on single weights, got granularity='unit'; take GroupLasso"):
        L1(granularity="unit")


@pytest.mark.parametrize("make", [mlp, batchnorm])
def test_it_zeroes_single_weights_of_a_network_and_touches_nothing_else(make):
    model = make()
    sparsifier = gasl.Sparsifier(model, gasl.L1(strength=0.03), examples(model))
    biases = [p for name, p in model.named_parameters() if name not in sparsifier.groups.tensors]
    for bias in biases:
        bias.requires_grad_(False)
    before = [bias.clone() for bias in biases]
    train(model, sparsifier, sgd(sparsifier), 60)
    zeros = [(w == 0).float().mean() for w in sparsifier.groups.tensors.values()]
    assert all(0.1 < share < 1 for share in zeros)
    assert all(torch.equal(bias, kept) for bias, kept in zip(biases, before, strict=True))


def test_attention_goes_over_it():
    weights = torch.randn(40, dtype=torch.float64)
    method = Attention(over=L1(), granularity="weight", normalise=False)
    plain = Attention(over=GroupLasso(granularity="weight", normalise=False), granularity="weight", normalise=False)
    torch.testing.assert_close(method.rates([weights.abs()], 0.5), plain.rates([weights.abs()], 0.5), rtol=0, atol=0)
    with pytest.raises(InputError, match="the penalty has granularity='weight', the attention 'unit'; set both"):
        Attention(over=L1())
