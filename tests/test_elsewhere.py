"""The notebook where else people run it: through papermill, and alone in Colab."""

import json
import re
import subprocess
import sys

import nbformat
import pytest
from common import NOTEBOOK
from conftest import without_mnist

COLAB = """
tensorflow==2.19.0
keras==3.10.0
numpy==2.0.2
matplotlib==3.10.0
scipy==1.15.3
scikit-learn==1.6.1
pillow==11.3.0
mlxtend==0.23.4
ipython==7.34.0
ipykernel==6.17.1
ipywidgets==7.7.1
traitlets==5.7.1
"""


def papermill(output, *parameters, notebook=NOTEBOOK):
    """Run the notebook in the folder of its output: the outputs of each cell as text, and the results."""
    pytest.importorskip("papermill", reason="requirements-dev.txt is not installed")
    run = subprocess.run([sys.executable, "-m", "papermill", "--no-progress-bar", notebook, output.name, *parameters],
                         cwd=output.parent, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    said = {}
    for cell in nbformat.read(output, as_version=4).cells:
        for shown in cell.get("outputs", []):
            assert shown.get("name") != "stderr", shown.text
            data = shown.get("data", {})
            text = shown.get("text") or data.get("text/markdown") or data.get("text/plain")
            said[cell.id] = said.get(cell.id, "") + text + "\n"
    return said, json.loads((output.parent / "artifacts/results.json").read_text())


@pytest.mark.slow
def test_papermill_sets_one_seed_and_two_epochs(tmp_path, monkeypatch):
    without_mnist(monkeypatch, tmp_path)
    said, results = papermill(tmp_path / "out.ipynb", "-y", "{SEEDS: [7], EPOCHS: 2}")
    assert results["seeds"] == [7]
    assert all(len(model["test_accuracy"]) == 1 for model in results["models"].values())
    assert re.search("seed 7  ■■■■  ", said["cnn-fit"].replace("\n", ""))  # twice as many epochs on few images
    assert "skipped, about 5 epochs and several seeds: each model reads" in said["comparison-table"]
    assert re.search(r"\d+ of \d+ statements hold, and none fails", said["verdict"])


@pytest.mark.parametrize("settings", [{"SEEDS": "[7]"}, {"SEEDS": []}, {"SEEDS": 3}, {"EPOCHS": 0}])
def test_settings_that_make_no_sense_are_named(notebook, settings):
    (cell,) = (cell.source for cell in notebook.cells if cell.id == "load")
    with pytest.raises(ValueError, match="SEEDS should list whole numbers, EPOCHS"):
        exec(cell, {"SEEDS": [0], "EPOCHS": 5, "load_data": None} | settings)


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info > (3, 13), reason="TensorFlow 2.19 is for Python 3.9 to 3.12")
def test_alone_in_colab(tmp_path, monkeypatch):
    """Versions as Colab had them in 2025, no other package, the notebook alone in a folder, a module google.colab."""
    python = tmp_path / "venv" / "bin" / "python"
    (tmp_path / "colab.txt").write_text(COLAB)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", tmp_path / "colab.txt"], check=True)
    colab = tmp_path / "colab" / "google" / "colab"
    colab.mkdir(parents=True)
    (colab / "__init__.py").touch()
    (tmp_path / "colab" / "sitecustomize.py").write_text("import google.colab\n")
    kernel = tmp_path / "kernels" / "colab"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(json.dumps({
        "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "Colab",
        "language": "python", "env": {"PYTHONPATH": str(tmp_path / "colab")}}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("MNIST_NPZ", raising=False)
    alone = tmp_path / "content"
    alone.mkdir()

    said, _ = papermill(alone / "out.ipynb", "-y", "SEEDS: [0, 1]", "-k", "colab")
    assert re.search(r"\d+ of \d+ statements hold, and none fails", said["verdict"])
    assert "%pip install anywidget" in said["pad"]
    assert sorted(path.name for path in alone.iterdir()) == ["artifacts", "out.ipynb"]
