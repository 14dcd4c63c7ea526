"""Every field of every method can be a command-line flag, with its help, as jsonargparse builds them."""

import warnings

import pytest

from gasl.maths import LogNormal
from gasl.methods import GASL, L0, METHODS, Attention, GroupLasso

jsonargparse = pytest.importorskip("jsonargparse")


def parsed(cls, *flags):
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, "method")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the name of instantiate_classes changes between versions
        return parser.instantiate_classes(parser.parse_args(list(flags))).method


@pytest.mark.parametrize("cls", list(METHODS.values()), ids=list(METHODS))
def test_no_flag_gives_the_defaults(cls):
    assert parsed(cls) == cls()


def test_flags_of_every_type():
    got = parsed(
        GASL, "--method.strength=0.1", "--method.beta=fixed", "--method.detach=false", "--method.sampler.sigma=2"
    )
    assert got == GASL(strength=0.1, beta="fixed", detach=False, sampler=LogNormal(sigma=2.0))


def test_a_penalty_underneath():
    got = parsed(Attention, "--method.over=gasl.methods.GroupLasso", "--method.over.normalise=false")
    assert got == Attention(over=GroupLasso(normalise=False))
    gates = parsed(Attention, "--method.over=gasl.methods.L0", "--method.over.test=median", "--method.scope=filter")
    assert gates == Attention(over=L0(test="median"), scope="filter")


def test_a_number_by_axis():
    assert parsed(L0, '--method.factors={"conv1": 10, "fc1.in": 0.1}') == L0(factors={"conv1": 10.0, "fc1.in": 0.1})
