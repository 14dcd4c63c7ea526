"""Which unit is the next to die."""

import torch
from torch import nn

from gasl.sparsifier.living import weakest
from gasl.sparsifier.look import Look


def test_the_next_to_die_comes_first_and_the_dead_are_left_out():
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    live = Look.now(model, torch.zeros(2, 4)).without({"0": [3]}).live
    found = weakest({"0": torch.tensor([3.0, 1.0, 2.0, 0.0, 1.0]), "0.in": torch.tensor([4.0, 3.0, 2.0, 1.0])}, live)
    assert found == {"0": [1, 4, 2, 0], "0.in": [3, 2, 1, 0]}
