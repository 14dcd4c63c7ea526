import math
from functools import partial

import pytest
import torch

from gasl.errors import InputError
from gasl.maths import hard_concrete_active, hard_concrete_mean, hard_concrete_sample, hard_concrete_test

ALPHAS = [-4.0, -2.398, -1.0, 0.0, 0.7, 2.398, 4.0]


def draws(log_alpha, n=400_000, **constants):
    u = torch.rand(n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return hard_concrete_sample(torch.full_like(u, log_alpha), u, **constants)


@pytest.mark.parametrize("log_alpha", ALPHAS)
@pytest.mark.parametrize("constants", [{}, {"beta": 0.5, "gamma": -0.3, "zeta": 1.2}])
def test_as_many_draws_are_above_zero_as_the_probability_says(log_alpha, constants):
    p = hard_concrete_active(torch.tensor(log_alpha, dtype=torch.float64), **constants).item()
    z = draws(log_alpha, **constants)
    assert (z > 0).double().mean().item() == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / z.numel()))


@pytest.mark.parametrize("log_alpha", ALPHAS)
@pytest.mark.parametrize("constants", [{}, {"beta": 0.5, "gamma": -0.3, "zeta": 1.2}])
def test_draws_have_the_mean(log_alpha, constants):
    mean = hard_concrete_mean(torch.tensor(log_alpha, dtype=torch.float64), **constants).item()
    z = draws(log_alpha, **constants)
    assert z.mean().item() == pytest.approx(mean, abs=5 * z.std().item() / math.sqrt(z.numel()))


def test_the_mean_is_that_of_all_quantiles():
    u = (torch.arange(1_000_000, dtype=torch.float64) + 0.5) / 1_000_000
    for log_alpha in (*ALPHAS, -math.log(100), math.log(100)):
        mean = hard_concrete_sample(torch.full_like(u, log_alpha), u).mean().item()
        assert hard_concrete_mean(torch.tensor(log_alpha, dtype=torch.float64)).item() == pytest.approx(mean, abs=1e-7)


def test_gates_without_noise_are_zero_and_one_from_the_closed_form_points_on():
    for rule, point in [("paper", math.log(11)), ("median", 2 / 3 * math.log(11))]:
        near = torch.tensor([-point - 1e-6, -point + 1e-6, point - 1e-6, point + 1e-6], dtype=torch.float64)
        below, above, under, over = hard_concrete_test(near, rule=rule).tolist()
        assert (below, over) == (0.0, 1.0)
        assert 0 < above < 1e-6
        assert 1 - 1e-6 < under < 1
    zero = torch.tensor(-math.log(11))
    assert hard_concrete_active(zero).item() == pytest.approx(0.3102, abs=5e-5)  # and yet its test gate is 0
    assert hard_concrete_active(2 / 3 * zero).item() == pytest.approx(0.5, abs=1e-6)


def test_the_median_is_the_median():
    log_alpha = torch.tensor(ALPHAS, dtype=torch.float64)
    median = hard_concrete_test(log_alpha, rule="median")
    torch.testing.assert_close(median, hard_concrete_sample(log_alpha, torch.full_like(log_alpha, 0.5)))
    for a, m in zip(ALPHAS, median.tolist(), strict=True):
        assert draws(a).median().item() == pytest.approx(m, abs=5e-3)


def test_hand_worked():
    # logit(1/5) = -log 4; (log 4 - log 4) / beta = 0: s = 1/2, z = 1.2 / 2 - 0.1
    assert hard_concrete_sample(torch.tensor(math.log(4)), torch.tensor(0.2)).item() == pytest.approx(0.5)
    # beta = 1 at log alpha = log 3, u = 1/2: s = 3/4, stretched to (-0.5, 1.5): 1
    assert hard_concrete_sample(torch.tensor(math.log(3)), torch.tensor(0.5), 1.0, -0.5, 1.5).item() == 1.0
    # P(z > 0) at log alpha = 0 is 1 / (1 + 11^(-2/3))
    assert hard_concrete_active(torch.zeros(())).item() == pytest.approx(1 / (1 + 11 ** (-2 / 3)))
    # sigmoid(log 2) = 2/3: 0.8 - 0.1
    assert hard_concrete_test(torch.tensor(math.log(2))).item() == pytest.approx(0.7)


def test_values_of_the_authors_code():
    # L0Dense of AMLab-Amsterdam/L0_regularization in single precision: quantile_concrete cut to [0, 1],
    # sample_z(sample=False), 1 - cdf_qz(0)
    log_alpha = torch.tensor([-3.0, -1.5, 0.0, 0.8473, 2.2])
    u = torch.tensor([0.05, 0.2, 0.45, 0.7, 0.97])
    sample = [0.0, 0.0, 0.41037390, 1.0, 1.0]
    without_noise = [0.0, 0.11891065, 0.5, 0.74000055, 0.98029947]
    active = [0.19759357, 0.52462924, 0.83182216, 0.92026091, 0.97808869]
    torch.testing.assert_close(hard_concrete_sample(log_alpha, u), torch.tensor(sample))
    torch.testing.assert_close(hard_concrete_test(log_alpha), torch.tensor(without_noise))
    torch.testing.assert_close(hard_concrete_active(log_alpha), torch.tensor(active))


@pytest.mark.parametrize("u", [0.0, 1.0])
def test_the_ends_of_u_are_gates_zero_and_one(u):
    log_alpha = torch.tensor([-4.6, 0.0, 4.6], requires_grad=True)
    z = hard_concrete_sample(log_alpha, torch.full((3,), u))
    z.sum().backward()
    assert z.tolist() == [u] * 3
    assert log_alpha.grad.tolist() == [0.0] * 3


def test_gradients():
    log_alpha = torch.tensor([-1.0, 0.0, 0.5, 1.0], dtype=torch.float64, requires_grad=True)
    u = torch.tensor([0.5, 0.4, 0.3, 0.45], dtype=torch.float64)
    assert ((hard_concrete_sample(log_alpha, u) > 0) & (hard_concrete_sample(log_alpha, u) < 1)).all()
    assert torch.autograd.gradcheck(lambda a: hard_concrete_sample(a, u), log_alpha)
    assert torch.autograd.gradcheck(hard_concrete_active, log_alpha)
    assert torch.autograd.gradcheck(hard_concrete_mean, log_alpha)
    assert torch.autograd.gradcheck(hard_concrete_test, log_alpha)


@pytest.mark.parametrize("value", [-4.6, -2.0, 0.0, 2.0, 4.6])
def test_single_precision_is_double_rounded(value):
    log_alpha, u = torch.full((99,), value), torch.linspace(0.01, 0.99, 99)
    for function in (lambda a: hard_concrete_sample(a, u.to(a.dtype)), hard_concrete_active, hard_concrete_test):
        torch.testing.assert_close(function(log_alpha), function(log_alpha.double()).float(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("constants", [{"beta": 0.0}, {"gamma": 0.0}, {"zeta": 1.0}, {"beta": math.nan}])
def test_constants_out_of_range(constants):
    sample = partial(hard_concrete_sample, u=torch.ones(2))
    for function in (sample, hard_concrete_active, hard_concrete_mean, hard_concrete_test):
        with pytest.raises(InputError, match="beta > 0, gamma < 0 and zeta > 1"):
            function(torch.ones(2), **constants)


def test_unknown_rule():
    with pytest.raises(InputError, match="mean"):
        hard_concrete_test(torch.zeros(1), rule="mean")
