"""Imports run one way: from a lower layer or the same folder, never in a circle; third-party code as listed."""

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "gasl"

LAYERS = {
    "errors": -1,  # below everything
    "maths": 0,
    "structure": 1,
    "models": 1,
    "groups": 2,
    "methods": 3,
    "removal": 3,
    "measure": 3,
    "sparsifier": 4,
    "files": 4,
    "gasl": 4.5,  # the package itself shows the core and nothing above it
    "data": 5,
    "training": 6,
    "experiments": 7,
    "report": 8,
    "cli": 9,
    "__main__": 10,
}
CORE = {"torch"}
THIRD_PARTY = {
    "sparsifier": CORE,
    "files": CORE | {"safetensors"},
    "files/export.py": CORE | {"onnx", "onnxruntime", "onnxscript"},
    "data": CORE | {"safetensors", "numpy", "datasets", "PIL", "mlxtend"},
    "training": CORE | {"safetensors", "lightning", "rich"},
    "experiments": CORE | {"safetensors", "lightning", "rich", "fsspec", "ray"},
    "experiments/sweep.py": CORE | {"jsonargparse"},
    "report": {"safetensors", "numpy", "matplotlib", "cycler", "jinja2", "rich", "pandas"},
    "cli": CORE | {"jsonargparse", "yaml", "rich"},
}
CAN_RUN_CODE = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}  # what is loaded is never code


def part(path: str) -> str:
    """The folder, or the file at the top, that a path inside the package belongs to."""
    top = path.split("/")[0].removesuffix(".py")
    return "gasl" if top == "__init__" else top


def imports(code: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute here"
            yield node.module
            if node.module == "gasl":
                yield from (f"gasl.{alias.name}" for alias in node.names if alias.name in LAYERS)


def violations(path: str, code: str) -> list[str]:
    own = part(path)
    allowed = THIRD_PARTY.get(path, THIRD_PARTY.get(own, CORE))
    wrong = []
    for name in imports(code):
        package, *rest = name.split(".")
        if package == "gasl":
            target = rest[0] if rest else "gasl"
            if target != own and LAYERS[target] >= LAYERS[own]:
                wrong.append(f"{path} (layer {LAYERS[own]}) imports {name} (layer {LAYERS[target]})")
        elif package in CAN_RUN_CODE:
            wrong.append(f"{path} imports {name}, whose files can run code")
        elif package not in sys.stdlib_module_names and package not in allowed:
            wrong.append(f"{path} imports {name}; {own} may import {', '.join(sorted(allowed))}")
    return wrong


FILES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES)
def test_imports_run_one_way(path):
    assert part(path) in LAYERS, f"say in LAYERS on which layer {part(path)} is"
    assert violations(path, (SOURCE / path).read_text()) == []


def circle(codes: dict[str, str]) -> list[str]:
    """Modules that import each other in a circle, by whatever statement and for whatever purpose; empty if none do."""
    graph = {name: set() for name in codes}
    for name, code in codes.items():
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Import):
                graph[name] |= {alias.name for alias in node.names} & codes.keys()
            elif isinstance(node, ast.ImportFrom):
                files = {f"{node.module}.{alias.name}" for alias in node.names}
                graph[name] |= files if files <= codes.keys() else {node.module} & codes.keys()
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_no_circle():
    names = {path: f"gasl.{path.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__") for path in FILES}
    assert circle({name: (SOURCE / path).read_text() for path, name in names.items()}) == []


def test_a_circle_is_seen():
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from gasl.a import A"
    assert set(circle({"gasl.a": "from gasl.b import B", "gasl.b": typed, "gasl.c": "import gasl.a"})) == {
        "gasl.a",
        "gasl.b",
    }


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("maths/norms.py", "from gasl.structure import trace"),
        ("errors.py", "from gasl.maths import norms"),
        ("methods/x.py", "from gasl.removal.plan import plan"),
        ("methods/x.py", "def f():\n    import gasl.training"),
        ("measure/x.py", "import gasl"),
        ("measure/x.py", "from gasl import measure"),
        ("__init__.py", "from gasl.training import run"),
        ("measure/x.py", "import numpy.random"),
        ("files/store.py", "from onnx import load"),
        ("report/x.py", "import torch"),
        ("training/x.py", "import pickle"),
    ],
)
def test_the_wrong_way_is_seen(path, code):
    assert len(violations(path, code)) == 1


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("structure/rules/moving.py", "from gasl.structure.ledger import Ledger"),
        ("methods/x.py", "from gasl.maths.norms import group_norms\nimport torch.nn, math"),
        ("maths/x.py", "from gasl.errors import InputError"),
        ("files/export.py", "import onnxruntime"),
        ("cli.py", "from gasl import shrink\nfrom gasl import report"),
        ("__init__.py", "from gasl.sparsifier import Sparsifier"),
    ],
)
def test_the_right_way_is_let_through(path, code):
    assert violations(path, code) == []
