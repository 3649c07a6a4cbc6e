"""Measure how the trained models read other people's handwriting, and print it as a table.

    python benchmarks/other_handwriting.py path/to/zip.test.gz > benchmarks/other_handwriting.md

zip.test.gz holds USPS' 2,007 test images, digits from envelopes of the US Postal Service, 16 x 16 pixels each; the page
of The Elements of Statistical Learning has it: https://hastie.su.domains/ElemStatLearn/data.html. scikit-learn brings
its 1,797 digits along. The models are those that the notebook's last run left in artifacts/. Nothing is tuned on these.
"""

import gzip
import json
import sys

import numpy as np
from common import PROJECT, load_functions
from PIL import Image
from sklearn.datasets import load_digits


def read_usps(path):
    """USPS' images (n, 16, 16), -1 for paper to 1 for ink, and labels (n,). Each line: a label, then 256 pixels."""
    with gzip.open(path, "rt") as file:
        table = np.loadtxt(file)
    if table.shape[1:] != (257,):
        sys.exit(f"{path} is not USPS' zip.test.gz: its lines should have 257 numbers, and have {table.shape[1:]}.")
    return table[:, 1:].reshape(-1, 16, 16), table[:, 0].astype(int)


def main(path):
    results = json.loads((PROJECT / "artifacts/results.json").read_text())
    if results["dataset"] != "MNIST":
        sys.exit("The notebook's last run had not all of MNIST: run it again.")
    functions = load_functions()
    digits = load_digits()
    collections = {"USPS": read_usps(path), "scikit-learn's": (digits.images, digits.target)}
    rows = ["| model | " + " | ".join(f"{name}, enlarged | {name}, prepared" for name in collections) + " |",
            "|---" + "|--:" * 2 * len(collections) + "|"]
    inputs = []
    for images, labels in collections.values():
        enlarged = np.array([Image.fromarray(image.astype("float32")).resize((28, 28)) for image in images])
        enlarged = (enlarged - images.min()) / np.ptp(images)
        inputs += [(enlarged, labels), (np.array([functions.prepare_digit(image) for image in images]), labels)]
    for name in results["models"]:
        model = functions.keras.saving.load_model(PROJECT / f"artifacts/{name}.keras")
        read = [np.mean(functions.predict_proba(model, x).argmax(axis=1) == y) for x, y in inputs]
        rows.append(f"| {name} | " + " | ".join(f"{share:.1%}" for share in read) + " |")
    print("\n".join(rows))


if __name__ == "__main__":
    main(sys.argv[1])
