import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gasl.errors import InputError
from gasl.maths import group_lasso, group_norms
from gasl.maths.lasso import group_lasso_rates
from reference import equations


def test_closed_form():
    norms = [torch.tensor([3.0, 0.0, 0.0, 1.0]), torch.tensor([2.0])]
    assert group_lasso(norms) == 4 / 2 + 2
    assert group_lasso(norms, normalise=False) == 6


def test_equals_eq_2_as_loops():
    weights = [torch.randn(4, 3, dtype=torch.float64), torch.randn(7, 2, dtype=torch.float64)]
    got = group_lasso([group_norms(w) for w in weights])
    assert got.item() == pytest.approx(equations.theta([w.tolist() for w in weights]), rel=1e-13)


@pytest.mark.parametrize("normalise", [True, False])
def test_rates_are_the_gradient(normalise):
    norms = [
        torch.rand(4, dtype=torch.float64, requires_grad=True),
        torch.rand(3, dtype=torch.float64).requires_grad_(),
    ]
    expected = torch.autograd.grad(group_lasso(norms, normalise), norms)
    for got, want in zip(group_lasso_rates(norms, normalise), expected, strict=True):
        assert not got.requires_grad
        torch.testing.assert_close(got, want, rtol=1e-15, atol=0)


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=9), st.floats(0, 1e3))
def test_homogeneous_of_degree_one_and_blind_to_order(values, scale):
    norms = torch.tensor(values, dtype=torch.float64)
    theta = group_lasso([norms])
    torch.testing.assert_close(group_lasso([scale * norms]), scale * theta)
    torch.testing.assert_close(group_lasso([norms.flip(0)]), theta)


@pytest.mark.parametrize("function", [group_lasso, group_lasso_rates])
@pytest.mark.parametrize("bad", [[], [torch.ones(2, 3)], [torch.ones(2), torch.ones(0)]])
def test_errors_name_the_shapes(function, bad):
    with pytest.raises(InputError, match="one vector of group norms per layer, got shapes "):
        function(bad)
