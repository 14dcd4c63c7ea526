import math

import pytest
import torch

from gasl.errors import InputError
from gasl.maths import growing_ridge, growing_ridge_rates, growing_weights, relative


def layers():
    return [torch.tensor([0.5, 2.0, 1.25, 0.0], dtype=torch.float64), torch.tensor([3.0, 1.0], dtype=torch.float64)]


def test_weights_by_a_loop():
    for norms in layers():
        largest, smallest = max(norms.tolist()), min(norms.tolist())
        expected = [2 ** (3.0 * (largest - n) / (largest - smallest)) for n in norms.tolist()]
        torch.testing.assert_close(growing_weights(norms, 3.0), torch.tensor(expected, dtype=torch.float64))
        torch.testing.assert_close(growing_weights(7 * norms, 3.0), growing_weights(norms, 3.0))


@pytest.mark.parametrize("norms", [torch.full((3,), 0.2), torch.ones(1), torch.zeros(4)])
def test_equal_groups_get_weight_one(norms):
    assert growing_weights(norms, 4.0).tolist() == [1.0] * norms.numel()


def test_the_rates_are_the_slope_with_the_weights_held_fixed():
    norms = [n.requires_grad_() for n in layers()]
    value = growing_ridge(norms, 4.0)
    slopes = torch.autograd.grad(0.3 * value, norms)
    for rate, slope, n in zip(growing_ridge_rates(norms, 4.0, 0.3), slopes, norms, strict=True):
        assert not rate.requires_grad
        torch.testing.assert_close(rate, slope)
        torch.testing.assert_close(rate, 0.3 * growing_weights(n, 4.0) * n.detach())
    pairs = [
        (float(g), float(n)) for layer in layers() for g, n in zip(growing_weights(layer, 4.0), layer, strict=True)
    ]
    assert math.isclose(value.item(), sum(g * n**2 / 2 for g, n in pairs))


def test_relative_norms_have_mean_one_whatever_the_scale():
    got = relative([torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0, 30.0]), torch.zeros(2)])
    assert [n.tolist() for n in got] == [[0.5, 1.0, 1.5], [0.5, 1.5], [0.0, 0.0]]


@pytest.mark.parametrize("function", [lambda n: growing_ridge(n, 1.0), lambda n: growing_ridge_rates(n, 1.0), relative])
def test_what_is_no_layer_is_refused(function):
    with pytest.raises(InputError, match="one vector of group norms per layer"):
        function([torch.zeros(2, 2)])
