"""The ablation: readings as data, stages that choose by validation error, short records, and a page made of them."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
import torch

import gasl
from gasl.cli import main
from gasl.experiments import ablation as module
from gasl.experiments import ablation_clip, ablation_run
from gasl.experiments.ablation import REFERENCES, catalogue, readings, stage_runs
from gasl.experiments.ablation_clip import ClipSpec, clip_catalogue, missing_clips, run_clips
from gasl.experiments.ablation_run import met, missing, run_stage, score, shortened
from gasl.experiments.identity import identity
from gasl.experiments.named import named
from gasl.experiments.recipes import RECIPES
from gasl.experiments.run import RunOptions
from gasl.experiments.store import record_path
from gasl.report import ablation as pages
from gasl.report.ablation import clip_table, table, with_tables
from gasl.training import TrainConfig

ROOT = Path(__file__).parents[2]
QUIET = RunOptions(progress=False, say=lambda _: None)


def write(records, name, seed, error, widths=((282, 784), (100, 500), (15, 300)), **more):
    path = Path(record_path(records, name, seed))
    path.parent.mkdir(parents=True, exist_ok=True)
    axes = dict(zip(("fc1.in", "fc1", "fc2"), widths, strict=True))
    record = {"recipe": name, "identity": identity(named(name, seed)), "seed": seed, "widths": axes}
    record |= {"error_validation": error, "error_removed": error + 1, "error_met": error + 2, "error_small": error}
    path.write_text(json.dumps(record | more))


def test_every_run_has_a_target_and_the_dense_start_of_the_recipes():
    for name, spec in catalogue().items():
        network = name.split("/")[1]
        assert spec.dense == RECIPES[f"{network}/baseline"].dense
        assert spec.target.sparsity == module.TARGETS[network]
        assert spec.method.step == "proximal"
        assert spec.sparse.epochs + spec.tune.epochs == {"mlp": 20, "lenet5": 40}[network]
    assert len({identity(spec) for spec in catalogue().values()}) == len(catalogue())


def test_the_screen_has_every_reading():
    names = {name.removeprefix("ablate/mlp/") for name, _ in stage_runs("screen", lambda *_: None)}
    assert names >= set(REFERENCES)
    for inverse in ("total", "per_layer", "log", "cv", "standardised"):
        for alpha in ("0.01", "0.1", "1", "10", "100"):
            assert {f"sa-{inverse}-alpha{alpha}-coupled", f"gasl-{inverse}-fixed-alpha{alpha}-coupled"} <= names
    method = readings()["gasl-cv-fresh-alpha0.1-coupled"]
    assert (method.inverse, method.beta, method.alpha, method.scope) == ("cv", "fresh", 0.1, "coupled")


def test_a_stage_chooses_by_validation_error_and_takes_other_seeds():
    def by_alpha(name, seed):
        if "ssl" in name:
            return float("inf") if name.endswith("out") else 9.0
        return {"sa-log-alpha10-coupled": 1.0, "gasl-cv-rank-alpha1-coupled": 1.1}.get(name.rpartition("/")[2], 2.0)

    screen = [name.rpartition("/")[2] for name, _ in stage_runs("screen", by_alpha)]
    assert {"sa-log-alpha10-filter", "gasl-cv-rank-alpha1-graph", "sa-log-alpha10-squared"} <= set(screen)
    assert len(screen) == len(set(screen)) <= 130
    seeds = stage_runs("seeds", by_alpha)
    assert {seed for _, seed in seeds} == {1, 2, 3, 4, 5}
    names = list(dict.fromkeys(name.rpartition("/")[2] for name, _ in seeds))
    assert names[:4] == [*REFERENCES[:2], "sa-log-alpha10-coupled", "gasl-cv-rank-alpha1-coupled"]
    assert len(names) == 14
    last = list(dict.fromkeys(stage_runs("lenet5", by_alpha)))
    assert len(last) == (2 + 6) * 5
    assert last[10] == ("ablate/lenet5/sa-log-alpha10-coupled", 0)
    assert stage_runs("lenet5", lambda name, seed: 2.0 if seed < 3 else None) == []


def test_what_a_missed_target_has_does_not_count(tmp_path):
    assert score("ablate/mlp/ssl-coupled", 0, tmp_path) is None
    write(tmp_path, "ablate/mlp/ssl-coupled", 0, 2.5)
    assert score("ablate/mlp/ssl-coupled", 0, tmp_path) == 2.5
    write(tmp_path, "ablate/mlp/ssl-coupled", 0, 2.5, widths=((283, 784), (100, 500), (15, 300)))
    assert score("ablate/mlp/ssl-coupled", 0, tmp_path) == float("inf")
    assert not met({"failed": "no"}, {"fc1": 0.5})


def test_the_epoch_in_which_it_was_met():
    rows = [{"val_error": "9.0"}]
    rows += [{"val_error": str(e), "sparsity_propagated/a": s} for e, s in [(3, "10"), (5, "80"), (4, "80")]]
    record = {
        "layers": [{"name": "a", "alive": 2, "size": 10}],
        "macs": {"small": 1, "dense": 5},
        "error_after_removal": 4.0,
    }
    short = shortened(record, rows)
    assert (short["met_epoch"], short["error_met"], short["widths"]) == (2, 5.0, {"a": [2, 10]})


@pytest.fixture
def quick(monkeypatch):
    """Two runs, one of which fails, on few images."""
    torch.set_num_threads(1)
    phase = TrainConfig(epochs=1, lr=0.05, batch_size=200, clip=None, drop_after=None, stop_after=None)
    target = gasl.Target(sparsity={"fc1": 0.5}, steps=5)
    spec = dataclasses.replace(
        named("ablate/mlp/ssl-coupled"), data="mnist5k", dense=phase, sparse=phase, tune=None, target=target
    )
    bad = dataclasses.replace(spec, target=gasl.Target(sparsity={"fc9": 0.5}))
    specs = {"ablate/mlp/ssl-coupled": spec, "ablate/mlp/ssl-filter": bad}
    monkeypatch.setattr(module, "catalogue", lambda: specs)
    monkeypatch.setattr(ablation_run, "stage_runs", lambda stage, score: [(name, 0) for name in specs])
    monkeypatch.setattr(ablation_run, "load", lambda name, folder: None)


@pytest.mark.usefixtures("quick")
def test_a_stage_goes_through_and_is_not_run_again(tmp_path):
    assert len(missing("screen", tmp_path / "short")) == 2
    run_stage("screen", tmp_path, QUIET, tmp_path / "short")
    assert missing("screen", tmp_path / "short") == []
    record = json.loads(Path(record_path(tmp_path / "short", "ablate/mlp/ssl-coupled", 0)).read_text())
    assert record["widths"]["fc1.in"] == [784, 784]
    assert record["error_validation"] == pytest.approx(record["error_removed"], abs=1e-3)
    failed = json.loads(Path(record_path(tmp_path / "short", "ablate/mlp/ssl-filter", 0)).read_text())
    assert "fc9" in failed["failed"]
    assert score("ablate/mlp/ssl-filter", 0, tmp_path / "short") == float("inf")
    run_stage("screen", tmp_path, dataclasses.replace(QUIET, say=pytest.fail), tmp_path / "short")


@pytest.mark.usefixtures("quick")
def test_what_another_process_is_at_comes_later(tmp_path, monkeypatch):
    from gasl.experiments.store import run_named
    from gasl.training.folder import locked

    held, said = [], []

    def first_held(name, spec, out, options):
        if not held and name.endswith("coupled"):
            held.append(name)
            with locked(out / f"{name}-seed0-{identity(spec)}"):
                return run_named(name, spec, out, options)
        return run_named(name, spec, out, options)

    monkeypatch.setattr(ablation_run, "run_named", first_held)
    run_stage("screen", tmp_path, dataclasses.replace(QUIET, say=said.append), tmp_path / "short")
    order = [text.partition(";")[0].rpartition("/")[2] for text in said if text.endswith("left")]
    assert order == ["ssl-coupled, seed 0", "ssl-filter, seed 0", "ssl-coupled, seed 0"]


def test_the_table_sets_readings_beside_group_lasso(tmp_path):
    grid = [name for name, _ in stage_runs("screen", lambda *_: None)]
    for name in grid:
        write(tmp_path, name, 0, 3.0)
    write(tmp_path, "ablate/mlp/sa-log-alpha1-coupled", 0, 2.25)
    write(tmp_path, "ablate/mlp/sa-cv-alpha1-coupled", 0, 1.0, widths=((784, 784), (100, 500), (15, 300)))
    lines = table("screen", tmp_path).splitlines()
    assert lines[0] == "Screen: 784-500-300, seed 0: 103 of 126 runs."
    assert lines[4] == "| sa-log-alpha1-coupled | 1 | 4.25 | 3.25 | 2.25 | 2.25 | -0.75 | 282-100-15 |"
    assert lines[-1].endswith("| target missed by 1 of 1 | 784-100-15 |")


def test_steps_to_a_loss_with_and_without_the_clip(tmp_path, monkeypatch):
    """At a range of 1e-6 / lr little is learned; the record says when which loss was there."""
    torch.set_num_threads(1)
    phase = TrainConfig(epochs=1, lr=0.1, batch_size=40, drop_after=None, stop_after=None, clip=None)
    specs = {
        f"clip/mlp/plain-lr0.1-{how}": ClipSpec(
            model="mlp", data="mnist5k", config=dataclasses.replace(phase, clip=clip)
        )
        for how, clip in (("none", None), ("paper", 1e-6))
    }
    for where in (ablation_clip, pages):
        monkeypatch.setattr(where, "clip_catalogue", lambda: specs)
        monkeypatch.setattr(where, "SEEDS", (0,))
    monkeypatch.setattr(pages, "LOSSES", {"mlp": (1.0, 1e-3)})
    monkeypatch.setattr(ablation_clip.Probe.__init__, "__defaults__", (20,))
    assert len(missing_clips(tmp_path)) == 2
    run_clips(tmp_path / "runs", QUIET, tmp_path)
    assert missing_clips(tmp_path) == []
    rows = json.loads(Path(record_path(tmp_path, "clip/mlp/plain-lr0.1-none", 0)).read_text())["rows"]
    assert [row[0] for row in rows] == [20, 40, 60, 80, 100]
    assert rows[-1][2] < rows[0][2]
    lines = clip_table(tmp_path).splitlines()
    assert lines[0] == "The clip of section 5: 2 of 2 runs."
    first = next(row[0] for row in rows if row[2] <= 1.0)
    assert f"| none | 1 | {first} to 1, - to 0.001 |" in lines[4]
    assert "- to 1, - to 0.001" in lines[5]


def test_clips_are_the_papers_the_fixed_one_and_none():
    configs = [clip_catalogue()[f"clip/mlp/plain-lr0.2-{how}"].config for how in ("none", "paper", "fixed")]
    assert [config.clip for config in configs] == [None, 0.1, pytest.approx(0.02)]


def test_the_page_is_what_the_records_say():
    text = (ROOT / "docs" / "ablation.md").read_text()
    assert with_tables(text, ROOT / "docs" / "records" / "ablation") == text


def test_from_the_command_line(tmp_path, capsys):
    assert main(["ablate", "--dry-run", "true", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "103 runs are missing"
    assert main(["ablate", "--show", "true", "--stage", "seeds", "--out", str(tmp_path)]) == 0
    assert "0 of ? runs" in capsys.readouterr().out
    assert main(["run", "ablate/mlp/nothing", "--out", str(tmp_path)]) == 2
    assert "unknown run 'ablate/mlp/nothing'" in capsys.readouterr().err


def test_a_stage_whose_runs_are_not_chosen_yet_says_so(tmp_path, capsys):
    assert main(["ablate", "--stage", "seeds", "--dry-run", "true", "--out", str(tmp_path)]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first == "0 runs are missing"
    assert re.fullmatch(r"and what stage screen chooses: \d\d+ of its runs are missing", last)
