"""Figure 1: its runs and their records, that old folders without norms are run again, and what is drawn."""

import dataclasses
import shutil
import xml.etree.ElementTree as ET

import pytest
import torch
from safetensors.torch import load_file, save_file

import gasl
from gasl.cli import main
from gasl.experiments import figures
from gasl.experiments.figures import drawable, figure_jobs, folder_of
from gasl.experiments.identity import identity
from gasl.experiments.jobs import Job
from gasl.experiments.run import RunOptions
from gasl.experiments.spec import RunSpec
from gasl.experiments.store import read_record
from gasl.report.paper_figure import write_figure
from gasl.training import TrainConfig

QUIET = RunOptions(progress=False, say=lambda _: None)
PHASE = TrainConfig(epochs=1, lr=0.05, batch_size=400, clip=None, drop_after=None, stop_after=None)
SPEC = RunSpec(
    data="mnist5k", method=gasl.GroupLasso(strength=2.0), dense=PHASE, tune=None, min_units=5,
    sparse=dataclasses.replace(PHASE, epochs=2),
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two tiny runs of LeNet-5."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("figure")
    methods = {"without": SPEC.method, "with": gasl.GASL(strength=2.0)}
    jobs = {title: Job(name=title, spec=dataclasses.replace(SPEC, method=m)) for title, m in methods.items()}
    return out, jobs, {title: folder_of(job, out, QUIET) for title, job in jobs.items()}


def test_a_run_keeps_the_norms_of_every_epoch(runs):
    _, _, folders = runs
    arrays = load_file(folders["with"] / "arrays.safetensors")
    deciles = arrays["norms/over/conv2"]
    assert deciles.shape == (3, 11)
    assert (deciles.diff(dim=1) >= 0).all()
    assert deciles[0, 0] == pytest.approx(float(arrays["norms/before/conv2"].min()))
    assert deciles[-1, 10] == pytest.approx(float(arrays["norms/after/conv2"].max()))


def test_the_figure_is_drawn_from_the_folders(runs, tmp_path):
    _, _, folders = runs
    svg, png = write_figure(tmp_path, folders)
    words = [element.text.strip() for element in ET.parse(svg).iter() if element.tag.endswith("text")]
    assert [word.split(":")[0] for word in words if word.endswith("of 50 maps alive")] == ["dense", "without", "with"]
    assert "norms of conv2's groups, without" in words
    assert png.read_bytes().startswith(b"\x89PNG")
    assert svg.read_text() == write_figure(tmp_path / "again", folders)[0].read_text()


def test_a_run_leaves_its_record_where_a_table_finds_it(runs):
    out, jobs, folders = runs
    for title, job in jobs.items():
        assert folders[title] == out / f"{title}-seed0-{identity(job.spec)}"
        assert read_record(out / "records", title, job.spec)["identity"] == identity(job.spec)


def test_a_folder_that_is_complete_is_taken(runs):
    out, jobs, folders = runs
    said = []
    again = folder_of(jobs["with"], out, dataclasses.replace(QUIET, say=said.append))
    assert again == folders["with"]
    assert said == [f"with, seed 0: complete in {out}/records/with-seed0.json"]
    assert drawable(jobs["with"], out) == folders["with"]
    assert drawable(jobs["with"], out / "elsewhere") is None


def test_an_older_folder_without_the_norms_is_made_again_beside_it(runs, tmp_path, monkeypatch):
    """As is one that is not here, of which there is the record alone."""
    out, jobs, folders = runs
    records = str(out / "records")
    made = []

    def train(spec, folder, options):
        made.append(folder)
        shutil.copytree(folders["with"], folder)

    monkeypatch.setattr(figures, "train_run", train)
    old = tmp_path / folders["with"].name
    old.mkdir()
    save_file({"features/after": torch.zeros(1)}, old / "arrays.safetensors")
    (old / "result.json").write_text("{}")
    wanted = tmp_path / "figures" / old.name
    assert folder_of(jobs["with"], tmp_path, QUIET, records) == wanted
    assert folder_of(jobs["with"], tmp_path, QUIET, records) == wanted
    assert made == [wanted]
    with pytest.raises(gasl.FileError, match="run it again"):
        write_figure(tmp_path, {"with": _without_norms(folders["with"], tmp_path)})


def test_from_the_command_line(runs, monkeypatch, capsys, tmp_path):
    out, jobs, _ = runs
    seeds = []
    monkeypatch.setattr(figures, "figure_jobs", lambda _number, _choice, seed: seeds.append(seed) or jobs)
    words = ["figure", "1", "--seed", "3", "--out", str(out), "--to", str(tmp_path)]
    assert main([*words, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "without, seed 0  there",
        "with, seed 0     there",
        "0 of 2 runs are missing",
    ]
    assert main(words) == 0
    assert capsys.readouterr().out.count("written: ") == 2
    assert (tmp_path / "figure1.svg").is_file()
    elsewhere = ["--out", str(tmp_path), "--records", str(out / "records"), "--dry-run"]  # the records alone are there
    assert main([*words, *elsewhere]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0].startswith("without, seed 0  1 dense + 2 sparse epochs, ")
    assert "2 of 2 runs are missing" in said
    assert seeds == [3, 3, 3]


def _without_norms(folder, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "result.json").write_text((folder / "result.json").read_text())
    return copy


def test_its_runs_are_rows_of_table_1(capsys):
    assert {title: job.name for title, job in figure_jobs(1).items()} == {
        "without attention": "lenet5/group_lasso",
        "with guided attention": "lenet5/gasl",
    }
    assert {job.spec.seed for job in figure_jobs(1, seed=4).values()} == {4}
    assert main(["figure", "1", "--seed", "-1"]) == 2
    assert "seed must be a whole number from 0 to 2^63 - 1, got -1" in capsys.readouterr().err
    assert main(["figure", "2"]) == 2
    assert "unknown figure '2'" in capsys.readouterr().err
