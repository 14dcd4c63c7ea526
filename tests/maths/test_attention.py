from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gasl.errors import InputError
from gasl.maths import attention, attention_force, elements, elements_slope
from gasl.maths.attention import Inverse
from reference import equations

INVERSES = get_args(Inverse)
DEGREE = {"total": -2, "per_layer": -2, "cv": 0, "standardised": 1}  # under V -> c V; "log" gains a constant
every_reading = pytest.mark.parametrize("inverse", INVERSES)
either_normaliser = pytest.mark.parametrize("normalise", [True, False])


def layers(*sizes):
    return [torch.rand(size, dtype=torch.float64) + 0.1 for size in sizes]


@pytest.mark.parametrize(
    ("inverse", "value"),
    [("total", 2**0.5 / 6.25), ("per_layer", 2**0.5 / 6.25), ("cv", 2**0.5), ("standardised", -(2**0.5) * 2.5)],
)
def test_closed_form(inverse, value):
    norms = [torch.tensor([5.0, 0.0], dtype=torch.float64)]  # mean 2.5, variance 6.25
    assert attention(norms, inverse).item() == pytest.approx(value, rel=1e-15)


@every_reading
@either_normaliser
def test_equals_the_loops(inverse, normalise):
    norms = layers(4, 7, 2)
    expected = equations.attention([n.tolist() for n in norms], inverse, normalise)
    assert attention(norms, inverse, normalise=normalise).item() == pytest.approx(expected, rel=1e-12)


@every_reading
@either_normaliser
def test_gradcheck(inverse, normalise):
    norms = [n.requires_grad_() for n in layers(4, 3)]
    assert torch.autograd.gradcheck(lambda *n: attention(n, inverse, normalise=normalise), norms)


@every_reading
@either_normaliser
@pytest.mark.parametrize("eps", [0.0, 1e-2])
@pytest.mark.parametrize("values", ["norms", "squared"])
def test_force_is_the_gradient_of_the_value(inverse, normalise, eps, values):
    norms = [n.requires_grad_() for n in [*layers(4, 7, 3), torch.tensor([0.5, 0.0, 2.0, 0.0], dtype=torch.float64)]]
    value = attention([elements(n, values) for n in norms], inverse, normalise=normalise, eps=eps)
    expected = torch.autograd.grad(value, norms)
    forces = attention_force([elements(n, values) for n in norms], inverse, normalise=normalise, eps=eps)
    for force, n, want in zip(forces, norms, expected, strict=True):
        assert not force.requires_grad
        torch.testing.assert_close(force * elements_slope(n.detach(), values), want, rtol=1e-11, atol=1e-14)


@either_normaliser
def test_standardised_force_is_minus_z_and_that_of_log_scaled_by_the_spread(normalise):
    (norms,) = layers(6)
    z = (norms - norms.mean()) / norms.std(correction=0)
    (force,) = attention_force([norms], "standardised", normalise=normalise)
    torch.testing.assert_close(force, -z / (6**0.5 if normalise else 1))
    (log_force,) = attention_force([norms], "log", normalise=True)
    (standardised,) = attention_force([norms], "standardised", normalise=True)
    torch.testing.assert_close(standardised, log_force * norms.std(correction=0) / 2)


@every_reading
@either_normaliser
@pytest.mark.parametrize("eps", [0.0, 1e-4])
@pytest.mark.parametrize(
    "flat", [torch.tensor([0.7]), torch.full((3,), 0.1), torch.zeros(4)], ids=["one group", "equal", "dead"]
)
def test_a_layer_without_variance_has_no_attention_and_changes_no_other(inverse, normalise, eps, flat):
    flat, (other,) = flat.double().requires_grad_(), layers(5)
    settings = {"normalise": normalise, "eps": eps}
    alone = attention([flat], inverse, **settings)
    assert alone == 0
    alone.backward()
    assert (flat.grad == 0).all()
    assert (attention_force([flat], inverse, **settings)[0] == 0).all()
    torch.testing.assert_close(attention([flat, other], inverse, **settings), attention([other], inverse, **settings))
    both, single = attention_force([flat, other], inverse, **settings), attention_force([other], inverse, **settings)
    assert (both[0] == 0).all()
    torch.testing.assert_close(both[1], single[0])


@every_reading
@given(scale=st.floats(1e-2, 1e2))
def test_homogeneity(inverse, scale):
    norms = [torch.tensor([0.3, 1.0, 2.0], dtype=torch.float64)]
    value, scaled = attention(norms, inverse), attention([scale * norms[0]], inverse)
    if inverse == "log":
        expected = value - 2 * 3**0.5 * torch.tensor(scale, dtype=torch.float64).log()
    else:
        expected = scale ** DEGREE[inverse] * value
    torch.testing.assert_close(scaled, expected)


@every_reading
@given(values=st.lists(st.integers(0, 100), min_size=2, max_size=9), seed=st.integers(0, 99))
def test_the_order_of_groups_is_irrelevant(inverse, values, seed):
    norms = torch.tensor(values, dtype=torch.float64) / 10
    order = torch.randperm(len(values), generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(attention([norms[order]], inverse), attention([norms], inverse))
    (force,), (permuted,) = attention_force([norms], inverse), attention_force([norms[order]], inverse)
    torch.testing.assert_close(permuted, force[order])


@every_reading
def test_the_force_pushes_the_small_down_and_the_large_up(inverse):
    (force,) = attention_force([torch.tensor([1.0, 2.0, 9.0], dtype=torch.float64)], inverse)
    assert force[0] > 0 > force[2]


def test_scale_free_forms_have_forces_across_the_norms_or_summing_to_zero():
    (norms,) = layers(6)
    (cv,) = attention_force([norms], "cv")
    assert abs((cv * norms).sum()) < 1e-13
    (standardised,) = attention_force([norms], "standardised")
    assert abs(standardised.sum()) < 1e-14


def test_total_is_ruled_by_the_most_variable_layer_and_per_layer_is_not():
    calm, wild = torch.tensor([1.0, 1.1], dtype=torch.float64), torch.tensor([0.0, 50.0], dtype=torch.float64)
    ratio = {
        i: attention_force([calm, wild], i)[0].abs().max() / attention_force([calm], i)[0].abs().max()
        for i in ("total", "per_layer")
    }
    assert ratio["total"] < 1e-9
    assert ratio["per_layer"] == 1


def test_eps_bounds_the_reciprocal():
    nearly_equal = [torch.tensor([1.0, 1.0 + 1e-9], dtype=torch.float64)]
    assert attention(nearly_equal, "per_layer") > 1e17
    assert attention(nearly_equal, "per_layer", eps=1e-4) < 2**0.5 * 1e4


def test_errors_name_what_came_in():
    with pytest.raises(InputError, match="unknown inverse 'totl'; did you mean 'total'"):
        attention(layers(3), "totl")
    with pytest.raises(InputError, match=r"attention_force needs .* got shapes \[\(2, 3\)\]"):
        attention_force([torch.ones(2, 3)], "total")
