"""The force on all layers at once, beside the chain of functions layer by layer that the paper's equations are."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gasl.maths.attention import attention_force, elements, elements_slope
from gasl.maths.force import guided_force
from gasl.maths.guidance import guide, guide_pullback
from gasl.maths.rows import Rows

INVERSES = ("total", "per_layer", "log", "cv", "standardised")


def layer_by_layer(norms, beta, inverse, values, normalise, eps, mixing, conditional, detach):
    v = [elements(n, values) for n in norms]
    if beta is None:
        forces = attention_force(v, inverse, normalise=normalise, eps=eps)
    else:
        guided = [guide(x, b, mixing, conditional, detach) for x, b in zip(v, beta, strict=True)]
        forces = attention_force(guided, inverse, normalise=normalise, eps=eps)
        pulled = zip(forces, v, beta, strict=True)
        forces = [guide_pullback(g, x, b, mixing, conditional, detach) for g, x, b in pulled]
    return [g * elements_slope(n, values) for g, n in zip(forces, norms, strict=True)]


def layers(seed, sizes):
    generator = torch.Generator().manual_seed(seed)
    norms = [torch.rand(size, generator=generator, dtype=torch.float64) + 0.1 for size in sizes]
    beta = [torch.randn(size, generator=generator, dtype=torch.float64).exp() for size in sizes]
    return norms, beta


@pytest.mark.parametrize("inverse", INVERSES)
@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5), data=st.data())
def test_equals_the_chain_layer_by_layer(inverse, seed, sizes, data):
    norms, beta = layers(seed, sizes)
    settings = {
        "values": data.draw(st.sampled_from(["norms", "squared"])),
        "eps": data.draw(st.sampled_from([0.0, 0.1])),
        "mixing": data.draw(st.sampled_from([0.0, 0.7, 1.0])),
        **{name: data.draw(st.booleans()) for name in ("normalise", "conditional", "detach")},
    }
    for given_beta in (None, beta):
        rows = Rows.of(norms)
        got = rows.vectors(guided_force(rows, norms, given_beta, inverse, **settings))
        for g, want in zip(got, layer_by_layer(norms, given_beta, inverse, **settings), strict=True):
            torch.testing.assert_close(g, want, rtol=1e-9, atol=1e-12)


def test_both_branches_of_algorithm_1_occur_above():
    taken = set()
    for seed in range(20):
        norms, beta = layers(seed, [5])
        taken.add(torch.equal(guide(norms[0], beta[0]), norms[0]))
    assert taken == {True, False}


@pytest.mark.parametrize("inverse", INVERSES)
@pytest.mark.parametrize("normalise", [True, False])
def test_layers_without_variance_stay_without_force_beside_others(inverse, normalise):
    norms = [torch.full((4,), 0.1), torch.tensor([1.0, 2.0, 4.0]), torch.zeros(2), torch.ones(1)]
    rows = Rows.of(norms)
    got = rows.vectors(guided_force(rows, norms, None, inverse, normalise=normalise))
    want = attention_force(norms, inverse, normalise=normalise)
    for g, w in zip(got, want, strict=True):
        torch.testing.assert_close(g, w, rtol=1e-5, atol=0)
    assert [bool((g != 0).any()) for g in got] == [False, True, False, False]


def test_rows_and_back():
    vectors = [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0]), torch.tensor([5.0, 6.0])]
    rows = Rows.of(vectors)
    assert rows.matrix(vectors).tolist() == [[1, 2, 3], [4, 0, 0], [5, 6, 0]]
    assert rows.mean(rows.matrix(vectors)).tolist() == [[2], [4], [5.5]]
    assert all(torch.equal(a, b) for a, b in zip(rows.vectors(rows.matrix(vectors) + 0), vectors, strict=True))
    assert Rows.of(vectors) is rows


@pytest.mark.parametrize(
    "vectors",
    [
        [],
        [torch.ones(2, 2)],
        [torch.ones(2), torch.ones(0)],
        [torch.ones(2), torch.ones(2, dtype=torch.float64)],
        [torch.ones(70_000), torch.ones(1)],  # as a matrix twice the memory
    ],
)
def test_no_rows_for_what_is_no_small_matrix(vectors):
    assert Rows.of(vectors) is None
