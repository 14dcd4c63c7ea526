"""Structured Bayesian pruning: its value, noise and rule by hand, floors, clamps, and units that die."""

import pytest
import torch
from torch import nn

import gasl
from gasl.errors import InputError
from gasl.maths import (
    truncated_log_normal_kl,
    truncated_log_normal_mean,
    truncated_log_normal_sample,
    truncated_log_normal_snr,
)
from gasl.methods import StructuredBP
from sparsifier.nets import batchnorm, examples, mlp, sgd, task, train

MU = torch.tensor([0.0, -3.0, -10.0, -1.0, -4.0], dtype=torch.float64)
LOG_SIGMA = torch.tensor([-5.0, -1.0, 0.0, 0.0, 0.5], dtype=torch.float64)  # SNR 247, 2.6, 0.76, 1.1, 0.52


def made(method, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).double()
    sparsifier = gasl.Sparsifier(model, method, torch.zeros(2, 4).double(), **options)
    axis = [site.name for site in sparsifier.posterior.units].index("0")
    with torch.no_grad():
        for parameter, values in zip(sparsifier.posterior.of(axis), (MU, LOG_SIGMA), strict=True):
            parameter.copy_(values)
    return sparsifier, axis


def test_the_value_by_hand():
    sparsifier, _ = made(StructuredBP(strength=0.5, factors={"0": 10.0}))
    own, start = truncated_log_normal_kl(MU, LOG_SIGMA), truncated_log_normal_kl(torch.zeros(()), torch.tensor(-5.0))
    assert float(start) == pytest.approx(7.27, abs=5e-3)
    assert sparsifier.penalty().item() == pytest.approx(0.5 * (10 * float(own.sum()) + 4 * float(start)), rel=1e-6)


def test_training_and_test_mode_by_hand():
    sparsifier, axis = made(StructuredBP(strength=0.5), protect=["0.in"])
    model, x = sparsifier.model, torch.randn(6, 4).double()
    u = sparsifier.posterior.draws.once("0", MU, "uniform")

    def by_hand(theta):
        hidden = (x @ model[0].weight.T + model[0].bias).relu() * theta
        return hidden @ model[2]._parameters["weight"].T + model[2].bias

    torch.testing.assert_close(model(x), by_hand(truncated_log_normal_sample(MU, LOG_SIGMA, u)))
    model.eval()
    alive = truncated_log_normal_snr(MU, LOG_SIGMA) > 1
    assert alive.tolist() == [True, True, False, True, False]
    torch.testing.assert_close(model(x), by_hand(alive * truncated_log_normal_mean(MU, LOG_SIGMA)))
    torch.testing.assert_close(
        sparsifier.posterior.test(axis)[:2], torch.tensor([0.994646, 0.053273]).double(), atol=1e-6, rtol=0
    )
    assert sparsifier.finish()[0].out_features == 3


def test_the_threshold():
    sparsifier, axis = made(StructuredBP(strength=0.5, threshold=2.0))
    assert (sparsifier.posterior.test(axis) > 0).tolist() == [True, True, False, False, False]


def test_units_with_the_highest_ratio_stay():
    sparsifier, axis = made(StructuredBP(strength=0.5, threshold=1000.0), min_units={"0": 3})
    theta = sparsifier.posterior.test(axis)
    assert (theta > 0).tolist() == [True, True, False, True, False]
    torch.testing.assert_close(theta[3], truncated_log_normal_mean(MU, LOG_SIGMA)[3])


def test_behind_a_norm_scale_and_shift_are_multiplied():
    model = batchnorm().double()
    sparsifier = gasl.Sparsifier(model, StructuredBP(strength=0.1), examples(model))
    names = [site.name for site in sparsifier.posterior.units]
    theta = sparsifier.posterior.sample(names.index("0"))
    torch.testing.assert_close(model[1].weight, theta * model[1]._parameters["weight"])
    torch.testing.assert_close(model[1].bias, theta * model[1]._parameters["bias"])
    x, y = task(model)
    loss = nn.functional.cross_entropy(model(x), y)
    gradients = torch.autograd.grad(loss, [*sparsifier.posterior.of(names.index("0"))])
    assert all((g != 0).all() for g in gradients)


def test_the_parameters_stay_in_their_range():
    sparsifier, axis = made(StructuredBP(strength=0.5))
    optimizer = sgd(sparsifier)
    for wild in (False, True):
        if wild:
            with torch.no_grad():
                mu, log_sigma = sparsifier.posterior.of(axis)
                mu[:2], log_sigma[:2] = torch.tensor([-30.0, 30.0]), torch.tensor([30.0, -30.0])
        optimizer.zero_grad()
        (sparsifier.model(torch.ones(2, 4).double()).square().mean() + sparsifier.penalty()).backward()
        assert all(p.grad.isfinite().all() for p in sparsifier.model.parameters())
        optimizer.step()
        sparsifier.step(optimizer)
    assert [p[:2].tolist() for p in sparsifier.posterior.of(axis)] == [[-20.0, 5.0], [5.0, -20.0]]


@pytest.mark.parametrize("build", [mlp, batchnorm])
def test_units_die_that_do_not_at_strength_zero(build):
    least = []
    for strength in (0.0, 0.01):
        model = build().double()
        sparsifier = gasl.Sparsifier(model, StructuredBP(strength=strength, log_sigma=-2.0), examples(model))
        weights, own = sparsifier.param_groups()
        optimizer = torch.optim.Adam([weights, {**own, "lr": 0.1}], lr=0.01)
        train(model, sparsifier, optimizer, 60)
        model.eval()
        out = model(task(model)[0])
        torch.testing.assert_close(sparsifier.finish()(task(model)[0]), out, rtol=1e-10, atol=1e-10)
        least.append(min(after / before for before, after in sparsifier.removal.widths.values()))
    assert least[0] == 1
    assert least[1] < 1


def test_a_unit_without_use_becomes_noise():
    """The KL alone: log theta goes to the uniform prior, whose SNR is 0.33, from the paper's initialisation."""
    mu, log_sigma = torch.zeros(1, requires_grad=True), torch.full((1,), -5.0, requires_grad=True)
    optimizer = torch.optim.Adam([mu, log_sigma], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        truncated_log_normal_kl(mu, log_sigma).sum().backward()
        optimizer.step()
    assert truncated_log_normal_kl(mu, log_sigma).item() < 0.02
    assert truncated_log_normal_snr(mu, log_sigma).item() < 0.4


def test_errors():
    for options, message in [
        ({"granularity": "weight"}, "take SparseVD for single weights"),
        ({"threshold": -1.0}, "threshold must be a finite number >= 0"),
        ({"log_sigma": 6.0}, r"log_sigma must lie in -20..5, got 6.0"),
        ({"factors": {"0": -1.0}}, "the factor of '0' must be a finite number"),
    ]:
        with pytest.raises(InputError, match=message):
            StructuredBP(**options)
    with pytest.raises(InputError, match="unknown axis in factors 'fc'"):
        made(StructuredBP(strength=1.0, factors={"fc": 2.0}))
    fixed = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.ReLU(), nn.Conv2d(4, 3, 3))
    fixed[0].requires_grad_(False)
    with pytest.raises(InputError, match="nothing to put noise on"):
        gasl.Sparsifier(fixed, StructuredBP(strength=1.0, scope="channel"), torch.zeros(2, 1, 8, 8))
