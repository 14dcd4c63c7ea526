"""Latencies of records measured again: nothing else in them changes, and a record of another size is refused."""

import json

import pytest
import torch

import gasl
from gasl.experiments.latencies import ALONE, measure_again, pair
from gasl.measure import compare
from gasl.models import MLP


def record():
    """What a run of the MLP leaves behind."""
    model = MLP()
    torch.nn.init.zeros_(model.fc2.weight[:200])
    torch.nn.init.zeros_(model.fc2.bias[:200])
    small, removal = gasl.shrink(model, torch.zeros(1, 1, 28, 28))
    layers = [{"name": axis.name, "alive": axis.alive, "sparsity_own": 0.5} for axis in removal.axes]
    costs = compare(model, small, torch.zeros(1, 1, 28, 28), seconds=0.01).as_dict()
    return {"spec": {"model": "mlp", "model_args": {}, "seed": 3}, "error_small": 1.5, "layers": layers, **costs}


def test_only_times_change(tmp_path):
    old = record() | {"latency_ms": {"dense": {"1": -1.0}}, "speedup": {"1": -1.0}}
    (tmp_path / "mlp").mkdir()
    path = tmp_path / "mlp" / "x-seed3.json"
    path.write_text(json.dumps(old))
    state = torch.get_rng_state()
    assert measure_again(tmp_path, seconds=0.01) == ["mlp/x-seed3.json"]
    assert torch.equal(torch.get_rng_state(), state)
    new = json.loads(path.read_text())
    assert new.pop(ALONE) is True
    times = {"latency_ms", "latency_spread_ms", "speedup", "threads", "device"}
    assert new.keys() == old.keys()
    assert {key: new[key] for key in new.keys() - times} == {key: old[key] for key in old.keys() - times}
    assert set(new["speedup"]) == {"1", "128"}
    assert all(ratio > 0 for ratio in new["speedup"].values())


def test_the_pair_has_the_widths():
    dense, small, example = pair(record())
    assert (small.fc1.in_features, small.fc2.out_features, dense.fc2.out_features) == (784, 100, 300)
    assert not small.training
    assert small(example).shape == dense(example).shape


def test_maps_that_were_flattened_keep_a_place_each():
    widths = {"conv1": 9, "conv2": 10, "fc1.in": 46, "fc1": 19}
    layers = [{"name": name, "alive": alive} for name, alive in widths.items()]
    small = pair({"spec": {"model": "lenet5", "model_args": {}}, "layers": layers})[1]
    assert (small.conv2.out_channels, small.fc1.weight.shape) == (10, (19, 46))
    layers[1]["alive"] = 50
    with pytest.raises(gasl.InputError, match="no network has the widths"):
        pair({"spec": {"model": "lenet5", "model_args": {}}, "layers": layers})


def test_a_record_of_another_size_is_refused(tmp_path):
    wrong = record()
    wrong["macs"]["small"] += 1
    text = json.dumps(wrong)
    (tmp_path / "x-seed0.json").write_text(text)
    with pytest.raises(gasl.InputError, match=r"x-seed0.json.*MACs"):
        measure_again(tmp_path, seconds=0.01)
    assert (tmp_path / "x-seed0.json").read_text() == text


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_what_is_no_record_is_named(tmp_path, text):
    (tmp_path / "x-seed0.json").write_text(text)
    with pytest.raises(gasl.FileError, match=r"x-seed0.json is no record"):
        measure_again(tmp_path, seconds=0.01)
