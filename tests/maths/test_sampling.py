import math

import pytest
import torch

from gasl.errors import InputError
from gasl.maths import LogNormal, Sampler, draw


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sampler", [LogNormal(), LogNormal(mu=-0.125, sigma=0.5)])
def test_log_normal_has_its_closed_form_moments(sampler):
    n = 400_000
    x = sampler.sample(n, generator(0)).double()
    assert abs(x.mean().item() - sampler.mean) < 4 * x.std().item() / math.sqrt(n)
    squares = (x - sampler.mean).square()
    assert abs(squares.mean().item() - sampler.variance) < 4 * squares.std().item() / math.sqrt(n)
    assert abs(x.log().mean().item() - sampler.mu) < 4 * sampler.sigma / math.sqrt(n)


def test_the_same_seed_gives_the_same_numbers_and_another_others():
    like = torch.zeros(5)
    assert torch.equal(draw(LogNormal(), like, generator(3)), draw(LogNormal(), like, generator(3)))
    assert not torch.equal(draw(LogNormal(), like, generator(3)), draw(LogNormal(), like, generator(4)))


def test_the_global_generator_is_not_touched():
    before = torch.get_rng_state()
    draw(LogNormal(), torch.zeros(5), generator(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_numbers_take_the_dtype_of_the_elements_and_depend_on_no_default():
    single = draw(LogNormal(), torch.zeros(5), generator(0))
    double = draw(LogNormal(), torch.zeros(5, dtype=torch.float64), generator(0))
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    assert torch.equal(single.double(), double)


def test_any_sampler_may_stand_in():
    class Uniform:
        def sample(self, n, generator):
            return torch.rand(n, generator=generator)

    assert isinstance(Uniform(), Sampler)
    assert torch.equal(draw(Uniform(), torch.zeros(4), generator(1)), torch.rand(4, generator=generator(1)))
    assert torch.equal(
        draw(lambda n, g: torch.rand(n, generator=g), torch.zeros(4), generator(1)),
        torch.rand(4, generator=generator(1)),
    )


def test_errors():
    with pytest.raises(InputError, match=r"sigma >= 0, got 0\.0 and -1"):
        LogNormal(sigma=-1)
    with pytest.raises(InputError, match="finite mu"):
        LogNormal(mu=math.nan)
    with pytest.raises(InputError, match=r"gave shape \(2, 3\), wanted \(3,\)"):
        draw(lambda n, _: torch.ones(2, n), torch.zeros(3), generator(0))
