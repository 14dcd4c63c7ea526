"""A whole run on a small scale: what it writes, that it can be gone on with, and the demonstration's bounds."""

import dataclasses
import io
import json

import pytest
import torch
from rich.console import Console

import gasl
from gasl.data import default_preprocess, load
from gasl.experiments import RunSpec, demo_spec, factory
from gasl.experiments.demo import run_demo
from gasl.experiments.record import second_feature_maps
from gasl.experiments.run import RunOptions, train_run
from gasl.experiments.store import run_named
from gasl.methods.l0 import L0
from gasl.models import MLP, LeNet5
from gasl.report import ReportData, result_view, write_report
from gasl.training import TrainConfig, error_percent
from gasl.training.folder import locked

QUIET = RunOptions(progress=False, say=lambda _: None)


def quick(**changes):
    phase = TrainConfig(epochs=1, lr=0.05, batch_size=200, clip=None, drop_after=None, stop_after=None)
    spec = RunSpec(
        model="mlp",
        data="mnist5k",
        method=gasl.GASL(strength=4.0),
        dense=phase,
        sparse=dataclasses.replace(phase, epochs=3),
        tune=phase,
        min_units=20,
    )
    return dataclasses.replace(spec, **changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("run")
    return out, train_run(quick(), out, QUIET)


def test_the_record_has_the_keys_that_others_build_on(finished):
    out, result = finished
    assert json.loads((out / "result.json").read_text()) == json.loads(json.dumps(result))
    assert [layer["name"] for layer in result["layers"]] == ["fc1.in", "fc1", "fc2"]
    for layer in result["layers"]:
        assert layer["sparsity_propagated"] == pytest.approx(100 * (1 - layer["alive"] / layer["size"]))
        assert 20 <= layer["alive"] < layer["size"]
    assert set(result["latency_ms"]["dense"]) == set(result["speedup"]) == {"1", "128"}
    assert result["params"]["small"] < result["params"]["dense"] == 545_810
    assert result["macs"]["small"] < result["macs"]["dense"] == 545_000
    assert result["max_rel_diff"] <= 1e-5
    assert torch.cuda.is_available() or result["trained_on"] == "cpu"
    assert result["error_before_removal"] == result["error_after_removal"]
    assert result["threads"] == 1


def test_what_came_of_a_target_is_said_and_recorded(finished, tmp_path):
    said, target = [], gasl.Target(macs=0.5)
    spec = quick(method=gasl.GASL(), target=target, round_to=8, min_units=1, tune=None)
    result = train_run(spec, tmp_path, dataclasses.replace(QUIET, say=said.append))
    assert all(layer["alive"] % 8 == 0 or layer["alive"] == layer["size"] for layer in result["layers"])
    found = result["target"]
    assert found["asked"] == 0.5
    assert found["left"] == pytest.approx(result["macs"]["small"] / result["macs"]["dense"])
    assert found["met"] == (found["left"] <= 0.5)
    assert found["words"] in said
    text = io.StringIO()
    Console(file=text, width=120).print(result_view(result))
    assert found["words"] in text.getvalue()
    assert found["words"] in write_report(tmp_path / "report.html", ReportData.load(tmp_path)).read_text()
    assert "target" not in finished[1]


class Fixed(MLP):
    """Holds a width as a number of the code."""

    def forward(self, images):
        hidden = self.relu(self.fc1(self.flatten(images))).view(-1, 20, 25).flatten(1)
        return self.fc3(self.relu(self.fc2(hidden)))


def test_what_has_to_stay_is_said_before_training_and_reported(finished, tmp_path):
    said = []
    spec = quick(model=f"{__name__}:Fixed", tune=None)
    result = train_run(spec, tmp_path, dataclasses.replace(QUIET, say=said.append))
    words = "fc1 keeps its 500 units: aten.view holds its size as the number 20"
    assert said.index(words) < said.index("training the dense network")
    assert result["kept"] == [words]
    text = io.StringIO()
    Console(file=text, width=120).print(result_view(result))
    assert words in text.getvalue()
    assert words in write_report(tmp_path / "report.html", ReportData.load(tmp_path)).read_text()
    assert "kept" not in finished[1]


def test_the_saved_network_is_the_one_that_was_tested(finished):
    out, result = finished
    small = gasl.load(out / "model.safetensors", build=MLP)
    assert error_percent(small, load("mnist5k").test) == result["error_small"]
    assert sum(p.numel() for p in small.parameters()) == result["params"]["small"]
    assert small.fc1.out_features == next(x["alive"] for x in result["layers"] if x["name"] == "fc1")


def test_the_page_can_be_made_from_the_folder(finished):
    out, _ = finished
    data = ReportData.load(out)
    assert len(data.history) == 5
    assert [row["epoch"] for row in data.history] == list(range(5))
    assert "sparsity_propagated/fc1" in data.history[3]
    before, after = data.norms["fc1"]
    assert (before > 0).all()
    assert 0 < (after == 0).sum() < len(after)


def test_a_run_that_was_cut_off_goes_on_to_the_same_result(finished, tmp_path):
    _, whole = finished

    def stop_at_tuning(text):
        if text == "training what is left":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(quick(), tmp_path, dataclasses.replace(QUIET, say=stop_at_tuning))
    assert not (tmp_path / "result.json").exists()
    resumed = train_run(quick(), tmp_path, dataclasses.replace(QUIET, resume=True))
    for key in ("error_dense", "error_small", "layers", "params", "macs", "max_rel_diff"):
        assert resumed[key] == whole[key]


def test_gates_are_part_of_the_network_until_the_removal(tmp_path):
    """What validation sees while a method's own parameters are in the network is what is left without them."""
    phase = dataclasses.replace(quick().sparse, optimizer="adam", lr=0.05)
    spec = quick(method=L0(strength=1e-3), sparse=phase, tune=None)
    result = train_run(spec, tmp_path, QUIET)
    assert result["error_before_removal"] == result["error_after_removal"]
    assert result["max_rel_diff"] <= 1e-5
    assert all(20 <= layer["alive"] < layer["size"] for layer in result["layers"])
    last = ReportData.load(tmp_path).history[-1]
    assert last["val_error"] == pytest.approx(result["error_after_removal"])
    assert last["sparsity_propagated/fc1"] == pytest.approx(
        next(layer["sparsity_propagated"] for layer in result["layers"] if layer["name"] == "fc1")
    )


def test_another_run_in_the_same_folder_is_refused(finished):
    out, _ = finished
    with pytest.raises(gasl.InputError, match="resume it, or choose another folder"):
        train_run(quick(), out, QUIET)
    with pytest.raises(gasl.InputError, match="seed: 0 there, 1 here"):
        train_run(quick(seed=1), out, dataclasses.replace(QUIET, resume=True))
    before = {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()}
    longer = quick(dense=dataclasses.replace(quick().dense, epochs=2), model_args={"input_dropout": 0.5})
    with pytest.raises(gasl.InputError, match=r"dense.epochs: 1 there, 2 here, model_args.input_dropout: None"):
        train_run(longer, out, dataclasses.replace(QUIET, resume=True))
    assert before == {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()}


@pytest.mark.parametrize("phase", ["dense", "tune"])
def test_a_phase_that_diverges_is_no_result(phase, tmp_path):
    wild = quick(**{phase: dataclasses.replace(quick().dense, lr=1e18)})
    with pytest.raises(gasl.InputError, match=f"the phase {phase} diverged.*take a lower {phase}.lr"):
        train_run(wild, tmp_path, QUIET)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_folder_in_use_is_refused(tmp_path):
    with locked(tmp_path), pytest.raises(gasl.InputError, match="in use by process"):
        train_run(quick(), tmp_path, QUIET)


def test_the_others_of_several_processes_write_no_record(tmp_path, monkeypatch):
    monkeypatch.setattr("gasl.experiments.run.first_process", lambda: False)
    assert run_named("x", quick(sparse=quick().dense, tune=None), tmp_path, QUIET) == {}
    written = {path.name for path in tmp_path.rglob("*")}
    assert "sparse.safetensors" in written
    assert not {"result.json", "model.safetensors", "records"} & written


def test_from_scratch_does_not_start_from_the_baseline(finished, tmp_path):
    _, warm = finished
    cold = train_run(quick(from_scratch=True, tune=None), tmp_path, QUIET)
    assert cold["error_dense"] == warm["error_dense"]
    assert cold["layers"] != warm["layers"]
    assert list(cold["phases"]) == ["dense", "sparse"]


def test_demo_reaches_its_bounds(tmp_path):
    """The bounds of the demonstration but for its speed, which a test cannot assert."""
    result = run_demo(tmp_path, seed=0, progress=False, say=lambda _: None)
    assert result["error_small"] <= 5
    assert [layer["name"] for layer in result["layers"]] == ["conv1", "conv2", "fc1.in", "fc1"]
    assert min(layer["sparsity_propagated"] for layer in result["layers"]) >= 70
    assert result["max_rel_diff"] <= 1e-5
    small = gasl.load(tmp_path / "model.safetensors", build=LeNet5)
    images = default_preprocess((1, 28, 28)).evaluate(load("mnist5k").test.images)
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (exported,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(exported), small(images), atol=1e-4, rtol=1e-4)
    data = ReportData.load(tmp_path)
    assert data.features is not None
    assert (data.features[1].max(axis=(1, 2)) > 0).sum() <= 15  # of 50 maps


def test_a_pretrained_start_is_the_baseline(finished, tmp_path):
    """The weights of a file are the baseline, and no dense phase is trained."""
    torch.manual_seed(1)
    trained = MLP()
    gasl.save(trained, tmp_path / "trained.safetensors")
    result = train_run(quick(weights=str(tmp_path / "trained.safetensors")), tmp_path / "run", QUIET)
    assert list(result["phases"]) == ["sparse", "tune"]
    assert result["error_dense"] == error_percent(trained, load("mnist5k").test)
    assert not (tmp_path / "run" / "dense").exists()


def test_second_feature_maps_needs_two_convolutions():
    assert second_feature_maps(MLP(), torch.zeros(1, 1, 28, 28)) is None


def test_factories():
    assert factory("vgg16", {"width": 0.25})().features[0].out_channels == 16
    with pytest.raises(gasl.InputError, match="does not take"):
        factory("lenet5", {"depth": 3})()
    with pytest.raises(gasl.InputError, match="makes a int, not"):
        factory("builtins:int")()


def test_a_spec_refuses_a_negative_seed():
    with pytest.raises(gasl.InputError, match="seed"):
        RunSpec(seed=-1)
    assert demo_spec(seed=4).phase("tune").seed == 4
