import xml.etree.ElementTree as ET

import numpy as np

from gasl.report import figures


def texts(svg):
    return [element.text.strip() for element in ET.fromstring(svg).iter() if element.tag.endswith("text")]


def test_curves_show_what_the_history_has(history):
    words = texts(figures.curves(history))
    for word in ("loss", "error, %", "sparsity, %", "train_loss", "val_error", "conv1"):
        assert word in words, word
    assert "lr" not in words
    assert "error, %" not in texts(figures.curves([{"train_loss": 1.0}]))


def test_norms_count_the_dead():
    pairs = {f"axis{i}": (np.ones(6), np.r_[np.ones(6 - i), np.zeros(i)]) for i in range(6)}
    words = texts(figures.norms(pairs))
    assert all(f"axis{i}: {i} of 6 at zero" in words for i in range(6))
    assert figures.norms({}) == ""


def test_feature_maps_count_the_living():
    words = texts(figures.feature_maps(np.ones((5, 3, 3)), np.r_[np.ones((2, 3, 3)), np.zeros((3, 3, 3))]))
    assert words == ["without the method: 5 of 5 maps alive", "with the method: 2 of 5 maps alive"]


def test_a_mosaic_keeps_each_map_in_its_place():
    maps = np.stack([np.full((2, 2), value) for value in (1.0, 0.0, 3.0)])
    nan = np.nan
    wanted = [[1, 1, nan, nan, nan], [1, 1, nan, nan, nan], [nan] * 5, [3, 3, nan, nan, nan], [3, 3, nan, nan, nan]]
    np.testing.assert_array_equal(figures._mosaic(maps), np.array(wanted))


def test_figures_take_the_page_colour_and_repeat_exactly(history):
    svg = figures.curves(history)
    assert svg == figures.curves(history)
    assert "currentColor" in svg
    assert "#010203" not in svg
