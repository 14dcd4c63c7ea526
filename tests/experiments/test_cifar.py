"""Table 2 on CIFAR-100 from small files in the original format: the same commands, up to the printed row."""

import copy
import dataclasses
import json
from pathlib import Path

import pytest
import torch

import gasl
from gasl.cli import main
from gasl.experiments import choice
from gasl.experiments.cifar import COSTS, PIXELS, cifar_specs
from gasl.experiments.tables import LABELS, entries
from gasl.measure import count_macs
from gasl.models import VGG16

NOISY = (LABELS["l0"], LABELS["structured_bp"])


@pytest.fixture
def cifar100(tmp_path):
    """Each class five times for training, once for the test; class k is a little brighter in row k % 32."""
    folder = tmp_path / "data" / "cifar-100-binary"
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for name, each in (("train", 5), ("test", 1)):
        fine = torch.arange(100).repeat(each)
        images = torch.randint(0, 200, (len(fine), 3, 32, 32), generator=generator)
        images[torch.arange(len(fine)), :, fine % 32] += 50
        rows = torch.cat([(fine // 5)[:, None], fine[:, None], images.flatten(1)], dim=1)
        (folder / f"{name}.bin").write_bytes(rows.to(torch.uint8).numpy().tobytes())
    return tmp_path / "data"


@pytest.fixture
def two_rows(monkeypatch):
    """Only the methods of these rows: the others train in the same way, and take longer."""
    every = cifar_specs

    def some(*args):
        return {name: spec for name, spec in every(*args).items() if name in ("baseline", "gasl")}

    monkeypatch.setattr(choice, "cifar_specs", some)


WORDS = ["table", "2", "--data", "cifar100", "--width", "0.05", "--epochs", "3", "--seeds", "1"]


def test_a_dry_run_needs_no_data(capsys, tmp_path):
    assert main([*WORDS, "--dry-run", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert " ".join(lines[0].split()) == (
        "cifar100/vgg16-0.05-short3/baseline, seed 0 3 dense + 2 sparse + 1 tune epochs, time not known"
    )


def test_the_table_from_files_in_the_original_format(cifar100, two_rows, capsys, tmp_path):
    words = [*WORDS, "--out", str(tmp_path / "runs"), "--data-dir", str(cifar100), "--progress", "false"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "### VGG-16 at width 0.05 on cifar100, preset short, 3 + 2 + 1 epochs" in out
    (row,) = [line for line in out.splitlines() if line.startswith("| SA + GASL")]
    assert "| 25.41 / 48 / 2.91x |" in row
    path = tmp_path / "runs" / "records" / "cifar100" / "vgg16-0.05-short3" / "gasl-seed0.json"
    record = json.loads(Path(path).read_text())
    assert record["spec"]["model_args"] == {"width": 0.05, "num_classes": 100}
    assert record["time"]["dense"]["epochs"] == 3
    assert 0 <= record["error_small"] <= 100


@pytest.mark.parametrize(("data", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_the_network_has_as_many_outputs_as_there_are_classes(data, classes):
    arguments = cifar_specs(data, 0.25)["gasl"].model_args
    network = VGG16(**arguments)
    assert network.classifier.out_features == classes
    assert count_macs(network, torch.zeros(1, 3, 32, 32)).total == 19_907_840 + 128 * (classes - 10)


def test_a_longer_preset_is_another_run():
    short, longer = (cifar_specs(epochs=epochs)["gasl"] for epochs in (None, 30))
    assert [longer.dense.epochs, longer.sparse.epochs, longer.tune.epochs] == [30, 20, 10]
    assert longer.target.steps == 2 * short.target.steps
    assert dataclasses.replace(longer.dense, epochs=15) == short.dense


def test_factors_are_what_a_unit_and_a_weight_cost():
    example = torch.zeros(1, 3, 32, 32)
    whole = VGG16(width=0.25)
    macs = count_macs(whole, example).total
    cost, pixels = {}, {}
    for name in COSTS:
        network = copy.deepcopy(whole)
        gasl.trace(network, example).axis(name).zero_(torch.tensor([0]), readers=True)
        cost[name] = macs - count_macs(gasl.shrink(network, example)[0], example).total
        whole.get_submodule(name).register_forward_hook(
            lambda _, __, maps, name=name: pixels.update({name: maps[0, 0].numel()})
        )
    whole(example)
    assert {name: round(each / cost["features.40"]) for name, each in cost.items()} == COSTS
    assert {name: each / 64 for name, each in pixels.items()} == PIXELS


def test_where_units_are_counted_they_count_the_same():
    factors = {(row.name, row.spec.method.factors is None) for row in [*entries(2), *entries(3)] if row.label in NOISY}
    place = "cifar10/vgg16-0.25-short"
    alone = {(f"{place}/{name}", False) for name in ("l0", "structured_bp")}
    assert factors == alone | {(f"{place}/stages/{n}-{k}", True) for n in ("l0", "structured_bp") for k in (60, 70, 80)}
