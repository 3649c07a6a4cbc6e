"""What read_digits.py finds and reads in pictures, and its command.

What find_digits makes of a picture is compared with the images of MNIST that it was
made from, so no trained network is needed.
"""

import contextlib
import json
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers import labelled_pictures
from pictures import (
    PAPER,
    PEN,
    SAMPLES,
    TABLE,
    bare_bar,
    blank,
    draw,
    enlarge,
    fat_and_cropped,
    half_transparent_edge,
    ink_only,
    leave_out,
    lie_on_a_table,
    make_paper_transparent,
    of_two_sizes,
    outline,
    photograph,
    punch,
    put_ink,
    reflect,
    rule,
    sample,
    save,
    screenshot,
    shade,
    specks_and_a_hyphen,
    stroke,
    sudoku,
    turn,
)
from PIL import Image, ImageFilter, ImageOps
from scipy import ndimage

import read_digits as program

PROGRAM = Path(program.__file__)
VECTORS = SAMPLES.reshape(5000, 784).astype("float64")
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)


def read_one(digit):
    """Return the digit of the one of MNIST's 5,000 images that is likest."""
    return np.argmax(VECTORS @ digit.ravel()) // 500


def read(picture):
    """Return what find_digits finds, as text."""
    lines = []
    for row in program.find_digits(picture):
        lines.append("".join(str(read_one(digit)) for _, digit in row))
    return "\n".join(lines)


LINES = "283\n47"
FORTY = "13572468\n90123456\n24680135\n97531864\n55667788"
PHONE = "0301234567"
TWO = draw("25")
SHEET = draw("52")
GREY = np.asarray(TWO.convert("L"))
FRAME = (0, 0, 359, 431)  # all round draw("7")
KINDS = {
    "one row": ("31572", draw("31572")),
    "several rows": (LINES, draw(LINES)),
    "uneven gaps": (PHONE, draw(PHONE, 80, gaps=(0.2, 0.9, 0.3))),
    "5 with a loose bar": ("5", leave_out(5, rows=slice(30, 35))),
    "gap of the pen": ("4", leave_out(4, columns=slice(77, 81))),
    "open 4": ("4", draw("4", 160)),
    "1 as a bare stroke": ("1", ImageOps.expand(bare_bar(12), 60, 255)),
    "0 as wide as high": ("0", put_ink(stroke(0, 150).resize((150, 150)))),
    "half transparent edge": ("7", half_transparent_edge()),
    "screenshot": ("32", screenshot()),
    "transparent, cropped to the ink": ("6", ink_only(draw("6"))),
    "cropped to the stroke": ("1", bare_bar(14)),
    "frame of one pixel": ("7", outline("rectangle", FRAME, draw("7"))),
    "box round the digit": ("7", outline("rectangle", (70, 70, 260, 300), draw("7"))),
    "ring round the digit": ("7", outline("ellipse", (50, 70, 290, 300), draw("7"))),
    "sheet on a table": ("52", lie_on_a_table(SHEET)),
    "table at one edge": (
        "52",
        photograph(ImageOps.pad(SHEET, (480, 540), 0, TABLE, (0, 0))),
    ),
    "light ruled lines": ("473", photograph(rule(draw("473"), (175, 195, 225)))),
    "dark ruled lines": ("473", rule(draw("473"), PEN)),
    "hard shadow": ("283", shade(draw("283"))),
    "reflection": ("283", reflect(draw("283"))),
    "faint pencil": ("283", photograph(draw("283", ink=(195, 195, 192)))),
    "ink on most of the border": ("7", fat_and_cropped()),
    "one above the other": ("3\n7", draw("3\n7")),
    "page of 40": (FORTY, draw(FORTY, 80)),
    "12 megapixels, 150 high": (LINES, enlarge(LINES, 150)),
    "12 megapixels, 40 high": (LINES, enlarge(LINES, 40)),
    "light on dark": ("25", ImageOps.invert(TWO)),
    "chalk on a board": ("25", photograph(draw("25", ink=PAPER, paper=(50, 70, 60)))),
    "specks and a hyphen": ("25", specks_and_a_hyphen()),
    "punch holes": ("25", punch(draw("25"))),
    "digits of two sizes": ("357", of_two_sizes()),
    "a row of a sudoku": ("25", sudoku()),
    "thick pen": ("7", draw("7").filter(ImageFilter.MinFilter(19))),
    "thin pen": ("7", draw("7").filter(ImageFilter.MaxFilter(9))),
    "EXIF": ("25", turn(TWO)),
    "CMYK": ("25", save(TWO.convert("CMYK"), "JPEG")),
    "16 bits": ("25", save(Image.fromarray(GREY.astype("uint16") * 200 + 900))),
    "palette with transparency": ("25", make_paper_transparent(TWO)),
    "1 bit": ("25", TWO.convert("1", dither=Image.Dither.NONE)),
    "(h, w)": ("25", GREY),
    "(h, w, 1), huge": ("25", GREY[..., np.newaxis] * 1e30 - 1e32),
    "(h, w, 4), 0 to 1": ("25", np.asarray(TWO.convert("RGBA")) / 255),
    "(1, h, w), as PyTorch": ("7", sample(7)[np.newaxis] / 255),
    "(1, h, w, 1), as Keras": ("7", sample(7)[np.newaxis, ..., np.newaxis]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_pictures(kind):
    text, picture = KINDS[kind]
    assert read(picture) == text


RANDOM = np.random.default_rng(0)
NOTHING = {
    "blank": blank(),
    "blank, photographed": photograph(blank()),
    "blank, half in the shadow": shade(blank()),
    "ruled": photograph(rule(blank(), (175, 195, 225))),
    "ruled, dark": rule(blank(), PEN),
    "empty frame": outline("rectangle", (40, 60, 560, 250), blank()),
    "empty sheet on a table": lie_on_a_table(blank(480, 320)),
    "glare": reflect(blank(paper=(190, 190, 190)), 0.95),
    "noise": RANDOM.integers(0, 256, (200, 300)),
    "noise, small": RANDOM.integers(0, 256, (28, 28)),
    "dots of a newspaper": blank(300, 300, "grey").convert("1"),
    "transparent": Image.new("RGBA", (100, 100), (0, 0, 0, 0)),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_no_digit_is_refused(kind):
    with pytest.raises(ValueError, match="no digit"):
        program.find_digits(NOTHING[kind])


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
    "no picture": save(blank()).getvalue()[:-300],
    r"shape \(1, 784\)": np.zeros((1, 784)),
    r"shape \(0,\)": np.zeros(0),
    r"shape \(2, 28, 28\)": np.zeros((2, 28, 28)),
    "pass numbers": np.full((28, 28), np.nan),
    "object of shape": None,
}


@pytest.mark.parametrize("message", BAD)
def test_what_is_no_picture_is_named(message):
    with pytest.raises(ValueError, match=message):
        program.find_digits(BAD[message])


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="mine.png"):
        program.find_digits(tmp_path / "mine.png")
    with pytest.raises((IsADirectoryError, PermissionError)):
        program.find_digits(tmp_path)


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
    picture = draw(LINES)
    text, probabilities = program.read_digits(picture, Model())
    assert text == LINES
    assert list(probabilities.argmax(axis=1)) == [2, 8, 3, 4, 7]


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command in a folder with page.png in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(program, "load_model", lambda path: Model())
    TWO.save("page.png")

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
    assert command("./page.png")[0] == 0  # over its own, it may write


def test_command_never_writes_over_another_s_file(command):
    blank().save("page.digits.png")
    before = Path("page.digits.png").read_bytes()
    status, out, err = command("page.png")
    assert (status, out) == (1, "25\n")
    assert "page.digits.png" in err and "--output" in err
    assert Path("page.digits.png").read_bytes() == before
    Path("other").mkdir()
    TWO.save("other/page.png")
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
    good, bad = [json.loads(line) for line in out.splitlines()]
    assert (status, good["text"], good["picture"]) == (1, "25", "page.digits.png")
    assert np.shape(good["boxes"]) == (2, 4)
    assert np.argmax(good["probabilities"], axis=1).tolist() == [2, 5]
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
    TWO.save(tmp_path / "page.png")
    save_as_newer_keras(tmp_path / "new.keras")
    run = [sys.executable, PROGRAM, "page.png", "--model", "new.keras"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Keras 9.8.7" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("name, count", [("DRAWN_DIGITS", 149), ("WILD_DIGITS", 128)])
def test_digits_that_people_drew_and_photographed(name, count, artifacts):
    """With the CNN of the last run. What is refused counts as misread."""
    pictures = labelled_pictures(name, artifacts)
    model = program.load_model(artifacts / "CNN.keras")
    read_right = 0
    for file, label in pictures:
        with contextlib.suppress(ValueError):
            text, _ = program.read_digits(file, model)
            read_right += text.replace("\n", "/") == label
    assert read_right >= count
