"""What the tests share: the notebook, its functions, and a machine without MNIST."""

import csv
import json
import os
from pathlib import Path

import common
import nbformat
import pytest
from common import load_functions as load_functions

# What the models read of the 5,000 of MNIST, in %, within a point and a half: with
# 1,000 test images, one standard deviation is 0.4 to 0.9 points.
SAMPLE_ACCURACY = {
    "No hidden layer": 91,
    "Hidden layer": 94,
    "Flatten layer": 94,
    "CNN": 98,
}
SAMPLE_TOLERANCE = 1.5


def read_notebook():
    return nbformat.read(common.NOTEBOOK, as_version=4)


def quick_notebook(parameters):
    """The notebook with other settings, and without outputs."""
    notebook = read_notebook()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
        if cell.id == "parameters":
            cell.source = parameters
    return notebook


def without_magics(source):
    """A cell's code as plain Python: without lines such as %matplotlib inline."""
    lines = source.splitlines()
    return "\n".join(line for line in lines if not line.startswith("%"))


def run_cell(module, cell_id):
    """Run one of the notebook's cells among a module's names."""
    (source,) = [cell.source for cell in read_notebook().cells if cell.id == cell_id]
    exec(compile(without_magics(source), f"cell {cell_id}", "exec"), vars(module))


def printed(cell):
    """What a code cell shows, as text: its prints, its tables, and its last value."""
    texts = []
    for output in cell.outputs:
        data = output.get("data", {})
        shown = data.get("text/markdown", data.get("text/plain", ""))
        texts.append(output.get("text") or f"\n{shown}\n")
    return "".join(texts)


def read_results(folder):
    return json.loads((folder / "artifacts" / "results.json").read_text())


def read_faults():
    """The rows of faults.md: fault, cell, this, that, noticed by; last cell first."""
    text = (common.PROJECT / "tests" / "faults.md").read_text(encoding="utf-8")
    rows = []
    for line in text.splitlines():
        if line.startswith("|"):
            columns = [column.strip(" ") for column in line.strip("|").split("|")]
            rows.append([column.strip("`") for column in columns])
    cell_ids = [cell.id for cell in read_notebook().cells]
    return sorted(rows[2:], key=lambda row: -cell_ids.index(row[1]))


def without_mnist(patch, folder):
    """For a pytest.MonkeyPatch: no file of MNIST, and a network that refuses.

    Keras keeps its downloads under folder/keras, in processes that start from now on.
    """
    patch.delenv("MNIST_NPZ", raising=False)
    patch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    patch.setenv("KERAS_HOME", str(folder / "keras"))


def labelled_pictures(variable, artifacts):
    """Pictures of the folder that a variable names: (file, label); or skip the test."""
    results = artifacts / "results.json"
    if variable not in os.environ:
        pytest.skip(f"needs a folder of pictures in {variable}")
    if not results.exists() or json.loads(results.read_text())["dataset"] != "MNIST":
        pytest.skip("needs the models of a run on MNIST")
    folder = Path(os.environ[variable])
    with (folder / "labels.csv").open() as file:
        return [(folder / row["file"], row["label"]) for row in csv.DictReader(file)]
