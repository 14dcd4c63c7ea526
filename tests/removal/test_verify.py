import math

import pytest
import torch
from torch import nn

from gasl.removal.verify import difference_between, largest_difference
from structure.nets import Fn

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("left", "right", "wanted"),
    [
        ([2.0, 4.0], [2.0, 3.0], 0.25),
        ([0.0, 0.0], [0.0, 0.5], 0.5),
        ([NAN, INF, 2.0], [NAN, INF, 2.0], 0.0),
        ([NAN, INF, 2.0], [NAN, INF, 1.0], 0.5),
        ([1.0, 2.0], [NAN, 2.0], INF),
        ([NAN, 2.0], [1.0, 2.0], INF),
        ([INF, 2.0], [-INF, 2.0], INF),
        ([1.0], [1.0, 1.0], INF),
        ([], [], 0.0),
    ],
)
def test_relative_to_the_largest_finite_value(left, right, wanted):
    assert largest_difference(torch.tensor(left), torch.tensor(right)) == wanted


def test_a_small_output_does_not_hide_behind_a_large_one():
    big, small = torch.tensor([1e9]), torch.tensor([1.0])
    assert largest_difference((big, small), (big, 2 * small)) == 1.0
    assert largest_difference((small, big), (small, big * NAN)) == INF
    assert largest_difference((small, big), small) == INF


def test_all_kinds_of_numbers():
    assert largest_difference(torch.tensor([True, False]), torch.tensor([True, True])) == 1.0
    assert largest_difference(torch.tensor([3, 4]), torch.tensor([3, 4])) == 0.0
    assert largest_difference(torch.tensor([3 + 4j]), torch.tensor([3 - 4j])) == pytest.approx(8 / 5)


def test_noise_tells_apart_what_zeros_do_not():
    a, b = nn.Linear(3, 2), nn.Linear(3, 2)
    with torch.no_grad():
        b.bias.copy_(a.bias)
    assert difference_between(a, b, torch.zeros(2, 3)) > 1e-2
    assert difference_between(a, a, torch.zeros(2, 3)) == 0


def test_what_only_the_reference_refuses_is_not_asked():
    def positive(m, x):
        if (x < 0).any():
            raise ValueError("a rule of the model's own")
        return m.a(x)

    layer = nn.Linear(3, 2)
    assert difference_between(Fn(positive, a=layer), Fn(positive, a=layer), torch.rand(2, 3)) == 0
    with pytest.raises(ValueError, match="the model's own"):
        difference_between(Fn(positive, a=layer), Fn(positive, a=layer), -torch.rand(2, 3))


@pytest.mark.parametrize("error", [IndexError, AssertionError, RuntimeError, KeyError])
def test_any_error_of_the_smaller_network_is_a_difference(error):
    def fail(m, x):
        raise error

    assert math.isinf(difference_between(nn.Linear(3, 2), Fn(fail), torch.rand(2, 3)))


def test_not_a_number_on_noise_alone_is_a_difference():
    layer = nn.Linear(3, 2)
    assert difference_between(layer, Fn(lambda m, x: m.a(x) + 0 * x.min().sqrt(), a=layer), torch.rand(2, 3)) == INF
