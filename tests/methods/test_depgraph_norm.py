import pytest
import torch
from torch import nn

import gasl
from gasl.errors import InputError
from gasl.methods import Attention, DepGraphNorm
from gasl.sparsifier.optimizers import states_of
from methods.toy import ToyGroups, new_state, train_step
from sparsifier.nets import batchnorm, examples, mlp, sgd, train


def test_closed_form():
    norms = [torch.tensor([1.0, 3.0, 2.0])]  # gamma = 16, 1, 4
    assert DepGraphNorm().rates(norms, 0.5)[0].tolist() == [8.0, 1.5, 4.0]
    assert DepGraphNorm().value(norms, 0.5) == 0.5 * (16 + 9 + 16) / 2
    assert DepGraphNorm(alpha=0.0).rates(norms, 0.5)[0].tolist() == [0.5, 1.5, 1.0]  # a plain ridge


@pytest.mark.parametrize("step", ["proximal", "loss"])
def test_a_step_multiplies_each_group(step):
    weight = torch.tensor([[0.6, 0.8], [0.0, 3.0], [2.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    groups = ToyGroups(weight)
    train_step(DepGraphNorm(step=step), groups, new_state(0.01), lr=0.5)
    gamma = 2 ** (4 * (3 - torch.tensor([1.0, 3.0, 2.0, 0.0], dtype=torch.float64)) / 3)
    expected = weight * (1 - 0.5 * 0.01 * gamma)[:, None]
    torch.testing.assert_close(groups.weights[0].detach(), expected, rtol=1e-14, atol=0)


def test_groups_of_equal_size_shrink_alike_and_stay_finite():
    groups = ToyGroups(torch.ones(3, 2))
    train_step(DepGraphNorm(), groups, new_state(0.1), lr=1.0)
    torch.testing.assert_close(groups.weights[0].detach(), torch.full((3, 2), 0.9, dtype=torch.float64))


def test_small_groups_fall_behind():
    groups = ToyGroups(torch.tensor([[1.0], [0.9]]))
    before = 0.9
    state = new_state(0.1)
    for _ in range(20):  # each step by 0.99 and by 1 - 0.01 * 16
        train_step(DepGraphNorm(), groups, state, lr=0.1)
    first, second = groups.weights[0].detach()[:, 0].tolist()
    torch.testing.assert_close(second / first, before * (0.84 / 0.99) ** 20)


def test_the_cut_ranks_relative_norms_and_keeps_the_floor():
    weights = [torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[20.0], [10.0], [90.0], [40.0]])]
    groups, state = ToyGroups(*weights), new_state(0.0)  # relative: 1/2, 1, 3/2; 1/2, 1/4, 9/4, 1
    for _ in range(3):
        train_step(DepGraphNorm(fraction=3 / 7, cut_at=2), groups, state, lr=0.1)
        if state.step == 1:
            assert state.dead is None
    assert [d.tolist() for d in state.dead] == [[True, False, False], [True, True, False, False]]
    assert [w.flatten().tolist() for w in groups.weights] == [[0.0, 2.0, 3.0], [0.0, 0.0, 90.0, 40.0]]
    for cap, gone in ((0.5, [1, 2]), (1.0, [2, 3])):  # one of each stays
        state = new_state(0.0)
        train_step(DepGraphNorm(fraction=1.0, cut_at=1, cap=cap), ToyGroups(*weights), state, lr=0.1)
        assert [int(d.sum()) for d in state.dead] == gone


@pytest.mark.parametrize("step", ["proximal", "loss"])
@pytest.mark.parametrize("over", [False, True])
def test_after_the_cut_survivors_are_left_alone(step, over):
    method = DepGraphNorm(step=step, fraction=0.5, cut_at=2)
    if over:
        method = Attention(over=method, step=step, inverse="cv", alpha=0.1)
    groups, state = ToyGroups(torch.tensor([[1.0], [4.0], [2.0], [3.0]])), new_state(0.05)
    for expected in (False, True, True):
        before = groups.weights[0].detach().clone()
        train_step(method, groups, state, lr=0.1)
        assert (state.dead is not None) == expected
        if state.step == 3:
            assert torch.equal(groups.weights[0], before)
    assert state.dead[0].tolist() == [True, False, True, False]
    assert (groups.weights[0].flatten() == 0).tolist() == [True, False, True, False]


def test_what_was_zero_before_the_cut_stays_zero():
    groups, state = ToyGroups(torch.tensor([[0.0], [4.0], [0.0], [3.0]])), new_state(0.0)
    train_step(DepGraphNorm(fraction=0.0, cut_at=1), groups, state, lr=0.1)
    assert state.dead[0].tolist() == [True, False, True, False]


@pytest.mark.parametrize("make", [mlp, batchnorm])
@pytest.mark.parametrize("options", [{"momentum": 0.9}, {"momentum": 0.9, "weight_decay": 0.1}])
def test_what_is_cut_stays_zero_and_is_no_longer_penalised(make, options):
    model = make()
    sparsifier = gasl.Sparsifier(model, DepGraphNorm(strength=1e-3, fraction=0.5, cut_at=4), examples(model))
    optimizer = sgd(sparsifier, **options)
    train(model, sparsifier, optimizer, 3)
    assert not any(d.any() for d in sparsifier.groups.dead())
    train(model, sparsifier, optimizer, 1)
    dead = sparsifier.state.dead
    assert sum(int(d.sum()) for d in dead) == round(0.5 * sum(d.numel() for d in dead))
    (momentum,) = states_of(optimizer, sparsifier.groups.tensors)
    before = {name: buffer.clone() for name, buffer in momentum.items()}
    sparsifier.groups.clear_(dead, within=momentum)
    assert all(torch.equal(momentum[name], before[name]) for name in before)  # it was cleared with the cut
    train(model, sparsifier, optimizer, 20)
    assert all((now[d]).all() for now, d in zip(sparsifier.groups.dead(), dead, strict=True))
    assert not all(now.all() for now in sparsifier.groups.dead())
    assert sparsifier.state.rates is None
    sparsifier.finish()
    before, after = (sum(sizes) for sizes in zip(*sparsifier.removal.widths.values(), strict=True))
    assert after <= 0.55 * before


def test_half_a_cut_is_refused():
    with pytest.raises(InputError, match=r"needs both fraction and cut_at, got fraction=0\.5, cut_at=None"):
        DepGraphNorm(fraction=0.5)
    with pytest.raises(InputError, match=r"fraction must be a number from 0 to 1, got 1\.5"):
        DepGraphNorm(fraction=1.5, cut_at=1)
    with pytest.raises(InputError, match="cut_at counts optimizer steps from 1, got 0"):
        DepGraphNorm(fraction=0.5, cut_at=0)
    with pytest.raises(InputError, match="cap must be a number from 0 to 1, got nan"):
        DepGraphNorm(cap=float("nan"))


def test_values_of_the_authors_library():
    """What the authors' pruner (GroupNormPruner, reg 0.01, alpha 4) adds to the gradients of these two convolutions."""
    model = nn.Sequential(nn.Conv2d(1, 3, 2, bias=False), nn.ReLU(), nn.Conv2d(3, 2, 2, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_((torch.arange(12, dtype=torch.float64) - 4).view(3, 1, 2, 2) / 10)
        model[2].weight.copy_(torch.arange(24, dtype=torch.float64).sin().view(2, 3, 2, 2))
    images = torch.ones(1, 1, 5, 5, dtype=torch.float64)
    gasl.Sparsifier(model, DepGraphNorm(strength=0.01, step="loss"), images).penalty().backward()
    first = [-0.064, -0.048, -0.032, -0.016, 0, 0.0157285, 0.0314570, 0.0471855, 0.004, 0.005, 0.006, 0.007]
    torch.testing.assert_close(
        model[0].weight.grad.flatten(), torch.tensor(first, dtype=torch.float64), rtol=0, atol=1e-6
    )
    second = [0, 0.1346354, 0.1454876, 0.0225792, -0.1190338, -0.1508245, -0.0439479, 0.1033342, 0.0098936, 0.0041212]
    for weight, values in ((model[0].weight, first), (model[2].weight, second)):
        expected = torch.tensor(values, dtype=torch.float64)
        torch.testing.assert_close(weight.grad.flatten()[: len(values)], expected, rtol=0, atol=1e-6)
