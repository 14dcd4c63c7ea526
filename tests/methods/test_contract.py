"""What holds for every method of the registry, and for every penalty in every setting of the attention."""

import dataclasses
import inspect
import itertools
import math
import re

import pytest
import torch

from gasl.errors import InputError
from gasl.methods import (
    GASL,
    L1,
    METHODS,
    Attention,
    DepGraphNorm,
    GroupLasso,
    Method,
    NetworkSlimming,
    Penalty,
    StructuredAttention,
)
from gasl.methods.stochastic import Stochastic
from methods.toy import ToyGroups, new_state, train_step

INVERSES = ("total", "per_layer", "log", "cv", "standardised")
CASES = [GroupLasso(), GroupLasso(normalise=False), L1(), DepGraphNorm(), NetworkSlimming()]
CASES += [Attention(over=L1(), granularity="weight"), Attention(over=NetworkSlimming(), scope="scale")]
CASES += [Attention(over=DepGraphNorm(), inverse="cv")]
CASES += [
    cls(inverse=inverse, values=values, normalise=normalise, alpha=0.3)
    for cls in (Attention, StructuredAttention)
    for inverse, values, normalise in itertools.product(INVERSES, ("norms", "squared"), (True, False))
]
CASES += [
    GASL(inverse=inverse, beta=beta, conditional=conditional, detach=detach, mixing=0.8, alpha=0.3)
    for inverse in INVERSES
    for beta, conditional, detach in itertools.product(("fresh", "fixed", "rank"), (True, False), (True, False))
]
every_case = pytest.mark.parametrize(
    "method", CASES, ids=lambda m: re.sub(r"\w+=(None|'coupled'|'in'|'unit')", "", str(m))
)
every_class = pytest.mark.parametrize("cls", list(METHODS.values()), ids=list(METHODS))


def weights():
    generator = torch.Generator().manual_seed(5)
    sizes = torch.tensor([0.1, 1.0, 0.0, 2.0, 0.4])
    return [torch.randn(5, 3, generator=generator) * sizes[:, None], torch.randn(4, 2, 2, generator=generator)]


@every_case
def test_rates_are_the_derivative_of_the_value(method):
    groups, state = ToyGroups(*weights()), new_state(0.7)
    norms = [n.detach().requires_grad_() for n in groups.norms()]
    beta = method.draw(norms, state)
    expected = torch.autograd.grad(method.value(norms, 0.7, beta), norms)
    for rate, want in zip(method.rates(norms, 0.7, beta), expected, strict=True):
        assert not rate.requires_grad
        torch.testing.assert_close(rate, want, rtol=1e-10, atol=1e-13)


@every_case
def test_rates_are_proportional_to_the_strength(method):
    norms = [n.detach() for n in ToyGroups(*weights()).norms()]
    beta = method.draw(norms, new_state(1.0))
    for once, thrice in zip(method.rates(norms, 1.0, beta), method.rates(norms, 3.0, beta), strict=True):
        torch.testing.assert_close(thrice, 3 * once)


@every_case
def test_a_loss_term_is_a_finite_scalar_with_a_finite_gradient_even_at_a_zero_group(method):
    method = _with_step(method, "loss")
    groups = ToyGroups(*weights())
    penalty = method.penalty(groups, new_state(0.7))
    assert penalty.shape == ()
    assert penalty.dtype == torch.float64
    penalty.backward()
    assert all(w.grad.isfinite().all() for w in groups.weights)
    assert (groups.weights[0].grad[2] == 0).all()


@every_case
def test_the_closed_form_needs_no_loss_term(method):
    penalty = method.penalty(ToyGroups(*weights()), new_state(0.7))
    assert penalty == 0
    assert not penalty.requires_grad
    assert penalty.dtype == torch.float64


@every_case
@pytest.mark.parametrize("step", ["proximal", "loss"])
def test_strength_zero_is_exactly_nothing(method, step):
    method, groups, state = _with_step(method, step), ToyGroups(*weights()), new_state(0.0)
    before = [w.detach().clone() for w in groups.weights]
    assert method.penalty(groups, state) == 0
    train_step(method, groups, state, lr=0.1)
    assert all(torch.equal(w, b) for w, b in zip(groups.weights, before, strict=True))


@every_case
def test_a_step_leaves_nothing_of_itself_behind(method):
    groups, state = ToyGroups(*weights()), new_state(0.1)
    train_step(method, groups, state, lr=0.1)
    assert state.rates is None
    assert (state.beta is not None) == (isinstance(method, GASL) and method.beta == "fixed")


@every_case
@pytest.mark.parametrize("flat", [torch.ones(1, 3), torch.full((4, 1), 0.1), torch.zeros(3, 2)])
def test_without_variance_a_layer_is_under_the_penalty_alone(method, flat):
    if isinstance(method, GASL):
        method = dataclasses.replace(method, mixing=0.0)  # guidance would make a variance
    norms = [n.detach() for n in ToyGroups(flat).norms()]
    beta = method.draw(norms, new_state(1.0))
    lasso = _lasso(method)
    torch.testing.assert_close(method.rates(norms, 0.7, beta), lasso.rates(norms, 0.7))
    torch.testing.assert_close(method.value(norms, 0.7, beta), lasso.value(norms, 0.7))


@every_class
def test_alpha_zero_is_the_group_lasso(cls):
    if "inverse" not in {f.name for f in dataclasses.fields(cls)}:
        return
    norms = [n.detach() for n in ToyGroups(*weights(), torch.zeros(2, 2)).norms()]
    for inverse in INVERSES:
        method = cls(alpha=0.0, inverse=inverse)
        torch.testing.assert_close(method.rates(norms, 0.7), GroupLasso().rates(norms, 0.7), rtol=0, atol=0)
        torch.testing.assert_close(method.value(norms, 0.7), GroupLasso().value(norms, 0.7), rtol=0, atol=0)
        torch.testing.assert_close(method.sparsity(norms), GroupLasso().value(norms, 1.0), rtol=0, atol=0)


@every_case
def test_nothing_times_an_infinite_attention_is_nothing(method):
    explosive = torch.tensor([1e-155, 3e-155], dtype=torch.float64)  # 1/variance is more than a double can hold
    for step in ("proximal", "loss"):
        groups, state = ToyGroups(explosive), new_state(0.0)
        generator = state.generator.get_state()
        assert _with_step(method, step).penalty(groups, state) == 0
        train_step(_with_step(method, step), groups, state, lr=0.1)
        assert torch.equal(groups.weights[0], explosive)
        assert torch.equal(state.generator.get_state(), generator)  # and nothing was drawn for it
    if hasattr(method, "inverse"):
        lasso, alone = _lasso(method), dataclasses.replace(method, alpha=0.0)
        torch.testing.assert_close(alone.rates([explosive], 0.7), lasso.rates([explosive], 0.7), rtol=0, atol=0)
        torch.testing.assert_close(alone.value([explosive], 0.7), lasso.value([explosive], 0.7), rtol=0, atol=0)


@every_class
def test_dtype_and_device_are_kept(cls):
    norms = [torch.rand(5), torch.rand(3)]
    method = cls()
    if not isinstance(method, Penalty):
        return
    beta = method.draw(norms, new_state(1.0))
    assert all(r.dtype == torch.float32 for r in method.rates(norms, 0.7, beta))
    assert method.value(norms, 0.7, beta).dtype == torch.float32


@every_class
def test_is_a_frozen_value_with_every_field_explained(cls):
    assert cls() == cls()
    assert hash(cls()) == hash(cls())
    with pytest.raises(dataclasses.FrozenInstanceError):
        cls().strength = 1.0
    explained = set(re.findall(r"^    (\w+): \S", inspect.getdoc(cls), flags=re.M))
    assert explained == {f.name for f in dataclasses.fields(cls)}


@every_class
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("strength", -0.1, "strength must be a finite number >= 0, got -0.1"),
        ("strength", math.nan, "strength must be a finite number >= 0, got nan"),
        ("alpha", -1.0, "alpha must be a finite number >= 0, got -1.0"),
        ("alpha", math.inf, "alpha must be a finite number >= 0, got inf"),
        ("eps", -1e-4, "eps must be"),
        ("mixing", math.nan, "mixing must be"),
        ("scope", "filters", "unknown scope 'filters'; did you mean 'filter'"),
        ("linear", "inn", "unknown linear 'inn'"),
        ("granularity", "units", "did you mean 'unit'"),
        ("step", "prox", "unknown step 'prox'; did you mean 'proximal'"),
        ("inverse", "perlayer", "did you mean 'per_layer'"),
        ("values", "norm", "did you mean 'norms'"),
        ("beta", "freshly", "did you mean 'fresh'"),
    ],
)
def test_wrong_settings_are_refused(cls, field, value, message):
    if field in {f.name for f in dataclasses.fields(cls)}:
        with pytest.raises(InputError, match=re.escape(message)):
            cls(**{field: value})


@every_class
@pytest.mark.parametrize("scope", ["shape", "depth", "scale"])
def test_gates_and_noise_belong_to_units_and_weights(cls, scope):
    if issubclass(cls, Stochastic):
        with pytest.raises(InputError, match=f"scope must be 'filter', 'channel' or 'coupled', got '{scope}'"):
            cls(scope=scope)


def test_the_registry_holds_final_methods():
    assert set(METHODS) == {
        "attention",
        "bayesian_compression",
        "depgraph_norm",
        "gasl",
        "group_lasso",
        "l0",
        "l1",
        "magnitude_pruning",
        "network_slimming",
        "sparse_vd",
        "structured_attention",
        "structured_bp",
    }
    assert all(issubclass(cls, Method) and getattr(cls, "__final__", False) for cls in METHODS.values())


def _with_step(method, step):
    if getattr(method, "over", None) is not None:
        return dataclasses.replace(method, step=step, over=_with_step(method.over, step))
    return dataclasses.replace(method, step=step)


def _lasso(method):
    """The penalty that is left where the attention has nothing to say."""
    if not hasattr(method, "inverse"):
        return method
    return getattr(method, "over", None) or GroupLasso(normalise=method.normalise)
