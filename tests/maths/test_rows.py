"""What is done for all layers at once is what is done for each."""

import pytest
import torch

from gasl.maths.guidance import rank_match
from gasl.maths.ranking import rank_match_each
from gasl.maths.rows import Rows
from gasl.maths.sampling import LogNormal, draw, draw_each


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("positive", [True, False])
def test_rank_matching_all_layers_equals_each_with_ties_and_zeros(dtype, positive):
    torch.manual_seed(0)
    for sizes in ([5], [1, 4, 40], [64, 20, 500]):
        norms = [torch.randint(0, 4, (n,)).to(dtype) for n in sizes]
        beta = [torch.randn(n, dtype=dtype) for n in sizes]
        beta = [b.exp() for b in beta] if positive else beta
        want = [rank_match(b, n) for b, n in zip(beta, norms, strict=True)]
        assert all(map(torch.equal, rank_match_each(beta, norms, positive), want))


def test_rank_matching_layers_that_are_no_rows_together():
    norms, beta = [torch.rand(3), torch.rand(2, dtype=torch.float64)], [torch.rand(3), torch.rand(2).double()]
    assert Rows.of(norms) is None
    want = [rank_match(b, n) for b, n in zip(beta, norms, strict=True)]
    assert all(map(torch.equal, rank_match_each(beta, norms, positive=True), want))


@pytest.mark.parametrize("sampler", [LogNormal(0.3, 2.0), lambda n, generator: torch.rand(n, generator=generator)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_drawing_for_all_layers_takes_the_numbers_of_each_in_turn(sampler, dtype):
    like = [torch.zeros(n, dtype=dtype) for n in (1, 20, 64, 3, 500)]
    one, other = (torch.Generator().manual_seed(3) for _ in range(2))
    for got, vector in zip(draw_each(sampler, like, one), like, strict=True):
        want = draw(sampler, vector, other)
        assert got.dtype == dtype
        assert torch.equal(got, want)
    assert torch.equal(one.get_state(), other.get_state())
