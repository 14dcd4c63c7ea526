"""Whole networks: the axes that a reader would name, whatever the batch size and dtype."""

import torch
from torch import nn

from gasl.models import MLP, VGG16, LeNet5, ResNet18
from gasl.structure.trace import trace
from removal.halving import halved
from structure.nets import Fn, axes_of, groups_of, image, reasons_of


def test_the_networks_of_the_paper():
    lenet = trace(LeNet5(), torch.zeros(2, 1, 28, 28))
    assert [(a.name, a.size) for a in lenet.axes] == [("conv1", 20), ("conv2", 50), ("fc1.in", 800), ("fc1", 500)]
    mlp = trace(MLP(), torch.zeros(2, 784))
    assert [(a.name, a.size) for a in mlp.axes] == [("fc1.in", 784), ("fc1", 500), ("fc2", 300)]
    vgg = trace(VGG16(width=0.125), torch.zeros(2, 3, 32, 32))
    assert [a.size for a in vgg.axes] == [8, 8, 16, 16, 32, 32, 32, *[64] * 6]
    resnet = axes_of(ResNet18(width=0.125), torch.zeros(2, 3, 32, 32))
    assert list(resnet.values()) == [8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64]
    assert "layer1.1.conv2" not in resnet  # it writes into the stem's sum


def test_batch_size_and_dtype_do_not_matter():
    for model, shape in ((LeNet5(), (1, 28, 28)), (ResNet18(width=0.125), (3, 32, 32))):
        pages = {str(trace(model, torch.randn(n, *shape))) for n in (1, 2, 5)}
        pages.add(str(trace(model.double(), torch.randn(2, *shape).double())))
        assert len(pages) == 1


class PreActivation(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(6)
        self.conv1, self.conv2 = nn.Conv2d(width, 6, 3, padding=1), nn.Conv2d(6, width, 3, padding=1)

    def forward(self, x):
        return x + self.conv2(self.bn2(self.conv1(self.bn1(x).relu())).relu())


def test_pre_activation_residual():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), PreActivation(4), PreActivation(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    assert axes_of(model) == {"0": 4, "1.conv1": 6, "2.conv1": 6}
    structure = trace(model, image())
    assert {"0.weight[0]", "1.bn1.weight[0]", "1.conv2.weight[0]", "2.conv2.weight[0]", "5.weight[1]"} < groups_of(
        model
    )["0"]
    assert {a.weight: a.gammas for a in structure.affines}["0.weight"] == []  # the sum reads it as well
    assert {a.weight: a.gammas for a in structure.affines}["1.conv1.weight"] == ["1.bn2.weight"]


class DenseBlock(nn.Module):
    def __init__(self, width, growth, count):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(width + i * growth), nn.ReLU(), nn.Conv2d(width + i * growth, growth, 3, padding=1)
            )
            for i in range(count)
        )

    def forward(self, x):
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


def test_dense_connections():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), DenseBlock(4, 2, 3), nn.BatchNorm2d(10), nn.Conv2d(10, 3, 1))
    assert axes_of(model) == {"0": 4, "1.layers.0.2": 2, "1.layers.1.2": 2, "1.layers.2.2": 2}
    members = groups_of(model)["1.layers.0.2"]
    assert {
        "1.layers.1.0.weight[0]",
        "1.layers.1.2.weight[1]",
        "1.layers.2.2.weight[1]",
        "2.bias[0]",
        "3.weight[1]",
    } < members


def test_squeeze_and_excite_is_tied_to_what_it_gates():
    model = Fn(
        lambda m, x: m.out((y := m.conv(x)) * torch.sigmoid(m.up(m.down(y.mean((2, 3))).relu()))[:, :, None, None]),
        conv=nn.Conv2d(3, 8, 3), down=nn.Linear(8, 2), up=nn.Linear(2, 8), out=nn.Conv2d(8, 2, 1),
    )  # fmt: skip
    assert axes_of(model) == {"conv": 8, "down": 2}
    assert groups_of(model)["conv"] == {
        "conv.weight[0]", "conv.bias[0]", "up.weight[0]", "up.bias[0]", "down.weight[1]", "out.weight[1]",
    }  # fmt: skip


def test_a_transformer_layer_keeps_its_stream_and_offers_its_hidden_width_and_its_heads():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Sequential(nn.Linear(3, 8), layer, nn.Linear(8, 2))
    for batch in (1, 2):
        x = torch.randn(batch, 5, 3)
        wanted = {"1.self_attn.num_heads": 2, "1.self_attn.head_dim": 4, "1.linear1": 16}
        assert axes_of(model, x) == wanted
        assert axes_of(model.requires_grad_(False), x) == wanted  # also where one fused op would be faster
        assert "mean and variance see a zero unit" in " ".join(reasons_of(model, x).values())
    halved(model, lambda batch: torch.randn(batch, 5, 3))


def test_recurrent_layers_offer_their_state():
    for layer in (nn.LSTM(4, 5, batch_first=True), nn.GRU(4, 5, 2, batch_first=True, bidirectional=True)):
        width = layer.hidden_size * (2 if layer.bidirectional else 1)
        model = Fn(lambda m, x: m.b(m.rnn(m.a(x))[0]), a=nn.Linear(3, 4), rnn=layer, b=nn.Linear(width, 2))
        assert sorted(axes_of(model, torch.randn(2, 6, 3)).values()) == [4, 5]


def test_an_embedding_is_a_width_too():
    model = nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 2))
    assert axes_of(model, torch.randint(7, (2, 3))) == {"2": 5, "0": 4}
    assert groups_of(model, torch.randint(7, (2, 3)))["0"] == {"0.weight[1]", "2.weight[1]"}
    halved(model, lambda batch: torch.randint(7, (batch, 3)))


def test_several_inputs_and_outputs():
    model = Fn(
        lambda m, x, y: {"scores": m.c(h := torch.relu(m.a(x) + m.b(y))), "pair": (m.d(h), 3, None)},
        a=nn.Linear(3, 4), b=nn.Linear(2, 4), c=nn.Linear(4, 2), d=nn.Linear(4, 1),
    )  # fmt: skip
    structure = trace(model, (torch.randn(2, 3), torch.randn(2, 2)))
    assert [(a.name, a.size) for a in structure.axes] == [("a.in", 3), ("a", 4), ("b.in", 2)]
    assert {p.name: p.reason for p in structure.protected} == {"c": "model output", "d": "model output"}
    returned = Fn(lambda m, x: (m.b(h := m.a(x)), h), a=nn.Linear(3, 4), b=nn.Linear(4, 2))
    assert axes_of(returned, torch.randn(2, 3)) == {}
