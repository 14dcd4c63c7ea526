import pytest

from gasl.errors import FileError
from gasl.files.whole import whole_file


def test_it_makes_folders_and_replaces(tmp_path):
    target = tmp_path / "a" / "b.txt"
    for text in ("old", "new"):
        with whole_file(target) as temporary:
            temporary.write_text(text)
    assert target.read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["b.txt"]


def write(target, text, interrupt):
    with whole_file(target) as temporary:
        if text:
            temporary.write_text(text)
        if interrupt:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("text", "interrupt", "error"), [("half", True, KeyboardInterrupt), ("", False, FileError)])
def test_after_an_error_nothing_has_changed(tmp_path, text, interrupt, error):
    target = tmp_path / "b.txt"
    target.write_text("old")
    with pytest.raises(error):
        write(target, text, interrupt)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]


def test_nothing_is_seen_before_the_end(tmp_path):
    target = tmp_path / "b.txt"
    with whole_file(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()


def test_a_place_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=r"file/b\.txt cannot be written"):
        write(tmp_path / "file" / "b.txt", "text", interrupt=False)


def test_a_disk_that_fills_is_named(tmp_path):
    def full():
        with whole_file(tmp_path / "b.txt"):
            raise OSError(28, "No space left on device")

    with pytest.raises(FileError, match=r"b\.txt cannot be written \(.*No space left"):
        full()
    assert list(tmp_path.iterdir()) == []


def test_a_file_has_the_mode_that_the_umask_gives(tmp_path):
    (tmp_path / "plain").touch()
    with whole_file(tmp_path / "a") as temporary:
        temporary.write_text("1")
        temporary.chmod(0o600)  # as safetensors makes its files
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode
