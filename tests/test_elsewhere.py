"""The notebook where else people run it: through papermill, on several devices, on a Dask cluster, and in Colab."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import nbformat
import pytest
from conftest import NOTEBOOK, without_mnist

COLAB = """
tensorflow==2.19.0
keras==3.10.0
numpy==2.0.2
matplotlib==3.10.0
scipy==1.15.3
scikit-learn==1.6.1
pillow==11.3.0
ipython==7.34.0
ipykernel==6.17.1
ipywidgets==7.7.1
traitlets==5.7.1
"""


def papermill(output, *parameters, notebook=NOTEBOOK):
    """Run the notebook in the folder of its output: the outputs of each cell as text, and the results."""
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
    said, results = papermill(tmp_path / "out.ipynb", "-p", "SEEDS", "[7]", "-p", "EPOCHS", "2")
    assert results["seeds"] == [7]
    assert all(len(model["test_accuracy"]) == 1 for model in results["models"].values())
    assert "This one has 1, 2, 128 and 0.01" in said["check-settings"]
    assert re.search("seed 7  ■■■■  ", said["cnn-fit"])  # twice as many epochs on the substitute for MNIST
    assert "1 seed |" in said["comparison-table"] and "lowest" not in said["comparison-table"]
    assert "Hidden layer, seed" not in said["mcnemar-table"]
    assert "skipped: what the text says about the results: the settings are others\n" in said["verdict"]
    assert re.search(r"^All \d+ claims hold", said["verdict"], re.MULTILINE)


@pytest.mark.parametrize("settings, message", [
    ({"SEEDS": []}, r"SEEDS should be a list of different whole numbers .* not \[\]"),
    ({"SEEDS": [1, 1]}, "SEEDS should be"),
    ({"SEEDS": [0.5]}, "SEEDS should be"),
    ({"SEEDS": [-1]}, "SEEDS should be"),
    ({"SEEDS": 3}, "SEEDS should be"),
    ({"SEEDS": "0 1 2"}, "SEEDS should be"),
    ({"EPOCHS": 0}, "EPOCHS should be a whole number above 0, not 0"),
    ({"BATCH_SIZE": 12.5}, "BATCH_SIZE should be a whole number above 0, not 12.5"),
    ({"LEARNING_RATE": 0}, "LEARNING_RATE should be a number between 0 and 1, not 0"),
    ({"LEARNING_RATE": "0,01"}, "LEARNING_RATE should be a number between 0 and 1, not '0,01'"),
])
def test_settings_that_make_no_sense_are_named(notebook, settings, message):
    cells = {cell.id: cell.source for cell in notebook.cells}
    names = {"contextlib": contextlib, "json": json}
    exec(cells["parameters"], names)
    names |= settings
    with pytest.raises(ValueError, match=message):
        exec(cells["check-settings"], names)


@pytest.mark.slow
def test_two_devices_share_the_training(tmp_path, monkeypatch):
    """Two parts of the processor stand for two graphics cards. The claims give the range of accuracies."""
    without_mnist(monkeypatch, tmp_path)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    ids = [cell.id for cell in notebook.cells]
    notebook.cells.append(nbformat.v4.new_code_cell("training_strategy(len(x_valid)).num_replicas_in_sync", id="used"))
    notebook.cells.insert(ids.index("imports") + 1, nbformat.v4.new_code_cell(
        "tf.config.set_logical_device_configuration(tf.config.list_physical_devices('CPU')[0],\n"
        "                                           2 * [tf.config.LogicalDeviceConfiguration()])"))
    nbformat.write(notebook, tmp_path / "two.ipynb")
    said, _ = papermill(tmp_path / "out.ipynb", "-p", "SEEDS", "[0, 1]", notebook=tmp_path / "two.ipynb")
    assert said["used"].strip() == "2"
    assert re.search(r"^All \d+ claims hold", said["verdict"], re.MULTILINE)


@contextlib.contextmanager
def dask_cluster(folder):
    """A scheduler and two workers, each in a process of its own that starts it anew if it dies: the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    programs = {"scheduler": ["scheduler", "--host", address, "--dashboard-address", "127.0.0.1:0"]}
    programs |= {name: ["worker", address, "--nthreads", "1", "--memory-limit", "0", "--name", name]
                 for name in ("one", "two")}
    with contextlib.ExitStack() as stack:
        for name, program in programs.items():
            stack.enter_context(in_background(folder, name, "dask", *program))
        yield address


@contextlib.contextmanager
def in_background(folder, name, *program):
    """A Python module that runs in a folder, until it ends or is no longer needed, and writes NAME.out and NAME.err."""
    with (open(folder / f"{name}.out", "w") as out, open(folder / f"{name}.err", "w") as err,
          subprocess.Popen([sys.executable, "-m", *program], cwd=folder, stdout=out, stderr=err,
                           env=os.environ | {"PYTHONUNBUFFERED": "1"}) as process):
        try:
            yield process
        finally:
            process.terminate()


@pytest.mark.slow
def test_a_worker_of_a_cluster_dies_and_no_finished_run_is_lost(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    without_mnist(monkeypatch, tmp_path)
    with dask_cluster(tmp_path) as address, distributed.Client(address) as client:
        client.wait_for_workers(2, timeout=60)
        (one,) = (at for at, worker in client.scheduler_info()["workers"].items() if worker["id"] == "one")
        pid = client.run(os.getpid, workers=[one])[one]
        with in_background(tmp_path, "run", "papermill", "--no-progress-bar", str(NOTEBOOK), "out.ipynb",
                           "-p", "SCHEDULER", address) as run:
            log = tmp_path / "one.out"
            while not re.search(r"(?s)(test accuracy.*){4}■□+[^\n]*\n$", log.read_text()):  # in the middle of its fifth
                assert run.poll() is None, (tmp_path / "run.err").read_text()
                time.sleep(0.01)
            os.kill(pid, signal.SIGKILL)
            assert run.wait() == 0, (tmp_path / "run.err").read_text()
    cells = {cell.id: "".join(output.get("text", "") for output in cell.outputs)
             for cell in nbformat.read(tmp_path / "out.ipynb", as_version=4).cells if cell.cell_type == "code"}
    assert cells["cluster"].startswith(f"2 workers at {address}")
    assert re.search(r"^All \d+ claims hold", cells["verdict"], re.MULTILINE)
    assert "skipped: what the text says about equal answers and about time" in cells["verdict"]
    results = json.loads((tmp_path / "artifacts/results.json").read_text())
    trained = [*results["models"].values(), *results["techniques"].values()]
    runs = sum(len(model["test_accuracy"]) for model in trained)
    logs = [(tmp_path / f"{name}.out").read_text() for name in ("one", "two")]
    begun = [len(re.findall(r"^seed \d+$", log, re.MULTILINE)) for log in logs]
    ended = [log.count("test accuracy") for log in logs]
    assert sum(ended) == runs and sum(begun) == runs + 1  # only the one that was interrupted was begun again
    assert min(ended) > runs / 4  # the worker that died came back and went on
    shown = "".join(cells[cell] for cell in cells if cell.endswith("-fit"))
    assert len(re.findall(r"^seed \d.*test accuracy", shown, re.MULTILINE)) == runs


def test_workers_that_train_two_models_at_a_time_are_refused(notebook):
    distributed = pytest.importorskip("distributed")
    (cell,) = (cell.source for cell in notebook.cells if cell.id == "cluster")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=2, processes=False, dashboard_address=None) as local:
        names = {"SCHEDULER": local.scheduler_address}
        with pytest.raises(ValueError, match="--nthreads 1"):
            exec(cell, names)
        names["cluster"].close()


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
    (colab / "output.py").write_text("def enable_custom_widget_manager(): pass\n")  # which anywidget calls
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

    said, _ = papermill(alone / "out.ipynb", "-p", "SEEDS", "[0, 1]", "-k", "colab")
    assert "TensorFlow 2.19.0, Keras 3.10.0, NumPy 2.0.2" in said["versions"]
    assert re.search(r"^All \d+ claims hold", said["verdict"], re.MULTILINE)
    assert "install-anywidget" not in said and "pip install" not in said["pad"]
    assert list((tmp_path / "venv").glob("lib/*/site-packages/anywidget"))
    assert sorted(path.name for path in alone.iterdir()) == ["artifacts", "out.ipynb"]
