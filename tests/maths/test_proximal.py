import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gasl.errors import InputError
from gasl.maths import group_norms, prox_group_lasso, shrink_factors
from reference import equations


@pytest.mark.parametrize("weight", [[3.0, 4.0], [0.3, -0.4], [0.0, 2.0], [-1.2, 0.01]])
@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 1.0, 10.0])
def test_is_the_minimiser(weight, threshold):
    got = prox_group_lasso(torch.tensor(weight, dtype=torch.float64), threshold)
    assert got.tolist() == pytest.approx(equations.prox(weight, threshold), abs=1e-6)


def test_by_slices_each_with_its_own_threshold():
    weight, threshold = torch.randn(4, 3, 2, dtype=torch.float64), torch.tensor([0.5, 0.0, 3.0], dtype=torch.float64)
    got = prox_group_lasso(weight, threshold, dim=1)
    for j in range(3):
        torch.testing.assert_close(got[:, j], prox_group_lasso(weight[:, j], threshold[j]))
    torch.testing.assert_close(prox_group_lasso(weight, threshold, dim=-2), got)


def test_on_single_weights_it_is_soft_thresholding():
    weight = torch.randn(50, dtype=torch.float64)
    torch.testing.assert_close(
        prox_group_lasso(weight, 0.5, dim=0), torch.nn.functional.softshrink(weight, 0.5), rtol=0, atol=1e-15
    )


def test_at_the_threshold_a_group_is_exactly_zero():
    weight = torch.tensor([[3.0, 4.0], [3.0, 4.000001]])
    assert (prox_group_lasso(weight, 5.0, dim=0)[0] == 0).all()
    assert (prox_group_lasso(weight, 5.0, dim=0)[1] > 0).all()


def test_a_negative_rate_is_a_gradient_step():
    weight, rates = torch.randn(3, 4, dtype=torch.float64), torch.tensor([-1.0, -0.1, -7.0], dtype=torch.float64)
    norms = group_norms(weight)
    grown = weight * shrink_factors(norms, rates, lr=0.1)[:, None]
    torch.testing.assert_close(grown, weight - 0.1 * rates[:, None] * weight / norms[:, None])


@pytest.mark.parametrize("left", [0.0, 1e-25])  # 1e-25 squared is 0 in single precision
def test_a_group_without_a_norm_becomes_exactly_zero_whatever_its_rate(left):
    weight = torch.full((4, 3), left)
    factors = shrink_factors(group_norms(weight), torch.tensor([1.0, 0.0, -1.0, 1e30]), lr=0.1)
    assert factors.tolist() == [0.0, 0.0, 0.0, 0.0]
    assert ((weight * factors[:, None]) == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_factor_makes_a_weight_infinite(dtype):
    weight = torch.tensor([1e-45, 1e-40, 1e-30, 1e-3, 0.0], dtype=dtype)
    for rate in (-100.0, 0.0, 100.0):
        factors = shrink_factors(weight, torch.full_like(weight, rate), lr=1.0)
        assert factors.isfinite().all()
        assert (weight * factors).isfinite().all()


@given(norms=st.lists(st.floats(0, 1e6), min_size=1, max_size=5), lr=st.floats(0, 10))
def test_rate_zero_changes_no_bit(norms, lr):
    values = torch.tensor(norms)
    assert torch.equal(values * shrink_factors(values, torch.zeros_like(values), lr), values)


@given(norm=st.floats(1e-3, 1e3), rate=st.floats(-1e2, 1e2), lr=st.floats(1e-4, 1))
def test_the_norm_falls_by_the_step_but_not_below_zero(norm, rate, lr):
    n, r = (torch.tensor([x], dtype=torch.float64) for x in (norm, rate))
    assert (n * shrink_factors(n, r, lr)).item() == pytest.approx(max(0.0, norm - lr * rate), rel=1e-9, abs=1e-12)


def test_errors():
    with pytest.raises(InputError, match=r"norms \(3,\) and rates \(2,\)"):
        shrink_factors(torch.ones(3), torch.ones(2), 0.1)
    with pytest.raises(InputError, match="thresholds >= 0, got -1"):
        prox_group_lasso(torch.ones(3), -1.0)
    with pytest.raises(InputError, match=r"dim=2 for a weight of shape \(3, 3\)"):
        prox_group_lasso(torch.ones(3, 3), 1.0, dim=2)


def test_a_number_as_threshold_keeps_double_precision():
    weight = torch.tensor([3.0, 4.0], dtype=torch.float64)
    torch.testing.assert_close(prox_group_lasso(weight, 0.1), weight * (1 - 0.1 / 5), rtol=1e-15, atol=0)
