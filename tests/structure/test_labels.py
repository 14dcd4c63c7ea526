import pytest
import torch

from gasl.structure.classes import Classes
from gasl.structure.labels import canonical, distinct, varying_dims


def test_varying_dims_looks_at_values_not_at_sizes():
    labels = torch.tensor([1, 2, 3]).reshape(1, 3, 1).expand(2, 3, 4).clone()
    assert varying_dims(labels) == (1,)
    labels[0, 0, 0] = 9
    assert varying_dims(labels) == (0, 1, 2)
    assert varying_dims(torch.tensor([[7]])) == ()
    assert varying_dims(torch.tensor(3)) == ()


def test_canonical_keeps_the_labels_and_drops_repetition():
    labels = torch.tensor([1, 2, 3]).reshape(1, 3, 1).expand(2, 3, 4).clone()
    small = canonical(labels)
    assert torch.equal(small, labels)
    assert small.stride()[0] == small.stride()[2] == 0
    assert distinct(small).shape == (1, 3, 1)


def test_ties_are_transitive_and_carry_reasons():
    classes = Classes()
    a, b, c = classes.fresh(3), classes.fresh(3), classes.fresh(3)
    classes.protect(c[1:2], "why")
    classes.protect(c[1:2], "later")
    classes.tie(a, b)
    classes.tie(b, c)
    assert classes.roots(a).tolist() == classes.roots(c).tolist()
    assert [classes.reason(i) for i in a.tolist()] == [None, "why", None]
    assert classes.first_reason(b.tolist()) == "why"
    assert classes.first_reason([int(a[0])]) is None
    assert len(set(classes.roots(a).tolist())) == 3


@pytest.mark.parametrize("first", [True, False])
def test_the_first_reason_of_two_tied_classes_survives_whichever_is_lower(first):
    classes = Classes()
    a, b = classes.fresh(1), classes.fresh(1)
    classes.protect(a if first else b, "why")
    classes.tie(a, b)
    assert classes.reason(int(a)) == classes.reason(int(b)) == "why"


def test_tying_broadcasts_and_long_chains_are_found():
    classes = Classes()
    atoms, one = classes.fresh(500), classes.fresh(1)
    classes.tie(atoms.reshape(1, 500, 1).expand(2, 500, 3), one.reshape(1, 1, 1))
    assert classes.roots(atoms).unique().numel() == 1
    chain = classes.fresh(5000)
    classes.tie(chain[1:].flip(0), chain[:-1].flip(0))
    assert classes.roots(chain).unique().numel() == 1


def test_a_unit_that_meets_the_input_is_protected_and_nothing_else_is():
    classes = Classes()
    a = classes.fresh(3)
    classes.tie(a, torch.tensor([-1, 0, -3]))
    assert classes.reason(int(a[0])) == classes.reason(int(a[2])) == "combined with the model's input"
    assert classes.reason(int(a[1])) is None
    assert classes.roots(torch.tensor([-5, 0])).tolist() == [-5, 0]
