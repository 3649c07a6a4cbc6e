"""Pictures of digits, drawn here and by other people, in the shapes that people's pictures come in, good and bad."""

import contextlib
import copy
import csv
import io
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from common import PROJECT
from PIL import Image, ImageDraw, ImageFilter, ImageOps

STROKES = {  # a digit -> the points that its strokes run through, as shares of its height
    3: [[(0.1, 0.1), (0.4, 0), (0.7, 0.1), (0.7, 0.3), (0.35, 0.45), (0.75, 0.6), (0.7, 0.85), (0.4, 1), (0.05, 0.9)]],
    7: [[(0.05, 0.05), (0.75, 0), (0.3, 1)]]}


def draw(digit=7, left=110, top=40, height=120, width=12, ink="black", picture=None):
    """Draw a digit on a new page, or on a picture, with strokes so many pixels wide."""
    picture = picture or Image.new("RGB", (300, 200), "white")
    for stroke in STROKES[digit]:
        points = [(left + height * x, top + height * y) for x, y in stroke]
        ImageDraw.Draw(picture).line(points, ink, width, "curve")
        for x, y in (points[0], points[-1]):  # round ends
            ImageDraw.Draw(picture).ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), ink)
    return picture


def as_file(picture, form="PNG", **options):
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def likeness(one, other):
    """The correlation of two prepared digits: 1 for the same."""
    return np.corrcoef(one.ravel(), other.ravel())[0, 1]


@pytest.mark.parametrize("digit", STROKES)
def test_prepared_as_mnist_was(functions, digit):
    prepared = functions.prepare_digit(draw(digit))
    assert (prepared.shape, prepared.dtype, prepared.min(), prepared.max()) == ((28, 28), np.float32, 0, 1)
    rows, columns = np.nonzero(prepared)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    for axis in (0, 1):
        centre = np.average(np.arange(28), weights=prepared.sum(axis=axis))
        assert abs(centre - 14) <= 0.5  # where MNIST's centres are, too
    left, top, right, bottom = ImageOps.invert(draw(digit)).getbbox()
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx((right - left) / (bottom - top), abs=0.1)


def turned(picture):
    exif = Image.Exif()
    exif[0x0112] = 6
    return as_file(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)


def transparent(picture):
    page = Image.new("RGBA", picture.size, "white")
    page.putalpha(ImageOps.invert(picture.convert("L")))
    return page


SAME = {f"mode {mode}": lambda picture, mode=mode: picture.convert(mode) for mode in ("1", "P", "CMYK", "I")} | {
    "light on dark": ImageOps.invert,
    "pencil on grey paper": lambda picture: picture.point(lambda value: 140 + value // 4),
    "one channel": lambda picture: np.asarray(picture)[..., :1],
    "0 to 1, with opacity": lambda picture: np.asarray(picture.convert("RGBA")) / 255,
    "16 bits": lambda picture: as_file(Image.fromarray(np.asarray(picture.convert("L")).astype("uint16") * 200 + 3000)),
    "huge values": lambda picture: np.asarray(picture) * 1e30 - 1e32,
    "at the edge": lambda picture: picture.crop((104, 0, 300, 200)),
    "thin strokes": lambda picture: draw(width=2),
    "thick strokes": lambda picture: draw(width=22),
    "turned, as EXIF says": turned,
    "red on blue of the same grey": lambda picture: ImageOps.colorize(picture.convert("L"), "red", "blue"),
    "white, on a transparent page": transparent,
    "specks": lambda picture: np.where(np.random.default_rng(0).random((200, 300, 1)) < 2e-4, 0, picture)}


@pytest.mark.parametrize("kind", SAME)
def test_any_kind_of_picture_is_prepared_alike_and_left_as_it_was(functions, kind):
    picture = SAME[kind](draw())
    before = copy.deepcopy(picture)
    assert likeness(functions.prepare_digit(picture), functions.prepare_digit(draw())) > 0.94
    assert np.array_equal(before, picture)


@pytest.mark.parametrize("ink, paper, shade, softness", [
    ((80, 75, 65), (225, 215, 190), 0.4, 60), ((42, 40, 38), (120, 115, 110), 0.6, 60),
    ((84, 84, 84), (240, 240, 240), 0.25, 5), ((200, 205, 195), (45, 70, 55), 0.6, 60)])  # the last is chalk on a board
@pytest.mark.parametrize("squared", [True, False])
def test_photos_with_a_shadow_and_squared_paper_or_a_table(functions, ink, paper, shade, softness, squared):
    page = Image.new("RGB", (900, 700), paper)
    for place in range(10, 900, 40) if squared else ():
        for line in ([(place, 0), (place, 700)], [(0, place), (900, place)]):
            ImageDraw.Draw(page).line(line, fill=tuple(int(0.8 * value) for value in paper), width=2)
    if not squared:
        ImageDraw.Draw(page).rectangle((850, 0, 900, 700), fill=(70, 50, 40))
    draw(7, 380, 200, 300, 16, ink, picture=page)
    light = shade + (1 - shade) / (1 + np.exp((np.arange(900) - 420) / softness))  # the right part lies in the shadow
    noise = np.random.default_rng(0).normal(0, 4, (700, 900, 1))
    photo = Image.fromarray((np.asarray(page) * light[:, np.newaxis] + noise).clip(0, 255).astype("uint8"))
    prepared = functions.prepare_digit(as_file(photo.filter(ImageFilter.GaussianBlur(1)), "JPEG", quality=60))
    assert likeness(prepared, functions.prepare_digit(draw())) > 0.9


PAPER = 128 + np.random.default_rng(0).normal(0, 4, (200, 200))
BAD = {  # what the error says of what is handed over
    "no picture, or a damaged one": [b"not a picture", as_file(draw())[:-400], as_file(Image.new("1", (20000, 20000)))],
    "no picture, or not all numbers": [np.full((28, 28), np.nan), np.zeros(784), np.zeros((1, 28, 28, 1)), None],
    "blank, or holds only specks": [*(Image.fromarray((PAPER * light).astype("uint8")) for light in (
        1, np.linspace(0.5, 1, 200))), draw(ink="#f5f5f5"), draw(left=150, top=100, height=1, width=2)],
    "two digits": [draw(3, left=180, picture=draw(7, left=30))]}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named(functions, message):
    for image in BAD[message]:
        with pytest.raises(ValueError, match=message):
            functions.prepare_digit(image)


def test_a_file_is_read_and_a_missing_one_is_named(functions, tmp_path):
    draw().save(tmp_path / "mine.png")
    for path in (tmp_path / "mine.png", str(tmp_path / "mine.png")):
        np.testing.assert_array_equal(functions.prepare_digit(path), functions.prepare_digit(draw()))
    with pytest.raises(FileNotFoundError, match="yours.png"):
        functions.prepare_digit(tmp_path / "yours.png")


def test_digits_that_people_drew_and_photographed(functions):
    """With the CNN of the last run on MNIST. A picture that is refused counts as misread, a missing one is an error."""
    saved, folder = PROJECT / "artifacts", os.environ.get("DRAWN_DIGITS")
    results = saved / "results.json"
    if not folder or not results.is_file() or json.loads(results.read_text())["dataset"] != "MNIST":
        pytest.skip("needs a folder of drawn digits in DRAWN_DIGITS, and the notebook run on MNIST")
    model = functions.keras.saving.load_model(saved / "CNN.keras")
    count, read = Counter(), Counter()
    for row in csv.DictReader((Path(folder) / "labels.csv").open()):
        count[row["kind"]] += 1
        with contextlib.suppress(ValueError):
            read[row["kind"]] += functions.predict_digit(Path(folder) / row["file"], model)[0] == int(row["label"])
    assert count == {"drawn": 134, "photo": 17}
    assert read["drawn"] >= 131 and read["photo"] == 17, read
