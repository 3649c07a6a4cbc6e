"""Where nothing can be written, the run finishes and says what it could not save."""

import os
import re
import shutil
import stat
import subprocess
import sys

import nbformat
import pytest
from common import NOTEBOOK


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="permissions are of another kind")
def test_where_nothing_can_be_written_the_run_finishes_and_says_what_it_could_not_save(tmp_path):
    folder, home = tmp_path / "work", tmp_path / "home"
    for path in (folder, home):
        path.mkdir()
    shutil.copy(NOTEBOOK, folder)
    for path in (folder, home):
        path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    environment = {key: value for key, value in os.environ.items() if key not in ("MNIST_NPZ", "DRAWN_DIGITS")}
    environment |= {"https_proxy": "http://127.0.0.1:9", "HOME": str(home), "KERAS_HOME": str(home / "keras")}
    for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):  # Jupyter needs these, and Matplotlib warns
        environment[name] = str(tmp_path / name)
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    output = tmp_path / "output.ipynb"
    run = subprocess.run(
        [*prefix, sys.executable, "-m", "nbconvert", "--execute", "--to", "notebook", "--log-level=ERROR",
         f"--output={output}", folder / NOTEBOOK.name], env=environment, text=True, stderr=subprocess.PIPE)
    assert run.returncode == 0, run.stderr
    outputs = [output for cell in nbformat.read(output, as_version=4).cells for output in cell.get("outputs", [])]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    text = "".join(output.get("text", "") for output in outputs)
    assert re.search("skipped, NOT SAVED.*Permission denied", text)
    assert re.search(r"\d+ of \d+ statements hold, and none fails", text)
    assert [path.name for path in folder.iterdir()] == [NOTEBOOK.name] and not list(home.iterdir())
