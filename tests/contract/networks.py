"""Five kinds of network, small enough that a method's whole life takes milliseconds, and what they are trained on."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

__all__ = ["NETWORKS", "batch", "build"]


class LeNet(nn.Module):
    """LeNet-5 at a tenth of its width, for 1 x 14 x 14; tanh, since so few ReLUs would soon all be at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 5, 3)
        self.fc1, self.fc2 = nn.Linear(20, 6), nn.Linear(6, 3)
        self.tanh, self.pool, self.flatten = nn.Tanh(), nn.MaxPool2d(2), nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.tanh(self.conv2(self.pool(self.tanh(self.conv1(x))))))
        return self.fc2(self.tanh(self.fc1(self.flatten(x))))


class Residual(nn.Module):
    """A stem and one residual block, every convolution followed by a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_bn = nn.Conv2d(1, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5)
        self.conv1, self.bn1 = nn.Conv2d(5, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 5, 3, padding=1), nn.BatchNorm2d(5)
        self.relu, self.pool, self.flatten = nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.fc = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem_bn(self.stem(x)))
        inner = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.fc(self.flatten(self.pool(self.relu(x + inner))))


class Transformer(nn.Module):
    """PyTorch's own encoder layer, whose attention reads its weights as tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(5, 12), nn.Linear(12, 3)
        self.layer = nn.TransformerEncoderLayer(12, 3, 10, dropout=0.0, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.leave(self.layer(self.enter(x)).mean(1))


class Attention(nn.Module):
    """Attention by the function, before a gated MLP; no norm, so that the width around it is made of units too."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(5, 6)
        self.q, self.k, self.v = nn.Linear(6, 12), nn.Linear(6, 12), nn.Linear(6, 12)
        self.o, self.gate, self.up, self.down = nn.Linear(12, 6), nn.Linear(6, 7), nn.Linear(6, 7), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        q, k, v = (layer(x).unflatten(-1, (3, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        x = x + self.o(scaled_dot_product_attention(q, k, v, scale=0.5).transpose(1, 2).flatten(2))
        return self.down(self.gate(x).sigmoid() * self.up(x)).mean(1)


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3))


NETWORKS: Mapping[str, tuple[Callable[[], nn.Module], tuple[int, ...], float]] = {
    # with the shape of one example, and a factor on the first weights after which one strength suits all
    "lenet": (LeNet, (1, 14, 14), 2.0),
    "mlp": (_mlp, (6,), 1.3),
    "residual": (Residual, (1, 6, 6), 0.3),
    "transformer": (Transformer, (4, 5), 1.0),
    "attention": (Attention, (4, 5), 1.3),
}


def build(name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The same network whenever it is asked for; no weight is exactly 0 or 1, whatever the layers start with."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = NETWORKS[name][0]()
        with torch.no_grad():
            for p in model.parameters():
                if p.ndim == 1:
                    p += 0.2 * torch.rand_like(p) + 0.05
                else:
                    p *= NETWORKS[name][2]
    return model.to(dtype)


def batch(name: str, dtype: torch.dtype = torch.float64, n: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Three patterns, each with noise of its own half as large, and which is which."""
    patterns = torch.Generator().manual_seed(5)
    noise = torch.Generator().manual_seed(seed)
    shape, labels = NETWORKS[name][1], torch.arange(n) % 3
    x = torch.randn(3, *shape, generator=patterns, dtype=torch.float64)[labels]
    x += 0.5 * torch.randn(n, *shape, generator=noise, dtype=torch.float64)
    return x.to(dtype), labels
