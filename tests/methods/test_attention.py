import copy
import dataclasses
import itertools

import pytest
import torch
from torch import Tensor

from gasl.errors import InputError
from gasl.methods import GASL, L1, Attention, DepGraphNorm, GroupLasso, Penalty, SparseVD, StructuredAttention
from methods.toy import new_state

INVERSES = ("total", "per_layer", "log", "cv", "standardised")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ridge(Penalty):
    """A penalty of the user's own: strength/2 * sum n^2."""

    def sparsity(self, norms) -> Tensor:
        return self.value(norms, 1.0)

    def value(self, norms, strength, beta=None) -> Tensor:
        return strength / 2 * sum(n.square().sum() for n in norms)

    def rates(self, norms, strength, beta=None) -> list[Tensor]:
        return [strength * n.detach() for n in norms]


def norms():
    return [
        torch.tensor([0.3, 1.0, 0.0, 2.0], dtype=torch.float64),
        torch.tensor([0.5, 0.9, 0.1, 0.2, 0.7], dtype=torch.float64),
    ]


@pytest.mark.parametrize(("inverse", "normalise"), list(itertools.product(INVERSES, (True, False))))
def test_over_a_group_lasso_it_is_structured_attention(inverse, normalise):
    settings = {"alpha": 0.4, "inverse": inverse, "normalise": normalise}
    plain = StructuredAttention(**settings)
    for method in (Attention(**settings), Attention(over=GroupLasso(normalise=normalise), **settings)):
        torch.testing.assert_close(method.value(norms()[:1], 0.7), plain.value(norms()[:1], 0.7), rtol=0, atol=0)
        torch.testing.assert_close(method.rates(norms()[:1], 0.7), plain.rates(norms()[:1], 0.7), rtol=0, atol=0)


@pytest.mark.parametrize("inverse", INVERSES)
def test_it_goes_over_any_penalty(inverse):
    method, layers = Attention(over=Ridge(), inverse=inverse, alpha=0.4), [n.requires_grad_() for n in norms()]
    expected = torch.autograd.grad(method.value(layers, 0.7), layers)
    torch.testing.assert_close(tuple(method.rates(layers, 0.7)), expected)
    attention_alone = StructuredAttention(inverse=inverse, alpha=0.4).value(layers, 0.7) - GroupLasso().value(
        layers, 0.7
    )
    if inverse != "standardised":
        torch.testing.assert_close(method.value(layers, 0.7) - Ridge().value(layers, 0.7), attention_alone)
    torch.testing.assert_close(method.sparsity(layers), Ridge().value(layers, 1.0))


def test_the_random_factors_of_the_penalty_underneath_are_passed_on():
    method, inner = Attention(over=GASL(beta="fixed"), alpha=0.0), GASL(beta="fixed")
    beta = method.draw(norms(), new_state(1.0, seed=4))
    assert beta is not None
    torch.testing.assert_close(beta, inner.draw(norms(), new_state(1.0, seed=4)), rtol=0, atol=0)
    assert method.carry(beta) is beta
    torch.testing.assert_close(method.rates(norms(), 0.7, beta), inner.rates(norms(), 0.7, beta), rtol=0, atol=0)
    torch.testing.assert_close(method.value(norms(), 0.7, beta), inner.value(norms(), 0.7, beta), rtol=0, atol=0)
    assert not torch.equal(inner.value(norms(), 0.7, beta), inner.value(norms(), 0.7))


def test_unstructured_attention_works_on_single_weights():
    weights = torch.randn(40, dtype=torch.float64)
    method = Attention(over=GroupLasso(granularity="weight", normalise=False), granularity="weight", normalise=False)
    (rates,) = method.rates([weights.abs()], 0.5)
    z = (weights.abs() - weights.abs().mean()) / weights.abs().std(correction=0)
    torch.testing.assert_close(rates, 0.5 * (1 - z).clamp_min(0))


def test_what_the_penalty_underneath_refuses_is_refused():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Narrow(Ridge):
        def check(self, groups) -> None:
            raise InputError(f"not {groups}")

    with pytest.raises(InputError, match="not these"):
        Attention(over=Narrow()).check("these")


def test_settings_that_would_be_ignored_are_refused():
    with pytest.raises(InputError, match=r"strength=0\.1; leave it out there"):
        Attention(over=GroupLasso(strength=0.1))
    with pytest.raises(InputError, match="the penalty has scope='filter', the attention 'coupled'; set both"):
        Attention(over=GroupLasso(scope="filter"))


def test_what_is_known_of_the_penalty_underneath_is_known_of_it():
    cutting = DepGraphNorm(fraction=0.4, cut_at=7)
    for over, words in ((L1(), {"granularity": "weight"}), (cutting, {}), (None, {})):
        method, known = Attention(over=over, **words), over or GroupLasso()
        for name in ("usual_strength", "kills", "cuts"):
            assert getattr(method, name) == getattr(known, name)
            assert getattr(copy.deepcopy(method), name) == getattr(known, name)
        assert method.own_amount() == known.own_amount()
    assert Attention(over=L1(), granularity="weight") == Attention(over=L1(), granularity="weight")
    chosen = Attention(over=cutting).chosen(norms(), [1, 1], 0.5)
    torch.testing.assert_close(chosen, cutting.chosen(norms(), [1, 1], 0.5))


def test_what_is_no_penalty_is_refused():
    with pytest.raises(InputError, match="goes over a penalty on group norms, or L0, got over=SparseVD"):
        Attention(over=SparseVD(), granularity="weight")
