"""Measure how programs read the digits that people wrote, drew and photographed.

    export DRAWN_DIGITS=path/to/drawn-digits WILD_DIGITS=path/to/wild-digits
    python benchmarks/own_digits.py --usps path/to/usps-test.npz

A folder holds pictures and labels.csv (file, label; a page's rows separated by '/').
USPS' test images come as usps-test.npz (x, y), or as zip.test.gz from the page of The
Elements of Statistical Learning. scikit-learn brings its digits along. Besides
read_digits.py, with the notebook's CNN, its function prepare_digit is measured with the
same CNN, and Tesseract and RapidOCR, where they are installed. What is refused counts
as misread. Tesseract and RapidOCR may answer digits alone. For them, what is
transparent becomes white, and pictures below 100 pixels a side are enlarged, with a
margin; but Tesseract gets files as they are, of which it reads more. Writes
own_digits.json beside this script.
"""

import argparse
import csv
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np
from common import NOTEBOOK, PROJECT, last_run, load_functions
from PIL import Image, ImageOps
from provenance import preparation, provenance
from sklearn.datasets import load_digits

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import read_digits as program  # noqa: E402


def load_folder(name):
    """Return the files and labels of the folder that an environment variable names."""
    if name not in os.environ:
        print(f"{name} names no folder: left out.", file=sys.stderr)
        return []
    folder = Path(os.environ[name])
    with (folder / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [(folder / row["file"], row["label"]) for row in rows]


def load_usps(path):
    """Return USPS' test images, (16, 16), light ink on dark, and their labels."""
    if path.suffix == ".npz":
        arrays = np.load(path)
        return pair(arrays["x"], arrays["y"])
    table = np.loadtxt(path)  # a label, then 256 pixels from -1 to 1
    return pair(table[:, 1:].reshape(-1, 16, 16), table[:, 0].astype(int))


def pair(images, labels):
    return [(image, str(label)) for image, label in zip(images, labels, strict=True)]


def load_collections(usps):
    """Return a dictionary: what it is -> pairs of a file or array, and its label."""
    wild = load_folder("WILD_DIGITS")
    digits = load_digits()
    collections = {
        "drawn digits": load_folder("DRAWN_DIGITS"),
        "wild digits": [item for item in wild if len(item[1]) == 1],
        "wild pages": [item for item in wild if len(item[1]) > 1],
        "scikit-learn's digits": pair(digits.images, digits.target),
    }
    if usps:
        collections["USPS' test images"] = load_usps(usps)
    return {name: items for name, items in collections.items() if items}


class QuickModel:
    """A Keras model whose predict takes a fifth of the time for a single image."""

    def __init__(self, model):
        self.model = model
        self.input_shape = model.input_shape

    def predict(self, images, verbose=0):
        return np.asarray(self.model(images, training=False))


def make_notebook_reader(model):
    """Return a function that reads one digit, prepared by the notebook's function."""
    prepare_digit = load_functions().prepare_digit

    def read(image):
        if isinstance(image, np.ndarray):  # of 8 or 16 pixels a side
            grey = image * (255.0 / image.max())
            image = Image.fromarray(grey.astype("uint8")).resize((28, 28))
        digit = prepare_digit(image).reshape(1, *model.input_shape[1:])
        return str(model.predict(digit).argmax())

    return read


def read_with_tesseract(path, is_page):
    """Return what Tesseract reads, told that there are digits only, and of how many."""
    mode = "6" if is_page else "10"  # a block of text, or a single character
    command = ["tesseract", path, "stdout", "--psm", mode]
    command += ["-c", "tessedit_char_whitelist=0123456789"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def make_rapidocr_reader():
    """Return a function that reads digits alone with RapidOCR.

    Where it is told that there is one, it need not find it.
    """
    from rapidocr_onnxruntime import RapidOCR

    engine = RapidOCR()
    decode = engine.text_rec.postprocess_op
    allowed = np.isin(decode.character, ["blank", *"0123456789"])

    def decode_digits(scores, *settings, **more_settings):
        scores = scores * allowed
        scores = scores / scores.sum(axis=-1, keepdims=True)
        return decode(scores, *settings, **more_settings)

    engine.text_rec.postprocess_op = decode_digits

    def read(path, is_page):
        found, _ = engine(path, use_det=is_page)
        # Each is a place, a text and its score; or if none is found, text and score
        return "\n".join(each[-2] for each in found or [])

    return read


def ocr_versions():
    """Return the versions of Tesseract and RapidOCR, where they are installed."""
    versions = {}
    if shutil.which("tesseract"):
        command = ["tesseract", "--version"]
        done = subprocess.run(command, capture_output=True, text=True)
        versions["Tesseract"] = done.stdout.split()[1]
    if importlib.util.find_spec("rapidocr_onnxruntime"):
        version = importlib.metadata.version("rapidocr-onnxruntime")
        versions["RapidOCR"] = version
    return versions


def load_readers(model):
    """Return a dictionary: a program's name -> a function that reads a picture."""
    readers = {
        "read_digits.py": lambda image: program.read_digits(image, model)[0],
        "the notebook's function": make_notebook_reader(model),
    }
    if shutil.which("tesseract"):
        readers["Tesseract"] = read_with_tesseract
    else:
        print("Tesseract is not installed: left out.", file=sys.stderr)
    if importlib.util.find_spec("rapidocr_onnxruntime"):
        readers["RapidOCR"] = make_rapidocr_reader()
    else:
        print("RapidOCR is not installed: left out.", file=sys.stderr)
    return readers


def save_page(image, path):
    """Save a picture as OCR expects it: on white, and what is small, large.

    image: a file, or an array of light ink on dark, which is saved as dark on white.
    """
    if isinstance(image, np.ndarray):
        grey = 255.0 * (image.max() - image) / np.ptp(image)  # 255 would overflow bytes
        picture = Image.fromarray(grey.astype("uint8"))
    else:
        picture = ImageOps.exif_transpose(Image.open(image)).convert("RGBA")
        page = Image.new("RGBA", picture.size, "white")
        page.alpha_composite(picture)
        picture = page.convert("L")
    if max(picture.size) < 100:
        grey = np.array(picture)
        edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
        picture = ImageOps.contain(picture, (96, 96))
        picture = ImageOps.expand(picture, 48, int(np.median(edge)))
    picture.save(path)
    return path


def measure(reader, read, items):
    """Return how many pictures are read right, every digit and row, and of how many.

    None where it cannot be measured: the notebook's function reads no pages, and for
    OCR programs, 8 pixels a side are too few. RapidOCR need not tell where rows end.
    """
    image, label = items[0]
    is_page = len(label) > 1
    is_ours = reader in ("read_digits.py", "the notebook's function")
    too_small = isinstance(image, np.ndarray) and len(image) < 16
    if is_page and "function" in reader or not is_ours and too_small:
        return None
    row_end = "" if reader == "RapidOCR" else "/"
    count = 0
    for image, label in items:
        try:
            if is_ours:
                text = read(image)
            elif reader == "Tesseract" and isinstance(image, Path):
                text = read(image, is_page)
            else:
                with tempfile.TemporaryDirectory() as folder:
                    text = read(save_page(image, Path(folder) / "page.png"), is_page)
        except ValueError:
            continue
        lines = ["".join(filter(str.isdigit, line)) for line in text.split("\n")]
        count += row_end.join(filter(None, lines)) == label.replace("/", row_end)
    return {"right": count, "of": len(items)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--usps", type=Path, help="usps-test.npz or zip.test.gz")
    options = parser.parse_args()
    last_run(PROJECT)
    model = QuickModel(program.load_model(program.MODEL))
    readers = load_readers(model)
    results = {}
    for name, items in load_collections(options.usps).items():
        results[name] = {}
        for reader, read in readers.items():
            results[name][reader] = measure(reader, read, items)
        print(name, results[name], flush=True)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    record = {
        "provenance": provenance(notebook),
        "preparation": preparation(notebook),
        "versions": ocr_versions(),
        "read right": results,
    }
    (HERE / "own_digits.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
