"""Convolutional classifiers: plain, residual, dense, inception, grouped, shuffled, depthwise, gated."""

import torch
from torch import nn

from zoo.entry import Entry, images

__all__ = ["ENTRIES"]


def conv(before, after, kernel=3, stride=1, groups=1, act=nn.ReLU):
    """Convolution without bias, batch norm, activation: what most of these networks are made of."""
    layers = [nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(after)]
    return nn.Sequential(*layers, *([act()] if act else []))


def head(width, classes=10):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


def vgg(norm):
    layers, before = [], 3
    for width in (12, 14, "pool", 20, 22, "pool", 30, 34, "pool"):
        if width == "pool":
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(before, width, 3, padding=1), *([nn.BatchNorm2d(width)] if norm else []), nn.ReLU()]
        before = width
    classifier = [nn.Flatten(), nn.Linear(34 * 16, 46), nn.ReLU(), nn.Dropout(), nn.Linear(46, 10)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), *classifier)


class Residual(nn.Module):
    def __init__(self, body, shortcut):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def basic(before, after, stride):
    same = stride == 1 and before == after
    body = nn.Sequential(conv(before, after, 3, stride), conv(after, after, act=None))
    return Residual(body, nn.Identity() if same else conv(before, after, 1, stride, act=None))


def bottleneck(before, after, stride, groups=1, middle=None):
    middle = middle or after // 4
    layers = conv(before, middle, 1), conv(middle, middle, 3, stride, groups), conv(middle, after, 1, act=None)
    same = stride == 1 and before == after
    return Residual(nn.Sequential(*layers), nn.Identity() if same else conv(before, after, 1, stride, act=None))


def resnet18():
    blocks = [basic(8, 8, 1), basic(8, 8, 1), basic(8, 18, 2), basic(18, 18, 1), basic(18, 26, 2), basic(26, 26, 1)]
    return nn.Sequential(conv(3, 8, 7, 2), nn.MaxPool2d(3, 2, 1), *blocks, head(26))


def resnet50():
    blocks = [bottleneck(12, 24, 1), bottleneck(24, 24, 1), bottleneck(24, 40, 2), bottleneck(40, 40, 1)]
    return nn.Sequential(conv(3, 12, 7, 2), nn.MaxPool2d(3, 2, 1), *blocks, head(40))


def resnext():
    widths = [(12, 28, 1, 16), (28, 28, 1, 16), (28, 44, 2, 24), (44, 44, 1, 24)]
    return nn.Sequential(conv(3, 12), *(bottleneck(a, b, s, 4, m) for a, b, s, m in widths), head(44))


class PreActivation(nn.Module):
    """ResNet v2: the norm comes first, and the sum is read raw."""

    def __init__(self, width, middle):
        super().__init__()
        self.first, self.second = nn.BatchNorm2d(width), nn.BatchNorm2d(middle)
        self.down, self.up = nn.Conv2d(width, middle, 3, padding=1), nn.Conv2d(middle, width, 3, padding=1)

    def forward(self, x):
        return x + self.up(torch.relu(self.second(self.down(torch.relu(self.first(x))))))


def resnet_v2():
    return nn.Sequential(
        nn.Conv2d(3, 14, 3), PreActivation(14, 9), PreActivation(14, 11), nn.BatchNorm2d(14), nn.ReLU(), head(14)
    )


class Dense(nn.Module):
    def __init__(self, before, growth):
        super().__init__()
        self.norm, self.squeeze = nn.BatchNorm2d(before), nn.Conv2d(before, 2 * growth, 1, bias=False)
        self.again, self.grow = nn.BatchNorm2d(2 * growth), nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x):
        new = self.grow(torch.relu(self.again(self.squeeze(torch.relu(self.norm(x))))))
        return torch.cat([x, new], 1)


def densenet():
    first = [Dense(10 + 6 * i, 6) for i in range(3)]
    transition = [nn.BatchNorm2d(28), nn.ReLU(), nn.Conv2d(28, 15, 1, bias=False), nn.AvgPool2d(2)]
    second = [Dense(15 + 6 * i, 6) for i in range(3)]
    return nn.Sequential(
        nn.Conv2d(3, 10, 3, padding=1), *first, *transition, *second, nn.BatchNorm2d(33), nn.ReLU(), head(33)
    )


class Inception(nn.Module):
    def __init__(self, before, a, b, c, d):
        super().__init__()
        self.one = conv(before, a, 1)
        self.three = nn.Sequential(conv(before, b - 2, 1), conv(b - 2, b))
        self.five = nn.Sequential(conv(before, c - 1, 1), conv(c - 1, c + 1), conv(c + 1, c))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(before, d, 1))

    def forward(self, x):
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)


def inception():
    return nn.Sequential(conv(3, 16), Inception(16, 5, 8, 6, 4), nn.MaxPool2d(2), Inception(23, 7, 10, 9, 3), head(29))


class Shuffle(nn.Module):
    """ShuffleNet v2: half of the channels go by, then the halves are shuffled."""

    def __init__(self, width):
        super().__init__()
        half = width // 2
        depthwise = conv(half, half, 3, groups=half, act=None)
        self.branch = nn.Sequential(conv(half, half, 1), depthwise, conv(half, half, 1))

    def forward(self, x):
        left, right = x.chunk(2, dim=1)
        x = torch.cat([left, self.branch(right)], 1)
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def shufflenet():
    return nn.Sequential(conv(3, 24, 3, 2), Shuffle(24), Shuffle(24), conv(24, 38, 1), head(38))


class GroupShuffle(nn.Module):
    """ShuffleNet v1: grouped 1x1 convolutions with a shuffle between them."""

    def __init__(self, width, middle, groups):
        super().__init__()
        self.groups = groups
        self.squeeze = conv(width, middle, 1, groups=groups)
        self.rest = nn.Sequential(
            conv(middle, middle, 3, groups=middle, act=None), conv(middle, width, 1, groups=groups, act=None)
        )

    def forward(self, x):
        y = self.squeeze(x)
        y = y.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)
        return torch.relu(x + self.rest(y))


def shufflenet_v1():
    return nn.Sequential(conv(3, 24), GroupShuffle(24, 12, 3), GroupShuffle(24, 18, 3), head(24))


def mobilenet_v1():
    def block(before, after, stride):
        return conv(before, before, 3, stride, groups=before), conv(before, after, 1)

    return nn.Sequential(conv(3, 10, 3, 2), *block(10, 18, 1), *block(18, 26, 2), *block(26, 34, 1), head(34))


class Gate(nn.Module):
    """Squeeze and excite."""

    def __init__(self, width, middle):
        super().__init__()
        self.down, self.up = nn.Conv2d(width, middle, 1), nn.Conv2d(middle, width, 1)

    def forward(self, x):
        squeezed = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.up(torch.relu(self.down(squeezed))))


class Inverted(nn.Module):
    """MobileNet v3: wide depthwise middle with a gate, linear and narrow outside."""

    def __init__(self, width, middle):
        super().__init__()
        outer = conv(width, middle, 1, act=nn.Hardswish), conv(middle, middle, 5, 1, middle, act=nn.Hardswish)
        self.body = nn.Sequential(*outer, Gate(middle, 6), conv(middle, width, 1, act=None))

    def forward(self, x):
        return x + self.body(x)


def mobilenet_v3():
    return nn.Sequential(conv(3, 9, 3, 2, act=nn.Hardswish), Inverted(9, 22), Inverted(9, 27), conv(9, 40, 1), head(40))


def senet():
    class Block(Residual):
        def __init__(self, before, after):
            body = nn.Sequential(conv(before, after), conv(after, after, act=None), Gate(after, 5))
            super().__init__(body, conv(before, after, 1, act=None))

    return nn.Sequential(conv(3, 11), Block(11, 16), nn.MaxPool2d(2), Block(16, 25), head(25))


ENTRIES = (
    Entry("vgg", "plain, flatten", lambda: vgg(norm=False), images(), 32, 40),
    Entry("vgg-bn", "plain, BatchNorm", lambda: vgg(norm=True), images(), 32, 40),
    Entry("resnet-18", "residual", resnet18, images(), 32, 40),
    Entry("resnet-50", "residual, bottleneck", resnet50, images(), 32, 40),
    Entry("resnet-v2", "pre-activation", resnet_v2, images(), 12, 15),
    Entry("resnext", "grouped", resnext, images(), 12, 16),
    Entry("densenet", "concatenation", densenet, images(), 12, 16),
    Entry("inception", "branches", inception, images(), 12, 16),
    Entry("shufflenet-v2", "chunk, shuffle, depthwise", shufflenet, images(), 16, 12),
    Entry("shufflenet-v1", "grouped, shuffle", shufflenet_v1, images(), 8, 12),
    Entry("mobilenet-v1", "depthwise", mobilenet_v1, images(), 16, 20),
    Entry("mobilenet-v3", "inverted residual, gate", mobilenet_v3, images(), 16, 20),
    Entry("se-resnet", "squeeze and excite", senet, images(), 12, 16),
)
