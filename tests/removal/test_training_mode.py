"""The check in training mode: what it sees, what it keeps, and when there is nothing to compare."""

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn

import gasl
from gasl.errors import RemovalError
from gasl.removal import shrink, shrink_
from removal.zeros import assert_same, ignore, kill
from structure.nets import Fn, image


def normed():
    """A dead filter whose norm makes a constant of the running statistics, and another one of a batch's."""
    torch.manual_seed(0)
    model = nn.Sequential(
        kill(nn.Conv2d(3, 4, 3), 1),
        nn.BatchNorm2d(4),
        nn.Sigmoid(),
        nn.Conv2d(4, 3, 1),
        nn.Flatten(),
        nn.Linear(108, 2),
    )
    with torch.no_grad():
        model[1].running_mean.normal_()
        model[1].bias.normal_()
    return model.double(), image(5).double()


def test_in_training_a_unit_whose_constant_depends_on_the_mode_stays():
    model, x = normed()
    small, removal = shrink(model, x)
    assert removal.widths["0"] == (4, 4)
    assert removal.max_rel_diff_train <= 1e-10
    for mode in (True, False):
        assert_same(copy.deepcopy(small).train(mode), copy.deepcopy(model).train(mode), x)


def test_in_evaluation_it_goes_and_the_difference_is_said():
    model, x = normed()
    small, removal = shrink(model.eval(), x)
    assert removal.widths["0"] == (4, 3)
    assert removal.max_rel_diff <= 1e-10
    assert removal.max_rel_diff_train > 1e-3
    assert str(removal).endswith(f", in training mode {removal.max_rel_diff_train:.1e}")
    assert_same(small, model, x)


def test_where_the_statistics_have_settled_it_goes_in_training_too():
    model, x = normed()
    with torch.no_grad():
        model[1].running_mean[1] = model[0].bias[1]
    _, removal = shrink(model, x)
    assert removal.widths["0"] == (4, 3)
    assert removal.max_rel_diff_train <= 1e-10
    assert removal.plan.folds


def test_what_is_made_of_such_a_unit_stays_too_and_nothing_else():
    torch.manual_seed(0)
    model = nn.Sequential(
        kill(nn.Linear(3, 4, bias=False), 1, 2), nn.BatchNorm1d(4), nn.Sigmoid(), nn.Linear(4, 5), nn.Sigmoid(),
        nn.Linear(5, 2),
    ).double()  # fmt: skip
    with torch.no_grad():
        model[1].running_mean.normal_()
        model[1].weight[2] = 0  # the same constant in both modes
        model[3].weight[0] = torch.tensor([0.0, 1.0, 1.0, 0.0])
        model[3].weight[1] = torch.tensor([0.0, 0.0, 1.0, 0.0])
    x = torch.randn(6, 3).double()
    small, removal = shrink(model, x)
    assert [removal.plan.keep[name, 0].tolist() for name in ("0.weight", "3.weight")] == [[0, 1, 3], [0, 2, 3, 4]]
    for mode in (True, False):
        assert_same(copy.deepcopy(small).train(mode), copy.deepcopy(model).train(mode), x)


def test_frozen_norms_are_taken_as_they_are():
    model, x = normed()
    model[1].eval()
    small, removal = shrink(model, x)
    assert removal.widths["0"] == (4, 3)
    assert removal.max_rel_diff_train <= 1e-10
    assert [m.training for m in small] == [m.training for m in model]


def test_running_statistics_are_not_moved():
    model, x = normed()
    before = copy.deepcopy(model.state_dict())
    objects = [id(b) for b in model.buffers()]
    small, removal = shrink(model, x)
    shrink_(model, x)
    assert objects == [id(b) for b in model.buffers()]
    for after in (model.state_dict(), small.state_dict()):
        assert all(torch.equal(value, before[name]) for name, value in after.items())
    assert removal.max_rel_diff_train == 0


def cheating(draw):
    """In training mode its outputs are drawn."""
    return Fn(
        lambda m, x: m.b(torch.relu(m.a(x))) + (draw(x) if m.training else 0),
        a=kill(nn.Linear(3, 4), 1, bias=True), b=nn.Linear(4, 2),
    ).double()  # fmt: skip


OWN = torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    "draw",
    [
        lambda x: torch.rand(()),
        lambda x: nn.functional.dropout(x.sum() + torch.ones(50), 0.5).sum(),
        lambda x: random.random(),
        lambda x: np.random.rand(),  # noqa: NPY002
        lambda x: torch.rand((), generator=OWN),
    ],
)
def test_random_numbers_leave_nothing_to_compare(draw):
    model, x = cheating(draw), torch.randn(2, 3).double()
    states = torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[2]  # noqa: NPY002
    _, removal = shrink(model, x)
    assert removal.widths["a"] == (4, 3)
    assert removal.max_rel_diff_train is None
    assert states == (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[2])  # noqa: NPY002


def test_dropout_that_drops_nothing_is_compared():
    model = nn.Sequential(kill(nn.Linear(3, 4), 1), nn.Dropout(0.0), nn.Linear(4, 2)).double()
    assert shrink(model, torch.randn(2, 3).double())[1].max_rel_diff_train <= 1e-10


def test_a_network_that_does_not_train_on_the_example_is_not_asked_to():
    model = nn.Sequential(kill(nn.Linear(3, 4), 1), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()
    _, removal = shrink(model.eval(), torch.randn(1, 3).double())
    assert removal.widths["0"] == (4, 3)
    assert removal.max_rel_diff_train is None


@pytest.mark.parametrize("cut", [shrink, shrink_])
@pytest.mark.parametrize("mode", [True, False])
def test_a_width_that_is_held_as_a_number_in_training_alone_is_refused_by_name(cut, mode):
    def forward(m, x):
        x = torch.relu(m.b(torch.relu(m.a(x))))
        return m.c(x.view(-1, 4) if m.training else x)

    model = Fn(
        forward, a=kill(nn.Linear(3, 4), 1, bias=True), b=kill(nn.Linear(4, 4), 2, bias=True), c=nn.Linear(4, 2),
    ).double().train(mode)  # fmt: skip
    x = torch.randn(8, 3).double()
    with pytest.raises(RemovalError, match=r"units of 'b' would change the outputs in training mode.*protect=\['b'\]"):
        cut(model, x)
    assert model.training is mode
    assert model.b.weight.shape == (4, 4)
    removal = cut(model, x, protect=["b"])
    assert (removal if cut is shrink_ else removal[1]).widths["a"] == (4, 3)


def test_in_single_precision_a_float64_copy_decides_there_too():
    torch.manual_seed(0)
    model = nn.Sequential(kill(nn.Linear(8, 64), *range(0, 64, 3), bias=True), nn.ReLU(), nn.Linear(64, 16))
    deep = Fn(lambda m, x: _chaos(m.net(x)) if m.training else m.net(x), net=model)
    small, removal = shrink(deep, torch.randn(8, 8))
    assert removal.max_rel_diff_train <= 1e-10
    assert small.net[0].weight.dtype is torch.float32


def _chaos(x):
    for _ in range(9):
        x = torch.sin(3 * x)
    return x


def test_a_sparsifiers_dead_are_dead_in_both_modes():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.Flatten(),
                          nn.Linear(144, 3))  # fmt: skip
    x = torch.randn(8, 1, 8, 8)
    sparsifier = gasl.Sparsifier(model, gasl.GroupLasso(strength=3.0, scope="filter"), x)
    optimizer = torch.optim.SGD(sparsifier.param_groups(), lr=0.1)
    for _ in range(12):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        sparsifier.step(optimizer)
    sparsifier.finish()
    assert sparsifier.removal.widths["0"][1] < 6
    assert sparsifier.removal.max_rel_diff_train <= 1e-5


def test_protect_takes_modules_and_patterns():
    model = nn.Sequential(
        nn.Sequential(kill(nn.Linear(3, 4), 1), nn.ReLU(), kill(nn.Linear(4, 5), 2)),
        nn.ReLU(),
        ignore(nn.Linear(5, 2), 0),
    ).double()
    x = torch.randn(2, 3).double()
    assert shrink(model, x)[1].widths == {"0.0.in": (3, 3), "0.0": (4, 3), "0.2": (5, 3)}
    assert shrink(model, x, protect=["0"])[1].widths == {"0.0.in": (3, 3), "0.0": (4, 4), "0.2": (5, 5)}
    assert shrink(model, x, protect=("*.2",))[1].widths["0.2"] == (5, 5)
    assert shrink_(model, x, protect={"0.0"}).widths == {"0.0.in": (3, 3), "0.0": (4, 4), "0.2": (5, 3)}
