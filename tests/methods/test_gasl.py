import copy
import dataclasses

import pytest
import torch

from gasl.errors import InputError
from gasl.maths import LogNormal, group_norms
from gasl.methods import GASL, StructuredAttention
from methods.toy import ToyGroups, new_state, train_step
from reference import equations


def weights():
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(6, 3, generator=generator), torch.randn(4, 2, 2, generator=generator)]


def drawn(method, state, groups=None):
    """The random factors that one optimizer step sees."""
    groups = groups or ToyGroups(*weights())
    method.before_step(groups, state)
    beta = [b.clone() for b in state.beta]
    method.after_step(groups, state, lambda _: 0.0)
    return beta


def equal(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_the_paper_preset_is_eq_1_on_algorithm_1_as_loops():
    layers = [w.double() for w in weights()[:1]] + [torch.randn(7, 2, dtype=torch.float64)]
    norms = [group_norms(w) for w in layers]
    method = GASL.preset("paper", alpha=0.3)
    beta = method.draw(norms, new_state(0.7))
    psi = 0.0
    for n, b in zip(norms, beta, strict=True):
        psi += equations.variance(equations.algorithm_1(n.tolist(), b.tolist())) / len(n) ** 0.5
    expected = 0.7 * equations.theta([w.tolist() for w in layers]) + 0.3 * 0.7 / psi
    assert method.value(norms, 0.7, beta).item() == pytest.approx(expected, rel=1e-12)


def test_the_default_standardises_one_plus_beta_times_v():
    norms = torch.rand(6, dtype=torch.float64) + 0.1
    beta = [LogNormal().sample(6, torch.Generator().manual_seed(0)).double()]
    y = (1 + beta[0]) * norms
    z = (y - y.mean()) / y.std(correction=0)
    expected = 0.7 / 6**0.5 * (1 - 0.5 * z).clamp_min(0)
    (rates,) = GASL(alpha=0.5, conditional=False).rates([norms], 0.7, beta)
    torch.testing.assert_close(rates, expected)


def test_without_beta_or_with_mixing_zero_it_is_structured_attention():
    norms = [group_norms(w.double()) for w in weights()]
    plain, beta = StructuredAttention(), GASL().draw(norms, new_state(1.0))
    torch.testing.assert_close(GASL().rates(norms, 0.7), plain.rates(norms, 0.7), rtol=0, atol=0)
    torch.testing.assert_close(GASL(mixing=0.0).rates(norms, 0.7, beta), plain.rates(norms, 0.7))
    torch.testing.assert_close(GASL(mixing=0.0).value(norms, 0.7, beta), plain.value(norms, 0.7))


def test_the_branch_not_taken_is_structured_attention_bit_for_bit():
    norms = [group_norms(w.double()) for w in weights()]
    calm = [torch.full_like(n, 0.5) for n in norms]
    plain = StructuredAttention(inverse="cv")
    torch.testing.assert_close(
        GASL(inverse="cv", detach=False).rates(norms, 0.7, calm), plain.rates(norms, 0.7), rtol=0, atol=0
    )
    assert not equal(GASL(inverse="cv", conditional=False).rates(norms, 0.7, calm), plain.rates(norms, 0.7))


@pytest.mark.parametrize("beta", ["fresh", "fixed", "rank"])
def test_the_same_seed_gives_the_same_factors(beta):
    method = GASL(beta=beta)
    first, second = new_state(0.1, seed=3), new_state(0.1, seed=3)
    for _ in range(3):
        assert equal(drawn(method, first), drawn(method, second))
    assert not equal(drawn(method, new_state(0.1, seed=3)), drawn(method, new_state(0.1, seed=4)))


@pytest.mark.parametrize("beta", ["fresh", "rank"])
def test_factors_are_drawn_anew_for_each_step(beta):
    state = new_state(0.1)
    first, second = drawn(GASL(beta=beta), state), drawn(GASL(beta=beta), state)
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_fixed_factors_stay_and_layers_have_their_own():
    state = new_state(0.1)
    first, second = drawn(GASL(beta="fixed"), state), drawn(GASL(beta="fixed"), state)
    assert equal(first, second)
    assert not torch.equal(first[0][:4], first[1])


def test_rank_matched_factors_follow_the_norms():
    groups, state = ToyGroups(*weights()), new_state(0.1)
    for beta, norms in zip(drawn(GASL(beta="rank"), state, groups), groups.norms(), strict=True):
        assert torch.equal(beta.argsort(), norms.argsort())


@pytest.mark.parametrize("order", ["penalty first", "before_step first"])
def test_one_optimizer_step_has_one_draw_however_often_the_penalty_is_asked(order):
    method, groups, state = GASL(step="loss", beta="fresh", inverse="cv"), ToyGroups(*weights()), new_state(0.1)
    if order == "before_step first":
        method.before_step(groups, state)
    first = method.penalty(groups, state)
    drawn_first = state.beta
    method.before_step(groups, state)
    assert torch.equal(method.penalty(groups, state), first)
    assert state.beta is drawn_first
    method.after_step(groups, state, lambda _: 0.1)
    assert not torch.equal(method.penalty(groups, state), first)


def test_before_step_twice_is_before_step_once():
    method, groups, state = GASL(beta="fresh"), ToyGroups(*weights()), new_state(0.1)
    method.before_step(groups, state)
    rates = state.rates
    method.before_step(groups, state)
    assert equal(rates, state.rates)


def test_a_copied_state_goes_on_the_same():
    method, groups, state = GASL(), ToyGroups(*weights()), new_state(0.1)
    train_step(method, groups, state, lr=0.1)
    twin = ToyGroups(*groups.weights)
    other = new_state(0.1, seed=99)
    other.generator.set_state(state.generator.get_state())
    other.step, other.beta = state.step, copy.deepcopy(state.beta)
    for _ in range(3):
        train_step(method, groups, state, lr=0.1)
        train_step(method, twin, other, lr=0.1)
    assert equal(groups.weights, twin.weights)


def test_any_sampler_may_stand_in():
    state = new_state(0.1)
    (first, second) = drawn(GASL(sampler=lambda n, _: torch.arange(n), beta="fresh"), state)
    assert first.tolist() == [0, 1, 2, 3, 4, 5]
    assert second.dtype == torch.float64


def test_guidance_alone_gives_equal_groups_an_attention():
    norms = [torch.ones(4, dtype=torch.float64)]
    assert len(set(StructuredAttention().rates(norms, 1.0)[0].tolist())) == 1
    beta = GASL().draw(norms, new_state(1.0))
    assert len(set(GASL().rates(norms, 1.0, beta)[0].tolist())) > 1


def test_the_guided_reciprocal_does_not_explode_where_the_bare_one_does():
    norms = [torch.ones(50, dtype=torch.float64) + 1e-4 * torch.rand(50, dtype=torch.float64)]
    settings = {"inverse": "per_layer", "alpha": 1.0}
    bare = StructuredAttention(**settings).rates(norms, 1.0)[0].abs().max()
    beta = GASL(beta="fresh").draw(norms, new_state(1.0))
    guided = GASL(beta="fresh", **settings).rates(norms, 1.0, beta)[0].abs().max()
    assert bare > 1e6
    assert guided < 10


def test_factors_of_another_network_are_refused():
    norms = [torch.rand(4), torch.rand(5)]
    with pytest.raises(InputError, match=r"beta has shapes \[\(3,\), \(5,\)\] but the groups have \[\(4,\), \(5,\)\]"):
        GASL().rates(norms, 1.0, [torch.rand(3), torch.rand(5)])


def test_presets():
    assert GASL.preset("modern") == GASL()
    assert (GASL().beta, GASL().inverse, GASL().scope, GASL().step) == ("rank", "standardised", "coupled", "proximal")
    paper = GASL.preset("paper", strength=0.1)
    assert (paper.inverse, paper.scope, paper.step, paper.beta) == ("total", "filter", "loss", "fresh")
    assert (paper.conditional, paper.detach, paper.mixing, paper.alpha) == (True, False, 1.0, 1.0)
    assert paper.sampler == LogNormal(0.0, 1.0)
    assert {f.name for f in dataclasses.fields(StructuredAttention)} < {f.name for f in dataclasses.fields(GASL)}
    with pytest.raises(InputError, match="unknown preset of GASL 'official_code'"):
        GASL.preset("official_code")
