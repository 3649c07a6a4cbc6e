"""Pictures of digits, drawn here, in the shapes that people's pictures come in, good and bad."""

import io
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter, ImageOps


def draw(functions, digit=7, size=(300, 200), left=110, top=40, height=120, width=12, ink="black", paper="white"):
    picture = Image.new("RGB", size, paper)
    functions.draw_digit(picture, digit, left, top, height, width, ink)
    return picture


def as_file(picture, form="PNG", **options):
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def likeness(one, other):
    """The correlation of two prepared digits: 1 for the same."""
    return np.corrcoef(one.ravel(), other.ravel())[0, 1]


@pytest.mark.parametrize("digit", [2, 3, 4, 5, 7])
def test_prepared_as_mnist_was(functions, digit):
    prepared = functions.prepare_digit(draw(functions, digit))
    assert prepared.shape == (28, 28) and prepared.dtype == np.float32
    assert prepared.min() == 0 and prepared.max() == 1
    rows, columns = np.nonzero(prepared)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    for axis in (0, 1):
        centre = np.average(np.arange(28), weights=prepared.sum(axis=axis))
        assert abs(centre - 14) <= 0.5  # where MNIST's centres are, too
    shape = np.ptp(columns) / np.ptp(rows)
    ink = ImageOps.invert(draw(functions, digit)).getbbox()
    assert shape == pytest.approx((ink[2] - ink[0]) / (ink[3] - ink[1]), abs=0.1)


def test_mnists_images_stay_nearly_as_they_are(functions):
    dataset, (images, _), _ = functions.load_data()
    if dataset != "MNIST":
        pytest.skip("MNIST could not be had")
    assert np.median([likeness(functions.prepare_digit(image), image) for image in images[:300]]) > 0.95


SAME = {
    "grey": lambda picture: picture.convert("L"),
    "black and white": lambda picture: picture.convert("1"),
    "palette": lambda picture: picture.convert("P"),
    "CMYK": lambda picture: picture.convert("CMYK"),
    "opaque": lambda picture: picture.convert("RGBA"),
    "light on dark": ImageOps.invert,
    "pencil on grey paper": lambda picture: picture.point(lambda value: 140 + value // 4),
    "array": np.asarray,
    "one channel": lambda picture: np.asarray(picture)[..., :1],
    "0 to 1": lambda picture: np.asarray(picture) / 255,
    "opacity, 0 to 1": lambda picture: np.asarray(picture.convert("RGBA")) / 255,
    "16 bits": lambda picture: np.asarray(picture.convert("L")).astype("uint16") * 200 + 3000,
    "booleans": lambda picture: np.asarray(picture.convert("1")),
    "huge values": lambda picture: np.asarray(picture) * 1e30 - 1e32,
    "PNG": as_file,
    "PNG, 16 bits": lambda picture: as_file(Image.fromarray(np.asarray(picture.convert("L")).astype("uint16") * 257)),
    "JPEG, poor": lambda picture: as_file(picture, "JPEG", quality=20),
    "GIF": lambda picture: as_file(picture, "GIF"),
    "BMP": lambda picture: as_file(picture, "BMP"),
    "TIFF": lambda picture: as_file(picture, "TIFF"),
    "WebP": lambda picture: as_file(picture, "WEBP"),
    "32-bit integers": lambda picture: picture.convert("I"),
    "floating point": lambda picture: picture.convert("F"),
    "twice as large": lambda picture: picture.resize((600, 400)),
    "five times as large": lambda picture: picture.resize((1500, 1000)),
    "a third as large": lambda picture: picture.resize((100, 67), Image.Resampling.BOX),
    "a large page": lambda picture: ImageOps.expand(picture, 100, "white"),
    "hardly a margin": lambda picture: picture.crop((100, 30, 215, 170)),
    "at the edge": lambda picture: picture.crop((108, 0, 300, 200)),
    "turned, as EXIF says": lambda picture: with_exif(picture.transpose(Image.Transpose.ROTATE_90), 6),
    "red": lambda picture: ImageOps.colorize(picture.convert("L"), "red", "white"),
    "red on blue of the same grey": lambda picture: ImageOps.colorize(picture.convert("L"), "red", "blue"),
    "yellow on white": lambda picture: ImageOps.colorize(picture.convert("L"), "gold", "white"),
    "on a transparent page": lambda picture: transparent(picture, "black"),
    "light, on a transparent page": lambda picture: transparent(picture, "white"),
    "a digit alone on a transparent page": lambda picture: transparent(picture.crop((108, 34, 208, 166)), "black"),
    "specks": lambda picture: specks(picture),
}


def with_exif(picture, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return as_file(picture, "JPEG", quality=95, exif=exif)


def transparent(picture, ink):
    page = Image.new("RGBA", picture.size, ink)
    page.putalpha(ImageOps.invert(picture.convert("L")))
    return as_file(page)


def specks(picture):
    spotted = picture.copy()
    for x, y in np.random.default_rng(0).integers(5, 195, (12, 2)):
        spotted.putpixel((int(x), int(y)), (0, 0, 0))
    return spotted


@pytest.mark.parametrize("kind", SAME)
def test_any_kind_of_picture_is_prepared_alike(functions, kind):
    picture = draw(functions)
    assert likeness(functions.prepare_digit(SAME[kind](picture)), functions.prepare_digit(picture)) > 0.94


def likeness_but_for_a_pixel(one, other):
    """The same, up to a shift by one pixel: the centre of mass is rounded to whole pixels, as when MNIST was made."""
    shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return max(likeness(one, np.roll(other, shift, axis=(0, 1))) for shift in shifts)


@st.composite
def drawings(choose):
    """A page, the height of the digit that is to be drawn on it, and what draw_digit takes to do so."""
    height = choose(st.integers(40, 200))
    margin = choose(st.integers(height // 5, height))
    ink = choose(st.sampled_from(["black", "navy", "firebrick", "dimgray"]))
    paper = choose(st.sampled_from(["white", "ivory", "lightgray", "lightblue"]))
    page = Image.new("RGB", (height + 2 * margin, height + 2 * margin), paper)
    pen = max(3, int(height * choose(st.floats(0.05, 0.15))))
    return page, height, (choose(st.sampled_from([2, 3, 4, 5, 7])), margin, margin, height, pen, ink)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(drawing=drawings(), data=st.data())
def test_inverting_padding_and_scaling_change_next_to_nothing(functions, drawing, data):
    page, height, digit = drawing
    functions.draw_digit(page, *digit)
    prepared = functions.prepare_digit(page)
    border = tuple(data.draw(st.integers(0, height)) for _ in range(4))
    scale = data.draw(st.floats(0.5, 3))
    for changed in (ImageOps.invert(page), ImageOps.expand(page, border, page.getpixel((0, 0))),
                    page.resize((round(scale * page.width), round(scale * page.height)), Image.Resampling.BICUBIC)):
        assert likeness_but_for_a_pixel(prepared, functions.prepare_digit(changed)) > 0.9


@pytest.mark.parametrize("width", [1, 2, 4, 8, 16, 24])
def test_thin_and_thick_strokes_become_alike(functions, width):
    prepared = functions.prepare_digit(draw(functions, width=width))
    assert likeness(prepared, functions.prepare_digit(draw(functions, width=12))) > 0.75
    assert 0.6 < prepared.sum() / functions.prepare_digit(draw(functions, width=12)).sum() < 1.7


@pytest.mark.parametrize("paper, shade", [((225, 215, 190), 0.4), ((120, 115, 110), 0.6), ((240, 240, 240), 0.25)])
@pytest.mark.parametrize("softness", [5, 60])
@pytest.mark.parametrize("lines", [0.85, 0.75])
def test_photos_with_shadows_and_squared_paper(functions, paper, shade, softness, lines):
    photo = Image.new("RGB", (900, 700), paper)
    pen = ImageDraw.Draw(photo)
    for place in range(10, 900, 40):
        pen.line([(place, 0), (place, 700)], fill=tuple(int(lines * value) for value in paper), width=2)
        pen.line([(0, place), (900, place)], fill=tuple(int(lines * value) for value in paper), width=2)
    functions.draw_digit(photo, 7, 380, 200, 300, 9, tuple(int(0.35 * value) for value in paper))
    assert likeness(functions.prepare_digit(photographed(photo, shade, softness)),
                    functions.prepare_digit(draw(functions))) > 0.8


def test_a_photo_of_chalk_on_a_board(functions):
    board = draw(functions, 7, (900, 700), 340, 150, 380, 14, ink=(200, 205, 195), paper=(45, 70, 55))
    prepared = functions.prepare_digit(photographed(board, 0.5, 60))
    assert likeness(prepared, functions.prepare_digit(draw(functions))) > 0.8


@pytest.mark.parametrize("table", [(850, 0, 900, 700), (0, 640, 900, 700), (0, 0, 70, 700), (850, 300, 900, 360)])
def test_a_photo_that_shows_what_lies_beside_or_on_the_paper(functions, table):
    page = draw(functions, 7, (900, 700), 340, 150, 380, 12, paper=(225, 215, 190))
    ImageDraw.Draw(page).rectangle(table, fill=(70, 50, 40))
    prepared = functions.prepare_digit(photographed(page, 0.6, 60))
    assert likeness(prepared, functions.prepare_digit(draw(functions))) > 0.8


def test_a_digit_in_two_pieces_that_reaches_the_edge(functions):
    whole, cut = draw(functions, 5), draw(functions, 5, left=-5, width=11)
    for picture in (whole, cut):
        ImageDraw.Draw(picture).rectangle((0, 55, 300, 60), fill="white")  # parts the bar from the rest
    assert likeness(functions.prepare_digit(cut), functions.prepare_digit(whole)) > 0.8


def photographed(page, shade, softness):
    """The bytes of a JPEG of a page 900 pixels wide, whose right part lies in the shadow, slightly blurred."""
    light = shade + (1 - shade) / (1 + np.exp((np.arange(900) - 420) / softness))
    noise = np.random.default_rng(0).normal(0, 4, (page.height, 900, 1))
    photo = Image.fromarray((np.asarray(page) * light[:, np.newaxis] + noise).clip(0, 255).astype("uint8"))
    return as_file(photo.filter(ImageFilter.GaussianBlur(1)), "JPEG", quality=60)


def noisy(level):
    return (128 + np.random.default_rng(0).normal(0, level, (200, 200))).clip(0, 255).astype("uint8")


def test_predicts_with_any_model(functions):
    model = functions.hidden_layer()
    digit, probabilities = functions.predict_digit(draw(functions), model)
    assert digit == probabilities.argmax() and probabilities.shape == (10,)
    assert probabilities.sum() == pytest.approx(1)


def two_digits(functions):
    picture = draw(functions, 7, left=30)
    functions.draw_digit(picture, 3, 180, 40, 120, 12, "black")
    return picture


BAD = {
    "no file": (lambda functions, folder: folder / "mine.png", "no file .*mine.png"),
    "a folder": (lambda functions, folder: folder, "no file"),
    "text named .png": (lambda functions, folder: saved(folder, b"not a picture"), "no picture"),
    "empty file": (lambda functions, folder: saved(folder, b""), "no picture"),
    "no bytes": (lambda functions, folder: b"", "no picture"),
    "truncated PNG": (lambda functions, folder: as_file(draw(functions))[:-400], "damaged"),
    "truncated JPEG": (lambda functions, folder: as_file(draw(functions), "JPEG")[:900], "damaged"),
    "decompression bomb": (lambda functions, folder: as_file(Image.new("1", (20000, 20000))), "far too large"),
    "far too large a picture": (lambda functions, folder: as_file(Image.new("1", (10000, 10000))), "far too large"),
    "NaN": (lambda functions, folder: np.full((28, 28), np.nan), "NaN"),
    "infinite": (lambda functions, folder: np.where(np.eye(28), np.inf, 0), "infinite"),
    "a row of pixels": (lambda functions, folder: np.zeros(784), r"float64 \(784,\)"),
    "a batch": (lambda functions, folder: np.zeros((1, 28, 28, 1)), r"\(1, 28, 28, 1\)"),
    "two channels": (lambda functions, folder: np.zeros((28, 28, 2)), r"\(28, 28, 2\)"),
    "empty array": (lambda functions, folder: np.zeros((0, 28)), r"\(0, 28\)"),
    "texts": (lambda functions, folder: np.full((28, 28), "ink"), "array of numbers"),
    "complex numbers": (lambda functions, folder: np.ones((28, 28), complex), "array of numbers"),
    "nothing": (lambda functions, folder: None, "array of numbers"),
    "one pixel": (lambda functions, folder: np.ones((1, 1)), "blank"),
    "one colour": (lambda functions, folder: Image.new("RGB", (200, 200), "teal"), "blank"),
    "white array": (lambda functions, folder: np.ones((28, 28)), "blank"),
    "transparent page": (lambda functions, folder: Image.new("RGBA", (200, 200)), "blank"),
    "blank paper": (lambda functions, folder: Image.fromarray(noisy(4)), "blank|only paper"),
    "coarse paper": (lambda functions, folder: Image.fromarray(noisy(15)), "only paper"),
    "coarse paper, small": (lambda functions, folder: Image.fromarray(noisy(15)[:100, :100]), "only paper"),
    "paper in the shadow": (
        lambda functions, folder: Image.fromarray((noisy(4) * np.linspace(0.3, 1, 200)).astype("uint8")), "only paper"),
    "a dot": (lambda functions, folder: draw(functions, 7, left=150, top=100, height=1, width=2), "only paper"),
    "a blob": (lambda functions, folder: draw(functions, 7, left=150, top=100, height=1, width=120), "blob"),
    "two digits": (lambda functions, folder: two_digits(functions), "two digits"),
}


def saved(folder, content):
    path = folder / "drawing.png"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_named(functions, tmp_path, kind):
    make, message = BAD[kind]
    with pytest.raises(ValueError, match=message):
        functions.predict_digit(make(functions, tmp_path), functions.no_hidden_layer())


def test_the_first_frame_is_read_and_said(functions, capsys):
    frames = [draw(functions, digit) for digit in (7, 3)]
    prepared = functions.prepare_digit(as_file(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert "2 frames" in capsys.readouterr().out
    assert likeness(prepared, functions.prepare_digit(frames[0])) > 0.95


def test_damaged_files_are_read_or_refused(functions, tmp_path):
    """Four hundred files: good ones, and ones with bytes changed, cut out, doubled or lost at the end."""
    chance = random.Random(0)
    refused = 0
    for number in range(400):
        picture = draw(functions, chance.choice([2, 3, 4, 5, 7]), height=chance.randrange(20, 150),
                       width=chance.randrange(1, 20), left=chance.randrange(150))
        content = bytearray(as_file(picture, chance.choice(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])))
        for _ in range(chance.choice([0, 1, 3, 20])):
            content = content or bytearray(b"\0")
            place = chance.randrange(len(content))
            some = content[place:place + chance.randrange(1, 50)]
            change = chance.randrange(4)
            if change == 0:
                content[place] = chance.randrange(256)
            elif change == 1:
                del content[place:place + len(some)]
            elif change == 2:
                content[place:place] = some
            else:
                del content[place:]
        path = saved(tmp_path, bytes(content))
        try:
            prepared = functions.prepare_digit(path)
        except ValueError as error:
            refused += 1
            assert str(error)
        else:
            assert prepared.shape == (28, 28) and 0 <= prepared.min() and prepared.max() == 1
        assert [file.name for file in tmp_path.iterdir()] == ["drawing.png"] and path.read_bytes() == content
    assert 50 < refused < 350


def test_the_users_picture_is_left_as_it_was(functions):
    picture, array = draw(functions), np.asarray(draw(functions)) / 255
    before = picture.tobytes(), picture.size, array.tobytes()
    functions.prepare_digit(picture)
    functions.prepare_digit(array)
    assert before == (picture.tobytes(), picture.size, array.tobytes())
