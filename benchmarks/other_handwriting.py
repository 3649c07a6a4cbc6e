"""Measure how the trained models read other people's handwriting, as a table.

    python benchmarks/other_handwriting.py path/to/zip.test.gz \\
        > benchmarks/other_handwriting.md

zip.test.gz holds USPS' 2,007 test images, digits from envelopes of the US Postal
Service, 16 x 16 pixels each; the page of The Elements of Statistical Learning has it:
https://hastie.su.domains/ElemStatLearn/data.html. scikit-learn brings its 1,797 digits
along. The models are those that the notebook's last run left in artifacts/. Nothing is
tuned on these.
"""

import gzip
import json
import sys

import numpy as np
from common import PROJECT, load_functions, predict
from PIL import Image
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


def main(path):
    results = json.loads((PROJECT / "artifacts/results.json").read_text())
    if results["dataset"] != "MNIST":
        sys.exit("The notebook's last run had not all of MNIST: run it again.")
    notebook = load_functions()
    digits = load_digits()
    collections = {
        "USPS": read_usps(path),
        "scikit-learn's": (digits.images, digits.target),
    }
    header = "| model |"
    ways = []
    for name, (images, labels) in collections.items():
        header += f" {name}, enlarged | {name}, prepared |"
        greys = 255 * (images - images.min()) / np.ptp(images)
        enlarged = []
        prepared = []
        for image in greys.astype("uint8"):
            large = Image.fromarray(image).resize((28, 28))
            enlarged.append(np.array(large) / 255)
            prepared.append(notebook.prepare_digit(large))
        ways += [(enlarged, labels), (prepared, labels)]
    print(header)
    print("|---" + "|--:" * len(ways) + "|")
    for name in results["models"]:
        model = notebook.keras.saving.load_model(PROJECT / f"artifacts/{name}.keras")
        row = f"| {name} |"
        for images, labels in ways:
            row += f" {np.mean(predict(model, images) == labels):.1%} |"
        print(row)


if __name__ == "__main__":
    main(sys.argv[1])
