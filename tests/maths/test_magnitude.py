import math

import pytest
import torch

from gasl.errors import InputError
from gasl.maths import below_deviation, outside_pattern


@pytest.mark.parametrize("quality", [0.0, 0.3, 1.0, 2.0, 100.0])
def test_the_threshold_is_a_multiple_of_the_deviation(quality):
    weight = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.3
    values = weight.flatten().tolist()
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
    expected = [abs(v) < quality * deviation and abs(v) < max(map(abs, values)) for v in values]
    assert below_deviation(weight, quality).flatten().tolist() == expected
    assert sum(expected) <= 34  # one stays


def test_half_precision_is_compared_in_single():
    weight = torch.linspace(-1, 1, 101).bfloat16()
    assert torch.equal(below_deviation(weight, 1.0), below_deviation(weight.float(), 1.0))


def block_by_block(weight, kept, block, dim):
    weight = weight.movedim(dim, -1)
    marked = torch.ones_like(weight, dtype=torch.bool)
    for place in torch.cartesian_prod(*(torch.arange(n) for n in weight.shape[:-1])).reshape(-1, weight.ndim - 1):
        row, marks = weight[tuple(place)], marked[tuple(place)]
        for first in range(0, row.numel(), block):
            order = sorted(range(first, first + block), key=lambda i: (-abs(float(row[i])), i))
            for i in order[:kept]:
                marks[i] = False
    return marked.movedim(-1, dim)


@pytest.mark.parametrize(
    ("shape", "dim", "kept", "block"),
    [
        ((3, 8), 1, 2, 4),
        ((8, 3), 0, 2, 4),
        ((5, 8, 3, 2), 1, 2, 4),
        ((2, 6), 1, 1, 3),
        ((2, 6), 1, 3, 3),
        ((4, 4), 1, 1, 1),
    ],
)
def test_it_is_what_a_loop_over_blocks_gives(shape, dim, kept, block):
    weight = torch.randint(-3, 4, shape, generator=torch.Generator().manual_seed(2)).float()  # with ties
    got = outside_pattern(weight, kept, block, dim)
    assert torch.equal(got, block_by_block(weight, kept, block, dim))
    assert int(got.sum()) == weight.numel() * (block - kept) // block


def test_a_memory_layout_changes_nothing():
    weight = torch.randn(4, 8, 3, 3)
    got = outside_pattern(weight.to(memory_format=torch.channels_last), 2, 4, 1)
    assert torch.equal(got, outside_pattern(weight, 2, 4, 1))


def test_blocks_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"dimension 1 of a weight of shape \(2, 6\) is no multiple of 4"):
        outside_pattern(torch.zeros(2, 6), 2, 4, 1)
