"""When the machine fails: nothing is lost, nothing is left half done, and the reader is told."""


import json
import os
import re
import shutil
import stat
import subprocess
import sys

import nbformat
import pytest
from conftest import NOTEBOOK


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_half_a_file_never_replaces_a_whole_one(functions, tmp_path, monkeypatch, capsys, error):
    monkeypatch.setattr(functions, "ARTIFACTS", tmp_path / "artifacts")
    functions.save("model.keras", lambda file: file.write_text("whole"))
    assert functions.saved == {"model.keras": 5}

    def fail(file):
        file.write_text("ha")
        raise error

    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            functions.save("model.keras", fail)
    else:
        functions.save("model.keras", fail)
        assert "NOT SAVED: model.keras. [Errno 28] No space left on device" in capsys.readouterr().out
    assert functions.saved == {}
    (file,) = (tmp_path / "artifacts").iterdir()
    assert (file.name, file.read_text()) == ("model.keras", "whole")


def test_two_processes_may_save_the_same_file_at_once(functions, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(functions, "ARTIFACTS", tmp_path)

    def write_while_another_process_does(file):
        file.write_text("one")
        with monkeypatch.context() as other_process:
            other_process.setattr(os, "getpid", lambda: -1)
            functions.save("model.keras", lambda file: file.write_text("other"))

    functions.save("model.keras", write_while_another_process_does)
    assert "NOT SAVED" not in capsys.readouterr().out
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("model.keras", "one")]


def test_a_folder_that_cannot_be_made_is_said(functions, tmp_path, monkeypatch, capsys):
    (tmp_path / "a file").touch()
    monkeypatch.setattr(functions, "ARTIFACTS", tmp_path / "a file" / "artifacts")
    functions.save("model.keras", lambda file: file.write_text("whole"))
    assert capsys.readouterr().out.startswith("NOT SAVED: model.keras.")
    assert functions.saved == {}


def start_run(folder, output, home, *prefix):
    """Start to run a copy of the notebook in a folder, on the substitute for MNIST: a process."""
    environment = {key: value for key, value in os.environ.items() if key not in ("MNIST_NPZ", "DRAWN_DIGITS")}
    environment |= {"https_proxy": "http://127.0.0.1:9", "HOME": str(home), "KERAS_HOME": str(home / "keras")}
    for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):  # Jupyter needs these, and Matplotlib warns
        environment[name] = str(output.parent / f"{output.stem} {name}")
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "nbconvert", "--execute", "--to", "notebook", "--log-level=ERROR",
         f"--output={output}", folder / NOTEBOOK.name], env=environment, text=True, stderr=subprocess.PIPE)


def said(output):
    """What the cells of a notebook print, and that nothing came from stderr."""
    outputs = [output for cell in nbformat.read(output, as_version=4).cells for output in cell.get("outputs", [])]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    return "".join(output.get("text", "") for output in outputs)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="permissions are of another kind")
def test_where_nothing_can_be_written_the_run_finishes_and_says_what_it_could_not_save(tmp_path):
    folder, home = tmp_path / "work", tmp_path / "home"
    for path in (folder, home):
        path.mkdir()
    shutil.copy(NOTEBOOK, folder)
    for path in (folder, home):
        path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    run = start_run(folder, tmp_path / "output.ipynb", home, *prefix)
    _, errors = run.communicate()
    assert run.returncode == 0, errors
    text = said(tmp_path / "output.ipynb")
    files = [*(f"{name}.keras" for name in ("No hidden layer", "Hidden layer", "Flatten layer", "CNN")), "results.json"]
    assert re.findall(r"^NOT SAVED: (.*?)\. .*Permission denied", text, re.MULTILINE) == files
    assert text.count("not saved, so not reloaded") == 4
    assert "skipped: that reloaded models give the same logits: none could be saved" in text
    assert "claims hold on scikit-learn's digits." in text
    assert [path.name for path in folder.iterdir()] == [NOTEBOOK.name] and not list(home.iterdir())


@pytest.mark.slow
def test_two_copies_may_run_in_one_folder_at_once(tmp_path):
    shutil.copy(NOTEBOOK, tmp_path)
    outputs = [tmp_path / "one.ipynb", tmp_path / "other.ipynb"]
    runs = [start_run(tmp_path, output, tmp_path) for output in outputs]
    for run, output in zip(runs, outputs):
        _, errors = run.communicate()
        assert run.returncode == 0, errors
        text = said(output)
        assert "claims hold on scikit-learn's digits." in text and "NOT SAVED" not in text
    files = sorted(path.name for path in (tmp_path / "artifacts").iterdir())
    assert files == ["CNN.keras", "Flatten layer.keras", "Hidden layer.keras", "No hidden layer.keras", "results.json"]
    assert json.loads((tmp_path / "artifacts" / "results.json").read_text())["dataset"] == "scikit-learn's digits"
