"""The command line: what it prints, what it writes, and that a mistake costs one line and exit code 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import gasl
from gasl.cli import main
from gasl.cli.parse import parse
from gasl.experiments.networks import factory
from gasl.experiments.spec import STRENGTH
from gasl.models import MODELS, LeNet5

QUICK = [
    *("--model", "mlp", "--data", "mnist5k", "--min_units", "20", "--progress", "false"),
    *(f"--{phase}.{field}" for phase in ("dense", "sparse", "tune") for field in ("epochs=1", "batch_size=200")),
]


@pytest.fixture
def pruned(tmp_path):
    """A file with a LeNet-5 of which five filters are dead."""
    model = LeNet5()
    with torch.no_grad():
        model.conv1.weight[:5] = 0
    path = tmp_path / "dense.safetensors"
    gasl.save(model, path)
    return model, path


def fails(capsys, *words):
    """The one line that a command prints before it exits with 2."""
    assert main(words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("gasl: ")
    return lines[0]


def test_measure_prints_the_costs(capsys):
    assert main(["measure", "--model", "lenet5", "--batch", "2"]) == 0
    printed = capsys.readouterr().out
    assert "431,080" in printed
    assert "2,293,000" in printed


def test_shrink_removes_saves_and_exports(capsys, pruned, tmp_path):
    model, path = pruned
    out, onnx = tmp_path / "small.safetensors", tmp_path / "small.onnx"
    words = ["shrink", "--model", "lenet5", "--weights", str(path), "--out", str(out), "--onnx", str(onnx)]
    assert main(words) == 0
    assert "conv1" in capsys.readouterr().out
    small = gasl.load(out, build=LeNet5)
    assert small.conv1.out_channels == 15
    images = torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(small(images), model.eval()(images))
    assert onnx.exists()
    assert main([*words[:7], "--round_to", "8", "--protect", "['conv2*']", "--batches", "[1]"]) == 0
    small = gasl.load(out, build=LeNet5)
    assert (small.conv1.out_channels, small.conv2.out_channels) == (16, 50)


@pytest.mark.parametrize(
    "wrong", [["--threads", "0"], ["--batches", "[0]"], ["--onnx", "nowhere.txt/small.onnx"], ["--out", "."]]
)
def test_shrink_with_a_flag_that_makes_no_sense_writes_nothing(capsys, pruned, tmp_path, monkeypatch, wrong):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nowhere.txt").touch()
    fails(capsys, "shrink", "--model", "lenet5", "--weights", str(pruned[1]), "--out", "small.safetensors", *wrong)
    assert {path.name for path in tmp_path.iterdir()} == {"dense.safetensors", "nowhere.txt"}


def test_a_network_of_the_users_own(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mynets.py").write_text(
        "from torch import nn\n\n\ndef build(width=8):\n"
        "    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))\n"
    )
    wide = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    save_file(wide.state_dict(), tmp_path / "plain.safetensors")  # any safetensors state dict will do
    words = ["measure", "--model", "mynets:build", "--model_args", "{width: 6}", "--shape", "[4]"]
    assert main([*words, "--weights", "plain.safetensors"]) == 0
    assert "44" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["--config", "--model_args"])
def test_arguments_of_a_network_are_what_yaml_says(tmp_path, word):
    text = '{a: 1, b: [8, "16"], flag: false, none: null, text: "3", e: 1e-3, inner: {deep: [true, {x: "no"}]}}'
    wanted = {"a": 1, "b": [8, "16"], "flag": False, "none": None, "text": "3", "e": 1e-3}
    wanted["inner"] = {"deep": [True, {"x": "no"}]}
    config = tmp_path / "flags.yaml"
    config.write_text(f"model_args: {text}\n")
    words = ["measure", "--model", "mlp", word, str(config) if word == "--config" else text]
    found = parse(words)[1]["model_args"]
    assert (found, [type(v) for v in found.values()]) == (wanted, [type(v) for v in wanted.values()])
    one_by_one = ["--model_args.flag", "true", "--model-args.width=0.25", '--model_args.inner.y="3"']
    wanted |= {"flag": True, "width": 0.25, "inner": {**wanted["inner"], "y": "3"}}
    assert parse([*words, *one_by_one])[1]["model_args"] == wanted
    assert parse(words[:3])[1]["model_args"] is None


def test_a_network_cannot_change_its_arguments(monkeypatch):
    monkeypatch.setitem(MODELS, "eats", lambda widths: nn.Linear(1, widths.pop()))
    widths = [8, 4]
    build = factory("eats", {"widths": widths})
    assert [build().out_features, build().out_features, len(widths)] == [4, 4, 2]


def test_train_and_report(capsys, tmp_path):
    out = tmp_path / "run"
    words = ["train", "--out", str(out), "--method", "gasl", "--gasl.strength", "8", "--sparse.epochs", "2", *QUICK]
    assert main(words) == 0
    assert "fc1.in" in capsys.readouterr().out
    page = (out / "report.html").read_text()
    (out / "report.html").unlink()
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").read_text() == page
    assert "resume it, or choose another folder" in fails(capsys, *words)


def test_a_method_without_a_strength_gets_one_that_kills():
    _, arguments = parse(["train", "--out", "run", "--method", "group_lasso"])
    assert arguments["method"] == gasl.GroupLasso(strength=STRENGTH)
    _, arguments = parse(["train", "--out", "run", "--gasl.strength", "null"])
    assert arguments["method"] == gasl.GASL(strength=None)
    over = ["--method", "attention", "--attention.over", "gasl.L1", "--attention.granularity", "weight"]
    for words, strength in (
        ([], 1e-4),
        (["--attention.strength", "0.1"], 0.1),
        (["--attention.strength", "null"], None),
    ):
        _, arguments = parse(["train", "--out", "run", *over, *words])
        assert arguments["method"] == gasl.Attention(over=gasl.L1(), granularity="weight", strength=strength)


def test_flags_from_yaml(capsys, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text(
        f"out: {tmp_path / 'run'}\nmodel: mlp\ndata: mnist5k\nmethod: group_lasso\ngroup_lasso: {{strength: -1.0}}\n"
    )
    assert "strength must be" in fails(capsys, "train", "--config", str(config))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["trian"], "did you mean 'train'"),
        (["measure", "--model", "lenet"], "did you mean 'lenet5'"),
        (["measure", "--model", "lenet5", "--threds", "2"], "unknown flag '--threds'; did you mean '--threads'"),
        (["measure", "--model", "lenet5", "--threads", "two"], "threads"),
        (["measure", "--model", "lenet5", "--threads", "0"], "threads"),
        (["measure", "--model", "lenet5", "--shape", "[3,5,5]"], "shape"),
        (["measure", "--model", "torch.nn:Flatten"], "shape of one example"),
        (["measure", "--model", "nowhere:build"], "cannot be imported"),
        (["shrink", "--model", "mlp", "--weights", "none.safetensors", "--out", "x"], "there is no file"),
        (["report", "nowhere"], "result.json"),
        (["train", "--out", "run", "--method", "gasel"], "did you mean 'gasl'"),
        (["train", "--out", "run", "--gasl.strength", "nan"], "strength"),
        (["train", "--out", "run", "--gasl.inverse", "totel"], "inverse"),
        (["train", "--out", "run", "--data", "mnits"], "did you mean"),
        (["train", "--out", "run", "--dense.lr", "0"], "lr must be positive"),
        (["train", "--out", "run", "--data", "mnist5k", "--min_units", "0"], "min_units"),
        (["train", "--out", "run", "--data", "mnist5k", "--protect", "[conv9]"], "conv9"),
        (["train", "--out", "run", "--data", "mnist", "--data-dir", "nowhere"], "nowhere"),
        (["train", "--out", "run", "--data", "mnist5k", "--model", "vgg16"], "does not run on example inputs"),
        (["train", "--out", "run", "--data", "mnist5k", "--model_args={num_classes: 3}"], "10 classes"),
        (["train", "--out", "run", "--data", "mnist5k", "--weights", "nowhere"], "there is no file nowhere"),
        (["measure", "--model", "mlp", "--model_args", "{1: 2}"], "takes names that are texts, got 1"),
        (
            ["measure", "--model", "mlp", "--model_args", "{a: [!!set {b}]}"],
            "--model_args.a takes texts, numbers, true",
        ),
        (["measure", "--model", "mlp", "--model_args", "{a: 1}", "--model_args.a.b", "2"], "'a' to be a mapping"),
        (["measure", "--model", "mlp", "--model_args.a", "[1"], "--model_args.a takes YAML, got [1 (see"),
        (["measure", "--model", "mlp", "--model_args.a"], "--model_args.a needs a value"),
        (["measure", "--model", "mlp", "--shape", "[3,1000000,1000000]"], "do not fit into the memory"),
        (["measure", "--model", "mlp", "--batch", str(2**40)], "do not fit into the memory; take a smaller batch"),
        (["train", "--out", "run", "--data", "hub:"], "a set of the hub is called hub:OWNER/NAME"),
        (["demo", "--seed", "-1"], "seed"),
        (["train", "--out", ""], "--out needs a value"),
        (["train", "--out="], "--out needs a value"),
        (["train", "--out", "run", "--gasl.strenght", "2"], "did you mean '--gasl.strength'"),
        (["train", "--out", "run", "--protect", "fc3"], "--protect takes list[str] or null, got fc3 (see"),
        (
            ["train", "--out", "run", "--target", "0.25"],
            "--target takes Target or null, got 0.25; its fields are flags",
        ),
        (["train", "--out", "run", "--target.macs", "abc"], "--target.macs takes float or null, got abc (see"),
        (["train", "--out", "run", "--target.mac", "0.5"], "--target has no field 'mac'"),
        (["train", "--out", "run", "--sparse.lr", "high"], "--sparse.lr takes float, got high (see"),
        (["train", "--out", "run", "--min_units", "2.5"], "--min_units takes int or dict[str, int], got 2.5 (see"),
        (["train", "--out", "run", "--gasl.beta", "new"], "--gasl.beta takes 'fresh' or 'fixed' or 'rank', got new"),
        (["train", "--out", "run", "--seed", str(2**63)], "seed must be a whole number"),
        (["table", "2", "--hardware.devices", "2"], "gasl: many runs are shared out one to a device"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes(capsys, tmp_path, monkeypatch, words, part):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GASL_DATA", raising=False)
    assert part in fails(capsys, *words)
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"\xff\xfe\x00", "is no UTF-8 text"),
        (b"sparse: 3", "sparse has fields"),
        (b"gasl: 3", "gasl has fields"),
        (b"target: 3", "--target takes Target or null, got 3"),
        (b"sparse: [lr]", "sparse has fields"),
    ],
)
def test_a_file_of_flags_that_makes_no_sense(capsys, tmp_path, content, part):
    (tmp_path / "flags.yaml").write_bytes(content)
    assert part in fails(capsys, "train", "--out", str(tmp_path / "run"), "--config", str(tmp_path / "flags.yaml"))
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_not_ours(capsys, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"not tensors")
    assert "not a safetensors file" in fails(capsys, "measure", "--model", "mlp", "--weights", str(path))
    save_file({"weight": torch.zeros(1)}, path)
    assert "does not fit MLP" in fails(capsys, "measure", "--model", "mlp", "--weights", str(path))


def test_help_and_the_entry_point():
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from gasl.cli import main; sys.exit(main())", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert all(command in done.stdout for command in ("demo", "train", "shrink", "measure", "methods", "report"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--target.macs", "0.1", "--target.params", "0.2"],
            "a target is one of latency_ms, macs, params and sparsity",
        ),
        (["--target.macs", "1.5"], "macs must lie between 0 and 1"),
        (["--target.mac", "0.5"], "mac"),
    ],
)
def test_a_target_that_means_nothing_is_one_line(flags, message, tmp_path, capsys):
    assert main(["train", "--out", str(tmp_path / "run"), "--data", "mnist5k", *flags]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_reader_who_has_seen_enough_is_no_error():
    """As in ``gasl table 1 --show true | head -1``: no traceback, whatever the pipe holds."""
    script = "import sys; from gasl.cli import main; sys.exit(main(['table', '1', '--show', 'true']))"
    done = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "{sys.executable}" -c "{script}" | true'], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("redirected", "found"),
    [
        ("| cat", (0, "")),
        ("> /dev/full", (2, "gasl: No space left on device; make room, and the same command goes on\n")),
        (">&-", (0, "")),
    ],
)
def test_whatever_the_output_is(redirected, found, tmp_path):
    """A terminal without the sign of a spread, a full disk, none at all."""
    records = Path(__file__).parents[2] / "docs" / "records" / "methods"
    script = (
        f"import sys; from gasl.cli import main; sys.exit(main(['table', '1', '--show', '--records', '{records}']))"
    )
    done = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "{sys.executable}" -c "{script}" {redirected}'],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == found
    assert (" ? " in done.stdout) is ("cat" in redirected)
