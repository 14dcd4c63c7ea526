"""Architectures of other model libraries, as they are. With GASL_ZOO=all, of the libraries that are installed."""

import os

import pytest

import gasl
from zoo.harness import examine
from zoo.libraries import entries

FOUND = entries() if os.environ.get("GASL_ZOO") == "all" else {}


@pytest.mark.filterwarnings("ignore")  # what the libraries' own code says is not ours
@pytest.mark.parametrize("name", FOUND)
def test_half_of_everything_goes(name):
    try:
        result = examine(FOUND[name], felt=False)
    except gasl.InputError as error:
        if "no unit that could be removed" not in str(error):  # norms over the widths themselves, computed weights
            raise
    else:
        assert result.difference <= 1e-10
        assert result.left < 1
