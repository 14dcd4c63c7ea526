"""Optimizer state: Adafactor's factors, what is refused, and before anything was changed."""

import copy

import pytest
import torch
from torch import nn

from gasl.errors import InputError
from gasl.removal import shrink_
from gasl.removal.states import smaller_states
from removal.training import OPTIMIZERS, backward, batch, network, setup, small_part
from removal.zeros import kill


def estimate(rows, cols):
    return rows * cols / rows.mean(dim=-2, keepdim=True)


@pytest.mark.parametrize(("shape", "dims"), [((6, 5), (0, 1)), ((6, 5), (0,)), ((6, 5), (1,)), ((4, 6, 5), (0, 1, 2))])
def test_adafactors_estimate_of_what_stays_is_as_before(shape, dims):
    weight = nn.Parameter(torch.randn(shape).double())
    optimizer = torch.optim.Adafactor([weight])
    for _ in range(3):
        weight.grad = torch.randn_like(weight)
        optimizer.step()
    state = optimizer.state[weight]
    cuts = [(dim, torch.tensor([3, 0, 2])) for dim in dims]
    changes = {c.kind: c.value for c in smaller_states([optimizer], {"w": weight}, {"w": cuts})}
    wanted = estimate(state["row_var"], state["col_var"])
    for dim, index in cuts:
        wanted = wanted.index_select(dim, index)
    assert changes.keys() == {"row_var", "col_var"}
    torch.testing.assert_close(estimate(changes["row_var"], changes["col_var"]), wanted, rtol=1e-12, atol=0)


def test_adafactors_means_forget_columns_without_gradient():
    weight = nn.Parameter(torch.randn(4, 3).double())
    alive, index = torch.tensor([[1.0, 0.0, 2.0]]).double(), torch.tensor([0, 2])
    small = nn.Parameter(weight.detach()[:, index])
    optimizers = torch.optim.Adafactor([weight]), torch.optim.Adafactor([small])
    for _ in range(3):
        weight.grad = alive * torch.randn(4, 3).double()
        small.grad = weight.grad[:, index]
        for optimizer in optimizers:
            optimizer.step()
    changes = {c.kind: c.value for c in smaller_states([optimizers[0]], {"w": weight}, {"w": [(1, index)]})}
    state = optimizers[1].state[small]
    torch.testing.assert_close(changes["row_var"], state["row_var"], rtol=1e-12, atol=0)
    torch.testing.assert_close(changes["col_var"], state["col_var"], rtol=1e-12, atol=0)


def test_factors_without_their_empty_dimension():
    weight = nn.Parameter(torch.randn(4, 3))
    optimizer = torch.optim.SGD([weight])
    rows, cols = torch.rand(4), torch.rand(3)
    optimizer.state[weight] = {"exp_avg_sq_row": rows, "exp_avg_sq_col": cols, "RMS": 0.5, "step": 3}
    cuts = {"w": [(0, torch.tensor([1, 2]))]}
    changes = {c.kind: c.value for c in smaller_states([optimizer], {"w": weight}, cuts)}
    assert torch.equal(changes["exp_avg_sq_row"], rows[1:3])
    torch.testing.assert_close(changes["exp_avg_sq_col"], cols * rows[1:3].mean() / rows.mean())


def test_no_gradient_yet_and_vectors():
    matrix, vector = nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adafactor([matrix, vector])
    matrix.grad, vector.grad = torch.zeros(3, 2), torch.arange(3.0)
    optimizer.step()
    cuts = {"m": [(0, torch.tensor([2]))], "v": [(0, torch.tensor([2]))]}
    changes = {c.kind: c.value for c in smaller_states([optimizer], {"m": matrix, "v": vector}, cuts)}
    assert changes["variance"].tolist() == [4.0]
    assert changes["row_var"].tolist() == [[0.0]]
    assert changes["col_var"].tolist() == [[0.0, 0.0]]


def adafactor_step(p, gradient, state, live, lr, eps2=1e-3):
    """One step of Adafactor on a large tensor, of which only some entries live: every mean is one over these."""
    step = float(state["step"]) + 1
    beta = step**-0.8
    count = live.sum()
    size = ((p * live).square().sum() / count).sqrt()
    eps = torch.finfo(p.dtype).eps
    square = (gradient * live).square()
    if p.ndim > 1:

        def mean(x, dim):
            return (x * live).sum(dim, keepdim=True) / live.sum(dim, keepdim=True).clamp(min=1)

        large = estimate(state["row_var"], state["col_var"])  # of the large network's own factors
        rows = torch.lerp(mean(large, -1), mean(square, -1), beta)
        cols = torch.lerp(mean(large, -2), mean(square, -2), beta)
        average = (rows * live.any(-1, keepdim=True)).sum(-2, keepdim=True) / live.any(-1, keepdim=True).sum(
            -2, keepdim=True
        ).clamp(min=1)
        v = rows * cols / average.clamp(min=eps)
    else:
        v = torch.lerp(state["variance"], square, beta)
    update = v.clamp(min=eps**2).rsqrt() * gradient * live
    clip = max(1.0, float((update.square().sum() / count).sqrt()))
    return p - max(eps2, float(size)) * min(lr, step**-0.5) / clip * update


def test_adafactors_next_step_is_that_of_the_large_network_with_means_over_what_lives():
    model, optimizer, large, large_optimizer = setup(lambda p: torch.optim.Adafactor(p, lr=0.05))
    with torch.no_grad():
        for one in (model, large):
            one[1].bias[5] = one[3].bias[4] = 0  # constants of 0, so that no bias takes anything up
            one[7].weight[0] = one[7].weight[7] = one[9].weight[0] = 0
            one[9].weight[:, [0, 7]] = 0
    backward(model, 7)
    backward(large, 7)
    removal = shrink_(model, batch()[0], optimizer=optimizer)
    assert removal.widths["7"] == (10, 7)
    assert not removal.plan.folds
    optimizer.step()
    for (name, p), old in zip(model.named_parameters(), large.named_parameters(), strict=True):
        live = torch.zeros(old[1].shape, dtype=torch.bool)
        keep = [removal.plan.keep.get((name, d), torch.arange(n)) for d, n in enumerate(old[1].shape)]
        live[torch.meshgrid(*keep, indexing="ij")] = True
        state = large_optimizer.state[old[1]]
        wanted = adafactor_step(old[1].detach(), old[1].grad, state, live, 0.05)
        torch.testing.assert_close(p.detach(), small_part(name, wanted, removal), rtol=1e-9, atol=1e-12)


def refused(optimizer, model, match):
    kill(model[3], 1, bias=True)
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    with pytest.raises(InputError, match=match):
        shrink_(model, batch()[0], optimizer=optimizer)
    assert all(torch.equal(v, before[0][k]) for k, v in model.state_dict().items())
    assert model[3].weight.shape[0] == 6
    return before[1]


def test_lbfgs_is_refused():
    model = network()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)
    optimizer.step(lambda: backward(model))
    refused(optimizer, model, "the state of LBFGS cannot be cut: its directions run through all weights at once")


def test_state_of_an_unknown_shape_is_refused_by_name():
    model, optimizer, _, _ = setup(OPTIMIZERS["momentum"])
    optimizer.state[model[3].weight]["preconditioner"] = torch.eye(6)
    refused(optimizer, model, r"SGD keeps 'preconditioner' of shape \(6, 6\) for '3.weight' of shape \(6, 8, 3, 3\)")
    optimizer.state[model[3].weight]["preconditioner"] = [torch.ones(6, 8, 3, 3)]
    refused(optimizer, model, "SGD keeps 'preconditioner' for '3.weight'")
    optimizer.state[model[3].weight]["preconditioner"] = {"rank": 3, "name": "none", "last": None}
    shrink_(model, batch()[0], optimizer=optimizer)
    assert optimizer.state[model[3].weight]["momentum_buffer"].shape == model[3].weight.shape


@pytest.mark.parametrize(
    ("optimizer", "match"),
    [
        (3, "optimizer takes torch optimizers, got int"),
        ([None], "optimizer takes torch optimizers, got NoneType"),
        (torch.optim.SGD([torch.zeros(2, requires_grad=True)]), "this SGD holds no parameter of the network"),
    ],
)
def test_what_is_no_optimizer_of_the_network_is_refused(optimizer, match):
    model = kill(nn.Linear(3, 4), 1)
    model = nn.Sequential(model, nn.Linear(4, 2))
    with pytest.raises(InputError, match=match):
        shrink_(model, torch.randn(2, 3), optimizer=optimizer)
    assert model[0].weight.shape == (4, 3)


def test_wrappers_of_trainers_are_looked_through():
    class Wrapper:
        def __init__(self, optimizer):
            self.optimizer, self.param_groups = optimizer, optimizer.param_groups

    model, optimizer, _, _ = setup(OPTIMIZERS["adam"])
    shrink_(model, batch()[0], optimizer=Wrapper(Wrapper(optimizer)))
    assert optimizer.state[model[3].weight]["exp_avg"].shape == model[3].weight.shape


def test_sparse_gradients_and_their_optimizer():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.a, self.b = nn.Embedding(9, 4, sparse=True), nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x):
            return self.b(torch.relu(self.a(self.words(x))))

    model = Words()
    sparse, dense = torch.optim.SparseAdam([model.words.weight]), torch.optim.Adam([*model.a.parameters()])
    x = torch.randint(9, (5, 3))
    model(x).sum().backward()
    sparse.step()
    dense.step()
    kill(model.a, 1, 2)
    with torch.no_grad():
        model.a.weight[:, 3] = 0
        large, large_grad = model(x), model.words.weight.grad.to_dense()
    removal = shrink_(model, x, optimizer=[sparse, dense])
    torch.testing.assert_close(model(x), large)
    kept = removal.plan.keep.get(("words.weight", 1), torch.arange(4))
    assert torch.equal(model.words.weight.grad.to_dense(), large_grad[:, kept])
    model(x).sum().backward()
    sparse.step()
    dense.step()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this PyTorch has no Muon")
def test_muon_takes_no_bias():
    model = nn.Sequential(kill(nn.Linear(3, 4), 1), nn.Sigmoid(), nn.Linear(4, 2, bias=False))
    optimizer = torch.optim.Muon([model[2].weight])
    with pytest.raises(InputError, match=r"'2.weight' is trained by Muon, which takes matrices only"):
        shrink_(model, torch.randn(2, 3), optimizer=optimizer)
    assert model[2].weight.shape == (2, 4)
    assert shrink_(model, torch.randn(2, 3), optimizer=optimizer, protect=["0"]).widths["0"] == (4, 4)
