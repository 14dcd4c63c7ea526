"""Random numbers of a posterior across passes, saved states and processes."""

import copy

import torch

from gasl.methods import draws as module
from gasl.methods.draws import Draws

LIKE = torch.empty(3)


def fresh(seed=0):
    return Draws(torch.Generator().manual_seed(seed), seed)


def test_a_state_from_the_middle_of_a_step_draws_again_what_is_drawn_once_and_goes_on_with_the_rest():
    draws = fresh()
    first, _ = draws.once("z", LIKE, "normal"), draws.fresh(LIKE)
    other = fresh(1)
    other.load_state_dict(draws.state_dict())
    assert torch.equal(other.once("z", LIKE, "normal"), first)
    assert torch.equal(other.fresh(LIKE), draws.fresh(LIKE))
    for each in (draws, other):
        each.forget()
    assert torch.equal(other.once("z", LIKE, "normal"), draws.once("z", LIKE, "normal"))


def test_a_copy_has_what_was_drawn_and_draws_the_same():
    draws = fresh()
    first = draws.once("z", LIKE, "uniform")
    twin = copy.deepcopy(draws)
    assert torch.equal(twin.once("z", LIKE, "uniform"), first)
    assert torch.equal(twin.fresh(LIKE), draws.fresh(LIKE))
    assert torch.equal(twin.once("w", LIKE, "uniform"), draws.once("w", LIKE, "uniform"))


def test_processes_share_units_and_not_examples_also_after_a_state_that_one_of_them_saved(monkeypatch):
    found = {}
    saved = None
    for rank in (0, 1, 2):
        monkeypatch.setattr(module, "_rank", lambda rank=rank: rank)
        draws = fresh()
        found[rank] = [draws.once("z", LIKE, "normal"), draws.fresh(LIKE)]
        saved = draws.state_dict() if rank == 0 else saved
        again = fresh()
        again.load_state_dict(saved)
        again.forget()
        found[rank] += [again.once("z", LIKE, "normal"), again.fresh(LIKE)]
        if rank == 0:
            assert torch.equal(found[0][3], draws.fresh(LIKE))
    for shared in (0, 2):
        assert all(torch.equal(found[rank][shared], found[0][shared]) for rank in (1, 2))
    examples = [found[rank][i] for rank in found for i in (1, 3)]
    assert len({tuple(e.tolist()) for e in examples}) == 6


def test_what_was_drawn_on_a_device_that_is_not_here_is_left_out():
    draws, other = fresh(), fresh(1)
    other.load_state_dict(draws.state_dict() | {"xpu": torch.zeros(16, dtype=torch.uint8)})
    assert torch.equal(other.once("z", LIKE, "uniform"), draws.once("z", LIKE, "uniform"))
    assert "xpu" not in other.state_dict()
