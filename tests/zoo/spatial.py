"""Networks over space and time that are no classifiers of images, and norms over groups of channels."""

import torch
from torch import nn
from torch.nn import functional

from zoo.entry import Entry, images, signal, volume

__all__ = ["ENTRIES"]


def double(before, after):
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(),
        nn.Conv2d(after, after + 1, 3, padding=1), nn.BatchNorm2d(after + 1), nn.ReLU(),
    )  # fmt: skip


class UNet(nn.Module):
    """Encoder and decoder with skip connections; one step up is a transposed convolution, one an interpolation."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = double(3, 8), double(9, 12), double(13, 18)
        self.up = nn.ConvTranspose2d(19, 14, 2, stride=2)
        self.fourth, self.fifth = double(14 + 13, 16), double(17 + 9, 10)
        self.out = nn.Conv2d(11, 2, 1)

    def forward(self, x):
        a = self.first(x)
        b = self.second(functional.max_pool2d(a, 2))
        c = self.third(functional.max_pool2d(b, 2))
        y = self.fourth(torch.cat([self.up(c), b], 1))
        y = functional.interpolate(y, size=a.shape[2:], mode="bilinear", align_corners=False)
        return self.out(self.fifth(torch.cat([y, a], 1)))


def autoencoder():
    return nn.Sequential(
        nn.Conv2d(1, 9, 3, 2, 1), nn.ReLU(), nn.Conv2d(9, 17, 3, 2, 1), nn.ReLU(),
        nn.ConvTranspose2d(17, 12, 4, 2, 1), nn.BatchNorm2d(12), nn.ReLU(), nn.ConvTranspose2d(12, 1, 4, 2, 1),
    )  # fmt: skip


class SuperResolution(nn.Module):
    """Residual body and pixel shuffle."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 13, 5, padding=2)
        self.body = nn.ModuleList(
            nn.Sequential(nn.Conv2d(13, w, 3, padding=1), nn.PReLU(w), nn.Conv2d(w, 13, 3, padding=1)) for w in (11, 17)
        )
        self.grow, self.shuffle = nn.Conv2d(13, 7 * 4, 3, padding=1), nn.PixelShuffle(2)
        self.out = nn.Conv2d(7, 3, 3, padding=1)

    def forward(self, x):
        x = self.first(x)
        for block in self.body:
            x = x + 0.5 * block(x)
        return self.out(torch.relu(self.shuffle(self.grow(x))))


def wave():
    """1-D convolutions, dilated."""
    return nn.Sequential(
        nn.Conv1d(2, 14, 7, padding=3), nn.BatchNorm1d(14), nn.ReLU(),
        nn.Conv1d(14, 22, 3, padding=2, dilation=2), nn.BatchNorm1d(22), nn.ELU(), nn.MaxPool1d(2),
        nn.Conv1d(22, 17, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(17, 5),
    )  # fmt: skip


def cube():
    """3-D convolutions."""
    return nn.Sequential(
        nn.Conv3d(1, 8, 3, padding=1), nn.BatchNorm3d(8), nn.ReLU(), nn.MaxPool3d(2),
        nn.Conv3d(8, 13, 3, padding=1), nn.BatchNorm3d(13), nn.LeakyReLU(0.1),
        nn.Conv3d(13, 10, 1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(10, 4),
    )  # fmt: skip


def group_norm():
    """By whole groups only."""
    return nn.Sequential(
        nn.Conv2d(3, 24, 3, padding=1), nn.GroupNorm(8, 24), nn.SiLU(),
        nn.Conv2d(24, 30, 3, padding=1), nn.GroupNorm(6, 30), nn.SiLU(),
        nn.Conv2d(30, 12, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5),
    )  # fmt: skip


class Style(nn.Module):
    """Instance norm, reflection padding, nearest neighbours."""

    def __init__(self):
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(3, 10, 3), nn.InstanceNorm2d(10, affine=True)
        self.second, self.norm2 = nn.Conv2d(10, 16, 3, stride=2), nn.InstanceNorm2d(16)
        self.third, self.norm3 = nn.Conv2d(16, 9, 3), nn.InstanceNorm2d(9, affine=True, track_running_stats=True)
        self.out = nn.Conv2d(9, 3, 3)

    def forward(self, x):
        pad = lambda t: functional.pad(t, (1, 1, 1, 1), mode="reflect")  # noqa: E731
        x = torch.relu(self.norm1(self.first(pad(x))))
        x = torch.relu(self.norm2(self.second(pad(x))))
        x = torch.relu(self.norm3(self.third(pad(functional.interpolate(x, scale_factor=2, mode="nearest")))))
        return torch.tanh(self.out(pad(x)))


class Diffusion(nn.Module):
    """A denoiser's block: group norm, a time embedding that scales and shifts, attention over space."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 20, 3, padding=1)
        self.norm, self.conv = nn.GroupNorm(5, 20), nn.Conv2d(20, 28, 3, padding=1)
        self.time, self.again = nn.Sequential(nn.Linear(6, 18), nn.SiLU(), nn.Linear(18, 56)), nn.GroupNorm(7, 28)
        self.last, self.skip = nn.Conv2d(28, 12, 3, padding=1), nn.Conv2d(20, 12, 1)
        self.out = nn.Conv2d(12, 3, 1)

    def forward(self, x, t):
        x = self.first(x)
        y = self.conv(functional.silu(self.norm(x)))
        scale, shift = self.time(t)[:, :, None, None].chunk(2, dim=1)
        y = self.again(y) * (1 + scale) + shift
        return self.out(self.last(functional.silu(y)) + self.skip(x))


ENTRIES = (
    Entry("u-net", "transposed, skip, interpolate", UNet, images(), 16, 24),
    Entry("autoencoder", "transposed", autoencoder, images(1), 16, 12),
    Entry("super-resolution", "pixel shuffle", SuperResolution, images(), 10, 13),
    Entry("conv-1d", "1-D", wave, signal(2), 40, 55),
    Entry("conv-3d", "3-D", cube, volume(1), 8, 10),
    Entry("group-norm", "GroupNorm", group_norm, images(), 10, 14),
    Entry("instance-norm", "InstanceNorm", Style, images(), 12, 16),
    Entry(
        "diffusion", "GroupNorm, scale and shift", Diffusion,
        lambda batch, size: (torch.randn(batch, 3, size, size), torch.randn(batch, 6)), 8, 12,
    ),
)  # fmt: skip
