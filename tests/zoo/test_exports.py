"""Small networks in other runtimes, wherever the dense one can go there: six of the zoo, or with GASL_ZOO=all all."""

import functools
import os

import pytest
import torch
from torch.utils._pytree import tree_map

import gasl
from zoo.floors import FLOORS
from zoo.harness import drawn, examine
from zoo.registry import ZOO

SIX = ("resnet-50", "shufflenet-v2", "u-net", "vit-fused", "hf-bert-classifier", "hf-llama")
NAMES = list(FLOORS) if os.environ.get("GASL_ZOO") == "all" else SIX


def single(inputs):
    return tree_map(lambda t: t.float() if isinstance(t, torch.Tensor) and t.is_floating_point() else t, inputs)


@functools.cache
def halves(name):
    result = examine(ZOO[name])
    return result.model.float(), result.small.float()


@pytest.mark.filterwarnings("ignore")  # what the exporters say of a network is not ours
@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
@pytest.mark.parametrize("name", NAMES)
def test_the_small_network_exports_where_the_dense_one_does(name, suffix, tmp_path):
    dense, small = halves(name)
    inputs = single(drawn(ZOO[name], 2, ZOO[name].size, 4))
    for free_batch in (True, False):
        try:
            gasl.export(small, tmp_path / f"small.{suffix}", inputs, free_batch)
        except gasl.InputError as error:
            refused = error
        else:
            return
    try:
        gasl.export(dense, tmp_path / f"dense.{suffix}", inputs, dynamic_batch=False)
    except gasl.InputError as error:
        pytest.skip(f"the dense network does not export: {error}")
    raise refused
