import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gasl.errors import InputError
from gasl.maths import (
    LogNormal,
    attention,
    attention_force,
    expected_group_variance,
    expected_trace,
    guide,
    guide_pullback,
    guided_vector,
    rank_match,
)
from reference import equations

N = 5
DENSE = torch.tensor([[1.0, 0.2, 0, 0, 0], [0, 2, 0, -0.5, 0], [0, 0, 0.5, 0, 0], [0.1, 0, 0, 1, 0], [0, 0, 3, 0, 1]])
MIXINGS = {
    "identity": None,
    "scalar": 0.7,
    "0-dim": torch.tensor(0.7, dtype=torch.float64),
    "diagonal": torch.tensor([0.5, 1.0, 2.0, 0.1, 0.0], dtype=torch.float64),
    "dense": DENSE.double(),
}
every_mixing = pytest.mark.parametrize("mixing", list(MIXINGS.values()), ids=list(MIXINGS))
vectors = st.lists(st.floats(0, 100), min_size=1, max_size=8)


def pair():
    values = torch.rand(N, dtype=torch.float64) + 0.1
    return values, LogNormal().sample(N, torch.Generator().manual_seed(1)).double()


def var(x):
    return x.var(correction=0)


@every_mixing
def test_equals_eq_4_and_algorithm_1_as_loops(mixing):
    values, beta = pair()
    plain = mixing.tolist() if isinstance(mixing, torch.Tensor) else mixing
    got = guided_vector(values, beta * values, mixing)
    assert got.tolist() == pytest.approx(
        equations.guided_vector(values.tolist(), (beta * values).tolist(), plain), rel=1e-12
    )
    for factors in (beta, 1 / values, 0.1 * beta):
        got = guide(values, factors, mixing)
        assert got.tolist() == pytest.approx(equations.algorithm_1(values.tolist(), factors.tolist(), plain), rel=1e-12)


@given(values=vectors, seed=st.integers(0, 1000), scale=st.floats(0, 3))
def test_identities_of_the_scalar_mixing(values, seed, scale):
    v = torch.tensor(values, dtype=torch.float64)
    beta = LogNormal().sample(v.numel(), torch.Generator().manual_seed(seed)).double()
    guided = guide(v, beta, mixing=scale, conditional=False)
    torch.testing.assert_close(guided.mean(), v.mean())
    torch.testing.assert_close(var(guided), var((1 + scale * beta) * v))


@pytest.mark.parametrize("mixing", [MIXINGS["diagonal"], MIXINGS["dense"]], ids=["diagonal", "dense"])
def test_any_other_mixing_moves_the_mean_over_groups_but_not_its_expectation(mixing):
    values, _ = pair()
    sampler, n = LogNormal(sigma=0.5), 50_000
    expectation = sampler.mean * values
    random_values = sampler.sample(n * N, torch.Generator().manual_seed(0)).double().view(n, N) * values
    matrix = mixing if mixing.ndim == 2 else mixing.diag()
    guided = values + (random_values - expectation) @ matrix.T
    for k in range(3):
        torch.testing.assert_close(guided_vector(values, random_values[k], mixing, expectation), guided[k])
        assert abs(guided_vector(values, random_values[k], mixing).mean() - values.mean()) > 1e-6
    means = guided.mean(1)
    assert abs(means.mean() - values.mean()) < 4 * means.std() / math.sqrt(n)


def test_the_branch_returns_the_values_bit_for_bit():
    values, beta = pair()
    calm = 1 / values  # V^r is constant
    assert torch.equal(guide(values, calm), values)
    assert not torch.equal(guide(values, calm, conditional=False), values) or var(calm * values) == 0
    assert not torch.equal(guide(values, beta), values)
    halved = torch.full_like(values, 0.5)  # Var[V^r] = Var[V] / 4
    assert torch.equal(guide(values, halved), values)
    assert not torch.equal(guide(values, halved, conditional=False), values)
    assert torch.equal(guide(values, torch.ones_like(values)), values)  # equal is not greater


@every_mixing
@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("factor", [1.0, 0.05], ids=["guided", "branch not taken"])
@pytest.mark.parametrize("inverse", ["total", "log", "cv", "standardised"])
def test_the_pullback_is_the_gradient(mixing, conditional, detach, factor, inverse):
    values, beta = pair()
    values.requires_grad_()
    settings = {"mixing": mixing, "conditional": conditional, "detach": detach}
    value = attention([guide(values, factor * beta, **settings)], inverse)
    (expected,) = torch.autograd.grad(value, values)
    fixed = values.detach()
    (force,) = attention_force([guide(fixed, factor * beta, **settings)], inverse)
    torch.testing.assert_close(
        guide_pullback(force, fixed, factor * beta, **settings), expected, rtol=1e-10, atol=1e-13
    )


@every_mixing
def test_gradcheck(mixing):
    values, beta = pair()
    assert torch.autograd.gradcheck(lambda v: guide(v, beta, mixing, conditional=False), values.requires_grad_())


def test_closed_form_derivatives_of_the_guided_variance():
    values, beta = pair()
    values.requires_grad_()
    y = (1 + beta) * values.detach()
    (got,) = torch.autograd.grad(var(guide(values, beta)), values)
    torch.testing.assert_close(got, 2 / N * (1 + beta) * (y - y.mean()))
    guided = guide(values, beta, detach=True)
    (got,) = torch.autograd.grad(var(guided), values)
    torch.testing.assert_close(got, 2 / N * (guided - values.mean()).detach())


@pytest.mark.parametrize("sampler", [LogNormal(), LogNormal(mu=-0.5, sigma=0.3)])
def test_expected_variance_and_its_gradient_against_monte_carlo(sampler):
    values, n = pair()[0].requires_grad_(), 100_000
    expected = expected_group_variance(values, sampler.mean, sampler.variance)
    (slope,) = torch.autograd.grad(expected, values)
    fixed = values.detach()
    y = (1 + sampler.sample(n * N, torch.Generator().manual_seed(0)).double().view(n, N)) * fixed
    samples = y.var(dim=1, correction=0)
    assert abs(samples.mean() - expected) < 4 * samples.std() / math.sqrt(n)
    slopes = 2 / N * y / fixed * (y - y.mean(1, keepdim=True))
    assert ((slopes.mean(0) - slope).abs() < 4 * slopes.std(0) / math.sqrt(n)).all()
    spread = sampler.variance * (1 - 1 / N)
    closed = 2 / N * ((1 + sampler.mean) ** 2 * (fixed - fixed.mean()) + spread * fixed)
    torch.testing.assert_close(slope, closed)


def covariances(values_cov, map_to_random, noise):
    # V^r = A V + noise, so that V and V^r are correlated.
    return values_cov, map_to_random @ values_cov @ map_to_random.T + noise, map_to_random @ values_cov


@every_mixing
def test_trace_of_eq_5_against_loops_and_monte_carlo(mixing):
    generator, n = torch.Generator().manual_seed(0), 200_000
    root, across, noise_root = (torch.randn(N, N, generator=generator, dtype=torch.float64) / 2 for _ in range(3))
    var_v, var_r, cov = covariances(root @ root.T, across, noise_root @ noise_root.T)
    expected = expected_trace(var_v, var_r, cov, mixing)
    plain = mixing.tolist() if isinstance(mixing, torch.Tensor) else mixing
    assert expected.item() == pytest.approx(
        equations.trace_of_eq_5(var_v.tolist(), var_r.tolist(), cov.tolist(), plain), rel=1e-12
    )
    values = torch.randn(n, N, generator=generator, dtype=torch.float64) @ root.T
    random_values = values @ across.T + torch.randn(n, N, generator=generator, dtype=torch.float64) @ noise_root.T
    matrix = torch.tensor(equations.matrix(plain, N), dtype=torch.float64)
    one = guided_vector(values[0], random_values[0], mixing, expectation=torch.zeros(N, dtype=torch.float64))
    guided = values + random_values @ matrix.T
    torch.testing.assert_close(one, guided[0])
    squares = guided.square().sum(1)
    assert abs(squares.mean() - expected) < 4 * squares.std() / math.sqrt(n)
    centring = torch.eye(N, dtype=torch.float64) - 1 / N  # the mean over the groups for E V^r: M P for M
    centred = values + (random_values - random_values.mean(1, keepdim=True)) @ matrix.T
    torch.testing.assert_close(guided_vector(values[0], random_values[0], mixing), centred[0])
    squares = centred.square().sum(1)
    assert abs(squares.mean() - expected_trace(var_v, var_r, cov, matrix @ centring)) < 4 * squares.std() / math.sqrt(n)


def test_rank_matching_gives_the_largest_factor_to_the_largest_value():
    values, beta = torch.rand(100), LogNormal().sample(100, torch.Generator().manual_seed(0))
    matched = rank_match(beta, values)
    assert torch.equal(matched.sort().values, beta.sort().values)
    assert torch.equal(matched.argsort(), values.argsort())
    assert torch.corrcoef(torch.stack([matched, values]))[0, 1] > torch.corrcoef(torch.stack([beta, values]))[0, 1]


def test_rank_matched_factors_make_the_vectors_correlate_and_the_variance_largest():
    values, beta = pair()
    best = var(guide(values, rank_match(beta, values), conditional=False))
    for seed in range(20):
        order = torch.randperm(N, generator=torch.Generator().manual_seed(seed))
        assert var(guide(values, beta[order], conditional=False)) <= best + 1e-12


def test_errors_name_what_came_in():
    with pytest.raises(InputError, match=r"one length, got \(3,\) and \(2,\)"):
        guided_vector(torch.ones(3), torch.ones(2))
    with pytest.raises(InputError, match=r"\(3,\) or \(3, 3\) for 3 elements, got \(2, 2\)"):
        guided_vector(torch.ones(3), torch.ones(3), torch.ones(2, 2))
    with pytest.raises(InputError, match="three square covariances"):
        expected_trace(torch.eye(3), torch.eye(2), torch.eye(3))
