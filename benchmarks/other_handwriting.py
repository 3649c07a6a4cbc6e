"""Measure how the trained models read other people's handwriting.

    python benchmarks/other_handwriting.py path/to/zip.test.gz [path/to/ARDIS_IV]

zip.test.gz holds USPS' 2,007 test images, digits from envelopes of the US Postal
Service, 16 x 16 pixels each; the page of The Elements of Statistical Learning has it:
https://hastie.su.domains/ElemStatLearn/data.html. scikit-learn brings its 1,797 digits
along. ARDIS_IV is the folder of ARDIS' fourth set, digits from Swedish church books of
the 19th century, which its authors give for research: https://ardisdataset.github.io.
The models are those that the notebook's last run left in artifacts/. Nothing is
tuned on these. Writes other_handwriting.json.
"""

import gzip
import json
import sys
from pathlib import Path

import nbformat
import numpy as np
from common import NOTEBOOK, PROJECT, load_functions, predict
from PIL import Image
from provenance import provenance
from sklearn.datasets import load_digits


def read_usps(path):
    """USPS' images (n, 16, 16), -1 for paper to 1 for ink, and labels (n,).

    Each line has a label and then 256 pixels.
    """
    with gzip.open(path, "rt") as file:
        table = np.loadtxt(file)
    if table.shape[1:] != (257,):
        sys.exit(
            f"{path} is not USPS' zip.test.gz: a line has {table.shape[1:]} numbers."
        )
    return table[:, 1:].reshape(-1, 16, 16), table[:, 0].astype(int)


def read_ardis(folder):
    """ARDIS' test images (n, 28, 28), 0 for paper to 255 for ink, and labels (n,).

    Each line of one file has 784 pixels; of the other, ten numbers, 1 at the digit.
    """
    tables = []
    for name, width in [("ARDIS_test_2828.csv", 784), ("ARDIS_test_labels.csv", 10)]:
        text = (Path(folder) / name).read_text().replace(",", " ")
        table = np.loadtxt(text.splitlines(), ndmin=2)
        if table.shape[1] != width:
            sys.exit(f"{name} is not ARDIS': a line has {table.shape[1]} numbers.")
        tables.append(table)
    images, labels = tables
    return images.reshape(-1, 28, 28), labels.argmax(axis=1)


def main(usps, ardis=None):
    results = json.loads((PROJECT / "artifacts/results.json").read_text())
    if results["dataset"] != "MNIST":
        sys.exit("The notebook's last run had not all of MNIST: run it again.")
    notebook = load_functions()
    digits = load_digits()
    collections = {
        "USPS": read_usps(usps),
        "scikit-learn's": (digits.images, digits.target),
    }
    if ardis:
        collections["ARDIS"] = read_ardis(ardis)
    ways = {}
    for name, (images, labels) in collections.items():
        greys = 255 * (images - images.min()) / np.ptp(images)
        enlarged = []
        prepared = []
        for image in greys.astype("uint8"):
            large = Image.fromarray(image).resize((28, 28))
            enlarged.append(np.array(large) / 255)
            prepared.append(notebook.prepare_digit(large))
        ways[f"{name}, enlarged"] = enlarged, labels
        ways[f"{name}, prepared"] = prepared, labels
    shares = {}
    for name in results["models"]:
        model = notebook.keras.saving.load_model(PROJECT / f"artifacts/{name}.keras")
        shares[name] = {}
        for way, (images, labels) in ways.items():
            shares[name][way] = float(np.mean(predict(model, images) == labels))
        print(name, shares[name])
    record = {"provenance": provenance(nbformat.read(NOTEBOOK, as_version=4))}
    record["read right"] = shares
    path = PROJECT / "benchmarks" / "other_handwriting.json"
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
