"""Crops, mirroring, standardisation, each against a slow and obvious second way."""

import pytest
import torch

from gasl.data import Preprocess, center_crop, default_preprocess, random_crop, random_flip, standardise
from gasl.errors import InputError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_random_crop_is_a_window_of_the_padded_image() -> None:
    images = torch.rand(40, 3, 6, 5)
    crops = random_crop(images, (4, 4), 2, generator())
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    places = set()
    for image, crop in zip(padded, crops, strict=True):
        windows = image.unfold(1, 4, 1).unfold(2, 4, 1)
        same = (windows == crop[:, None, None]).all(dim=(0, 3, 4)).nonzero().tolist()
        assert same
        places.add(tuple(same[0]))
    assert len(places) > 10
    assert max(row for row, _ in places) <= 6
    assert max(column for _, column in places) <= 5


def test_crop_places_reach_every_edge() -> None:
    crops = random_crop(torch.arange(9.0).reshape(1, 1, 3, 3).expand(200, 1, 3, 3), (2, 2), 0, generator())
    assert set(crops[:, 0, 0, 0].tolist()) == {0.0, 1.0, 3.0, 4.0}


def test_about_half_of_the_images_are_mirrored() -> None:
    images = torch.rand(400, 1, 2, 3)
    out = random_flip(images, generator())
    mirrored = (out == images.flip(-1)).flatten(1).all(1)
    assert ((out == images).flatten(1).all(1) ^ mirrored).all()
    assert 150 < int(mirrored.sum()) < 250


def test_center_crop_of_the_full_size_is_the_identity() -> None:
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(center_crop(images, 32), images)
    assert torch.equal(center_crop(images, 24), images[..., 4:28, 4:28])


@pytest.mark.parametrize("size", [0, 4])
def test_impossible_crops_are_refused(size: int) -> None:
    with pytest.raises(InputError, match="smaller crop"):
        center_crop(torch.zeros(1, 1, 3, 3), size)
    with pytest.raises(InputError, match="smaller crop"):
        random_crop(torch.zeros(1, 1, 3, 3), (size, size), 0, generator())


def test_standardised_images_have_mean_0_and_deviation_1() -> None:
    out = standardise(torch.rand(5, 3, 8, 8, dtype=torch.float64)).flatten(1)
    assert out.mean(1).abs().max() < 1e-12
    assert (out.std(1, correction=0) - 1).abs().max() < 1e-12


def test_uniform_image_is_finite() -> None:
    assert torch.equal(standardise(torch.full((1, 3, 4, 4), 0.5)), torch.zeros(1, 3, 4, 4))


def test_digits_keep_their_zeros() -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 1, 1, 3)
    out = default_preprocess((1, 28, 28)).train(images, generator())
    assert torch.allclose(out.flatten(), torch.tensor([0.0, 0.2, 1.0]))
    assert out.flatten()[0] == 0


def test_colour_images_are_standardised_for_evaluation_too() -> None:
    images = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8, generator=generator())
    preprocess = default_preprocess((3, 32, 32))
    assert torch.equal(preprocess.evaluate(images), standardise(images / 255))
    assert preprocess.train(images, generator()).shape == images.shape


def test_images_that_are_not_square_keep_their_size() -> None:
    images = torch.randint(256, (2, 3, 6, 9), dtype=torch.uint8, generator=generator())
    assert Preprocess(padding=2).train(images, generator()).shape == (2, 3, 6, 9)


def test_evaluation_crops_in_the_middle() -> None:
    images = torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8, generator=generator())
    preprocess = Preprocess(crop=6)
    assert torch.equal(preprocess.evaluate(images), images[..., 1:7, 1:7] / 255)
    assert preprocess.train(images, generator()).shape == (2, 3, 6, 6)


def test_negative_padding_is_refused() -> None:
    with pytest.raises(InputError, match="padding"):
        Preprocess(padding=-1)
