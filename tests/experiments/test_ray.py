"""Runs as tasks of a local Ray: the same records, one dense start, lost workers begin again."""

import dataclasses
import os
import socket
import warnings

import pytest

import gasl
from gasl.cli import main
from gasl.experiments.jobs import Job, all_records, run_jobs
from gasl.experiments.on_ray import run_on_ray
from gasl.experiments.resources import Resources
from gasl.experiments.run import RunOptions
from gasl.experiments.spec import RunSpec
from gasl.experiments.stages import stages
from gasl.training import TrainConfig

pytest.importorskip("ray")
# Ray leaves sockets and processes to the end of the interpreter.
pytestmark = pytest.mark.filterwarnings("ignore")

PHASE = TrainConfig(epochs=1, lr=0.05, batch_size=400, clip=None, drop_after=None, stop_after=None)
SPEC = RunSpec(
    model="mlp",
    data="mnist5k",
    method=gasl.GroupLasso(strength=4.0),
    dense=PHASE,
    sparse=PHASE,
    tune=None,
    min_units=20,
)


def test_the_records_are_those_of_the_other_engine(tmp_path):
    """Two runs with one dense start, one that goes on from the first; a task dies with its worker, another fails."""
    died, said = tmp_path / "died", []
    jobs = [Job(name=f"x/{i}", spec=spec) for i, spec in enumerate(stages(SPEC, (10, 20)))]
    jobs += [Job(name="x/lost", spec=dataclasses.replace(SPEC, method=gasl.GASL(strength=4.0)))]
    jobs += [Job(name="x/bad", spec=dataclasses.replace(SPEC, method=gasl.GASL(strength=3.0)))]

    def work(job, out, options, place):
        from gasl.errors import RemovalError
        from gasl.experiments.store import run_named

        if job.name == "x/lost" and not died.exists():
            died.touch()
            os._exit(1)
        if job.name == "x/bad":
            raise RemovalError("an output would have changed")
        run_named(job.name, job.spec, out, options, place)

    options = RunOptions(progress=False, say=said.append)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        failed = run_on_ray(jobs, tmp_path / "ray", options, resources=Resources(cpus=1), work=work)
    assert len(failed) == 1
    assert failed[0].startswith("x/bad, seed 0: ")
    assert "an output would have changed" in failed[0]
    assert died.exists()
    quiet = RunOptions(progress=False, say=lambda _: None)
    assert run_jobs(jobs[:3], tmp_path / "local", quiet) == []
    found, wanted = (all_records(tmp_path / engine / "records") for engine in ("ray", "local"))
    keys = ("recipe", "identity", "error_dense", "error_small", "layers", "epochs")
    assert [{k: r[k] for k in keys} for r in found] == [{k: r[k] for k in keys} for r in wanted]
    assert len(list((tmp_path / "ray" / "dense").iterdir())) == 1
    assert sum(line.startswith("dense start ") for line in said) == 1
    assert any(line.startswith("x/1, seed 0: training with GroupLasso") for line in said)
    assert sum("of 4 done" in line for line in said) == 3
    assert run_on_ray(jobs[:3], tmp_path / "ray", options) == []  # nothing is missing: Ray is not even started


def test_no_ray_at_the_address_is_one_line(monkeypatch, capsys, tmp_path):
    def fails(**_):
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr("ray.init", fails)
    words = ["table", "1", "--engine", "ray", "--ray.address", "auto", "--records", str(tmp_path)]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("gasl: there is no Ray to be had at auto; change --ray.address, or leave it out (Could not")
    assert said.count("\n") == 1


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_nobody_listens_at_the_address(monkeypatch, capsys, tmp_path, scheme):
    """Ray is not even asked: it would try for minutes."""
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was asked"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # taken, and nobody listens
        address = f"{scheme}127.0.0.1:{free.getsockname()[1]}"
        words = ["table", "1", "--engine", "ray", "--ray.address", address, "--records", str(tmp_path)]
        assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"gasl: there is no Ray to be had at {address}; change --ray.address")
    assert said.count("\n") == 1


def test_a_port_that_cannot_be_is_one_line(capsys, tmp_path):
    words = ["table", "1", "--engine", "ray", "--ray.address", "ray://head:99999", "--records", str(tmp_path)]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("gasl: there is no Ray to be had at ray://head:99999; change --ray.address")
    assert said.count("\n") == 1


@pytest.mark.parametrize("field", [{"cpus": 0.0}, {"gpus": -1.0}, {"retries": -1}])
def test_impossible_resources_are_named(field):
    with pytest.raises(gasl.InputError, match=next(iter(field))):
        Resources(**field)


def test_flags_of_the_command_line():
    from gasl.cli.parse import parse

    words = ["--engine", "ray", "--ray.gpus", "0.5", "--ray.address", "auto"]
    for command in (["table", "2"], ["sweep", "mlp/gasl", "--values", "{method.strength: [0.1]}"]):
        _, arguments = parse([*command, *words])
        assert (arguments["engine"], arguments["ray"]) == ("ray", Resources(address="auto", gpus=0.5))
