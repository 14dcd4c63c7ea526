"""Architectures of other model libraries, as they are. With GASL_ZOO=all, of the libraries that are installed."""

import os

import pytest

from zoo.harness import examine
from zoo.libraries import entries

FOUND = entries() if os.environ.get("GASL_ZOO") == "all" else {}


@pytest.mark.filterwarnings("ignore")  # what the libraries' own code says is not ours
@pytest.mark.parametrize("name", FOUND)
def test_half_of_everything_goes(name):
    result = examine(FOUND[name], felt=False)
    assert result.difference <= 1e-10
    assert result.left < 0.9
