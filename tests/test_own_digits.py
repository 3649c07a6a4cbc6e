"""Pictures of digits as people draw and photograph them, prepared as MNIST was."""

import keras
import numpy as np
import pytest
from helpers import labelled_pictures, load_functions
from pictures import draw, ink_only, make_paper_transparent, photograph, stroke, turn
from PIL import ImageFilter, ImageOps


@pytest.fixture(scope="module")
def prepare_digit():
    return load_functions().prepare_digit


def test_a_digit_is_prepared_as_mnist_was(prepare_digit):
    prepared = prepare_digit(draw("7"))
    assert prepared.shape == (28, 28)
    assert prepared.min() == 0
    assert 0.9 < prepared.max() <= 1
    rows, columns = np.nonzero(prepared > 0.05)
    assert 19 <= np.ptp(rows) + 1 <= 20  # MNIST's fit into 20 by 20
    seven = stroke(7, 120)
    shape = pytest.approx(seven.width / seven.height, abs=0.12)
    assert np.ptp(columns) / np.ptp(rows) == shape
    for axis in [0, 1]:
        centre = np.average(range(28), weights=prepared.sum(axis=axis))
        assert abs(centre - 14) <= 0.6  # where MNIST's are, too
    thin = prepare_digit(draw("7").filter(ImageFilter.MaxFilter(9)))
    assert thin[thin > 0].mean() > 0.45  # it does not turn faint


@pytest.mark.parametrize(
    "change", [ImageOps.invert, turn, ink_only, photograph, make_paper_transparent]
)
def test_any_kind_of_picture_is_prepared_alike(prepare_digit, change):
    prepared = prepare_digit(change(draw("7")))
    expected = prepare_digit(draw("7"))
    assert np.corrcoef(prepared.ravel(), expected.ravel())[0, 1] > 0.9


def test_a_blank_picture_is_refused(prepare_digit):
    noise = np.random.default_rng(0).normal(0, 3, (200, 300))
    with pytest.raises(ValueError, match="blank"):
        prepare_digit(200 + noise)


@pytest.mark.parametrize("name, count", [("DRAWN_DIGITS", 145), ("WILD_DIGITS", 120)])
def test_digits_that_people_drew_are_read(prepare_digit, artifacts, name, count):
    images = []
    labels = []
    for file, label in labelled_pictures(name, artifacts):
        if len(label) == 1:  # not a page of digits
            images.append(prepare_digit(file))
            labels.append(int(label))
    model = keras.saving.load_model(artifacts / "CNN.keras")
    answers = model.predict(np.array(images), verbose=0).argmax(axis=1)
    assert np.sum(answers == labels) >= count  # on either processor that was tried
