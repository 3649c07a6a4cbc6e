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


def draw_seven(width=12):
    """A 7 on a white page, off the middle, with strokes so many pixels wide."""
    page = Image.new("RGB", (300, 200), "white")
    points = [(110, 45), (195, 40), (145, 160)]
    ImageDraw.Draw(page).line(points, "black", width, "curve")
    return page


def test_a_digit_is_prepared_as_mnist_was(prepare_digit):
    prepared = prepare_digit(draw_seven())
    assert prepared.shape == (28, 28)
    assert prepared.min() == 0
    assert 0.9 < prepared.max() <= 1
    rows, columns = np.nonzero(prepared > 0.05)
    assert 19 <= np.ptp(rows) + 1 <= 20  # MNIST's fit into 20 by 20
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(95 / 125, abs=0.12)
    for axis in [0, 1]:
        centre = np.average(range(28), weights=prepared.sum(axis=axis))
        assert abs(centre - 14) <= 0.6  # where MNIST's centres are, too
    thin = prepare_digit(draw_seven(width=3))
    assert thin[thin > 0].mean() > 0.45  # it does not turn faint


def turned(picture):
    """A photograph that only its EXIF says is turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    picture.transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", exif=exif)
    return file


def on_a_transparent_page(picture):
    page = Image.new("RGBA", picture.size, "black")
    page.putalpha(ImageOps.invert(picture.convert("L")))
    return page


def on_grey_paper_with_specks(picture):
    noise = np.random.default_rng(0).normal(0, 8, (200, 300))
    return (np.array(picture.convert("L")) * 0.4 + 100 + noise).clip(0, 255)


@pytest.mark.parametrize(
    "change",
    [
        ImageOps.invert,
        turned,
        on_a_transparent_page,
        on_grey_paper_with_specks,
    ],
)
def test_any_kind_of_picture_is_prepared_alike(prepare_digit, change):
    prepared = prepare_digit(change(draw_seven()))
    expected = prepare_digit(draw_seven())
    assert np.corrcoef(prepared.ravel(), expected.ravel())[0, 1] > 0.9


def test_files_are_read_by_name(prepare_digit, tmp_path):
    path = tmp_path / "my-digit.png"
    draw_seven().save(path)
    np.testing.assert_array_equal(prepare_digit(str(path)), prepare_digit(draw_seven()))
    with pytest.raises(FileNotFoundError, match="yours.png"):
        prepare_digit(tmp_path / "yours.png")


def test_a_blank_picture_is_refused(prepare_digit):
    noise = np.random.default_rng(0).normal(0, 3, (200, 300))
    with pytest.raises(ValueError, match="blank"):
        prepare_digit(200 + noise)


@pytest.mark.parametrize(
    "variable, n_images, n_right",
    [("DRAWN_DIGITS", 151, 147), ("WILD_DIGITS", 125, 120)],
)
def test_digits_that_people_drew_are_read(
    prepare_digit, artifacts, variable, n_images, n_right
):
    results = artifacts / "results.json"
    if variable not in os.environ:
        pytest.skip(f"needs a folder of pictures in {variable}")
    if not results.exists() or json.loads(results.read_text())["dataset"] != "MNIST":
        pytest.skip("needs the models of a run on MNIST")
    model = keras.saving.load_model(results.with_name("CNN.keras"))
    folder = Path(os.environ[variable])
    images = []
    labels = []
    with (folder / "labels.csv").open() as file:
        for row in csv.DictReader(file):
            if len(row["label"]) == 1:  # not a page of digits
                images.append(prepare_digit(folder / row["file"]))
                labels.append(int(row["label"]))
    answers = model.predict(np.array(images), verbose=0).argmax(axis=1)
    assert len(labels) == n_images
    assert np.sum(answers == labels) >= n_right
