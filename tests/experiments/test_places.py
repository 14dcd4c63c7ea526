"""Records in a folder or a bucket: whole or absent, found at any depth."""

import json

import pytest

import gasl
from gasl.cli import main
from gasl.experiments.identity import described, identity
from gasl.experiments.jobs import all_records
from gasl.experiments.named import named
from gasl.experiments.places import as_record, joined, listed, read_text, write_text
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
    record = {"recipe": "mlp/gasl", "identity": identity(spec), "spec": described(spec), "seed": 2, "latency_ms": {}}
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


@pytest.mark.parametrize("error", [ConnectionRefusedError("refused"), Exception("no credentials"), ImportError("s3fs")])
def test_a_place_that_cannot_be_reached_is_one_line(error, monkeypatch, capsys):
    """Each kind of bucket raises errors of its own, already where its address is looked at, or later."""

    def fails(*_, **__):
        raise error

    places = ("fsspec.core.url_to_fs", "fsspec.implementations.memory.MemoryFileSystem.find")
    for place, address in zip(places, ("ftp://x/y", "memory://x"), strict=True):
        with monkeypatch.context() as patch:
            patch.setattr(place, fails)
            assert main(["records", "--records", address]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"gasl: {address} ")
        assert str(error) in said
        assert said.count("\n") == 1
    with monkeypatch.context() as patch:
        patch.setattr("fsspec.core.url_to_fs", fails)
        for done in (lambda: read_text("ftp://x/y.json"), lambda: write_text("ftp://x/y.json", "")):
            with pytest.raises(gasl.GaslError, match=r"ftp://x/y\.json"):
                done()


def test_a_file_where_a_folder_should_be_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(gasl.FileError, match="cannot be read"):
        read_text(f"{tmp_path}/file/x.json")
    with pytest.raises(gasl.FileError, match="cannot be written"):
        write_text(f"{tmp_path}/file/x.json", "")


@pytest.mark.parametrize("command", ["records", "recipes"])
def test_a_record_is_no_folder_of_records(command, tmp_path, capsys):
    (tmp_path / "gasl-seed0.json").write_text("{}")
    assert main([command, "--records", str(tmp_path / "gasl-seed0.json")]) == 2
    assert "is a file; give the folder of the records" in capsys.readouterr().err


def test_what_another_writes_just_now_is_not_seen(tmp_path):
    (tmp_path / ".x-seed0.json.abc").mkdir()
    (tmp_path / ".x-seed0.json.abc" / "x-seed0.json").write_text("{")
    assert listed(tmp_path, "*-seed*.json") == []


def test_a_file_that_cannot_be_read_is_not_taken_for_a_damaged_record():
    with pytest.raises(gasl.FileError, match=r"^a\.json cannot be read"), as_record("a.json"):
        raise gasl.FileError("a.json cannot be read (permission denied)")
