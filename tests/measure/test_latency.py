import pytest
import torch
from torch import nn

from gasl.errors import InputError
from gasl.measure import describe_device, measure_latency


class Recorder(nn.Module):
    """Writes down who was called, with what batch, on how many threads."""

    def __init__(self, name, calls):
        super().__init__()
        self.name, self.calls = name, calls
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        self.calls.append((self.name, x.shape[0], torch.get_num_threads(), self.training, torch.is_grad_enabled()))
        return self.layer(x)


def test_networks_take_turns_under_the_stated_conditions():
    calls = []
    models = {name: Recorder(name, calls) for name in ("a", "b")}
    times = measure_latency(models, torch.zeros(2, 3), batch=5, threads=2, seconds=0.02)
    assert torch.get_num_threads() == 1
    assert {call[1:] for call in calls} == {(5, 2, False, False)}
    order = [name for name, *_ in calls]
    turns = [name for i, name in enumerate(order) if i == 0 or name != order[i - 1]]
    assert len(turns) > 5, f"not interleaved: {turns}"
    for latency in times.values():
        assert (latency.batch, latency.threads) == (5, 2)
        assert 0 < latency.lower <= latency.median <= latency.upper
        assert latency.rounds >= 5
    assert all(model.training for model in models.values())


def test_threads_are_restored_after_an_error():
    with pytest.raises(InputError, match="shapes"):
        measure_latency({"net": nn.Linear(3, 2)}, torch.zeros(1, 4), threads=2)
    assert torch.get_num_threads() == 1


def test_a_slower_network_has_the_higher_number():
    class Repeated(nn.Module):
        def __init__(self, times):
            super().__init__()
            self.times = times

        def forward(self, x):
            for _ in range(self.times):
                x = x @ x
            return x

    times = measure_latency({"long": Repeated(200), "short": Repeated(1)}, torch.zeros(1, 32, 32), seconds=0.05)
    assert times["long"].median > 5 * times["short"].median  # 200 times the work: no machine is that noisy


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"seconds": 0.0}, {"seconds": float("nan")}, {"batch": 0}])
def test_impossible_conditions_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        measure_latency({"net": nn.Linear(3, 2)}, torch.zeros(1, 3), **wrong)


def test_nothing_to_measure_is_refused():
    with pytest.raises(InputError, match="at least one network"):
        measure_latency({}, torch.zeros(1, 3))


def test_the_processor_has_a_name():
    assert describe_device(torch.device("cpu")).strip()
