import pytest
import torch

from gasl.maths.slices import joint_factors, root, scale_slices_, square_sums


def layouts(shape, dtype=torch.float64):
    """The same numbers as they may lie in memory."""
    weight = torch.randn(shape, dtype=dtype)
    yield weight.clone()
    yield weight.transpose(0, -1).contiguous().transpose(0, -1)  # the last dimension outermost
    gaps = torch.zeros((*shape[:-1], 2 * shape[-1]), dtype=dtype)
    gaps[..., : shape[-1]] = weight
    yield gaps[..., : shape[-1]]  # no view as a matrix
    if weight.ndim == 4:
        yield weight.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(6,), (4, 3), (700, 300), (5, 3, 2, 2), (4, 1, 3, 3), (1, 4, 3, 3)])
def test_sums_along_each_dimension_and_all_at_once_in_any_layout(shape):
    for weight in layouts(shape):
        dims = list(range(weight.ndim))
        expected = [weight.square().sum([d for d in dims if d != dim]) if dims[1:] else weight.square() for dim in dims]
        for dim, got, want in zip(dims, square_sums(weight, dims), expected, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-12, atol=0)
            torch.testing.assert_close(square_sums(weight, [dim])[0], want, rtol=1e-12, atol=0)


@pytest.mark.parametrize("shape", [(6,), (4, 3), (700, 300), (5, 3, 2, 2), (4, 1, 3, 3), (1, 4, 3, 3)])
@pytest.mark.parametrize("largest", [1.0, 2.0])  # shrinking alone, and growing too
def test_scaling_equals_element_by_element_in_any_layout(shape, largest):
    factors = [(d % len(shape), torch.rand(shape[d % len(shape)], dtype=torch.float64) * largest) for d in (0, 1, 0)]
    factors[0][1][0] = 0.0
    for weight in layouts(shape):
        before = weight.clone()
        spread = [f.view([-1 if d == dim else 1 for d in range(weight.ndim)]) for dim, f in factors]
        shrink = torch.stack([s.clamp(max=1).expand(shape) for s in spread]).prod(0)
        growth = 1 + torch.stack([(s - 1).clamp(min=0).expand(shape) for s in spread]).sum(0)
        dims = [0, len(shape) - 1] if len(shape) > 1 else [0]
        sums = scale_slices_(weight, factors, dims)
        torch.testing.assert_close(weight, before * shrink * growth, rtol=1e-12, atol=0)
        assert (weight[0] == 0).all()
        for got, want in zip(sums, square_sums(weight, dims), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-12, atol=0)


def test_rows_alone_and_columns_alone():
    for dim in (0, 1):
        for weight in layouts((300, 900)):
            before, factor = weight.clone(), torch.rand(weight.shape[dim], dtype=torch.float64) * 3
            assert scale_slices_(weight, [(dim, factor)]) == []
            torch.testing.assert_close(weight, before * (factor[:, None] if dim == 0 else factor), rtol=1e-15, atol=0)


def test_nothing_to_scale():
    weight = torch.randn(3, 4)
    before = weight.clone()
    assert scale_slices_(weight, []) == []
    assert torch.equal(weight, before)


def test_two_huge_factors_do_not_multiply():
    huge = torch.tensor([torch.finfo(torch.float32).max])
    assert joint_factors([huge, huge]).isfinite().all()
    assert joint_factors([huge, huge, torch.zeros(1)]) == 0
    weight = torch.full((1, 1), 1e-30)
    grown = torch.tensor([1e28])  # a step of 0.01 on a norm of 1e-30
    scale_slices_(weight, [(0, grown), (1, grown)])
    assert weight.item() == pytest.approx(0.02, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single_and_stays_half(dtype):
    weight = torch.full((2, 3), 300.0, dtype=dtype)
    rows, columns = square_sums(weight, [0, 1])
    assert rows.dtype == columns.dtype == torch.float32
    torch.testing.assert_close(rows, torch.full((2,), 3 * float(weight[0, 0]) ** 2))
    scale_slices_(weight, [(0, torch.tensor([0.5, 0.0])), (1, torch.ones(3))], [0])
    assert weight.dtype == dtype
    assert weight[0, 0] == 150
    assert (weight[1] == 0).all()


def test_sums_are_differentiable_along_both_dimensions():
    weight = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: tuple(square_sums(w, [0, 1])), weight)


def test_sums_under_autocast_are_single_precision():
    weight = torch.randn(64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = square_sums(weight, [0, 1]), square_sums(weight, [0])
    outside = square_sums(weight, [0, 1]), square_sums(weight, [0])
    assert all(torch.equal(a, b) for x, y in zip(inside, outside, strict=True) for a, b in zip(x, y, strict=True))


def test_the_root_has_no_slope_at_zero():
    squares = torch.tensor([4.0, 0.0], requires_grad=True)
    norms = root(squares)
    assert norms.tolist() == root(squares.detach()).tolist() == [2.0, 0.0]
    norms.sum().backward()
    assert squares.grad.tolist() == [0.25, 0.0]
