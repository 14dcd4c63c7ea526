import itertools
import math

import numpy as np
import pytest
import torch

from gasl.errors import InputError
from gasl.maths import (
    truncated_log_normal_kl,
    truncated_log_normal_mean,
    truncated_log_normal_sample,
    truncated_log_normal_snr,
)

NODES, WEIGHTS = map(torch.from_numpy, np.polynomial.legendre.leggauss(300))
MUS = [-20.0, -19.9, -15.0, -10.0, -5.0, -1.0, -1e-3, -1e-6, 0.0, 1e-6, 1e-3, 0.1, 1.0, 5.0]
LOG_SIGMAS = [-20.0, -17.0, -12.0, -11.0, -8.0, -5.0, -3.0, -1.0, -0.5, 0.0, 0.7, 1.5, 3.0, 5.0]
CLAMP_RANGE = list(itertools.product(MUS, LOG_SIGMAS))


def grid(dtype=torch.float64):
    return torch.tensor(CLAMP_RANGE, dtype=dtype).unbind(1)


def integrals(mu, log_sigma, a=-20.0, b=0.0):
    """KL, mean and SNR by quadrature over y, log theta from its mode; pieces end where a moment's peak falls off."""
    sigma, mode = math.exp(log_sigma), min(max(mu, a), b)
    cuts = {a - mode, 0.0, b - mode}
    for tilt in range(3):
        peak = mu + tilt * sigma**2
        top = min(max(peak, a), b)
        width = sigma / (1 + abs(peak - top) / sigma)
        cuts |= {top - mode + sign * j * width for j in (0, 1, 3, 6, 10, 20, 45) for sign in (1, -1)}
    cuts = sorted(c for c in cuts if a - mode <= c <= b - mode)
    y = torch.cat([(lo + hi) / 2 + (hi - lo) / 2 * NODES for lo, hi in itertools.pairwise(cuts)])
    w = torch.cat([(hi - lo) / 2 * WEIGHTS for lo, hi in itertools.pairwise(cuts)])
    energy = -(y * y / 2 + y * (mode - mu)) / sigma**2
    z = (w * energy.exp()).sum()
    kl = (w * energy.exp() * energy).sum() / z - z.log() + math.log(b - a)
    above = (w * energy.exp() * y.expm1()).sum() / z  # E theta / e^mode - 1
    log_mean = above.log1p() if abs(above) < 0.1 else (w * (energy + y).exp()).sum().log() - z.log()
    variance = (w * energy.exp() * (y - log_mean).expm1().square()).sum() / z
    return kl.item(), math.exp(mode + log_mean.item()), variance.rsqrt().item()


def test_over_the_whole_clamp_range_they_are_what_integration_gives():
    mu, log_sigma = grid()
    kl, mean, snr = torch.tensor([integrals(m, s) for m, s in CLAMP_RANGE], dtype=torch.float64).unbind(1)
    torch.testing.assert_close(truncated_log_normal_kl(mu, log_sigma), kl, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(truncated_log_normal_mean(mu, log_sigma), mean, rtol=1e-13, atol=0)
    torch.testing.assert_close(truncated_log_normal_snr(mu, log_sigma), snr, rtol=2e-5, atol=0)
    usual = snr < 1e3
    torch.testing.assert_close(truncated_log_normal_snr(mu, log_sigma)[usual], snr[usual], rtol=1e-8, atol=0)


def test_another_interval_and_mu_below_it():
    mu, log_sigma = torch.tensor([[-9.0, -2.0], [-3.5, 0.0], [0.2, -3.0], [2.0, 1.0]], dtype=torch.float64).unbind(1)
    want = [integrals(m, s, -3.0, 1.0) for m, s in zip(mu.tolist(), log_sigma.tolist(), strict=True)]
    kl, mean, snr = torch.tensor(want, dtype=torch.float64).unbind(1)
    torch.testing.assert_close(truncated_log_normal_kl(mu, log_sigma, -3.0, 1.0), kl)
    torch.testing.assert_close(truncated_log_normal_mean(mu, log_sigma, -3.0, 1.0), mean)
    torch.testing.assert_close(truncated_log_normal_snr(mu, log_sigma, -3.0, 1.0), snr)


def test_single_precision_is_as_good_as_its_parameters():
    single, double = grid(torch.float32), grid()
    double = [x.float().double() for x in double]
    for function in (truncated_log_normal_kl, truncated_log_normal_mean, truncated_log_normal_snr):
        got = function(*single)
        assert got.dtype == torch.float32
        torch.testing.assert_close(got.double(), function(*double), rtol=1e-7, atol=0)
    u = torch.linspace(0, 1, len(CLAMP_RANGE))
    got, want = truncated_log_normal_sample(*single, u), truncated_log_normal_sample(*double, u.double())
    torch.testing.assert_close(got.double(), want, rtol=1e-7, atol=0)


def test_everything_is_finite_and_has_a_finite_gradient_over_the_whole_clamp_range():
    u = torch.rand(len(CLAMP_RANGE), generator=torch.Generator().manual_seed(0))
    for dtype in (torch.float32, torch.float64):
        mu, log_sigma = (x.clone().requires_grad_() for x in grid(dtype))
        for value in (
            truncated_log_normal_kl(mu, log_sigma),
            truncated_log_normal_mean(mu, log_sigma),
            *(truncated_log_normal_sample(mu, log_sigma, v) for v in (u, torch.zeros_like(u), torch.ones_like(u))),
        ):
            assert (value >= 0).all()
            assert all(g.isfinite().all() for g in (value, *torch.autograd.grad(value.sum(), (mu, log_sigma))))


@pytest.mark.parametrize("log_sigma", [-6.0, -2.0, 0.0, 1.0, 3.0])
def test_gradients(log_sigma):
    mu = torch.tensor([-19.0, -10.0, -4.0, -1e-2, 0.01, 0.3, 3.0], dtype=torch.float64, requires_grad=True)
    log_sigma = torch.full_like(mu, log_sigma).requires_grad_()
    u = torch.linspace(0.1, 0.95, 7, dtype=torch.float64)
    assert torch.autograd.gradcheck(truncated_log_normal_kl, (mu, log_sigma))
    assert torch.autograd.gradcheck(truncated_log_normal_mean, (mu, log_sigma))
    assert torch.autograd.gradcheck(lambda m, s: truncated_log_normal_sample(m, s, u).log(), (mu, log_sigma))


@pytest.mark.parametrize(("mu", "log_sigma"), [(0.0, -5.0), (-3.0, -1.0), (-10.0, 1.0), (-19.5, 0.0), (0.2, -1.0)])
def test_draws(mu, log_sigma):
    u = torch.rand(300_000, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    mu, log_sigma = torch.full_like(u, mu), torch.full_like(u, log_sigma)
    theta = truncated_log_normal_sample(mu, log_sigma, u)
    mean, snr = truncated_log_normal_mean(mu[:1], log_sigma[:1]), truncated_log_normal_snr(mu[:1], log_sigma[:1])
    error = theta.std() / len(u) ** 0.5
    assert (theta.mean() - mean).abs() < 5 * error
    assert (theta.mean() / theta.std() / snr - 1).abs() < 0.05
    # KL by its definition, log q - log p at the draws
    sigma = log_sigma[:1].exp()
    normal = torch.distributions.Normal(mu[:1], sigma)
    z = normal.cdf(torch.zeros(1)) - normal.cdf(torch.tensor(-20.0))
    gap = normal.log_prob(theta.log()) - z.log() + math.log(20)
    assert (gap.mean() - truncated_log_normal_kl(mu[:1], log_sigma[:1])).abs() < 5 * gap.std() / len(u) ** 0.5 + 1e-9


def test_a_draw_has_u_of_the_distribution_below_it():
    # the distribution function by integration of the density up to the draw, also where mu is far outside
    for mu, log_sigma in [(-3.0, 0.0), (0.0, -5.0), (0.1, -5.0), (0.21, -5.0), (5.0, -2.0), (5.0, 1.0), (-20.0, -4.0)]:
        u = torch.tensor([1e-6, 0.03, 0.5, 0.9, 1 - 1e-6], dtype=torch.float64)
        x = truncated_log_normal_sample(torch.full_like(u, mu), torch.full_like(u, log_sigma), u).log()
        mode, sigma = min(mu, 0.0), math.exp(log_sigma)
        width = sigma / (1 + (mu - mode) / sigma)
        for value, probability in zip(x.tolist(), u.tolist(), strict=True):
            areas = []
            for low, high in [(-20.0, value), (value, 0.0)]:
                ends = sorted({low, high, *(min(max(mode + j * width, low), high) for j in range(-45, 46, 3))})
                y = torch.cat([(lo + hi) / 2 + (hi - lo) / 2 * NODES for lo, hi in itertools.pairwise(ends)])
                w = torch.cat([(hi - lo) / 2 * WEIGHTS for lo, hi in itertools.pairwise(ends)])
                areas.append((w * (((mode - mu) ** 2 - (y - mu) ** 2) / (2 * sigma**2)).exp()).sum().item())
            assert areas[0] / sum(areas) == pytest.approx(probability, rel=1e-7)


def test_at_the_papers_initialisation():
    mu, log_sigma = torch.zeros(()), torch.tensor(-5.0)
    assert truncated_log_normal_snr(mu, log_sigma).item() == pytest.approx(247, abs=0.5)
    assert truncated_log_normal_mean(mu, log_sigma).item() == pytest.approx(0.995, abs=5e-4)


def test_of_a_uniform_log_theta():
    # sigma without bound: KL 0, E theta = (1 - e^-20) / 20, E theta^2 = (1 - e^-40) / 40
    mu, log_sigma = torch.tensor(-7.0, dtype=torch.float64), torch.tensor(20.0, dtype=torch.float64)
    assert truncated_log_normal_kl(mu, log_sigma).item() == pytest.approx(0, abs=1e-12)
    mean, square = -math.expm1(-20) / 20, -math.expm1(-40) / 40
    assert truncated_log_normal_mean(mu, log_sigma).item() == pytest.approx(mean)
    assert truncated_log_normal_snr(mu, log_sigma).item() == pytest.approx(mean / math.sqrt(square - mean**2))


def test_values_of_a_public_reference():
    # SBP_utils.py of gaosh/Structured-Bayesian-Pruning-pytorch in single precision, where its own formulas hold
    mu = torch.tensor([0.0, -0.5, -3.0, -10.0, -4.0, -2.0])
    log_sigma = torch.tensor([-5.0, -2.0, -1.0, 0.0, 0.5, 1.0])
    kl = [7.2699404, 3.5777044, 2.5767937, 1.5767938, 1.1101562, 0.98495924]
    mean = [0.99464655, 0.61206472, 0.053272713, 7.4852112e-05, 0.056152202, 0.16784236]
    snr = [246.95076, 7.365099, 2.6268425, 0.76287967, 0.51833177, 0.73162133]
    theta = [0.99304092, 0.67967433, 0.031071741, 4.5399931e-05, 0.14226758, 0.10402027]
    torch.testing.assert_close(truncated_log_normal_kl(mu, log_sigma), torch.tensor(kl), rtol=1e-6, atol=0)
    torch.testing.assert_close(truncated_log_normal_mean(mu, log_sigma), torch.tensor(mean), rtol=5e-6, atol=0)
    # at mu = 0, sigma = e^-5 its 246.95 is off by 0.1 %: single precision; integration gives 246.70
    torch.testing.assert_close(truncated_log_normal_snr(mu, log_sigma)[1:], torch.tensor(snr[1:]), rtol=1e-4, atol=0)
    assert truncated_log_normal_snr(mu, log_sigma)[0].item() == pytest.approx(integrals(0.0, -5.0)[2], rel=1e-6)
    u = torch.tensor([0.3, 0.8, 0.1, 0.5, 0.9, 0.6])
    torch.testing.assert_close(truncated_log_normal_sample(mu, log_sigma, u), torch.tensor(theta), rtol=1e-5, atol=0)


@pytest.mark.parametrize(("a", "b"), [(0.0, -20.0), (-1.0, -0.5), (-math.inf, 0.0), (math.nan, 0.0)])
def test_an_interval_that_is_none(a, b):
    x = torch.zeros(2)
    for function in (truncated_log_normal_kl, truncated_log_normal_mean, truncated_log_normal_snr):
        with pytest.raises(InputError, match="b - a >= 1"):
            function(x, x, a, b)
    with pytest.raises(InputError, match="b - a >= 1"):
        truncated_log_normal_sample(x, x, x, a, b)
