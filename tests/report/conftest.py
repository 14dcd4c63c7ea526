import csv
import json

import numpy as np
import pytest
from safetensors.numpy import save_file


@pytest.fixture
def result():
    return {
        "title": "LeNet <&> digits",
        "method": "GASL(strength=0.3)",
        "epochs": 3,
        "error_dense": 0.9,
        "error_small": 1.04,
        "layers": [
            {"name": "conv1", "size": 20, "alive": 5, "sparsity_own": 65.0, "sparsity_propagated": 75.0},
            {"name": "fc1.in", "size": 800, "alive": 100, "sparsity_own": 80.1, "sparsity_propagated": 87.5},
        ],
        "params": {"dense": 431080, "small": 15432},
        "macs": {"dense": 2293000, "small": 203100},
        "bytes": {"dense": 1724320, "small": 62776},
        "latency_ms": {"dense": {"128": 21.3, "1": 0.41}, "small": {"128": 4.9, "1": 0.51}},
        "latency_spread_ms": {
            "dense": {"1": [0.40, 0.43], "128": [21.0, 22.1]},
            "small": {"1": [0.50, 0.52], "128": [4.8, 5.2]},
        },
        "speedup": {"128": 4.35, "1": 0.8},
        "threads": 2,
        "max_rel_diff": 2.3e-7,
        "seed": 7,
        "versions": {"gasl": "0.1.0", "torch": "2.13.0"},
        "device": "a processor",
    }


@pytest.fixture
def history():
    return [
        {"epoch": 1, "train_loss": 2.0, "val_error": 9.0, "sparsity_propagated/conv1": 0.0, "lr": 0.05},
        {"epoch": 2, "train_loss": 1.0, "sparsity_propagated/conv1": 40.0, "lr": 0.05},
        {"epoch": 3, "train_loss": 0.5, "val_error": 2.0, "sparsity_propagated/conv1": 75.0, "lr": 0.05},
    ]


@pytest.fixture
def run_dir(tmp_path, result, history):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps(result))
    with (folder / "history.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, history[0])
        writer.writeheader()
        writer.writerows(history)
    arrays = {
        "norms/before/conv1": np.ones(20),
        "norms/before/conv2": np.ones(50),  # without its partner
        "norms/over/conv1": np.ones((3, 11)),
        "norms/after/conv1": np.r_[np.ones(5), np.zeros(15)],
        "features/before": np.ones((50, 8, 8)),
        "features/after": np.r_[np.ones((12, 8, 8)), np.zeros((38, 8, 8))],
    }
    save_file(arrays, folder / "arrays.safetensors")
    return folder
