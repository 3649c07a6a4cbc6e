"""Pictures of digits as people draw and photograph them, prepared as MNIST was."""

import csv
import io
import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import load_functions
from PIL import Image, ImageDraw, ImageOps


@pytest.fixture(scope="module")
def prepare_digit():
    return load_functions().prepare_digit


def draw_seven(left=110, width=12):
    """A 7 on a white page, off the middle, with strokes so many pixels wide."""
    page = Image.new("RGB", (300, 200), "white")
    points = [(left, 45), (left + 85, 40), (left + 35, 160)]
    ImageDraw.Draw(page).line(points, "black", width, "curve")
    return page


def likeness(image, other):
    """The correlation of two prepared digits: 1 for the same."""
    return np.corrcoef(image.ravel(), other.ravel())[0, 1]


def test_a_digit_is_prepared_as_mnist_was(prepare_digit):
    prepared = prepare_digit(draw_seven())
    assert prepared.shape == (28, 28)
    assert prepared.min() == 0
    assert 0.9 < prepared.max() <= 1
    rows, columns = np.nonzero(prepared > 0.05)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(20, abs=1)
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(95 / 125, abs=0.12)
    for axis in [0, 1]:
        centre = np.average(range(28), weights=prepared.sum(axis=axis))
        assert abs(centre - 14) <= 0.6  # where MNIST's centres are, too


def turned(picture):
    """A photograph that only its EXIF says is turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    picture.transpose(Image.Transpose.ROTATE_90).save(
        file, "JPEG", quality=95, exif=exif
    )
    return file


def on_a_transparent_page(picture):
    page = Image.new("RGBA", picture.size, "black")
    page.putalpha(ImageOps.invert(picture.convert("L")))
    return page


def as_grey_numbers(picture):
    return np.array(picture.convert("L"))


def on_grey_paper(picture):
    return picture.point(lambda value: 140 + value // 4)


def on_a_page_with_specks(picture):
    random = np.random.default_rng(0)
    noise = random.normal(0, 8, (200, 300))
    return (as_grey_numbers(picture) * 0.8 + 20 + noise).clip(0, 255)


def in_colour(picture):
    return ImageOps.colorize(picture.convert("L"), "navy", "lightyellow")


def as_palette(picture):
    return picture.convert("P")


@pytest.mark.parametrize(
    "change",
    [
        ImageOps.invert,
        turned,
        on_a_transparent_page,
        as_grey_numbers,
        on_grey_paper,
        on_a_page_with_specks,
        in_colour,
        as_palette,
    ],
)
def test_any_kind_of_picture_is_prepared_alike(prepare_digit, change):
    picture = change(draw_seven())
    expected = prepare_digit(draw_seven())
    assert likeness(prepare_digit(picture), expected) > 0.9


def test_thin_strokes_do_not_turn_faint(prepare_digit):
    prepared = prepare_digit(draw_seven(width=3))
    assert prepared[prepared > 0].mean() > 0.45


def test_files_are_read_by_name_or_open(prepare_digit, tmp_path):
    path = tmp_path / "my-digit.png"
    draw_seven().save(path)
    expected = prepare_digit(draw_seven())
    np.testing.assert_array_equal(prepare_digit(path), expected)
    np.testing.assert_array_equal(prepare_digit(str(path)), expected)
    with path.open("rb") as file:
        np.testing.assert_array_equal(prepare_digit(file), expected)
    with pytest.raises(FileNotFoundError, match="yours.png"):
        prepare_digit(tmp_path / "yours.png")


def test_the_picture_is_left_as_it_was(prepare_digit):
    picture = as_grey_numbers(draw_seven())
    before = picture.copy()
    prepare_digit(picture)
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_blank_picture_is_refused(prepare_digit, grey):
    noise = np.random.default_rng(0).normal(0, 3, (200, 300))
    with pytest.raises(ValueError, match="blank"):
        prepare_digit((grey + noise).clip(0, 255))


@pytest.mark.parametrize(
    "variable, n_images, n_right",
    [("DRAWN_DIGITS", 151, 147), ("WILD_DIGITS", 125, 120)],
)
def test_digits_that_people_drew_are_read(
    prepare_digit, artifacts, variable, n_images, n_right
):
    results = artifacts / "results.json"
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"needs a folder of pictures in {variable}")
    if not results.exists() or json.loads(results.read_text())["dataset"] != "MNIST":
        pytest.skip("needs the models of a run on MNIST")
    model = keras.saving.load_model(results.with_name("CNN.keras"))
    images = []
    labels = []
    refused = 0
    with (Path(folder) / "labels.csv").open() as file:
        for row in csv.DictReader(file):
            if len(row["label"]) > 1:
                continue  # a page of digits
            try:
                images.append(prepare_digit(Path(folder) / row["file"]))
                labels.append(int(row["label"]))
            except ValueError:
                refused += 1
    answers = model.predict(np.array(images), verbose=0).argmax(axis=1)
    assert len(labels) + refused == n_images
    assert np.sum(answers == labels) >= n_right
