import math
from functools import partial

import pytest
import torch
from torch.nn import functional

from gasl.maths import gaussian_kl, local_sample, local_variance, log_alpha, log_uniform_kl, product_variance


def wave(*shape, phase, scale=1.0, offset=0.0):
    """The numbers that the reference implementation was given."""
    n = torch.arange(math.prod(shape), dtype=torch.float64)
    return (torch.sin(n * 1.7 + phase) * scale + offset).view(*shape)


def test_the_divergence_is_the_one_of_torch():
    mean, log_variance = torch.randn(2, 50, dtype=torch.float64).unbind()
    q = torch.distributions.Normal(mean, (log_variance / 2).exp())
    p = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    want = torch.distributions.kl_divergence(q, p)
    torch.testing.assert_close(gaussian_kl(mean, log_variance), want, rtol=1e-12, atol=1e-14)


def test_the_divergence_is_exact_near_the_prior():
    assert gaussian_kl(torch.zeros(1), torch.zeros(1)) == 0
    near = gaussian_kl(torch.zeros(1), torch.tensor([1e-3])).item()  # (s^2 - 1) - log s^2 = x^2 / 2 + x^3 / 6 + ...
    assert near == pytest.approx((1e-6 / 2 + 1e-9 / 6) / 2, rel=1e-3)


def test_the_divergence_by_sampling():
    n = 400_000
    noise = torch.randn(n, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mean, log_variance = torch.tensor([0.3, -1.0]).double(), torch.tensor([-2.0, 1.0]).double()
    w = mean + (log_variance / 2).exp() * noise
    ratio = -0.5 * noise.square() - log_variance / 2 + 0.5 * w.square()  # log q(w) - log p(w)
    error = ratio.std(0) / math.sqrt(n)
    assert ((gaussian_kl(mean, log_variance) - ratio.mean(0)).abs() < 4 * error).all()


def test_gradcheck():
    mean, log_variance = torch.randn(2, 6, dtype=torch.float64).requires_grad_().unbind()
    assert torch.autograd.gradcheck(gaussian_kl, (mean, log_variance))
    noise = torch.randn(2, 3, dtype=torch.float64)

    def layer(x, mean, log_variance, bias):
        variance = local_variance(functional.linear, x, log_variance.exp())
        return local_sample(functional.linear(x, mean, bias), variance, noise)

    shapes = [(2, 4), (3, 4), (3, 4), (3,)]
    assert torch.autograd.gradcheck(layer, [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes])


def test_values_of_a_public_implementation():
    # LinearGroupNJ of the tutorial to Bayesian Compression: kl_divergence(), compute_posterior_params(), and the
    # moments inside its forward for given z
    z_mu, z_logvar = wave(4, phase=0.1, scale=0.5, offset=0.6), wave(4, phase=0.2, scale=3, offset=-2)
    mu, logvar = wave(3, 4, phase=0.3), wave(3, 4, phase=0.4, scale=2, offset=-3)
    bias, bias_logvar = wave(3, phase=0.5), wave(3, phase=0.6, scale=2, offset=-3)
    scales = log_uniform_kl(log_alpha(z_mu, z_logvar)).sum()
    total = scales + gaussian_kl(mu, logvar).sum() + gaussian_kl(bias, bias_logvar).sum()
    assert total.item() == pytest.approx(21.464451281372934, rel=1e-12)
    want = [
        [0.09391726443376937, 2.8911782050956925, 0.01323826313634518, 0.007094629658001312],
        [0.2931738338018517, 1.2656171801727927, 0.029466477359192007, 0.0024946073084133433],
        [0.4732286864055749, 0.20367604728737126, 0.03734241653642282, 0.0032085524215235703],
    ]
    got = product_variance(z_mu, z_logvar.exp(), mu, logvar.exp())
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64), rtol=1e-12, atol=0)
    xz = wave(2, 4, phase=0.8) * wave(2, 4, phase=0.7, offset=1)
    mean = functional.linear(xz, mu, bias)
    variance = local_variance(functional.linear, xz, logvar.exp(), bias_logvar.exp())
    want_mean = [
        [1.9783621088827894, 2.465853397055766, 0.6951012916039697],
        [1.0681596688196628, 2.219620385189419, 1.1771550065513332],
    ]
    want_variance = [
        [0.5871391480154713, 0.6976948507489348, 0.5675348296482855],
        [0.5424477307660891, 1.0817098189580638, 1.2840598280502349],
    ]
    torch.testing.assert_close(mean, torch.tensor(want_mean, dtype=torch.float64), rtol=1e-12, atol=0)
    torch.testing.assert_close(variance, torch.tensor(want_variance, dtype=torch.float64), rtol=1e-12, atol=0)


LAYERS = [
    (functional.linear, (2, 4), (3, 4)),
    (partial(functional.conv2d, stride=2, padding=1), (2, 2, 5, 5), (3, 2, 3, 3)),
    (partial(functional.conv2d, groups=2), (1, 4, 3, 3), (4, 2, 2, 2)),
    (partial(functional.conv_transpose1d, stride=2), (1, 2, 4), (2, 3, 3)),
]


@pytest.mark.parametrize(("layer", "inputs", "weights"), LAYERS)
def test_moments_are_those_of_a_layer_with_random_weights(layer, inputs, weights):
    generator = torch.Generator().manual_seed(3)
    x, mean = (torch.randn(s, generator=generator, dtype=torch.float64) for s in (inputs, weights))
    variance = torch.rand(weights, generator=generator, dtype=torch.float64)
    bias = torch.randn(layer(x, mean, None).shape[1], generator=generator, dtype=torch.float64)
    n = 6000
    outputs = torch.stack(
        [
            layer(x, mean + variance.sqrt() * torch.randn(weights, generator=generator, dtype=torch.float64), bias)
            for _ in range(n)
        ]
    )
    want_mean, want_variance = layer(x, mean, bias), local_variance(layer, x, variance)
    assert ((outputs.mean(0) - want_mean).abs() <= 5 * (want_variance / n).sqrt()).all()
    assert ((outputs.var(0) - want_variance).abs() <= 5 * want_variance * math.sqrt(2 / n)).all()


def test_a_sample_has_its_moments():
    noise = torch.randn(200_000, 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    mean, variance = torch.tensor([1.0, -2.0]).double(), torch.tensor([0.25, 4.0]).double()
    sample = local_sample(mean, variance, noise)
    assert ((sample.mean(0) - mean).abs() < 4 * (variance / 200_000).sqrt()).all()
    torch.testing.assert_close(sample.var(0), variance, rtol=0.02, atol=0)


def test_an_input_of_zeros_has_a_finite_gradient():
    variance = torch.tensor([0.0, -1e-6], requires_grad=True)
    local_sample(torch.zeros(2), variance, torch.ones(2)).sum().backward()
    assert variance.grad.isfinite().all()


def test_the_variance_of_a_product_by_sampling():
    n = 400_000
    a, b = torch.randn(2, n, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    product = (2 + 0.5 * a) * (-1 + 3 * b)
    want = product_variance(*(torch.tensor(v, dtype=torch.float64) for v in (2.0, 0.25, -1.0, 9.0))).item()
    assert want == pytest.approx(4 * 9 + 0.25 * 1 + 0.25 * 9)
    assert product.var().item() == pytest.approx(want, rel=0.01)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    mean, log_variance = torch.tensor([0.1, 300.0]).to(dtype), torch.tensor([-9.0, 2.0]).to(dtype)
    got = gaussian_kl(mean, log_variance)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, gaussian_kl(mean.float(), log_variance.float()), rtol=0, atol=0)
