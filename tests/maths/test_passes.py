import pytest
import torch
from torch import nn

from gasl.maths.passes import Pass
from gasl.maths.slices import scale_slices_, square_sums
from gasl.maths.tables import SquareTable


def kernels(dtype=torch.float64):
    weight = torch.randn(6, 5, 3, 3, dtype=dtype)
    yield weight.clone()
    yield weight.contiguous(memory_format=torch.channels_last)
    yield weight.transpose(0, 1).contiguous().transpose(0, 1)
    yield torch.randn(6, 5, 2, 3, 6, dtype=dtype)[..., ::2]  # gaps: no view as a matrix
    yield torch.randn(700, 500, 2, 2, dtype=dtype)  # several blocks


@pytest.mark.parametrize("dims", [[0, 1], [1, 0]])
def test_a_table_holds_the_sums_over_the_kernel_in_any_layout(dims):
    for weight in kernels():
        if (table := SquareTable.of(weight, dims)) is None:
            assert weight.stride(-1) == 2  # the one with gaps
            continue
        for _ in range(2):  # it is planned once, and read again and again
            want = weight.square().flatten(2).sum(2)
            read = table.read(torch.empty(table.room, dtype=weight.dtype))
            torch.testing.assert_close(read, want if dims == [0, 1] else want.T, rtol=1e-12, atol=0)
            weight.mul_(2)


def test_no_table_where_it_would_not_help():
    assert SquareTable.of(torch.ones(4, 4), [0, 1]) is None
    assert SquareTable.of(torch.ones(4, 4, 3, 3), [0]) is None
    assert SquareTable.of(torch.ones(2, 4, 3, 3, 3).permute(4, 0, 1, 2, 3), [0, 2]) is None


@pytest.mark.parametrize("largest", [1.0, 2.0])  # shrinking alone, and growing too
def test_the_sums_afterwards_are_those_of_the_new_weight(largest):
    cases = [(weight, [1, 0]) for weight in kernels()]
    cases += [(torch.randn(6, 5, dtype=torch.float64), [0, 1]), (torch.randn(6, 5, 3, dtype=torch.float64), [1])]
    cases += [(torch.randn(6, dtype=torch.float64), [0])]
    for weight, dims in cases:
        factors = [(dim, largest * torch.rand(weight.shape[dim], dtype=torch.float64)) for dim in [*dims, dims[0]]]
        factors[0][1][0] = 0.0
        expected = weight.clone()
        scale_slices_(expected, factors)
        step = Pass({"w": weight}, {"w": dims})
        for got, want in zip(step.read("w"), square_sums(weight, dims), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-12, atol=0)
        step.scale_("w", factors)
        after = step.finish()["w"]
        torch.testing.assert_close(weight, expected, rtol=1e-14, atol=0)
        for got, want in zip(after, square_sums(weight, dims), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-11, atol=0)
            assert torch.equal(got == 0, want == 0)


def test_step_after_step_and_moved_weights_are_noticed():
    weight = nn.Parameter(torch.randn(6, 5, 3, 3, dtype=torch.float64))
    step = Pass({"w": weight}, {"w": [0, 1]})
    for _ in range(3):
        with torch.no_grad():
            weight.add_(0.1)  # an optimizer
            step.begin()
            for got, want in zip(step.read("w"), square_sums(weight, [0, 1]), strict=True):
                torch.testing.assert_close(got, want, rtol=1e-12, atol=0)
            step.scale_("w", [(0, torch.rand(6, dtype=torch.float64)), (1, torch.rand(5, dtype=torch.float64))])
            for got, want in zip(step.finish()["w"], square_sums(weight, [0, 1]), strict=True):
                torch.testing.assert_close(got, want, rtol=1e-11, atol=0)
    assert step.current
    weight.data = weight.data.clone()
    assert not step.current


def test_norms_of_rows_stand_for_their_squares():
    weight = torch.randn(6, 5, dtype=torch.float64)
    step = Pass({"w": weight, "v": weight.clone()}, {"w": [0], "v": [1]})
    torch.testing.assert_close(step.norms("w"), weight.square().sum(1).sqrt())
    assert step.norms("v") is None
    step.scale_("w", [(0, torch.full((6,), 0.5, dtype=torch.float64))])
    torch.testing.assert_close(step.finish()["w"][0], weight.square().sum(1))


def test_a_factor_along_another_dimension_than_was_read():
    weight = torch.randn(6, 5, dtype=torch.float64)
    before = weight.clone()
    step = Pass({"w": weight, "b": torch.ones(2)}, {"w": [0]})  # "b" is multiplied and never read
    step.read("w")
    step.scale_("w", [(1, torch.full((5,), 0.5, dtype=torch.float64))])
    step.scale_("b", [(0, torch.tensor([0.0, 1.0]))])
    torch.testing.assert_close(step.finish()["w"][0], before.square().sum(1) / 4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single(dtype):
    weights = {"w": torch.full((2, 3, 3, 3), 300.0, dtype=dtype), "b": torch.full((2,), 300.0, dtype=dtype)}
    step = Pass(weights, {"w": [0, 1], "b": [0]})
    square = float(weights["b"][0]) ** 2
    assert step.read("w")[0].tolist() == [27 * square] * 2
    assert step.read("b")[0].tolist() == [square] * 2
    half = torch.tensor([0.5, 0.0])
    step.scale_("w", [(0, half), (1, torch.ones(3))])
    step.scale_("b", [(0, half)])
    assert step.finish()["b"][0].tolist() == [square / 4, 0]
    assert weights["b"].dtype == weights["w"].dtype == dtype
    assert weights["w"][0, 0, 0, 0] == weights["b"][0] == 150


def test_autocast_does_not_round_the_sums():
    weight = torch.rand(64, 32, 3, 3)
    found = []
    for enabled in (False, True):
        step = Pass({"w": weight.clone()}, {"w": [0, 1]})
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            step.read("w")
            step.scale_("w", [(0, torch.full((64,), 0.9)), (1, torch.full((32,), 0.7))])
            found.append(step.finish()["w"])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
