import math

import pytest
import torch

from gasl.maths import log_alpha, log_uniform_kl


def exact_kl(rates):
    """KL of N(theta, alpha theta^2) from the log-uniform prior by numerical integration, 0 at alpha = infinity.

    With e = +-exp(t) the integrand t exp(t) N(+-exp(t); 1, alpha) is smooth, so that a plain sum is exact.
    """
    t = torch.linspace(-60, 30, 900_001, dtype=torch.float64)
    values = []
    for rate in rates.tolist():
        s = math.exp(rate / 2)
        density = sum(torch.exp(-0.5 * ((sign * t.exp() - 1) / s) ** 2) for sign in (1, -1)) / (
            s * math.sqrt(2 * math.pi)
        )
        mean_log = torch.trapezoid(t * t.exp() * density, t).item()
        limit = -(0.5772156649015329 + math.log(2)) / 2  # E log |n| of a standard normal n
        values.append(mean_log - limit - rate / 2)
    return torch.tensor(values, dtype=torch.float64)


def test_it_is_the_divergence_up_to_a_hundredth():
    rates = torch.linspace(-9, 9, 37, dtype=torch.float64)
    difference = (log_uniform_kl(rates) - exact_kl(rates)).abs()
    assert difference.max() < 0.01
    assert difference.max() > 1e-4  # the fit is not exact: the integral is no copy of it


def test_it_is_the_divergence_by_sampling():
    rates = torch.tensor([-3.0, 0.0, 2.0], dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    n = 400_000
    noise = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    logs = (1 + (rates / 2).exp() * noise).abs().log() - rates / 2  # log q - log p of each sample, up to a constant
    everywhere = noise.abs().log()  # the same at alpha = infinity
    sampled = (logs - everywhere).mean(0)
    error = (logs - everywhere).std(0) / math.sqrt(n)
    assert ((log_uniform_kl(rates) - sampled).abs() < 4 * error + 0.01).all()


def test_values_of_public_implementations():
    # cplxmodule's LinearVD.penalty element by element
    rates = torch.linspace(-9, 9, 7, dtype=torch.float64)
    want = [
        5.135815320786831,
        3.6364460301990835,
        2.115590218970038,
        0.43123895099030884,
        0.0254200433123648,
        0.0012508778016936794,
        6.18516879551753e-05,
    ]
    torch.testing.assert_close(log_uniform_kl(rates), torch.tensor(want, dtype=torch.float64), rtol=1e-12, atol=1e-15)


def test_limits():
    rates = torch.tensor([-1e4, -80.0, 80.0, 1e4], dtype=torch.float64)
    low, low2, high, high2 = log_uniform_kl(rates).tolist()
    assert low == pytest.approx(0.5e4 + 0.63576, rel=1e-12)
    assert low2 == pytest.approx(40 + 0.63576, rel=1e-12)
    assert 0 < high < 1e-30
    assert high2 == 0
    single = log_uniform_kl(rates.float().requires_grad_())
    assert single.isfinite().all()


def test_it_falls_everywhere():
    rates = torch.linspace(-20, 20, 4001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(log_uniform_kl(rates).sum(), rates)
    assert (slope < 0).all()
    assert slope[0] == pytest.approx(-0.5, rel=1e-6)


def test_gradcheck():
    generator = torch.Generator().manual_seed(2)
    mean, log_variance = torch.randn(2, 6, dtype=torch.float64, generator=generator).requires_grad_().unbind()
    assert torch.autograd.gradcheck(lambda m, v: log_uniform_kl(log_alpha(m, v)), (mean, log_variance))


def test_log_alpha_is_the_ratio_of_variance_and_square():
    mean = torch.tensor([0.5, -2.0, 1e-3], dtype=torch.float64)
    rate = torch.tensor([0.1, 1.0, 30.0], dtype=torch.float64)
    got = log_alpha(mean, (rate * mean.square()).log(), eps=0.0)
    torch.testing.assert_close(got, rate.log(), rtol=1e-12, atol=0)


def test_a_zero_weight_has_a_finite_rate_and_gradient():
    mean = torch.zeros(3, requires_grad=True)
    rates = log_alpha(mean, torch.full((3,), -10.0))
    torch.testing.assert_close(rates, torch.full((3,), -10 - math.log(1e-8)))
    log_uniform_kl(rates).sum().backward()
    assert torch.equal(mean.grad, torch.zeros(3))


def test_beyond_the_clip_nothing_pulls():
    log_variance = torch.tensor([-20.0, -1.0, 20.0], requires_grad=True)
    rates = log_alpha(torch.ones(3), log_variance, clip=8.0)
    torch.testing.assert_close(rates, torch.tensor([-8.0, -1.0, 8.0]))
    rates.sum().backward()
    assert log_variance.grad.tolist() == [0, 1, 0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    mean, log_variance = torch.tensor([0.0, 1e-3, 1.0]).to(dtype), torch.tensor([-9.0, -9.0, -9.0]).to(dtype)
    rates = log_alpha(mean, log_variance)
    assert rates.dtype == torch.float32
    torch.testing.assert_close(rates, log_alpha(mean.float(), log_variance.float()), rtol=0, atol=0)
    assert log_uniform_kl(rates.to(dtype)).dtype == torch.float32
