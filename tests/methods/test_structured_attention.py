import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gasl.errors import InputError
from gasl.maths import group_norms
from gasl.methods import GroupLasso, StructuredAttention
from methods.toy import ToyGroups, new_state, train_step
from reference import equations


def test_the_paper_preset_is_eq_1_as_loops():
    weights = [torch.randn(4, 3, dtype=torch.float64), torch.randn(7, 2, dtype=torch.float64)]
    layers = [w.tolist() for w in weights]
    method = StructuredAttention.preset("paper", alpha=0.3)
    expected = 0.7 * equations.theta(layers) + 0.3 * 0.7 / equations.psi(layers)
    assert method.value([group_norms(w) for w in weights], 0.7).item() == pytest.approx(expected, rel=1e-12)


def test_the_preset_of_the_authors_code_is_its_formula():
    weights = [torch.randn(4, 3, dtype=torch.float64), torch.randn(7, 2, dtype=torch.float64)]
    method = StructuredAttention.preset("official_code")
    norms = [group_norms(w) for w in weights]
    lasso = sum(n.sum() for n in norms)
    attention = sum(1 / n.square().var(correction=0) for n in norms)
    torch.testing.assert_close(method.value(norms, method.strength), 1e-3 * lasso + 1e-2 * attention)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=9), st.floats(0, 3), st.floats(0.1, 3))
def test_the_standardised_rates_are_the_loops_and_bounded(values, alpha, strength):
    norms = torch.tensor(values, dtype=torch.float64)
    (rates,) = StructuredAttention(alpha=alpha).rates([norms], strength)
    expected = equations.standardised_rates([float(v) for v in values], strength, alpha)
    assert rates.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    groups = len(values)
    assert (rates >= 0).all()
    assert (rates <= strength / groups**0.5 * (1 + alpha * (groups - 1) ** 0.5) + 1e-9).all()


def test_where_no_rate_is_stopped_the_standardised_value_is_lasso_minus_spread():
    norms = torch.rand(6, dtype=torch.float64) + 0.1
    expected = 0.7 * 6**0.5 * (norms.mean() - 0.2 * norms.std(correction=0))
    torch.testing.assert_close(StructuredAttention(alpha=0.2).value([norms], 0.7), expected)


@given(scale=st.floats(1e-3, 1e3))
def test_the_standardised_rates_are_scale_free(scale):
    norms = torch.tensor([0.3, 1.0, 0.0, 2.0], dtype=torch.float64)
    method = StructuredAttention()
    torch.testing.assert_close(method.rates([scale * norms], 0.7), method.rates([norms], 0.7))


def test_attention_pushes_the_large_up_where_the_reading_lets_it():
    norms = [torch.tensor([0.1, 0.2, 5.0], dtype=torch.float64)]
    assert StructuredAttention(inverse="log", alpha=10.0).rates(norms, 1.0)[0][2] < 0
    assert StructuredAttention(inverse="standardised", alpha=10.0).rates(norms, 1.0)[0][2] == 0


@pytest.mark.parametrize("inverse", ["cv", "log", "standardised"])
def test_a_useless_group_dies_and_a_useful_one_shrinks_less_than_under_the_lasso(inverse):
    def task(weights):  # only the first two rows do anything
        return 0.5 * ((weights[0].sum(1) - torch.tensor([2.0, 1.5, 0.0, 0.0])) ** 2)[:2].sum()

    def trained(method):
        groups, state = ToyGroups(torch.full((4, 2), 0.4) + torch.eye(4, 2) * 0.1), new_state(0.2)
        for _ in range(400):
            train_step(method, groups, state, lr=0.05, task=task)
        return groups.norms()[0].detach()

    with_attention, lasso = trained(StructuredAttention(inverse=inverse, alpha=0.2)), trained(GroupLasso())
    assert (with_attention[2:] == 0).all()
    assert with_attention[0] > lasso[0] + 0.005


def test_presets_and_their_errors():
    assert StructuredAttention.preset("modern") == StructuredAttention()
    assert StructuredAttention.preset("paper", alpha=2.0).alpha == 2.0
    with pytest.raises(InputError, match="unknown preset of StructuredAttention 'papr'; did you mean 'paper'"):
        StructuredAttention.preset("papr")
    with pytest.raises(InputError, match="unknown field of StructuredAttention 'alfa'; did you mean 'alpha'"):
        StructuredAttention.preset("paper", alfa=1.0)


def test_defaults_are_the_modern_preset_of_the_design():
    method = StructuredAttention()
    assert (method.scope, method.linear, method.step, method.alpha) == ("coupled", "in", "proximal", 1.0)
    assert (method.inverse, method.values, method.normalise, method.eps) == ("standardised", "norms", True, 0.0)
    code = StructuredAttention.preset("official_code")
    assert (code.scope, code.linear, code.step, code.alpha, code.strength) == ("filter", "out", "loss", 10.0, 1e-3)
