import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gasl.errors import InputError
from gasl.maths import group_norms, group_variance, moments
from reference import equations


def test_closed_form():
    norms = [torch.tensor([5.0, 0.0], dtype=torch.float64)]
    assert group_variance(norms).item() == pytest.approx(6.25 / 2**0.5, rel=1e-15)
    assert group_variance(norms, normalise=False) == 6.25


def test_equals_eq_3_as_loops():
    weights = [torch.randn(4, 3, dtype=torch.float64), torch.randn(7, 2, dtype=torch.float64)]
    got = group_variance([group_norms(w) for w in weights])
    assert got.item() == pytest.approx(equations.psi([w.tolist() for w in weights]), rel=1e-13)


def test_gradient():
    norms = [
        torch.rand(4, dtype=torch.float64, requires_grad=True),
        torch.rand(3, dtype=torch.float64).requires_grad_(),
    ]
    assert torch.autograd.gradcheck(lambda *n: group_variance(n), norms)


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=9), st.floats(0, 1e3))
def test_homogeneous_of_degree_two_and_blind_to_order(values, scale):
    norms = torch.tensor(values, dtype=torch.float64)
    psi = group_variance([norms])
    torch.testing.assert_close(group_variance([scale * norms]), scale**2 * psi)
    torch.testing.assert_close(group_variance([norms.flip(0)]), psi)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(value=st.floats(2**-20, 2**20), groups=st.integers(1, 1000))
def test_equal_groups_have_no_variance_whatever_the_rounding(dtype, value, groups):
    assert not moments(torch.full((groups,), value, dtype=dtype))[2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_difference_in_the_last_bit_is_rounding(dtype):
    one = torch.tensor(0.3, dtype=dtype)
    _, variance, alive = moments(torch.stack([one, one, torch.nextafter(one, one + 1)]))
    assert variance > 0
    assert not alive


@pytest.mark.parametrize(("dtype", "relative"), [(torch.float32, 1e-4), (torch.float64, 1e-13)])
def test_a_small_difference_is_a_variance(dtype, relative):
    assert moments(torch.tensor([1.0, 1.0 + relative], dtype=dtype))[2]


def test_one_group_and_all_zero_groups_have_no_variance():
    assert not moments(torch.tensor([3.0]))[2]
    assert not moments(torch.zeros(5))[2]


def test_errors_name_the_shapes():
    with pytest.raises(InputError, match=r"got shapes \[\(2, 3\)\]"):
        group_variance([torch.ones(2, 3)])
