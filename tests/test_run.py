"""Runs of the whole notebook on 5,000 of MNIST, alone in an empty folder."""

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
from common import NOTEBOOK, accuracies
from helpers import printed, read_notebook, without_mnist
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

pytestmark = pytest.mark.slow


def client_for(notebook, folder):
    resources = {"metadata": {"path": folder}}
    return NotebookClient(notebook, kernel_name="python3", resources=resources)


def read_results(folder):
    return json.loads((folder / "artifacts" / "results.json").read_text())


def quick_notebook(parameters):
    """The notebook with other settings, and without outputs."""
    notebook = read_notebook()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
        if cell.id == "parameters":
            cell.source = parameters
    return notebook


class Run:
    """A live kernel after a run of all cells."""

    def __init__(self, client, folder):
        self.client = client
        self.folder = folder
        self.cells = {}
        for index, cell in enumerate(client.nb.cells):
            self.cells[cell.id] = cell
            client.execute_cell(cell, index)
        self.results = read_results(folder)

    def execute(self, cell_id):
        index = list(self.cells).index(cell_id)
        self.client.execute_cell(self.cells[cell_id], index)

    def accuracies_now(self):
        return str(accuracies(read_results(self.folder)))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        without_mnist(patch, folder)
        patch.setenv("MPLBACKEND", "Agg")  # as in containers and on clusters
        client = client_for(quick_notebook("SEEDS = (0, 1)\nEPOCHS = 2"), folder)
        with client.setup_kernel():
            yield Run(client, folder)


def test_results_hold_what_was_printed(run):
    results = run.results
    assert results["dataset"] == "5,000 of MNIST"
    assert results["train_images"] + results["test_images"] == 5000 - 334
    assert (results["seeds"], results["epochs"]) == ([0, 1], 4)
    assert results["versions"].keys() >= {"tensorflow", "keras"}
    assert len(results["techniques"]) == 6

    text = ""
    for name in ["no-hidden-fit", "hidden-fit", "flatten-fit", "cnn-fit"]:
        text += printed(run.cells[name])
    found = re.findall(r"  ([\d.]+) s, test loss [\d.]+, test accuracy ([\d.]+)%", text)
    kept = []
    for model in results["models"].values():
        for seconds, accuracy in zip(
            model["train_seconds"], model["test_accuracy"], strict=True
        ):
            kept.append((f"{seconds:.1f}", f"{100 * accuracy:.2f}"))
    assert kept == found
    assert len(found) == 4 * 2

    n_true = list(results["checks"].values()).count(True)
    held = f"{n_true} of {len(results['checks'])} statements hold, and none fails."
    assert held in printed(run.cells["verdict"])
    skipped = set(results["checks"].values()) - {True}
    assert skipped == {"skipped, it is about all of MNIST"}


def test_every_cell_shows_as_many_figures_and_tables_as_committed(run, notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            kinds = []
            for outputs in [cell.outputs, run.cells[cell.id].outputs]:
                data = [output.data for output in outputs if "data" in output]
                kinds.append([sorted(formats) for formats in data])
            assert kinds[0] == kinds[1], cell.id


def test_a_model_is_saved_for_each_name(run):
    saved = sorted(path.name for path in (run.folder / "artifacts").iterdir())
    expected = [f"{name}.keras" for name in run.results["models"]]
    assert saved == sorted([*expected, "results.json"])


def test_running_the_cells_again_gives_the_same_results(run):
    for cell_id in run.cells:
        if cell_id not in ["tutorials-fit", "techniques-fit"]:  # half of the time
            run.execute(cell_id)
    for name in ["models", "techniques"]:
        for model, values in read_results(run.folder)[name].items():
            again = values["test_accuracy"]
            assert again == run.results[name][model]["test_accuracy"], model


def test_interrupted_training_can_be_run_again(run):
    def interrupt():
        # Not before the first epoch ends: building the model may swallow it.
        while "■" not in str(training.outputs):
            time.sleep(0.01)
        os.kill(run.client.km.provisioner.pid, signal.SIGINT)

    before = run.accuracies_now()
    training = run.cells["cnn-fit"]
    training.outputs = []
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(CellExecutionError, match="KeyboardInterrupt"):
        run.execute("cnn-fit")
    run.execute("cnn-fit")
    run.execute("results")
    assert run.accuracies_now() == before


def test_it_runs_as_a_script(tmp_path, monkeypatch):
    without_mnist(monkeypatch, tmp_path)
    nbformat.write(quick_notebook("SEEDS = [0]\nEPOCHS = 1"), tmp_path / NOTEBOOK.name)
    convert = ["nbconvert", "--to", "script", "--output", "script", NOTEBOOK.name]
    for command in [["jupyter", *convert], ["IPython", "script.py"]]:
        finished = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert finished.returncode == 0, finished.stderr[-3000:]
    assert "statements hold, and none fails" in finished.stdout
    assert read_results(tmp_path)["seeds"] == [0]
