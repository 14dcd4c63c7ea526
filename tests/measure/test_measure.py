import json
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from gasl.errors import InputError
from gasl.measure import compare, measure


def record(model, *inputs):
    return measure(model, inputs, seconds=0.01)


def test_parameters_and_bytes_of_mixed_types():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    cost = record(model, torch.zeros(1, 3))
    assert cost.params == 3 * 2 + 2 + 2 + 2
    assert cost.bytes == 4 * cost.params + 2 * 2 * 4 + 8  # mean and variance in float32, the count of batches in int64
    assert record(nn.Linear(3, 2).double(), torch.zeros(1, 3).double()).bytes == 8 * 8


def test_a_tied_weight_counts_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(self.first(x))

    cost = record(Tied(), torch.zeros(1, 4))
    assert (cost.params, cost.bytes, cost.macs) == (16, 64, 32)


def test_denormals_are_counted_and_said():
    model = nn.Linear(3, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0, 1e-40, -1e-42]]))
    cost = record(model, torch.zeros(1, 3))
    assert cost.denormals == 2
    assert "2 denormal weights" in str(cost)


def test_what_is_not_counted_is_said():
    class OverTime(nn.Linear):
        def forward(self, x):
            return torch.conv_tbc(x, self.weight[None], self.bias)

    assert "aten.conv_tbc" in str(record(OverTime(2, 2), torch.zeros(1, 1, 2)))


def test_it_prints_as_a_table():
    text = str(record(nn.Linear(1000, 2), torch.zeros(1, 1000)))
    assert "parameters 2,002" in text
    assert "batch 1, 1 thread" in text
    assert "denormal" not in text
    assert "not in the MACs" not in text


def test_comparison_follows_its_batch_sizes():
    both = compare(nn.Linear(8, 64), nn.Linear(8, 2), torch.zeros(3, 8), batches=(4, 1), seconds=0.01)
    assert [latency.batch for latency in both.dense_latency] == [4, 1]
    assert both.dense.latency is both.dense_latency[0]
    for batch, dense, small in zip((4, 1), both.dense_latency, both.small_latency, strict=True):
        assert both.speedup[batch] == dense.median / small.median
    assert "parameters 576 -> 18 (32.00x fewer)" in str(both)


def test_comparison_as_plain_data():
    data = compare(nn.Linear(8, 4), nn.Linear(8, 2), torch.zeros(1, 8), batches=(1, 2), seconds=0.01).as_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["params"] == {"dense": 36, "small": 18}
    assert data["macs"] == {"dense": 32, "small": 16}
    for side in ("dense", "small"):
        for batch in ("1", "2"):
            low, high = data["latency_spread_ms"][side][batch]
            assert low <= data["latency_ms"][side][batch] <= high
    assert data["speedup"]["2"] == data["latency_ms"]["dense"]["2"] / data["latency_ms"]["small"]["2"]
    assert data["threads"] == 1


def test_no_batch_size_is_refused():
    with pytest.raises(InputError, match="batch size"):
        compare(nn.Linear(1, 1), nn.Linear(1, 1), torch.zeros(1, 1), batches=())


@dataclass
class Output:
    scores: torch.Tensor
    more: dict[str, object]


class Words(nn.Module):
    """Takes whole numbers and a mask by name, returns a dataclass with a dict in it."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(20, 6), nn.Linear(6, 3)

    def forward(self, ids, mask=None, scale=1.0):
        hidden = self.embed(ids) * mask[..., None]
        return Output(scale * self.head(hidden), {"hidden": hidden, "text": "a"})


def test_inputs_by_name_and_of_whole_numbers_and_outputs_of_any_kind():
    inputs = {"ids": torch.arange(8).reshape(2, 4), "mask": torch.ones(2, 4, dtype=torch.bool), "scale": 2.0}
    cost = measure(Words(), inputs, batch=5, threads=2, seconds=0.01)
    assert (cost.macs, cost.uncounted, cost.params) == (4 * 6 * 3, (), 20 * 6 + 21)
    assert (cost.latency.batch, cost.latency.threads) == (5, 2)
    both = compare(Words(), Words(), inputs, batches=(1, 3), seconds=0.01)
    assert [latency.batch for latency in both.small_latency] == [1, 3]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_inputs_follow_a_converted_network(dtype):
    assert measure(nn.Linear(4, 2).to(dtype), torch.zeros(1, 4), seconds=0.01).macs == 8
    both = compare(nn.Linear(4, 2), nn.Linear(4, 2).to(dtype), torch.zeros(1, 4), batches=(1,), seconds=0.01)
    assert both.small.bytes == both.dense.bytes * dtype.itemsize // 4


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"batches": 3}, r"batch sizes in a row, got 3; give e.g. batches=\(1, 128\)"),
        ({"batches": "12"}, "batch sizes in a row, got '12'"),
        ({"batches": (1.5,)}, r"batch must be 1 or more, a whole number, got 1\.5"),
        ({"batches": (2**40,)}, "1099511627776 examples do not fit into the memory"),
        ({"threads": "2"}, "threads='2'"),
        ({"seconds": float("inf")}, "seconds=inf"),
    ],
)
def test_what_cannot_be_measured_is_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        compare(nn.Linear(4, 1), nn.Linear(4, 1), torch.zeros(1, 4), **{"seconds": 0.01, **wrong})
