"""Recipes and their runs: identities that stay, records whole or absent, a dense start that is trained once."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

import gasl
from gasl.cli import main
from gasl.experiments import recipes
from gasl.experiments.identity import described, identity
from gasl.experiments.named import named
from gasl.experiments.recipes import RECIPES
from gasl.experiments.run import RunOptions
from gasl.experiments.spec import RunSpec
from gasl.experiments.store import overview, read_record, record_path, run_named
from gasl.training import TrainConfig

QUIET = RunOptions(progress=False, say=lambda _: None)
PHASE = TrainConfig(epochs=1, lr=0.05, batch_size=200, clip=None, drop_after=None, stop_after=None)
QUICK = RunSpec(
    model="mlp",
    data="mnist5k",
    method=gasl.GroupLasso(strength=4.0),
    dense=PHASE,
    sparse=dataclasses.replace(PHASE, epochs=2),
    tune=None,
    min_units=20,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    torch.set_num_threads(1)
    cold = dataclasses.replace(QUICK, method=gasl.GASL(strength=4.0), from_scratch=True)
    monkeypatch.setattr(recipes, "RECIPES", RECIPES | {"mlp/quick": QUICK, "mlp/cold": cold})


def run(name, seed, *args):
    return run_named(name, named(name, seed), *args)


def test_identities_stay():
    """A recorded run is found again by this number: if it changes here, every record is of another run."""
    method = gasl.GASL(strength=0.3, alpha=0.5, beta="fresh")
    spec = RunSpec(model="mlp", method=method, dense=TrainConfig(epochs=20, decay_from=5, drop_after=None), tune=None)
    assert identity(spec) == "bbc3a4a6806c04e5"
    assert identity(dataclasses.replace(spec, seed=1, min_units={"fc1": 3}, protect=("fc2",))) == "c7648159a0a737c0"


def test_whatever_changes_a_result_changes_the_identity():
    names = {identity(spec) for spec in RECIPES.values()}
    assert len(names) == len(RECIPES)
    spec = named("mlp/gasl")
    changes = [{"seed": 1}, {"data": "mnist5k"}, {"tune": None}, {"protect": ("fc1",)}, {"from_scratch": True}]
    assert len({identity(dataclasses.replace(spec, **change)) for change in [{}, *changes]}) == 6
    assert identity(gasl.GroupLasso(strength=1)) == identity(gasl.GroupLasso(strength=1.0))
    assert identity(gasl.GroupLasso(strength=0.1)) != identity(gasl.StructuredAttention(strength=0.1))


def test_a_spec_that_no_file_can_hold_is_refused():
    with pytest.raises(gasl.InputError, match="cannot be written"):
        identity(gasl.GASL(strength=0.1, sampler=lambda n, generator: torch.ones(n)))


def test_described_says_every_field():
    said = described(named("lenet5/gasl"))
    assert said["method"]["sampler"] == {"class": "LogNormal", "mu": 0.0, "sigma": 1.0}
    assert said["dense"]["batch_size"] == 100
    assert json.loads(json.dumps(said)) == said


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_stay_within_their_budget(name):
    spec = named(name)
    phases = ["dense", "sparse", *(["tune"] if spec.tune else [])]
    epochs = [spec.phase(phase).epochs for phase in phases]
    assert sum(epochs[1:] if spec.from_scratch else epochs) <= 60
    assert (spec.model, spec.data) == (name.split("/")[0], "mnist")
    assert identity(spec.dense) == identity(RECIPES["lenet5/baseline"].dense)


def test_a_recipe_that_is_complete_is_not_run_again(tmp_path):
    record = run("mlp/quick", 1, tmp_path, QUIET)
    path = Path(record_path(tmp_path / "records", "mlp/quick", 1))
    assert json.loads(path.read_text()) == json.loads(json.dumps(record))
    assert (record["recipe"], record["seed"], record["epochs"]) == ("mlp/quick", 1, 3)
    assert record["identity"] == identity(named("mlp/quick", 1))
    assert record["spec"]["method"]["strength"] == 4.0
    widths = {layer["name"]: layer["alive"] for layer in record["layers"]}
    total, left = record["nonzero"]["fc1.weight"]
    assert total == 784 * 500
    assert left == widths["fc1.in"] * widths["fc1"]
    assert record["error_validation"] == pytest.approx(record["error_after_removal"], abs=1e-3)
    said = []
    assert run("mlp/quick", 1, tmp_path, dataclasses.replace(QUIET, say=said.append)) == json.loads(path.read_text())
    assert said == [f"mlp/quick, seed 1: complete in {path}"]
    assert overview(tmp_path / "records")["mlp/quick"] == [1]


def test_a_run_that_was_cut_off_goes_on(tmp_path):
    def stop(text):
        if text == "measuring":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("mlp/quick", 0, tmp_path, dataclasses.replace(QUIET, say=stop))
    assert read_record(tmp_path / "records", "mlp/quick", named("mlp/quick", 0)) is None
    cut = run("mlp/quick", 0, tmp_path, QUIET)
    whole = run("mlp/quick", 0, tmp_path / "whole", QUIET)
    for key in ("identity", "error_dense", "error_small", "layers", "nonzero", "macs", "epochs"):
        assert cut[key] == whole[key]


def test_one_dense_start_serves_all_recipes_of_a_seed(tmp_path):
    warm = run("mlp/quick", 0, tmp_path, QUIET)
    (checkpoint,) = tmp_path.glob("dense/*/checkpoints/last.ckpt")
    written = checkpoint.stat().st_mtime_ns
    cold = run("mlp/cold", 0, tmp_path, QUIET)
    assert cold["error_dense"] == warm["error_dense"]
    assert [p.stat().st_mtime_ns for p in tmp_path.glob("dense/*/checkpoints/last.ckpt")] == [written]
    run("mlp/quick", 1, tmp_path, QUIET)
    assert len(list(tmp_path.glob("dense/*"))) == 2


def test_a_record_of_other_settings_does_not_count(tmp_path, monkeypatch):
    run("mlp/quick", 0, tmp_path, QUIET)
    other = dataclasses.replace(QUICK, method=gasl.GroupLasso(strength=3.0))
    monkeypatch.setitem(recipes.RECIPES, "mlp/quick", other)
    assert overview(tmp_path / "records")["mlp/quick"] == []
    monkeypatch.setitem(recipes.RECIPES, "mlp/quick", QUICK)
    assert overview(tmp_path / "records")["mlp/quick"] == [0]
    record = read_record(tmp_path / "records", "mlp/quick", named("mlp/quick", 0))
    record["spec"]["method"]["scope"] = "filter"  # as if the default had been another then
    Path(record_path(tmp_path / "records", "mlp/quick", 0)).write_text(json.dumps(record))
    assert overview(tmp_path / "records")["mlp/quick"] == []
    Path(record_path(tmp_path / "records", "mlp/quick", 0)).write_text("{")
    with pytest.raises(gasl.FileError, match="delete it"):
        read_record(tmp_path / "records", "mlp/quick", named("mlp/quick", 0))


def test_from_the_command_line(capsys, tmp_path):
    words = ["run", "mlp/quick", "--seed", "0", "--out", str(tmp_path), "--progress", "false"]
    assert main(words) == 0
    assert "fc1.in" in capsys.readouterr().out
    assert main(["recipes", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1) for line in lines if "quick" in line] == [["mlp/quick", "seeds 0"]]
    assert main(["run", "mlp/quik"]) == 2
    assert "did you mean 'mlp/quick'" in capsys.readouterr().err
