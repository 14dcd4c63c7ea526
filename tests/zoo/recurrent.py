"""Recurrent networks, and models with several inputs and outputs."""

import dataclasses

import torch
from torch import Tensor, nn

from zoo.entry import Entry, images, tokens

__all__ = ["ENTRIES"]


class Recurrent(nn.Module):
    """Embedding, recurrent layers, linear head on the last state and on each step."""

    def __init__(self, kind, hidden, layers, both, first=True):
        super().__init__()
        self.first = first
        self.embed = nn.Embedding(50, 12)
        self.rnn = kind(12, hidden, layers, batch_first=first, bidirectional=both)
        self.step, self.last = nn.Linear(hidden * (1 + both), 14), nn.Linear(hidden, 5)

    def forward(self, input_ids):
        x = self.embed(input_ids)
        out, state = self.rnn(x if self.first else x.transpose(0, 1))
        state = state[0] if isinstance(state, tuple) else state
        out = out if self.first else out.transpose(0, 1)
        return torch.relu(self.step(out)), self.last(state[-1])


class Tagger(nn.Module):
    """Embedding, linear, LSTM, MLP."""

    def __init__(self):
        super().__init__()
        self.embed, self.before = nn.Embedding(40, 15), nn.Linear(15, 22)
        self.rnn, self.after, self.out = nn.LSTM(22, 18, batch_first=True), nn.Linear(18, 13), nn.Linear(13, 6)

    def forward(self, input_ids):
        x = torch.relu(self.before(self.embed(input_ids)))
        return self.out(torch.relu(self.after(self.rnn(x)[0])))


class Cell(nn.Module):
    """An LSTM cell and a GRU cell in a loop of Python."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.LSTMCell(7, 16), nn.GRUCell(16, 11)
        self.out = nn.Linear(11, 4)

    def forward(self, x):
        state = g = None
        for step in x.unbind(1):
            state = self.first(step, state)
            g = self.second(state[0], g)
        return self.out(g)


class Bag(nn.Module):
    """Embeddings of several columns beside numbers: what tables are learned with."""

    def __init__(self):
        super().__init__()
        self.colour, self.shape = nn.Embedding(9, 6), nn.Embedding(13, 8)
        self.numbers = nn.Linear(5, 11)
        self.trunk = nn.Sequential(nn.Linear(25, 30), nn.BatchNorm1d(30), nn.ReLU(), nn.Linear(30, 17), nn.ReLU())
        self.price, self.kind = nn.Linear(17, 1), nn.Linear(17, 4)

    def forward(self, *, colour, shape, numbers):
        parts = [self.colour(colour), self.shape(shape), torch.relu(self.numbers(numbers))]
        y = self.trunk(torch.cat(parts, dim=-1))
        return {"price": self.price(y)[:, 0], "more": {"kind": self.kind(y).softmax(-1)}}


@dataclasses.dataclass
class Scores:
    left: Tensor
    right: Tensor | None
    note: str


class Siamese(nn.Module):
    """One encoder for both inputs; the answer is a dataclass."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(12, 26), nn.ReLU(), nn.Linear(26, 19), nn.Tanh())
        self.score = nn.Bilinear(19, 19, 3)
        self.far = nn.Linear(19, 2)

    def forward(self, one, two):
        one, two = self.encoder(one), self.encoder(two)
        return Scores(self.far((one - two).abs()), self.score(one, two), "scores")


class Shared(nn.Module):
    """One convolution is used at three resolutions, with norms of its own."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 14, 3, padding=1)
        self.tower = nn.Sequential(nn.Conv2d(14, 14, 3, padding=1), nn.ReLU(), nn.Conv2d(14, 18, 3, padding=1))
        self.norms = nn.ModuleList(nn.BatchNorm2d(18) for _ in range(3))
        self.box, self.kind = nn.Conv2d(18, 4, 1), nn.Conv2d(18, 7, 1)

    def forward(self, x):
        levels = [self.first(x)]
        levels += [nn.functional.avg_pool2d(levels[0], 2), nn.functional.max_pool2d(levels[0], 4)]
        maps = [torch.relu(norm(self.tower(level))) for norm, level in zip(self.norms, levels, strict=True)]
        return [(self.box(m).exp(), self.kind(m)) for m in maps]


def table(batch, size):
    columns = {"colour": torch.randint(9, (batch,)), "shape": torch.randint(13, (batch,))}
    return columns | {"numbers": torch.randn(batch, 5)}


ENTRIES = (
    Entry("lstm", "LSTM", Tagger, tokens(40), 7, 11),
    Entry("lstm-2-both", "LSTM, 2 layers, bidirectional", lambda: Recurrent(nn.LSTM, 16, 2, True), tokens(50), 7, 11),
    Entry("gru", "GRU, time first", lambda: Recurrent(nn.GRU, 18, 1, False, False), tokens(50), 7, 11),
    Entry("gru-2-both", "GRU, 2 layers, bidirectional", lambda: Recurrent(nn.GRU, 13, 2, True), tokens(50), 7, 11),
    Entry("cells", "LSTMCell, GRUCell", Cell, lambda batch, size: torch.randn(batch, size, 7), 5, 8),
    Entry("table", "embeddings, dict in and out", Bag, table, 1),
    Entry("siamese", "shared, dataclass out", Siamese, lambda b, size: (torch.randn(b, 12), torch.randn(b, 12)), 1),
    Entry("pyramid", "shared, several outputs", Shared, images(), 16, 24),
)
