import pytest
import torch

from gasl.errors import InputError
from gasl.maths import group_norms, linear_dim
from reference import equations


@pytest.mark.parametrize("shape", [(6,), (4, 3), (300, 7), (5, 3, 2, 2), (2, 3, 4)])
def test_equals_the_loop_along_every_dimension(shape):
    weight = torch.randn(shape, dtype=torch.float64)
    for dim in range(-weight.ndim, weight.ndim):
        layer = [slice_.flatten().tolist() for slice_ in weight.unbind(dim)]
        expected = torch.tensor(equations.norms(layer), dtype=torch.float64)
        torch.testing.assert_close(group_norms(weight, dim), expected, rtol=1e-13, atol=0)


def test_reads_a_transposed_view():
    weight = torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(group_norms(weight.t(), 0), group_norms(weight, 1))


@pytest.mark.parametrize(("shape", "dim"), [((4, 3), 0), ((4, 3), 1), ((3, 2, 2, 2), 0), ((3, 2, 2, 2), 1), ((5,), 0)])
def test_gradient(shape, dim):
    weight = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: group_norms(w, dim), weight)


@pytest.mark.parametrize(("shape", "dim"), [((4, 3), 0), ((4, 3), 1), ((4, 3, 2, 2), 0), ((4, 3, 2, 2), 1), ((4,), 0)])
def test_gradient_is_exactly_zero_at_a_zero_group_and_right_beside_it(shape, dim):
    weight = torch.randn(shape, dtype=torch.float64)
    weight.select(dim, 1).zero_()
    weight.requires_grad_()
    norms = group_norms(weight, dim)
    assert norms[1] == 0
    norms.sum().backward()
    assert (weight.grad.select(dim, 1) == 0).all()
    first = weight.detach().select(dim, 0)
    torch.testing.assert_close(weight.grad.select(dim, 0), first / first.norm())


def test_zero_kernels_inside_a_live_group_have_zero_gradient():
    weight = torch.randn(3, 2, 2, 2, dtype=torch.float64)
    weight[0, 1] = 0
    weight.requires_grad_()
    group_norms(weight, 1).sum().backward()
    assert weight.grad.isfinite().all()
    assert (weight.grad[0, 1] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(4,), (2, 4), (3, 4, 2)])
def test_half_precision_is_summed_in_single(dtype, shape):
    weight = torch.full(shape, 300.0, dtype=dtype)  # 300^2 is more than float16 can hold
    norms = group_norms(weight, -1)
    assert norms.dtype == torch.float32
    torch.testing.assert_close(norms, group_norms(weight.double(), -1).float())


def test_orientation_of_a_linear_layer():
    weight = torch.nn.Linear(3, 2).weight  # (out, in)
    assert group_norms(weight, linear_dim("in")).shape == (3,)
    assert group_norms(weight, linear_dim("out")).shape == (2,)


def test_errors_name_what_came_in():
    with pytest.raises(InputError, match=r"dim=2 for a weight of shape \(2, 2\)"):
        group_norms(torch.ones(2, 2), 2)
    with pytest.raises(InputError, match="unknown orientation 'inn'; did you mean 'in'"):
        linear_dim("inn")
