"""Runs of the whole notebook on 5,000 of MNIST, alone in an empty folder."""

import copy
import re
import subprocess
import sys

import nbformat
import pytest
from common import NOTEBOOK
from helpers import printed, quick_notebook, read_results, without_mnist
from nbclient import NotebookClient

pytestmark = pytest.mark.slow


def test_every_cell_can_be_run_again_with_the_same_results(tmp_path, monkeypatch):
    without_mnist(monkeypatch, tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")  # as in containers and on clusters
    notebook = quick_notebook("SEEDS = (0,)\nEPOCHS = 1")
    notebook.cells += copy.deepcopy(notebook.cells)
    NotebookClient(notebook, resources={"metadata": {"path": tmp_path}}).execute()
    text = ""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            text += printed(cell)
    results = read_results(tmp_path)
    assert results["dataset"] == "5,000 of MNIST"
    assert (results["seeds"], results["epochs"]) == ([0], 2)
    kept = []
    for model in results["models"].values():
        kept += [f"{100 * accuracy:.2f}" for accuracy in model["test_accuracy"]]
    assert len(kept) == 4
    shown = re.findall(r"test accuracy ([\d.]+)%", text)
    half = len(shown) // 2
    assert shown[:4] == kept
    assert shown[:half] == shown[half:]

    verdicts = list(results["checks"].values())
    held = f"{verdicts.count(True)} of {len(verdicts)} statements hold, and none fails."
    assert text.count(held) == 2
    assert set(verdicts) == {True, "skipped, it is about all of MNIST"}
    saved = {path.stem for path in (tmp_path / "artifacts").glob("*.keras")}
    assert saved == results["models"].keys()


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
