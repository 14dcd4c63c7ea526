"""Every test starts from the same random state, on one thread, and leaves PyTorch's settings alone."""

import random

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def _same_start():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - the state that third-party code reads
    random.seed(0)
