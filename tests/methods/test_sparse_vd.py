import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

import gasl
from gasl.errors import InputError
from gasl.maths import log_alpha, log_uniform_kl
from gasl.methods import SparseVD


class Functional(nn.Module):
    """A weight that is used without its module being called."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        return functional.linear(functional.linear(x, self.first.weight, self.first.bias).relu(), self.second.weight)


def own(sparsifier, weight):
    return sparsifier.posterior.get_parameter(f"{weight.replace('.', '/')}.log_variance")


def conv():
    torch.manual_seed(4)
    return nn.Sequential(nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(12, 2)).double()


def spread(tensor, seed, low=-4.0, high=-1.0):
    return low + (high - low) * torch.rand(tensor.shape, generator=torch.Generator().manual_seed(seed)).double()


def test_a_layer_in_training_has_the_moments_of_sampled_weights():
    model, n = conv(), 4000
    inputs = [torch.randn(1, 2, 4, 4, dtype=torch.float64), torch.randn(1, 12, dtype=torch.float64)]
    sparsifier = gasl.Sparsifier(model, SparseVD(strength=0.0), inputs[0])
    generator = torch.Generator().manual_seed(0)
    for layer, name, x in zip((model[0], model[2]), ("0.weight", "2.weight"), inputs, strict=True):
        with torch.no_grad():
            own(sparsifier, name).copy_(spread(own(sparsifier, name), 1))
            got = layer(x.expand(n, *x.shape[1:]))
            mean, deviation = layer._parameters["weight"], (own(sparsifier, name) / 2).exp()
            weights = mean + deviation * torch.randn(n, *mean.shape, generator=generator, dtype=torch.float64)
            run = functional.linear if name == "2.weight" else partial(functional.conv2d, stride=2, padding=1)
            want = torch.cat([run(x, weight, layer.bias) for weight in weights])
        error = (got.var(0) / n + want.var(0) / n).sqrt()
        assert ((got.mean(0) - want.mean(0)).abs() < 5 * error).all()
        assert ((got.std(0) / want.std(0) - 1).abs() < 5 / math.sqrt(n)).all()
        correlation = torch.corrcoef(got.flatten(1).T)  # every output has noise of its own
        assert (correlation - torch.eye(len(correlation))).abs().max() < 5 / math.sqrt(n)


def test_the_bias_is_outside_the_variance():
    model, x = conv(), torch.zeros(1, 2, 4, 4, dtype=torch.float64)
    gasl.Sparsifier(model, SparseVD(strength=0.0, log_variance=1.0), x)
    noise = model[0](x) - model[0].bias[:, None, None]
    assert 0 < noise.abs().max() < 1e-3  # sqrt(1e-8) times a normal number: no weight sees an input


def test_weights_that_are_used_otherwise_get_the_noise_themselves():
    torch.manual_seed(5)
    model, x = Functional().double(), torch.randn(3, 3, dtype=torch.float64)
    sparsifier = gasl.Sparsifier(model, SparseVD(strength=0.0, log_variance=-2.0), x)
    assert torch.equal(model(x), model(x))  # one draw for all passes of a step
    weights = []
    for _ in range(3000):
        weights.append(model.first.weight.detach())
        sparsifier.posterior.draws.forget()
    got, mean = torch.stack(weights), model.first._parameters["weight"]
    assert ((got.mean(0) - mean).abs() < 5 * math.exp(-1) / math.sqrt(3000)).all()
    torch.testing.assert_close(got.std(0), torch.full_like(mean, math.exp(-1)), rtol=0.07, atol=0)
    loss = model(x).square().sum()
    loss.backward()
    assert own(sparsifier, "first.weight").grad.abs().max() > 0


def test_the_penalty_is_strength_times_the_divergence_of_all_weights():
    model, x = conv(), torch.randn(2, 2, 4, 4, dtype=torch.float64)
    sparsifier = gasl.Sparsifier(model, SparseVD(strength=0.3), x)
    want = 0.0
    for seed, (name, layer) in enumerate({"0.weight": model[0], "2.weight": model[2]}.items()):
        with torch.no_grad():
            own(sparsifier, name).copy_(spread(own(sparsifier, name), seed, -6, 1))
        want += log_uniform_kl(log_alpha(layer._parameters["weight"], own(sparsifier, name), clip=8.0)).sum()
    torch.testing.assert_close(sparsifier.penalty(), 0.3 * want, rtol=1e-12, atol=0)


def test_beyond_the_clip_neither_divergence_nor_noise_pull():
    model, x = conv(), torch.randn(2, 2, 4, 4, dtype=torch.float64)
    method = SparseVD(strength=0.3, clip=5.0)
    sparsifier = gasl.Sparsifier(model, method, x)
    weight = model[2]._parameters["weight"]
    noise = own(sparsifier, "2.weight")
    with torch.no_grad():
        noise.copy_(weight.square().log() + torch.tensor([-30.0, 30.0])[:, None])
    inputs = torch.randn(2000, 12, dtype=torch.float64)
    outputs = model[2](inputs)
    (outputs.sum() + sparsifier.penalty()).backward()
    assert torch.equal(noise.grad, torch.zeros_like(noise))
    deviation = (outputs - functional.linear(inputs, weight, model[2].bias)).std(0)
    want = (inputs.square().mean(0) * weight.square()).sum(1) * torch.tensor([math.exp(-5), math.exp(5)])
    torch.testing.assert_close(deviation, want.sqrt(), rtol=0.1, atol=0)


@pytest.mark.parametrize("threshold", [3.0, -1.0])
def test_a_weight_is_dead_where_its_rate_is_above_the_threshold(threshold):
    model, x = conv(), torch.randn(2, 2, 4, 4, dtype=torch.float64)
    sparsifier = gasl.Sparsifier(model, SparseVD(strength=0.0, threshold=threshold), x)
    weight, noise = model[2]._parameters["weight"].detach(), own(sparsifier, "2.weight")
    zero_point = (weight.square() + 1e-8).log() + threshold
    with torch.no_grad():
        noise.copy_(zero_point - 1e-9)
    model.eval()
    assert torch.equal(model[2].weight, weight)
    with torch.no_grad():
        noise[0] += 2e-9
    assert torch.equal(model[2].weight, torch.stack([torch.zeros_like(weight[0]), weight[1]]))
    assert model.train()[2].weight.count_nonzero() == weight.numel()


def test_a_weight_that_is_zero_is_dead_and_has_finite_gradients():
    model, x = conv(), torch.randn(2, 2, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        model[2].weight[0, :3] = 0
    sparsifier = gasl.Sparsifier(model, SparseVD(strength=1.0), x)
    (model(x).square().sum() + sparsifier.penalty()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert (model.eval()[2].weight[0, :3] == 0).all()


def test_with_train_clip_dead_weights_are_noise_alone():
    x = torch.randn(2000, 12, dtype=torch.float64)
    means = []
    for train_clip in (False, True):
        model = conv()
        method = SparseVD(strength=0.0, train_clip=train_clip)
        sparsifier = gasl.Sparsifier(model, method, torch.zeros(2, 2, 4, 4, dtype=torch.float64))
        with torch.no_grad():
            own(sparsifier, "2.weight")[0] = model[2]._parameters["weight"][0].square().log() + 4
        outputs = model[2](x)
        slopes = torch.linalg.lstsq(x, outputs - model[2].bias).solution.T
        means.append(slopes.detach())
        assert (outputs[:, 0] - outputs[:, 0].mean()).std() > 1
    weight = model[2]._parameters["weight"]
    assert (means[0] - weight).abs().max() < 0.5
    assert (means[1][1] - weight[1]).abs().max() < 0.05
    assert (means[1][0]).abs().mean() < (means[1][0] - weight[0]).abs().mean()


def regression(strength, **options):
    """Two inputs of eight matter, and a few hidden units are enough for them."""
    torch.manual_seed(6)
    x = torch.randn(64, 8, dtype=torch.float64)
    y = torch.stack([x[:, 0] + x[:, 1], x[:, 0] - x[:, 1]], 1)
    model = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 2)).double()
    sparsifier = gasl.Sparsifier(model, SparseVD(strength=strength, log_variance=-6.0), x, **options)
    optimizer = torch.optim.Adam(sparsifier.param_groups(), lr=0.03)
    for _ in range(300 if strength else 100):
        loss = functional.mse_loss(model(x), y) + sparsifier.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sparsifier.step(optimizer)
    return model, sparsifier, x, y


def test_units_die_that_do_not_at_strength_0():
    model, sparsifier, x, y = regression(strength=0.01)
    expected = model.eval()(x).detach()
    assert functional.mse_loss(expected, y) < 0.1 * y.square().mean()
    assert (model[0].weight == 0).double().mean() > 0.5
    small = sparsifier.finish()
    assert sparsifier.removal.widths["0"][1] < 8
    torch.testing.assert_close(small(x), expected, rtol=1e-10, atol=1e-10)
    model, sparsifier, _, _ = regression(strength=0.0)
    assert all(axis.alive == axis.size for axis in sparsifier.sparsity())


@pytest.mark.parametrize("floor", [1, 3])
def test_a_floor_is_kept_by_the_units_with_the_most_sure_weights(floor):
    torch.manual_seed(7)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 2))
    model, x = model.double(), torch.randn(5, 1, 4, 4, dtype=torch.float64)
    sparsifier = gasl.Sparsifier(model, SparseVD(strength=0.0), x, min_units=floor)
    with torch.no_grad():
        for noise in sparsifier.posterior.parameters():
            noise.fill_(20.0)
        own(sparsifier, "3.weight").fill_(4.0)
        for unit, value in {1: 5.0, 4: 6.0, 5: 7.0}.items():
            own(sparsifier, "5.weight")[:, unit] = value  # all dead, but these by less
        model[5]._parameters["weight"].fill_(0.5)
    alive = {axis.name: axis.alive for axis in sparsifier.sparsity()}
    assert alive["0"] == alive["3"] == floor
    assert alive["3.in"] >= floor
    assert model.eval()[5].weight.any(0).nonzero().flatten().tolist() == [1, 4, 5][:floor]
    assert torch.equal(model[5].weight[:, [1, 4, 5][:floor]], model[5]._parameters["weight"][:, [1, 4, 5][:floor]])


def test_the_penalty_grows_over_the_warmup():
    model = conv()
    method = SparseVD(strength=1.0, delay=1, warmup=2)
    sparsifier = gasl.Sparsifier(model, method, torch.zeros(2, 2, 4, 4, dtype=torch.float64))
    optimizer = torch.optim.SGD(sparsifier.param_groups(), lr=0.0)
    values = []
    for _ in range(4):
        values.append(sparsifier.penalty().item())
        model(torch.zeros(2, 2, 4, 4, dtype=torch.float64)).sum().backward()
        optimizer.step()
        sparsifier.step(optimizer)
    assert values[:2] == [0, 0]
    assert values[2] == pytest.approx(values[3] / 2, rel=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"granularity": "unit"}, "leave granularity at 'weight', got 'unit'"),
        ({"threshold": 8.0}, r"within the bounds of log alpha, -8\.0 and 8\.0, got 8\.0"),
        ({"threshold": math.nan}, "within the bounds"),
        ({"clip": -1.0}, "clip must be a finite number >= 0, got -1"),
        ({"log_variance": math.inf}, "log_variance must be a finite number, got inf"),
        ({"warmup": -1}, "warmup must be"),
    ],
)
def test_errors(settings, message):
    with pytest.raises(InputError, match=message):
        SparseVD(**settings)
