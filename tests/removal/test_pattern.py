"""Where weights are zero: two vectors say the same as the whole mask, and where they do not, the mask is kept."""

import pytest
import torch
from torch import nn

from gasl.removal import pattern
from gasl.removal.pattern import pattern_of
from gasl.structure.trace import trace

GENERATOR = torch.Generator().manual_seed(0)


def drawn(*shape):
    return torch.randn(shape, generator=GENERATOR)


def without(weight, rows=(), columns=()):
    weight[list(rows)] = 0
    weight[:, list(columns)] = 0
    return weight


WEIGHTS = {  # name: (weight, whether two vectors are enough)
    "dense": (drawn(5, 7), True),
    "dead rows and columns": (without(drawn(5, 7), (0, 3), (1, 2, 6)), True),
    "all dead": (torch.zeros(5, 7), True),
    "one row left": (without(drawn(5, 7), (0, 1, 2, 3)), True),
    "one element dead": (drawn(5, 7).index_put_((torch.tensor(2), torch.tensor(3)), torch.tensor(0.0)), False),
    "scattered": (drawn(5, 7) * (drawn(5, 7) > 0), False),
    "kernels": (without(drawn(5, 7, 3, 3), (4,), (0, 1)), True),
    "parts of kernels": (drawn(5, 7, 3) * (drawn(5, 7, 3) > 0), False),
    "negative zeros and tiny numbers": (torch.tensor([[1e-45, -0.0], [0.0, -0.0], [-1e-40, 0.0]]), True),
}


@pytest.mark.parametrize("block", [1, 16, 2**19])
@pytest.mark.parametrize("name", WEIGHTS)
def test_rows_and_columns_are_those_of_the_mask(name, block, monkeypatch):
    weight, enough = WEIGHTS[name]
    monkeypatch.setattr(pattern, "_BLOCK", block)
    kinds = {2: nn.Linear, 3: nn.Conv1d, 4: nn.Conv2d}
    layer = kinds[weight.ndim](weight.shape[1], weight.shape[0], *weight.shape[2:3])
    layer.weight.data = weight
    (affine,) = trace(layer, torch.zeros(1, weight.shape[1], *weight.shape[2:])).affines
    found, mask = pattern_of(affine, layer.weight), (weight != 0).flatten(2).any(2) if weight.ndim > 2 else weight != 0
    assert (found.mask is None) == enough
    assert torch.equal(found.rows, mask.any(1))
    assert torch.equal(found.columns, mask.any(0))
    for seed in range(4):
        columns, rows = (torch.rand(n, generator=torch.Generator().manual_seed(seed)) < 0.3 for n in (7, 5))
        columns, rows = columns[: mask.shape[1]], rows[: mask.shape[0]]
        assert torch.equal(found.written(columns), (mask & columns).any(1))
        assert torch.equal(found.read(rows), mask[rows].any(0))
