import json

import numpy as np
import pytest

from gasl.errors import FileError, InputError
from gasl.report import ReportData


def test_a_run_folder_comes_back(run_dir, result, history):
    data = ReportData.load(run_dir)
    assert data.result == result
    assert list(data.history) == history
    assert list(data.norms) == ["conv1"]
    before, after = data.norms["conv1"]
    assert before.sum() == 20
    assert np.count_nonzero(after) == 5
    assert data.features[0].shape == (50, 8, 8)
    assert data.features[1].sum() == 12 * 64


def test_the_result_alone_is_enough(run_dir, result):
    (run_dir / "history.csv").unlink()
    (run_dir / "arrays.safetensors").unlink()
    data = ReportData.load(run_dir)
    assert (data.result, data.history, data.norms, data.features) == (result, (), {}, None)


def test_no_run_is_named(tmp_path):
    with pytest.raises(FileError, match=r"result\.json does not exist"):
        ReportData.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("result.json", b"{", "is not JSON"),
        ("result.json", b"\xff", "is not JSON"),
        ("result.json", b"[]", "must hold a JSON object, got a list"),
        ("history.csv", b"epoch,loss\n1,high\n", "is not a table of numbers"),
        ("history.csv", b"epoch,loss\n1,2,3\n", "is not a table of numbers"),
        ("history.csv", b"epoch\n\xff\n", "is not a table of numbers"),
        ("arrays.safetensors", b"no tensors", "is damaged"),
    ],
)
def test_damage_is_named(run_dir, name, content, message):
    (run_dir / name).write_bytes(content)
    with pytest.raises(FileError, match=message) as caught:
        ReportData.load(run_dir)
    assert name in str(caught.value)


@pytest.mark.parametrize("entry", ["layers", "speedup", "device"])
def test_missing_entries_are_named(run_dir, result, entry):
    del result[entry]
    with pytest.raises(InputError, match=f"needs the entries {entry}, which"):
        ReportData(result)
    (run_dir / "result.json").write_text(json.dumps(result))
    with pytest.raises(FileError, match=rf"result\.json: .*{entry}"):
        ReportData.load(run_dir)
