import math

import pytest
import torch
from torch.distributions import Gamma, HalfCauchy

from gasl.errors import InputError
from gasl.maths import (
    log_normal_gamma_kl,
    log_normal_inverse_gamma_kl,
    log_normal_mean,
    log_normal_mode,
    root_of_product,
)

POINTS = [(0.0, 0.0), (-1.3, -2.0), (2.0, 0.7), (-6.0, -9.0)]


def integral(mu, log_variance, log_prior):
    """KL of a log-normal by a plain sum over t = log x, where q is a normal; ``log_prior`` is the density of t."""
    v = math.exp(log_variance)
    t = mu + math.sqrt(v) * torch.linspace(-14, 14, 200_001, dtype=torch.float64)
    log_q = -0.5 * ((t - mu).square() / v + math.log(2 * math.pi * v))
    return torch.trapezoid(log_q.exp() * (log_q - log_prior(t)), t).item()


def log_gamma(t, scale):
    return t / 2 - t.exp() / scale - 0.5 * math.log(math.pi * scale)  # x p(x) of Gamma(1/2, scale) at x = exp(t)


@pytest.mark.parametrize("scale", [1.0, 0.3, 1e-10])
@pytest.mark.parametrize("point", POINTS)
def test_the_divergence_from_a_gamma_by_integration(point, scale):
    mu, log_variance = point[0] + math.log(scale), point[1]
    got = log_normal_gamma_kl(*torch.tensor([mu, log_variance], dtype=torch.float64), scale=scale)
    assert got.item() == pytest.approx(integral(mu, log_variance, lambda t: log_gamma(t, scale)), rel=1e-8)


@pytest.mark.parametrize("point", POINTS)
def test_the_divergence_from_an_inverse_gamma_by_integration(point):
    got = log_normal_inverse_gamma_kl(*torch.tensor(point, dtype=torch.float64))
    assert got.item() == pytest.approx(integral(*point, lambda t: log_gamma(-t, 1.0)), rel=1e-8)


def test_the_divergences_by_sampling():
    n, mu, v = 400_000, -0.5, 0.6
    t = mu + math.sqrt(v) * torch.randn(n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x, log_q = t.exp(), -0.5 * ((t - mu).square() / v + math.log(2 * math.pi * v)) - t
    gamma = Gamma(torch.tensor(0.5, dtype=torch.float64), torch.tensor(1 / 0.7, dtype=torch.float64))
    inverse = torch.distributions.InverseGamma(torch.tensor(0.5).double(), torch.tensor(1.0).double())
    arguments = torch.tensor([mu, math.log(v)], dtype=torch.float64)
    for prior, got in [
        (gamma, log_normal_gamma_kl(*arguments, scale=0.7)),
        (inverse, log_normal_inverse_gamma_kl(*arguments)),
    ]:
        ratio = log_q - prior.log_prob(x)
        assert abs(ratio.mean() - got) < 4 * ratio.std() / math.sqrt(n)


def test_closed_form():
    zero = torch.zeros((), dtype=torch.float64)
    assert log_normal_gamma_kl(zero, zero).item() == pytest.approx(math.exp(0.5) - (1 + math.log(2)) / 2)
    assert log_normal_gamma_kl(zero, zero, scale=4.0).item() == pytest.approx(
        math.exp(0.5) / 4 + math.log(4) / 2 - (1 + math.log(2)) / 2
    )
    assert torch.equal(log_normal_inverse_gamma_kl(zero + 3, zero), log_normal_gamma_kl(zero - 3, zero))


def test_a_product_of_gamma_and_inverse_gamma_is_a_squared_half_cauchy():
    tau, n = 0.3, 200_000
    torch.manual_seed(2)
    a = Gamma(torch.tensor(0.5).double(), torch.tensor(1 / tau**2).double()).sample((n,))
    b = 1 / Gamma(torch.tensor(0.5).double(), torch.tensor(1.0).double()).sample((n,))
    z = (a * b).sqrt().sort().values
    distance = (HalfCauchy(torch.tensor(tau).double()).cdf(z) - torch.arange(n) / n).abs().max()
    assert distance < 2 / math.sqrt(n)  # Kolmogorov-Smirnov: 1.36 / sqrt(n) is exceeded once in 20 times


def test_the_root_of_a_product_by_sampling():
    generator = torch.Generator().manual_seed(3)
    mus, variances = torch.tensor([-3.0, 3.5, 0.2, -0.4]).double(), torch.tensor([0.1, 0.3, 0.5, 0.2]).double()
    n = 400_000
    logs = mus + variances.sqrt() * torch.randn(n, 4, generator=generator, dtype=torch.float64)
    root = logs.exp().prod(1).sqrt()
    mu, variance = root_of_product(mus.unbind(), variances.unbind())
    assert abs(root.log().mean() - mu) < 4 * (variance / n).sqrt()
    assert root.log().var().item() == pytest.approx(variance.item(), rel=0.01)
    assert abs(root.mean() - log_normal_mean(mu, variance)) < 4 * root.std() / math.sqrt(n)


def test_the_mode_is_where_the_density_is_largest():
    mu, variance = torch.tensor(0.4).double(), torch.tensor(0.8).double()
    x = torch.linspace(1e-3, 5, 500_001, dtype=torch.float64)
    density = torch.distributions.LogNormal(mu, variance.sqrt()).log_prob(x)
    assert x[density.argmax()].item() == pytest.approx(log_normal_mode(mu, variance).item(), abs=1e-5)


def test_gradcheck():
    mu, log_variance = torch.randn(2, 5, dtype=torch.float64).requires_grad_().unbind()
    assert torch.autograd.gradcheck(lambda m, v: log_normal_gamma_kl(m, v, scale=0.2), (mu, log_variance))
    assert torch.autograd.gradcheck(log_normal_inverse_gamma_kl, (mu, log_variance))
    assert torch.autograd.gradcheck(lambda m, v: root_of_product([m, v], [v, v]), (mu, log_variance))


def test_a_tiny_scale_is_no_trouble_in_single_precision():
    mu = torch.tensor([math.log(1e-30)])
    got = log_normal_gamma_kl(mu, torch.tensor([-9.0]), scale=1e-30)
    torch.testing.assert_close(got, log_normal_gamma_kl(torch.zeros(1), torch.tensor([-9.0])), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    mu, log_variance = torch.tensor([10.0]).to(dtype), torch.tensor([3.0]).to(dtype)
    for function in (log_normal_gamma_kl, log_normal_inverse_gamma_kl):
        got = function(mu, log_variance)
        assert got.dtype == torch.float32
        assert torch.equal(got, function(mu.float(), log_variance.float()))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_errors(scale):
    with pytest.raises(InputError, match="needs a finite scale > 0, got"):
        log_normal_gamma_kl(torch.zeros(1), torch.zeros(1), scale=scale)
