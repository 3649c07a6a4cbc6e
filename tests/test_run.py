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
from common import NOTEBOOK
from helpers import printed, quick_notebook, without_mnist
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

pytestmark = pytest.mark.slow


def read_results(folder):
    return json.loads((folder / "artifacts" / "results.json").read_text())


def accuracies(results):
    """Test accuracies of all models and techniques."""
    runs = results["models"] | results["techniques"]
    return {name: runs[name]["test_accuracy"] for name in runs}


class Run:
    """A live kernel after a run of all cells."""

    def __init__(self, client, folder):
        self.client = client
        self.folder = folder
        self.cells = {cell.id: cell for cell in client.nb.cells}
        for cell_id in self.cells:
            self.execute(cell_id)
        self.results = read_results(folder)

    def execute(self, cell_id):
        index = list(self.cells).index(cell_id)
        self.client.execute_cell(self.cells[cell_id], index)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    notebook = quick_notebook("SEEDS = (0, 1)\nEPOCHS = 2")
    client = NotebookClient(notebook, resources={"metadata": {"path": folder}})
    with pytest.MonkeyPatch.context() as patch:
        without_mnist(patch, folder)
        patch.setenv("MPLBACKEND", "Agg")  # as in containers and on clusters
        with client.setup_kernel():
            yield Run(client, folder)


def test_results_hold_what_was_printed(run):
    results = run.results
    assert results["dataset"] == "5,000 of MNIST"
    assert (results["seeds"], results["epochs"]) == ([0, 1], 4)
    text = ""
    for name in ["no-hidden-fit", "hidden-fit", "flatten-fit", "cnn-fit"]:
        text += printed(run.cells[name])
    kept = []
    for model in results["models"].values():
        kept += [f"{100 * accuracy:.2f}" for accuracy in model["test_accuracy"]]
    assert kept == re.findall(r"test accuracy ([\d.]+)%", text)
    assert len(kept) == 4 * 2

    verdicts = list(results["checks"].values())
    held = f"{verdicts.count(True)} of {len(verdicts)} statements hold, and none fails."
    assert held in printed(run.cells["verdict"])
    assert set(verdicts) == {True, "skipped, it is about all of MNIST"}
    saved = {path.stem for path in (run.folder / "artifacts").glob("*.keras")}
    assert saved == results["models"].keys()


def test_running_the_cells_again_gives_the_same_results(run):
    for cell_id in run.cells:
        if cell_id not in ["tutorials-fit", "techniques-fit"]:  # half of the time
            run.execute(cell_id)
    assert accuracies(read_results(run.folder)) == accuracies(run.results)


def test_interrupted_training_can_be_run_again(run):
    def interrupt():
        # Not before the first epoch ends: building the model may swallow it.
        while "■" not in str(training.outputs):
            time.sleep(0.01)
        os.kill(run.client.km.provisioner.pid, signal.SIGINT)

    training = run.cells["cnn-fit"]
    training.outputs = []
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(CellExecutionError, match="KeyboardInterrupt"):
        run.execute("cnn-fit")
    run.execute("cnn-fit")
    run.execute("results")
    assert accuracies(read_results(run.folder)) == accuracies(run.results)


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
