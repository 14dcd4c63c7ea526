"""What the package shows is listed, documented, shown at work, and kept in files that can be read at one sitting."""

import importlib
import inspect
import pkgutil
import tomllib
from pathlib import Path

import pytest

import gasl

ROOT = Path(__file__).parents[1]
LONGEST_FILE = 300  # lines

MODULES = ["gasl", *(found.name for found in pkgutil.walk_packages(gasl.__path__, "gasl."))]
MODULES = [name for name in MODULES if not name.endswith("__main__")]


def written_by_hand(thing: object) -> bool:
    """Whether there is a docstring other than the signature that ``dataclass`` puts there."""
    text = thing.__doc__ or ""
    return bool(text.strip()) and not text.startswith(f"{getattr(thing, '__name__', '')}(")


@pytest.mark.parametrize("name", MODULES)
def test_public_names_exist_and_are_documented(name):
    module = importlib.import_module(name)
    assert (module.__doc__ or "").strip(), f"{name} has no docstring"
    assert hasattr(module, "__all__"), f"{name} has no __all__"
    for public in module.__all__:
        thing = getattr(module, public)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert written_by_hand(thing), f"{name}.{public} has no docstring"


@pytest.mark.parametrize("public", [name for name in gasl.__all__ if callable(getattr(gasl, name))])
def test_each_name_of_the_package_has_an_executed_example(public):
    assert ">>> " in (getattr(gasl, public).__doc__ or ""), f"gasl.{public} shows no example"


@pytest.mark.parametrize("path", sorted((ROOT / "src").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= LONGEST_FILE


def test_there_is_one_version():
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert gasl.__version__ == metadata["project"]["version"]
    assert f"## [{gasl.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_package_is_typed_and_brings_its_templates():
    assert (ROOT / "src" / "gasl" / "py.typed").exists()
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["gasl"]
    covered = {path for pattern in patterns for path in (ROOT / "src" / "gasl").glob(pattern)}
    others = {
        path for path in (ROOT / "src" / "gasl").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert others <= covered
