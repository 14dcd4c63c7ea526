import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gasl.errors import InputError
from gasl.maths import smallest, smallest_of_all

layers_of_scores = st.lists(
    st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 7.0]), min_size=1, max_size=6), min_size=1, max_size=4
)


def one_by_one(scores, fraction, floors, cap):
    """Take the smallest that may still go, again and again."""
    gone = [[False] * len(layer) for layer in scores]
    for _ in range(round(fraction * sum(map(len, scores)))):
        best = None
        for i, layer in enumerate(scores):
            left = gone[i].count(False)
            if left - 1 < floors[i] or len(layer) - left + 1 > cap * len(layer) + 1e-9:
                continue
            for j, score in enumerate(layer):
                if not gone[i][j] and (best is None or score < scores[best[0]][best[1]]):
                    best = i, j
        if best is None:
            break
        gone[best[0]][best[1]] = True
    return gone


@given(layers_of_scores, st.floats(0, 1), st.integers(0, 3), st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]))
def test_it_is_what_taking_one_after_the_other_gives(scores, fraction, floor, cap):
    floors = [floor] * len(scores)
    got = smallest_of_all([torch.tensor(layer) for layer in scores], fraction, floors, cap)
    assert [mask.tolist() for mask in got] == one_by_one(scores, fraction, floors, cap)


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0]), max_size=8), st.data())
def test_of_one_layer_it_is_the_head_of_the_sorted_list(scores, data):
    count = data.draw(st.integers(0, len(scores)))
    chosen = sorted(range(len(scores)), key=lambda i: (scores[i], i))[:count]
    got = smallest(torch.tensor(scores), count)
    assert got.dtype == torch.bool
    assert sorted(chosen) == got.nonzero()[:, 0].tolist()


def test_an_infinite_score_may_go_before_what_must_stay():
    scores = [torch.tensor([math.inf, math.inf]), torch.tensor([1.0])]
    assert [m.tolist() for m in smallest_of_all(scores, 1.0, [1, 1])] == [[True, False], [False]]


def test_wrong_arguments_are_refused():
    with pytest.raises(InputError, match="count=3 for 2 scores"):
        smallest(torch.zeros(2), 3)
    with pytest.raises(InputError, match=r"fraction=1\.5; give a number from 0 to 1"):
        smallest_of_all([torch.zeros(2)], 1.5, [0])
    with pytest.raises(InputError, match="cap=nan"):
        smallest_of_all([torch.zeros(2)], 0.5, [0], math.nan)
    with pytest.raises(InputError, match="1 floors for 2 layers"):
        smallest_of_all([torch.zeros(2), torch.zeros(1)], 0.5, [0])
    with pytest.raises(InputError, match="one vector of group norms per layer"):
        smallest_of_all([torch.zeros(2, 2)], 0.5, [0])
