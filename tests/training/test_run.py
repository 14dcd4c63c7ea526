"""A whole run: what it leaves, how it goes on after being cut off, what it refuses."""

import csv
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gasl.data import DataSplits, Preprocess
from gasl.errors import FileError, InputError, MissingExtraError
from gasl.methods import GASL
from gasl.training import FitResult, Hardware, TrainConfig, error_percent, fit
from gasl.training.shell import lightning

Make = Callable[[], nn.Module]

CPU = Hardware(accelerator="cpu")
CONFIG = TrainConfig(epochs=5, batch_size=12, lr=0.05, drop_after=1, drop_factor=0.5, stop_after=None, seed=3)
METHOD = GASL(strength=0.02, beta="fresh")


class PowerCut(lightning.Callback):
    """Ends the run in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        if trainer.current_epoch == self.epoch and trainer.global_step % 4 == 2:
            raise RuntimeError("power cut")


def run(model: nn.Module, data: DataSplits, out: Path, config: TrainConfig = CONFIG, **settings: Any) -> FitResult:
    preprocess = Preprocess(padding=1, flip=True)
    return fit(model, data, out, config=config, hardware=CPU, progress=False, preprocess=preprocess, **settings)


def without_time(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.parametrize("method", [None, METHOD], ids=["plain", "gasl"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_resumed_run_is_equal_to_the_bit(
    splits: DataSplits, make_net: Make, tmp_path: Path, method: GASL | None, optimizer: Any
) -> None:
    config = TrainConfig(**{**CONFIG.__dict__, "optimizer": optimizer})
    whole = run(make_net(), splits, tmp_path / "whole", config, method=method)
    with pytest.raises(RuntimeError, match="power cut"):
        run(make_net(), splits, tmp_path / "cut", config, method=method, callbacks=[PowerCut(2)])
    resumed = run(make_net(), splits, tmp_path / "cut", config, method=method, resume=True)
    for (name, a), b in zip(whole.model.state_dict().items(), resumed.model.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert without_time(whole.history) == without_time(resumed.history)
    assert len(whole.history) == 5
    assert whole.history[-1]["lr"] < 0.05
    if method is not None:
        assert whole.sparsifier.state.step == resumed.sparsifier.state.step == 20


@pytest.mark.parametrize(("precision", "dtype"), [(None, torch.float32), ("bf16-mixed", torch.bfloat16)])
def test_precision_is_that_of_the_products_and_not_of_the_weights(
    splits: DataSplits, make_net: Make, tmp_path: Path, precision: Any, dtype: torch.dtype
) -> None:
    net, seen = make_net(), set()
    net.register_forward_hook(lambda module, _, scores: seen.add(scores.dtype) if module.training else None)
    result = run(net, splits, tmp_path, TrainConfig(**{**CONFIG.__dict__, "precision": precision}), method=METHOD)
    assert seen == {dtype}
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert len(result.history) == 5


@pytest.mark.parametrize("precision", ["64-true", "32-true", None])
def test_double_precision_is_a_phase_s_own(splits: DataSplits, make_net: Make, tmp_path: Path, precision: Any) -> None:
    """Its network is measured in double, and what comes before or after it, or teaches it, may be in single."""
    wanted = torch.float64 if precision == "64-true" else torch.float32
    config = TrainConfig(epochs=1, batch_size=12, precision=precision, teacher=0.5)
    for given in (torch.float32, torch.float64):
        model = make_net().to(given)
        run(model, splits, tmp_path / str(given), config, teacher=make_net().to(given))
        assert {p.dtype for p in model.parameters()} == {wanted}
        assert 0 <= error_percent(model, splits.test) <= 100


@pytest.mark.parametrize(
    "hardware",
    [Hardware(accelerator="abacus"), Hardware(devices=0), Hardware(nodes=0), Hardware(strategy="all at once")],
)
def test_what_lightning_cannot_run_on_is_refused_in_words(
    splits: DataSplits, net: nn.Module, tmp_path: Path, hardware: Hardware
) -> None:
    with pytest.raises(InputError, match=r"^Hardware\(.*, precision 32-true: \S"):
        fit(net, splits, tmp_path / "run", config=CONFIG, hardware=hardware, progress=False)
    assert not (tmp_path / "run").exists()


def test_a_linear_decay_goes_on_where_it_was_cut_off_in_a_folder_that_was_moved(
    splits: DataSplits, make_net: Make, tmp_path: Path
) -> None:
    config = TrainConfig(**{**CONFIG.__dict__, "optimizer": "adam", "drop_after": None, "decay_from": 2})
    whole = run(make_net(), splits, tmp_path / "whole", config)
    assert [row["lr"] for row in whole.history] == pytest.approx([0.05, 0.05, 0.05, 0.05 * 2 / 3, 0.05 / 3])
    with pytest.raises(RuntimeError, match="power cut"):
        run(make_net(), splits, tmp_path / "cut", config, callbacks=[PowerCut(4)])
    (tmp_path / "cut").rename(tmp_path / "moved")
    resumed = run(make_net(), splits, tmp_path / "moved", config, resume=True)
    assert without_time(whole.history) == without_time(resumed.history)
    longer = TrainConfig(**{**config.__dict__, "epochs": 6})
    with pytest.raises(InputError, match="decay_to: 5 there, 6 here"):
        run(make_net(), splits, tmp_path / "moved", longer, resume=True)


def test_one_cycle_goes_on_where_it_was_cut_off(splits: DataSplits, make_net: Make, tmp_path: Path) -> None:
    config = TrainConfig(**{**CONFIG.__dict__, "drop_after": None, "one_cycle": 0.25})
    whole = run(make_net(), splits, tmp_path / "whole", config)
    # 20 steps, of which the first 5 rise; a row has that of the epoch's last step, s = 3, 7, 11, 15, 19.
    assert [row["lr"] for row in whole.history] == pytest.approx([0.04, *(0.05 * n / 15 for n in (13, 9, 5, 1))])
    with pytest.raises(RuntimeError, match="power cut"):
        run(make_net(), splits, tmp_path / "cut", config, callbacks=[PowerCut(3)])
    resumed = run(make_net(), splits, tmp_path / "cut", config, resume=True)
    assert without_time(whole.history) == without_time(resumed.history)
    longer = TrainConfig(**{**config.__dict__, "epochs": 6})
    with pytest.raises(InputError, match="decay_to: 5 there, 6 here"):
        run(make_net(), splits, tmp_path / "cut", longer, resume=True)


def test_the_error_is_watched_from_an_epoch_on(splits: DataSplits, make_net: Make, tmp_path: Path) -> None:
    config = TrainConfig(**{**CONFIG.__dict__, "lr": 1e-9, "stop_after": 1})
    assert len(run(make_net(), splits, tmp_path / "at_once", config).history) == 2
    late = TrainConfig(**{**config.__dict__, "watch_from": 2})
    assert len(run(make_net(), splits, tmp_path / "late", late).history) == 4


def test_history_is_a_table_of_every_epoch(splits: DataSplits, net: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="power cut"):
        run(net, splits, tmp_path, method=METHOD, callbacks=[PowerCut(2)])
    result = run(net, splits, tmp_path, method=METHOD, resume=True)
    with (tmp_path / "history.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert rows == result.history
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3, 4]
    assert {"train_loss", "val_loss", "val_error", "lr", "seconds", "strength"} <= rows[0].keys()
    assert {"sparsity_own/conv", "sparsity_propagated/conv"} <= rows[0].keys()


def test_it_learns(splits: DataSplits, net: nn.Module, tmp_path: Path) -> None:
    config = TrainConfig(epochs=12, batch_size=8, drop_after=None, stop_after=None)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 3))
    result = fit(layers, splits, tmp_path, config=config, hardware=CPU, progress=False)
    assert result.model is layers
    assert result.history[-1]["val_error"] < 10
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"] / 2


def test_test_part_is_never_read(splits: DataSplits, net: nn.Module, tmp_path: Path) -> None:
    run(net, DataSplits(splits.train, splits.validation, None), tmp_path)


def test_folder_has_whole_files_only(splits: DataSplits, net: nn.Module, tmp_path: Path) -> None:
    run(net, splits, tmp_path)
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert names == [".lock", "checkpoints/last.ckpt", "history.csv", "run.json"]


def test_network_keeps_its_memory_layout(splits: DataSplits, net: nn.Module, tmp_path: Path) -> None:
    run(net, splits, tmp_path)
    assert all(p.is_contiguous() for p in net.parameters())
    with pytest.raises(RuntimeError, match="power cut"):
        run(net, splits, tmp_path / "cut", callbacks=[PowerCut(0)])
    assert all(p.is_contiguous() for p in net.parameters())


def test_random_state_of_the_caller_is_left_alone(splits: DataSplits, net: nn.Module, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    run(net, splits, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_seed_decides(splits: DataSplits, make_net: Make, tmp_path: Path) -> None:
    results = []
    for seed, name in ((3, "a"), (3, "b"), (4, "c")):
        config = TrainConfig(**{**CONFIG.__dict__, "seed": seed})
        results.append(without_time(run(make_net(), splits, tmp_path / name, config).history))
        torch.rand(5)
    assert results[0] == results[1] != results[2]


def test_run_stops_and_stays_stopped(splits: DataSplits, net: nn.Module, tmp_path: Path) -> None:
    config = TrainConfig(epochs=30, batch_size=12, lr=1e-30, stop_after=2, drop_after=None)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    net.fc.bias.requires_grad_(True)
    net.norm.momentum = 0.0
    assert len(run(net, splits, tmp_path, config).history) == 3
    assert len(run(net, splits, tmp_path, config, resume=True).history) == 3


def test_finished_run_can_be_made_longer(splits: DataSplits, net: nn.Module, tmp_path: Path) -> None:
    run(net, splits, tmp_path, TrainConfig(**{**CONFIG.__dict__, "epochs": 2}))
    assert len(run(net, splits, tmp_path, resume=True).history) == 5


def test_another_run_in_the_folder_is_refused(splits: DataSplits, net: nn.Module, tmp_path: Path) -> None:
    run(net, splits, tmp_path)
    with pytest.raises(InputError, match="holds a run"):
        run(net, splits, tmp_path)
    with pytest.raises(InputError, match="method: None there, GASL"):
        run(net, splits, tmp_path, method=METHOD, resume=True)


def test_damaged_checkpoint_is_refused(splits: DataSplits, net: nn.Module, tmp_path: Path) -> None:
    run(net, splits, tmp_path)
    path = tmp_path / "checkpoints" / "last.ckpt"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(FileError, match="damaged"):
        run(net, splits, tmp_path, resume=True)


def test_tensorboard_when_asked(splits: DataSplits, net: nn.Module, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run(net, splits, tmp_path, method=METHOD, tensorboard=True)
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_missing_tensorboard_is_named(
    splits: DataSplits, net: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("tensorboard")

    monkeypatch.setattr(lightning.loggers, "TensorBoardLogger", missing)
    with pytest.raises(MissingExtraError, match="pip install tensorboard"):
        run(net, splits, tmp_path, tensorboard=True)


def test_missing_lightning_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning.pytorch", None)
    monkeypatch.delitem(sys.modules, "gasl.training.shell")
    with pytest.raises(MissingExtraError, match=r'pip install "gasl\[train\]"'):
        import gasl.training.shell  # noqa: F401


def test_progress_bar_is_shown(splits: DataSplits, net: nn.Module, tmp_path: Path, capfd: Any) -> None:
    fit(net, splits, tmp_path, config=TrainConfig(epochs=1, batch_size=12), hardware=CPU)
    shown = capfd.readouterr().out
    assert "Epoch 0" in shown
    assert "GPU" not in shown


@pytest.fixture
def interruptible() -> Iterator[None]:
    """As a program in the foreground is; a shell's background job would ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("how", "found"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_the_caller_is_told_what_broke_it_off(
    how: signal.Signals, found: type[BaseException], splits: DataSplits, net: nn.Module, tmp_path: Path
) -> None:
    class Broken(lightning.Callback):
        def on_train_epoch_end(self, *_: object) -> None:
            signal.raise_signal(how)

    with pytest.raises(found) as told:
        run(net, splits, tmp_path, callbacks=[Broken()])
    assert how == signal.SIGINT or told.value.code == 143
