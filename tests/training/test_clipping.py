"""Clipping whose range follows the learning rate."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gasl.training import clip_value, clip_value_


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-3, 1), st.floats(1e-4, 1), st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=8))
def test_no_weight_moves_by_more_than_zeta(zeta: float, lr: float, gradient: list[float]) -> None:
    weight = nn.Parameter(torch.zeros(len(gradient), dtype=torch.float64))
    weight.grad = torch.tensor(gradient, dtype=torch.float64)
    clip_value_([weight], zeta, lr)
    for before, after in zip(gradient, weight.grad.tolist(), strict=True):
        assert after == pytest.approx(max(-zeta / lr, min(zeta / lr, before)))
    torch.optim.SGD([weight], lr=lr).step()
    assert weight.abs().max() <= zeta * (1 + 1e-9)


def test_range_widens_as_the_rate_falls() -> None:
    assert clip_value(0.1, 0.1) == pytest.approx(1)
    assert clip_value(0.1, 0.01) == pytest.approx(10)
    assert clip_value(0.1, 0.0) == float("inf")


def test_parameters_without_gradient_are_skipped() -> None:
    frozen = nn.Parameter(torch.ones(2))
    clip_value_([frozen], 0.1, 0.0)
    assert frozen.grad is None
