"""What a method adds to the loss, what it kills, and that what is handed back is what evaluation mode showed."""

import functools

import pytest
import torch

from contract.networks import NETWORKS, batch
from contract.table import CASES, ROWS, Case, every_case
from contract.training import Training, same, zeros
from gasl.errors import InputError
from gasl.methods import METHODS

EARLY = 4  # a step in the middle of the training


@functools.cache
def lived(case: Case) -> tuple[Training, list[torch.Tensor], dict[str, torch.Tensor]]:
    """A whole training, the penalties on the way, and the weights early on; for looking at only."""
    training = Training(case)
    penalties = [training.step()[0].detach() for _ in range(EARLY)]
    early = training.tensors()
    penalties += [training.step()[0].detach() for _ in range(case.setting.steps - EARLY)]
    return training, penalties, early


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
    assert all(bool(p.isfinite()) for p in lived(case)[1])


@every_case()
def test_units_die_that_do_not_die_at_strength_zero(case):
    training = Training(case, case.setting.idle)
    for _ in range(case.setting.steps):
        assert training.step()[0] == 0
    assert zeros(training.model) == 0
    assert (zeros(lived(case)[0].model) > 0) == case.setting.exact
    if case.setting.exact and case.setting.method.granularity == "unit":
        assert all(axis.alive == axis.size for axis in training.sparsifier.sparsity())
        axes = lived(case)[0].sparsifier.sparsity()
        assert any(axis.alive < axis.size for axis in axes)
        assert all(axis.alive >= 1 for axis in axes)


@every_case()
def test_the_same_seed_is_the_same_run(case):
    state = torch.get_rng_state()
    early = Training(case).train(EARLY).tensors()
    assert torch.equal(torch.get_rng_state(), state)  # the user's own random numbers are left alone
    assert same(early, lived(case)[2])
    other = Training(case, seed=1).train(EARLY).tensors()
    assert same(early, other) == (case.setting.draws == "nothing")


@every_case()
def test_evaluation_mode_is_the_network_that_finish_hands_back(case):
    training = Training(case).train(case.setting.steps)
    model, sparsifier = training.model.eval(), training.sparsifier
    counted = sparsifier.sparsity()
    examples = torch.cat([training.x, 10 * batch(case.network, seed=1)[0]])
    with torch.no_grad():
        fast = model(examples)
    slow = model(examples).detach()
    expected = slow.clone()
    small = sparsifier.finish().eval()
    got = small(examples).detach()
    scale = float(expected.abs().max())
    assert float((got - expected).abs().max()) <= 1e-10 * scale
    assert float((fast - expected).abs().max()) <= 1e-10 * scale
    assert sparsifier.removal.max_rel_diff <= 1e-10
    assert counted == list(sparsifier.removal.axes)
    assert small.state_dict().keys() <= {*model.state_dict(), *small.state_dict()}
    assert not any(name.startswith("_gasl") for name in [*small.state_dict(), *model.state_dict()])
    assert not torch.allclose(expected, expected[:1])  # a constant would be little to compare
    if case.setting.exact and case.setting.method.granularity == "unit":
        before, after = (sum(p.numel() for p in m.parameters()) for m in (model, small))
        assert after < before


def test_the_networks_are_those_of_the_contract():
    assert set(NETWORKS) == {"lenet", "mlp", "residual", "transformer", "attention"}
