import numpy as np
import pytest
import torch

from gasl.maths.tails import tail_moment

NODES, WEIGHTS = map(torch.from_numpy, np.polynomial.laguerre.laggauss(60))


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("x", [3.0, 10.0, 29.9, 30.0, 30.1, 100.0, 1e5])
def test_is_the_integral(n, x):
    # with t = x s the integral is x^-(n+1) times that of t^n exp(-t^2 / (2 x^2)) over exp(-t)
    want = (WEIGHTS * NODES**n * (-(NODES**2) / (2 * x * x)).exp()).sum() * x ** -(n + 1)
    got = tail_moment(torch.tensor(x, dtype=torch.float64), n)
    assert got.item() == pytest.approx(want.item(), rel=2e-6 if x < 10 else 1e-12)


def test_at_zero():
    got = [tail_moment(torch.zeros((), dtype=torch.float64), n).item() for n in range(3)]
    assert got == pytest.approx([(np.pi / 2) ** 0.5, 1.0, (np.pi / 2) ** 0.5])


@pytest.mark.parametrize("n", [0, 1, 2])
def test_gradients(n):
    x = torch.tensor([0.0, 1.0, 20.0, 31.0, 50.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: tail_moment(x, n) * (x + 1) ** (n + 1), x)
