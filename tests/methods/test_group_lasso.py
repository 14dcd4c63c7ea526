import torch

from gasl.maths import prox_group_lasso
from gasl.methods import GroupLasso
from methods.toy import ToyGroups, new_state, train_step


def test_closed_form():
    norms = [torch.tensor([3.0, 0.0, 0.0, 1.0])]
    assert GroupLasso().value(norms, 0.5) == 1
    assert GroupLasso(normalise=False).value(norms, 0.5) == 2
    assert GroupLasso().rates(norms, 0.5)[0].tolist() == [0.25] * 4


def test_its_step_is_the_proximal_step_of_eq_2():
    weight = torch.randn(6, 4, dtype=torch.float64) * torch.tensor([[0.1], [1.0], [2.0], [0.2], [1.0], [3.0]])
    groups = ToyGroups(weight)
    train_step(GroupLasso(), groups, new_state(3.0), lr=1.0)
    expected = prox_group_lasso(weight, 3.0 / 6**0.5, dim=0)
    assert (expected == 0).any()
    assert (expected != 0).any()
    torch.testing.assert_close(groups.weights[0].detach(), expected, rtol=1e-14, atol=0)
    assert torch.equal(groups.weights[0] == 0, expected == 0)


def test_on_single_weights_it_is_l1_and_soft_thresholding():
    weight = torch.randn(50, dtype=torch.float64)  # a vector: each weight is its own group, its norm |w|
    method, groups, state = GroupLasso(granularity="weight", normalise=False), ToyGroups(weight), new_state(0.3)
    torch.testing.assert_close(method.value(groups.norms(), 0.3), 0.3 * weight.abs().sum())
    train_step(method, groups, state, lr=1.0)
    expected = torch.nn.functional.softshrink(weight, 0.3)
    torch.testing.assert_close(groups.weights[0].detach(), expected, rtol=0, atol=1e-15)
    assert torch.equal(groups.weights[0] == 0, expected == 0)
