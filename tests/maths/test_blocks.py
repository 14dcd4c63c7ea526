import math

import pytest
import torch

from gasl.maths import (
    bounded_variance,
    gaussian_kl,
    log_alpha,
    log_uniform_kl,
    total_gaussian_kl,
    total_log_uniform_kl,
)
from gasl.maths.layout import BLOCK

CLIP = 4.0


def plain_variance(theta, lv):
    squares = torch.log(theta.square() + 1e-8)
    return torch.exp(torch.clamp(lv, squares - CLIP, squares + CLIP))


PAIRS = {
    "log_uniform": (
        lambda a, b: total_log_uniform_kl(a, b, 1e-8, CLIP),
        lambda a, b: log_uniform_kl(log_alpha(a, b, 1e-8, CLIP)).sum(),
    ),
    "unbounded": (total_log_uniform_kl, lambda a, b: log_uniform_kl(log_alpha(a, b)).sum()),
    "gaussian": (total_gaussian_kl, lambda a, b: gaussian_kl(a, b).sum()),
    "variance": (lambda a, b: bounded_variance(a, b, 1e-8, CLIP), plain_variance),
}
every_pair = pytest.mark.parametrize(("small", "plain"), PAIRS.values(), ids=PAIRS)


def numbers(*shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    return a, (4 * torch.randn(shape, generator=generator, dtype=torch.float64) - 2).clamp(-9, 9).to(dtype)


@every_pair
@pytest.mark.parametrize("shape", [(), (7,), (3, 2, 2), (BLOCK + 5,)])
def test_values_and_gradients_are_those_of_autograd(small, plain, shape):
    a, b = (t.requires_grad_() for t in numbers(*shape))
    got, want = small(a, b), plain(a, b)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-14)
    weight = torch.rand(want.shape, dtype=torch.float64)
    gradients = torch.autograd.grad((got * weight).sum(), (a, b))
    for gradient, expected in zip(gradients, torch.autograd.grad((want * weight).sum(), (a, b)), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-11, atol=1e-13)
    if shape == (7,):
        assert 0 < (gradients[1] == 0).sum() < 7 or small is not PAIRS["variance"][0]


@every_pair
def test_any_layout(small, plain):
    a, b = numbers(4, 3, 2, 2)
    layouts = [
        (a.to(memory_format=torch.channels_last), b.to(memory_format=torch.channels_last)),
        (a, b.to(memory_format=torch.channels_last)),
        (a.transpose(0, 1), b.transpose(0, 1)),
        (torch.cat([a, a], 1)[:, :3], torch.cat([b, b], 1)[:, :3]),
        (a[:1].expand(4, 3, 2, 2), b),
    ]
    for left, right in layouts:
        left, right = left.detach().requires_grad_(), right.detach().requires_grad_()
        got, want = small(left, right), plain(left, right)
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-14)
        expected = torch.autograd.grad(want.sum(), (left, right))
        torch.testing.assert_close(torch.autograd.grad(got.sum(), (left, right)), expected, rtol=1e-11, atol=1e-13)


@every_pair
def test_gradients_can_be_differentiated(small, plain):
    a, b = (t.requires_grad_() for t in numbers(5))
    assert torch.autograd.gradcheck(small, (a, b))
    assert torch.autograd.gradgradcheck(small, (a, b))


@every_pair
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(small, plain, dtype):
    a, b = (t.requires_grad_() for t in numbers(6, dtype=dtype))
    got, want = small(a, b), plain(a.float(), b.float())
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, want, rtol=1e-6, atol=0)
    gradients = torch.autograd.grad(got.sum(), (a, b))
    assert all(g.dtype == dtype for g in gradients)
    torch.testing.assert_close(gradients, torch.autograd.grad(want.sum(), (a, b)), rtol=1e-2, atol=1e-3)


def test_nothing_as_large_as_the_weights_is_kept():
    kept = []
    a, b = (t.requires_grad_() for t in numbers(50))
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        total_log_uniform_kl(a, b, 1e-8, math.inf)
        bounded_variance(a, b, 1e-8, CLIP)
        total_gaussian_kl(a, b)
    assert {t.data_ptr() for t in kept} == {a.data_ptr(), b.data_ptr()}
