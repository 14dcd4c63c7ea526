"""In what layout networks get their images: channels last, unless one of them views its maps."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gasl.data import DataSplits
from gasl.methods import GroupLasso
from gasl.training import Hardware, TrainConfig, fit
from gasl.training.layout import layout_for

LAST, PLAIN = torch.channels_last, torch.contiguous_format


class Maps(nn.Module):
    """Notes the layout that its first maps have; joins them with ``reshape`` or ``view``."""

    def __init__(self, views: bool, seen: list[torch.memory_format]) -> None:
        super().__init__()
        self.conv1, self.conv2, self.fc = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3), nn.Linear(96, 3)
        self.views, self.seen = views, seen

    def forward(self, images: Tensor) -> Tensor:
        maps = self.conv2(self.conv1(images).relu())
        self.seen.append(LAST if maps.is_contiguous(memory_format=LAST) else PLAIN)
        scores: Tensor = self.fc(maps.view(len(maps), -1) if self.views else maps.reshape(len(maps), -1))
        return scores

    def __deepcopy__(self, memo: object) -> nn.Module:
        other = Maps(self.views, self.seen)
        other.load_state_dict(self.state_dict())
        return other


@pytest.mark.parametrize(("views", "layout"), [(False, LAST), (True, PLAIN)])
@pytest.mark.parametrize("taught", [False, True])
def test_pupil_and_teacher_get_what_both_take(
    views: bool, layout: torch.memory_format, taught: bool, splits: DataSplits, tmp_path: Path
) -> None:
    seen: list[torch.memory_format] = []
    model, teacher = Maps(views, []), Maps(False, seen) if taught else None
    config = TrainConfig(epochs=1, batch_size=12, teacher=0.5 if taught else None)
    result = fit(
        model,
        splits,
        tmp_path,
        config=config,
        method=GroupLasso(strength=0.1),
        teacher=teacher,
        hardware=Hardware(accelerator="cpu"),
        progress=False,
    )
    assert len(result.history) == 1
    assert model.seen[-1] is layout
    if taught:
        assert seen[-1] is layout


def test_the_trial_leaves_the_network_alone() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert layout_for([model], torch.randn(2, 3, 8, 8)) is LAST
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(tensor.is_contiguous() for tensor in model.state_dict().values())


def test_a_network_that_fails_anyhow_gets_the_plain_layout() -> None:
    assert layout_for([nn.Conv2d(3, 4, 3)], torch.zeros(1, 1, 8, 8)) is PLAIN
