"""A teacher's outputs in the loss: the formula, and what of it is learned, saved and refused."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from gasl.errors import InputError
from gasl.training import TrainConfig
from gasl.training.classifier import Classifier


def test_the_loss_is_a_mixture():
    torch.manual_seed(0)
    pupil, teacher = (nn.Sequential(nn.Flatten(), nn.Linear(4, 3)) for _ in range(2))
    classifier = Classifier(pupil, TrainConfig(teacher=0.25), teacher)
    x = torch.randn(8, 1, 2, 2)
    soft = 16 * kl_div(log_softmax(pupil(x) / 4, 1), log_softmax(teacher(x) / 4, 1), log_target=True, reduction="none")
    torch.testing.assert_close(classifier._divergence(x, pupil(x)), soft.sum(1).mean())
    hard, labels = cross_entropy(pupil(x), torch.zeros(8).long()), torch.zeros(8).long()

    class Trainer:
        is_last_batch = False

    classifier.__dict__["_trainer"] = Trainer()
    classifier._loss, classifier._images = torch.zeros(()), 0
    torch.testing.assert_close(classifier.training_step((x, labels), 0), 0.75 * hard + 0.25 * soft.sum(1).mean())


def test_the_teacher_is_no_part_of_what_is_trained_or_saved():
    teacher = nn.Linear(4, 3)
    classifier = Classifier(nn.Linear(4, 3), TrainConfig(teacher=1.0), teacher)
    assert list(classifier.state_dict()) == ["model.weight", "model.bias"]
    assert sum(p.numel() for p in classifier.parameters()) == 15
    assert teacher.weight.requires_grad


def test_one_without_the_other_is_refused():
    with pytest.raises(InputError, match="go together"):
        Classifier(nn.Linear(4, 3), TrainConfig(teacher=0.5))
    with pytest.raises(InputError, match="go together"):
        Classifier(nn.Linear(4, 3), TrainConfig(), nn.Linear(4, 3))
    with pytest.raises(InputError, match="teacher must be above 0"):
        TrainConfig(teacher=0.0)
