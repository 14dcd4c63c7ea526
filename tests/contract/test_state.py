"""A training that is cut off in the middle goes on, from a file, to the bit."""

import io

import torch

from contract.table import every_case
from contract.training import Training, same


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def between_two_steps(training, case):
    saved = through_a_file(training.state())
    again = Training(case, seed=7).load(saved)
    assert same(training.tensors(), again.tensors())
    penalties = [float(t.step()[0].detach()) for t in (training, again)]
    assert penalties[0] == penalties[1]
    assert same(training.tensors(), again.tensors())
    training.train(2)
    again.train(2)
    assert same(training.tensors(), again.tensors())
    assert again.sparsifier.state.step == training.sparsifier.state.step


@every_case()
def test_the_next_steps_are_the_same_to_the_bit(case):
    between_two_steps(Training(case).train(5), case)


@every_case("lenet", "residual")
def test_also_when_the_penalty_of_the_next_step_was_taken(case):
    training = Training(case).train(3)
    training.sparsifier.penalty(training.loss())
    between_two_steps(training, case)
