"""Records in a folder or a bucket: whole or absent, found at any depth."""

import json

import pytest

import gasl
from gasl.experiments.identity import described, identity
from gasl.experiments.jobs import all_records
from gasl.experiments.named import named
from gasl.experiments.places import joined, listed, read_text, write_text
from gasl.experiments.store import overview, read_record, record_path


@pytest.fixture(params=["folder", "file", "memory"])
def place(request, tmp_path):
    return {"folder": str(tmp_path / "r"), "file": f"file://{tmp_path}/r", "memory": f"memory://{tmp_path.name}"}[
        request.param
    ]


def test_what_is_written_is_read_and_listed(place):
    assert listed(place, "*") == []
    write_text(joined(place, "b/x-seed0.json"), "1")
    write_text(joined(place, "a/b/y-seed1.json"), "ü")
    write_text(joined(place, "note.txt"), "")
    assert listed(place, "*-seed*.json") == ["a/b/y-seed1.json", "b/x-seed0.json"]
    assert read_text(joined(place, "a/b/y-seed1.json")) == "ü"
    assert read_text(joined(place, "a/z.json")) is None
    write_text(joined(place, "b/x-seed0.json"), "2")
    assert read_text(joined(place, "b/x-seed0.json")) == "2"


def test_records_are_found_wherever_they_lie(place):
    spec = named("mlp/gasl", 2)
    record = {"recipe": "mlp/gasl", "identity": identity(spec), "spec": described(spec), "seed": 2}
    write_text(record_path(place, "mlp/gasl", 2), json.dumps(record))
    assert read_record(place, "mlp/gasl", spec) == record
    assert read_record(place, "mlp/gasl", named("mlp/gasl", 1)) is None
    assert overview(place)["mlp/gasl"] == [2]
    assert all_records(place) == [record]
    write_text(record_path(place, "mlp/gasl", 3), "{")
    with pytest.raises(gasl.FileError, match=r"gasl-seed3\.json is no record"):
        all_records(place)


def test_an_address_that_nobody_knows_is_named():
    with pytest.raises(gasl.FileError, match="nosuch://x"):
        read_text("nosuch://x/y.json")


def test_what_another_writes_just_now_is_not_seen(tmp_path):
    (tmp_path / ".x-seed0.json.abc").mkdir()
    (tmp_path / ".x-seed0.json.abc" / "x-seed0.json").write_text("{")
    assert listed(tmp_path, "*-seed*.json") == []
