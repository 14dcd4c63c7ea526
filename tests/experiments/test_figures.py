"""Figure 1: its runs, that old folders without norms are run again, and what is drawn."""

import dataclasses
import xml.etree.ElementTree as ET

import pytest
import torch
from safetensors.torch import load_file, save_file

import gasl
from gasl.cli import main
from gasl.experiments import figures
from gasl.experiments.figures import figure_jobs, folder_of
from gasl.experiments.identity import identity
from gasl.experiments.jobs import Job
from gasl.experiments.run import RunOptions
from gasl.experiments.spec import RunSpec
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


def test_a_folder_that_is_complete_is_taken_and_an_older_one_is_not(runs, tmp_path):
    out, jobs, folders = runs
    assert folders["with"] == out / "figures" / f"with-seed0-{identity(jobs['with'].spec)}"
    said = []
    again = folder_of(jobs["with"], out, dataclasses.replace(QUIET, say=said.append))
    assert (again, said) == (folders["with"], [])
    old = tmp_path / folders["with"].name
    old.mkdir()
    save_file({"features/after": torch.zeros(1)}, old / "arrays.safetensors")
    (old / "result.json").write_text("{}")
    assert not figures._complete(old)
    with pytest.raises(gasl.FileError, match="run it again"):
        write_figure(tmp_path, {"with": _without_norms(folders["with"], tmp_path)})


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
    assert main(["figure", "2"]) == 2
    assert "unknown figure '2'" in capsys.readouterr().err
