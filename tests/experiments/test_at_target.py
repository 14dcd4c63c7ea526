"""Runs at a given size: named, with the recipes' dense start, and with a teacher where the name says so."""

import dataclasses

import pytest
import torch

import gasl
from gasl.experiments.at_target import target_entries
from gasl.experiments.identity import identity
from gasl.experiments.named import named
from gasl.experiments.recipes import RECIPES
from gasl.experiments.run import RunOptions, train_run
from gasl.experiments.spec import RunSpec
from gasl.training import TrainConfig


def test_names_say_what_is_run():
    specs = {row.name: row.spec for row in target_entries()}
    assert len({identity(spec) for spec in specs.values()}) == len(specs)
    for name, spec in specs.items():
        assert spec.dense == RECIPES[f"{spec.model}/baseline"].dense
        assert spec.sparse.teacher == spec.tune.teacher == (0.7 if name.endswith("-taught") else None)
        assert spec.dense.teacher is None
        assert spec.model_args == ({"input_dropout": 0.2} if name.endswith("-dropout") else {})
    assert specs["target/lenet5/ssl-75-87-87-95"].target.sparsity["conv2"] == 0.87
    assert named("target/mlp/ssl-8x", 3).seed == 3
    with pytest.raises(gasl.InputError, match="did you mean 'target/mlp/ssl-8x'"):
        named("target/mlp/ssl-9x")
    with pytest.raises(gasl.InputError, match="unknown run 'mlp/gazl'; did you mean 'mlp/gasl'"):
        named("mlp/gazl")


def test_the_dense_network_teaches(tmp_path):
    """All of the loss from the teacher: the labels of the training part can then be anything."""
    torch.set_num_threads(1)
    phase = TrainConfig(epochs=1, lr=0.05, batch_size=100, clip=None, drop_after=None, stop_after=None)
    taught = dataclasses.replace(phase, teacher=1.0)
    spec = RunSpec(
        model="mlp",
        data="mnist5k",
        method=gasl.GroupLasso(strength=0.01),
        dense=dataclasses.replace(phase, epochs=2),
        sparse=taught,
        tune=None,
        from_scratch=True,
    )
    quiet = RunOptions(progress=False, say=lambda _: None)
    result = train_run(spec, tmp_path / "taught", quiet)
    assert result["error_small"] < 30
    plain = train_run(dataclasses.replace(spec, sparse=phase), tmp_path / "plain", quiet)
    assert plain["error_small"] != result["error_small"]
