"""``gasl methods``: every method and every hyper-parameter is there, as its class says it."""

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from gasl.cli import main
from gasl.cli.methods import describe, overview
from gasl.cli.parse import parse
from gasl.methods import METHODS, Method

CARDS = Path(__file__).parents[2] / "docs" / "methods"
every_method = pytest.mark.parametrize("name", list(METHODS))


def in_one_line(text):
    return " ".join(text.split())


@every_method
def test_the_list_has_a_line_the_hyper_parameters_and_the_paper(name):
    part = next(part for part in overview().split("\n\n") if part.startswith(f"{name}: "))
    first, *rest = part.splitlines()
    assert 20 < len(first) < 140
    common = {f.name: f.default for f in dataclasses.fields(Method)}
    for field in dataclasses.fields(METHODS[name]):
        listed = re.search(rf"\b{field.name}=", part)
        if field.name not in common or common[field.name] != field.default:
            assert listed, f"{field.name} is not listed"
        elif field.name != "strength":
            assert not listed, f"{field.name} is that of every method"
    assert all(len(line) <= 100 for line in rest)
    assert METHODS[name].paper in in_one_line(part)


@every_method
def test_the_explanation_has_the_equations_and_every_hyper_parameter_with_its_help(name):
    text = describe(name)
    cls = METHODS[name]
    for field in dataclasses.fields(cls):
        explained = re.search(rf"^  --{name}\.{field.name} \S.*\n      \S", text, re.MULTILINE)
        assert explained, f"{field.name} is not explained"
    help_of = re.findall(r"^    \w+: (\w+ \w+)", inspect.getdoc(cls), re.MULTILINE)
    assert all(start in text for start in help_of)
    assert in_one_line(inspect.getmodule(cls).__doc__.splitlines()[0]).rstrip(":").split("``")[0] in text
    assert cls.paper in in_one_line(text)
    assert not re.search(r"::|``|:class:|:mod:", text)


@every_method
def test_the_paper_is_named_as_on_the_card(name):
    paper = METHODS[name].paper
    assert paper
    reference = (CARDS / f"{name}.md").read_text().partition("## Reference")[2]
    assert in_one_line(paper) in in_one_line(reference)


def test_the_strength_is_the_one_that_a_run_takes():
    assert "--l1.strength 0.0001 " in describe("l1")
    assert parse(["train", "--out", "run", "--method", "l1"])[1]["method"].strength == 0.0001
    assert "strength=0.0001" in overview()


def test_the_command(capsys):
    assert main(["methods"]) == 0
    assert capsys.readouterr().out == overview() + "\n"
    assert main(["methods", "gasl"]) == 0
    assert capsys.readouterr().out == describe("gasl") + "\n"
    assert main(["methods", "gasel"]) == 2
    assert "did you mean 'gasl'" in capsys.readouterr().err


def test_types_are_written_as_they_are_typed():
    text = describe("attention")
    assert "--attention.strength 0.1  (float or null)" in text
    assert "--attention.linear in  (in, out)" in text
    assert "--gasl.sampler LogNormal(mu=0.0, sigma=1.0)  (LogNormal or Sampler or Callable[" in describe("gasl")
    assert "--attention.normalise true  (bool)" in text
