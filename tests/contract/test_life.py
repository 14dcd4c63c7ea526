"""What a method adds to the loss, what it kills, and that what is handed back is what evaluation mode showed."""

import functools
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from contract.networks import NETWORKS, batch
from contract.table import CASES, ROWS, Case, every_case
from contract.training import POSTERIOR, Training, same, zeros
from gasl.errors import InputError
from gasl.methods import METHODS
from gasl.removal import AxisSparsity, Removal

EARLY = 4  # a step in the middle of the training


@dataclass(frozen=True)
class Life:
    """A method on a network from its first step to what is handed back."""

    penalties: list[Tensor]
    early: dict[str, Tensor]
    zeros: int
    axes: list[AxisSparsity]
    watched: Tensor  # outputs in evaluation mode, gradients recorded
    unwatched: Tensor  # and not, where PyTorch may take shortcuts
    small: nn.Module
    removal: Removal
    model: nn.Module


@functools.cache
def life(case: Case) -> Life:
    """One for each case; for looking at only."""
    training = Training(case)
    penalties = [training.step()[0].detach() for _ in range(EARLY)]
    early = training.tensors()
    penalties += [training.step()[0].detach() for _ in range(case.setting.steps - EARLY)]
    model, sparsifier = training.model.eval(), training.sparsifier
    count, axes = zeros(model), sparsifier.sparsity()
    watched = model(examples(case)).detach()
    with torch.no_grad():
        unwatched = model(examples(case))
    small = sparsifier.finish().eval()
    return Life(penalties, early, count, axes, watched, unwatched, small, sparsifier.removal, model)


def examples(case: Case) -> Tensor:
    return torch.cat([batch(case.network)[0], 10 * batch(case.network, seed=1)[0]])


def test_every_method_has_a_row():
    assert set(ROWS) == set(METHODS)
    assert all(any(setting.exact for setting in row) for row in ROWS.values())
    assert all(type(setting.method) is METHODS[name] for name, row in ROWS.items() for setting in row)


@pytest.mark.parametrize("case", [c for c in CASES if c.network in c.setting.refused], ids=str)
def test_what_a_method_cannot_do_is_said(case):
    with pytest.raises(InputError, match=case.setting.refused[case.network]):
        Training(case)


@every_case()
def test_the_penalty_is_a_finite_scalar_that_can_be_differentiated_or_is_zero(case):
    training = Training(case)
    penalty = training.sparsifier.penalty(training.loss())
    assert penalty.shape == ()
    assert penalty.dtype == torch.float64
    if penalty.requires_grad:
        gradients = torch.autograd.grad(penalty, list(training.model.parameters()), allow_unused=True)
        found = [g for g in gradients if g is not None]
        assert all(bool(g.isfinite().all()) for g in found)
        assert any(bool((g != 0).any()) for g in found)
    else:
        assert penalty == 0
    assert all(bool(p.isfinite()) for p in life(case).penalties)


@every_case()
def test_units_die_that_do_not_die_at_strength_zero(case):
    idle = Training(case, case.setting.idle)
    for _ in range(case.setting.steps):
        assert idle.step()[0] == 0
    assert zeros(idle.model) == 0
    assert (life(case).zeros > 0) == case.setting.exact
    if case.setting.exact and case.setting.method.granularity == "unit":
        assert all(axis.alive == axis.size for axis in idle.sparsifier.sparsity())
        assert any(axis.alive < axis.size for axis in life(case).axes)
        assert all(axis.alive >= 1 for axis in life(case).axes)


@every_case()
def test_the_same_seed_is_the_same_run(case):
    state = torch.get_rng_state()
    early = Training(case).train(EARLY).tensors()
    assert torch.equal(torch.get_rng_state(), state)  # the user's own random numbers are left alone
    assert same(early, life(case).early)
    other = Training(case, seed=1).train(EARLY).tensors()
    assert same(early, other) == (case.setting.draws == "nothing")


@every_case()
def test_evaluation_mode_is_the_network_that_finish_hands_back(case):
    lived = life(case)
    got = lived.small(examples(case)).detach()
    scale = float(lived.watched.abs().max())
    assert float((got - lived.watched).abs().max()) <= 1e-10 * scale
    assert float((lived.unwatched - lived.watched).abs().max()) <= 1e-10 * scale
    assert lived.removal.max_rel_diff <= 1e-10
    assert lived.axes == list(lived.removal.axes)
    assert not torch.allclose(lived.watched, lived.watched[:1])  # a constant would be little to compare
    assert not any(name.startswith(POSTERIOR) for m in (lived.small, lived.model) for name in m.state_dict())
    if case.setting.exact and case.setting.method.granularity == "unit":
        before, after = (sum(p.numel() for p in m.parameters()) for m in (lived.model, lived.small))
        assert after < before


def test_the_networks_are_those_of_the_contract():
    assert set(NETWORKS) == {"lenet", "mlp", "residual", "transformer", "attention"}
