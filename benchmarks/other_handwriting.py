"""Measure how the trained models read other people's handwriting.

    python benchmarks/other_handwriting.py path/to/zip.test.gz

zip.test.gz holds USPS' 2,007 test images, digits from envelopes of the US Postal
Service, 16 x 16 pixels each; the page of The Elements of Statistical Learning has it:
https://hastie.su.domains/ElemStatLearn/data.html. scikit-learn brings its 1,797 digits
along. The models are those that the notebook's last run left in artifacts/. Nothing is
tuned on these. Writes other_handwriting.json.
"""

import gzip
import json
import sys

import nbformat
import numpy as np
from common import NOTEBOOK, PROJECT, last_run, load_functions, predict
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


def main(usps):
    results = last_run(PROJECT)
    notebook = load_functions()
    digits = load_digits()
    collections = {
        "USPS": read_usps(usps),
        "scikit-learn's": (digits.images, digits.target),
    }
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
