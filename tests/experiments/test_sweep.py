"""A search: which runs it is made of, and that it never looks at the test part."""

import dataclasses

import pytest
import torch

import gasl
from gasl.cli import main
from gasl.experiments import recipes
from gasl.experiments import run as run_module
from gasl.experiments.identity import identity
from gasl.experiments.jobs import all_records
from gasl.experiments.named import named
from gasl.experiments.places import write_text
from gasl.experiments.spec import RunSpec
from gasl.experiments.sweep import changed, sweep_jobs, sweep_records
from gasl.training import TrainConfig

PHASE = TrainConfig(epochs=1, lr=0.05, batch_size=400, clip=None, drop_after=None, stop_after=None)
QUICK = RunSpec(
    model="mlp",
    data="mnist5k",
    method=gasl.GroupLasso(strength=4.0),
    dense=PHASE,
    sparse=PHASE,
    tune=None,
    min_units=20,
)
VALUES = {"method.strength": [1.0, 4.0], "sparse.lr": [0.02, 0.05]}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(recipes, "RECIPES", {**recipes.RECIPES, "mlp/quick": QUICK})


def test_every_choice_is_a_run():
    jobs = sweep_jobs("mlp/quick", VALUES, seed=2)
    found = [(job.spec.method.strength, job.spec.sparse.lr) for job in jobs]
    assert found == [(1.0, 0.02), (1.0, 0.05), (4.0, 0.02), (4.0, 0.05)]
    assert {job.spec.seed for job in jobs} == {2}
    assert [job.name for job in jobs] == [f"sweeps/mlp/quick-{identity(job.spec)}" for job in jobs]


def test_some_are_drawn_at_random_and_always_the_same():
    drawn = sweep_jobs("mlp/quick", VALUES, number=2, seed=1)
    assert len(drawn) == 2
    assert drawn == sweep_jobs("mlp/quick", VALUES, number=2, seed=1)
    assert len(sweep_jobs("mlp/quick", VALUES, number=9)) == 4


def test_arguments_of_the_network_stay_what_they_are():
    arguments = {"text": "3", "flag": False, "widths": [8, "16"]}
    assert changed(QUICK, {"model_args": arguments}).model_args == arguments


def test_fields_by_their_path():
    assert changed(QUICK, {"sparse.epochs": 7}).sparse.epochs == 7
    assert changed(named("cifar10/vgg16-0.25-short/gasl"), {"target.macs": 0.5}).target.macs == 0.5
    for path, value, part in [
        ("method.strenght", 1.0, "did you mean 'strength'"),
        ("tune.lr", 1.0, "has none"),
        ("method.strength", -1.0, "strength must be"),
        ("sparse.lr", "high", "sparse.lr takes float, got 'high'"),
        ("sparse.epochs", 1.5, "sparse.epochs takes int, got 1.5"),
        ("method.step", "big", "method.step takes .*proximal.*, got 'big'"),
        ("method", "ssl", "method takes .*, got 'ssl'"),
    ]:
        with pytest.raises(gasl.InputError, match=part):
            changed(QUICK, {path: value})
    with pytest.raises(gasl.InputError, match="did you mean 'mlp/gasl'"):
        named("mlp/gals")
    for values in ({}, {"method.strength": []}):
        with pytest.raises(gasl.InputError, match="a search needs values"):
            sweep_jobs("mlp/quick", values)


@pytest.mark.parametrize("order", [1, -1])
def test_fields_that_hang_on_each_other_are_set_at_once(order):
    """Either alone is refused: lr falls in one way only."""
    values = {"sparse.drop_after": None, "sparse.decay_from": 2, "sparse.epochs": 3}
    spec = dataclasses.replace(QUICK, sparse=dataclasses.replace(PHASE, drop_after=2))
    made = changed(spec, dict([*values.items()][::order]))
    assert (made.sparse.decay_from, made.sparse.epochs) == (2, 3)


def test_from_the_command_line_without_the_test_part(capsys, tmp_path, monkeypatch):
    loaded = run_module.load("mnist5k")
    blind = dataclasses.replace(loaded, test=None)
    monkeypatch.setattr(run_module, "load", lambda *_: blind)
    words = ["sweep", "mlp/quick", "--values", "{method.strength: [1.0, 30.0]}", "--out", str(tmp_path)]
    assert main([*words, "--progress", "false"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "% validation" in line]
    errors = [float(line.split()[0]) for line in lines]
    assert len(errors) == 2
    assert errors == sorted(errors)
    assert "method.strength=1.0" in lines[0]
    write_text(f"{sweep_records(tmp_path)}/other-seed0.json", '{"recipe": "clip/mlp/plain", "spec": {"method": null}}')
    records = all_records(sweep_records(tmp_path))
    assert sorted(round(r["error_small"], 2) for r in records) == errors
    assert all(r["error_small"] == pytest.approx(r["error_validation"], abs=1e-3) for r in records)
    assert len(list(tmp_path.glob("dense/*"))) == 1
