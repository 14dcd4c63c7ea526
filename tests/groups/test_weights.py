"""Single weights as groups: the closed-form step in its fast and its general form, and masks that hold."""

import pytest
import torch

from gasl.errors import InputError
from gasl.groups.weights import WeightGroups
from gasl.maths import shrink_factors


def weights(dtype):
    torch.manual_seed(1)
    return torch.randn(6, 5, 3).mul(0.2).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_one_rate_for_all_and_a_rate_for_each_are_the_same_to_the_bit(dtype):
    one, each = weights(dtype), weights(dtype)
    WeightGroups({"w": one}).shrink_([torch.tensor(0.3, dtype=dtype).expand(90)], lambda _: 0.5)
    WeightGroups({"w": each}).shrink_([torch.full((90,), 0.3, dtype=dtype)], lambda _: 0.5)
    assert torch.equal(one, each)
    assert 0 < int((one == 0).sum()) < 90


def test_each_weight_is_multiplied_with_its_factor():
    weight = weights(torch.float64)
    weight[0, 0] = 0
    rates = torch.linspace(-1, 1, 90, dtype=torch.float64)  # also such as push away, and none
    expected = weight * shrink_factors(weight.flatten().abs(), rates, 0.3).view_as(weight)
    changed = weight.clone()
    WeightGroups({"w": changed}).shrink_([rates], lambda _: 0.3)
    torch.testing.assert_close(changed, expected, rtol=1e-13, atol=1e-16)
    assert torch.equal(changed == 0, expected == 0)


def test_rates_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"rates \(4,\) must have one entry per weight of \(6, 5, 3\)"):
        WeightGroups({"w": weights(torch.float32)}).shrink_([torch.ones(4)], lambda _: 0.3)


def test_what_is_cleared_follows_the_masks_that_are_given():
    weight, momentum = weights(torch.float32), torch.ones(6, 5, 3)
    groups = WeightGroups({"w": weight})
    first, second = [torch.arange(90) % 3 == 0], [torch.arange(90) % 2 == 0]
    for gone in (first, first, second):
        weight.fill_(1.0)
        groups.clear_(gone)
        assert torch.equal(weight.flatten() == 0, gone[0])
    groups.clear_(second, within={"w": momentum})
    assert torch.equal(momentum.flatten() == 0, second[0])


def test_placeholders_have_the_shapes_of_the_norms():
    groups = WeightGroups({"w": weights(torch.float32)})
    for norms, placeholder in zip(groups.norms(), groups.placeholders(), strict=True):
        assert (placeholder.shape, placeholder.dtype) == (norms.shape, norms.dtype)
        assert placeholder.untyped_storage().nbytes() == 4


@pytest.mark.parametrize("one", [True, False])
def test_no_more_die_than_may_and_the_largest_of_those_wait(one):
    torch.manual_seed(0)
    first, second = torch.randn(40), torch.randn(3, 20)
    first[:10] = 0
    before = torch.cat([first, second.flatten()])
    groups = WeightGroups({"a": first, "b": second})
    groups.least = 40
    rates = [torch.tensor(1.0).expand(n) if one else torch.ones(n) for n in (40, 60)]
    free = WeightGroups({"all": before.clone()})
    free.shrink_([torch.ones(100)], lambda _: 1.0)
    (dead,) = free.dead()
    assert int((~dead).sum()) < 40
    groups.shrink_(rates, lambda _: 1.0)
    after = torch.cat([first, second.flatten()])
    assert int((after != 0).sum()) == 40
    waited = dead & (after != 0)
    assert torch.equal(after[waited], before[waited])
    assert before[waited].abs().min() > before[dead & (after == 0)].abs().max()
    torch.testing.assert_close(after[~dead], free.tensors["all"][~dead], rtol=1e-6, atol=1e-7)
    groups.shrink_(rates, lambda _: 1.0)
    assert int((torch.cat([first, second.flatten()]) != 0).sum()) == 40
    assert int((before != 0).sum()) == 90
