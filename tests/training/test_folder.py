"""Run folders: one process at a time, one run for ever."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gasl.errors import FileError, InputError
from gasl.training.folder import CHECKPOINT, begin, locked

HOLD = """
import sys, time
from pathlib import Path
from gasl.training.folder import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_folder_of_another_process_is_refused_until_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"in use by process {holder.pid}"), locked(tmp_path):
            pass
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with locked(tmp_path):
            assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"


def test_lock_is_let_go_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        pass


def test_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="choose another folder"), locked(tmp_path / "file"):
        pass


def write_checkpoint(folder: Path) -> Path:
    path = folder / CHECKPOINT
    path.parent.mkdir(parents=True)
    torch.save({"weight": torch.arange(1000.0)}, path)
    return path


def test_new_run_starts_at_the_beginning(tmp_path: Path) -> None:
    assert begin(tmp_path, {"lr": 0.1}, resume=False) is None
    assert begin(tmp_path, {"lr": 0.2}, resume=True) is None


def test_run_is_not_overwritten(tmp_path: Path) -> None:
    begin(tmp_path, {"lr": 0.1}, resume=False)
    path = write_checkpoint(tmp_path)
    with pytest.raises(InputError, match="holds a run; resume it"):
        begin(tmp_path, {"lr": 0.1}, resume=False)
    assert begin(tmp_path, {"lr": 0.1}, resume=True) == path


def test_another_run_is_named(tmp_path: Path) -> None:
    begin(tmp_path, {"lr": 0.1, "epochs": 3, "protect": ("a",)}, resume=False)
    write_checkpoint(tmp_path)
    assert begin(tmp_path, {"lr": 0.1, "epochs": 9, "protect": ("a",)}, resume=True)
    with pytest.raises(InputError, match=r"lr: 0\.1 there, 0\.2 here"):
        begin(tmp_path, {"lr": 0.2, "epochs": 9, "protect": ("a",)}, resume=True)


@pytest.mark.parametrize("harm", [lambda c: c[:-200], lambda c: c[:1500] + bytes([c[1500] ^ 1]) + c[1501:]])
def test_damaged_checkpoint_is_named(tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    begin(tmp_path, {}, resume=False)
    path = write_checkpoint(tmp_path)
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(FileError, match=r"last\.ckpt is damaged"):
        begin(tmp_path, {}, resume=True)


def test_damaged_description_is_named(tmp_path: Path) -> None:
    begin(tmp_path, {}, resume=False)
    write_checkpoint(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(FileError, match=r"run\.json cannot be read"):
        begin(tmp_path, {}, resume=True)
