"""What the README tells a reader to type works, in a copy without MNIST."""

import json
import re
import shutil
import subprocess

import pytest
from common import PROJECT
from helpers import read_results, without_mnist
from pictures import draw

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed"),
]


@pytest.fixture(scope="module")
def readme():
    return (PROJECT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the project, on a machine without MNIST."""
    folder = tmp_path_factory.mktemp("copy")
    left_out = shutil.ignore_patterns(".*", "artifacts", "*_seeds", "*_alarms")
    shutil.copytree(PROJECT, folder, ignore=left_out, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        without_mnist(patch, folder)
        yield folder


def bash(commands, folder):
    """Run commands as a reader types them; returns what they print."""
    finished = subprocess.run(
        ["bash", "-ec", commands], cwd=folder, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr[-3000:]
    return finished.stdout


def test_each_block_of_commands(readme, copy):
    """Those to install, run, read digits and contribute, in the README's order."""
    draw("407").save(copy / "page.jpg")
    printed = []
    for block in re.findall("^```\n(.+?)^```", readme, re.M | re.S):
        printed.append(bash(block, copy))
    assert "407\n" in printed
    assert (copy / "page.digits.png").exists()
    assert (copy / "Handwritten_Digits_Classifier.html").exists()
    assert read_results(copy)["recipe"]


def test_papermills_line_sets_what_it_says(readme, copy):
    (line,) = re.findall("^ +(papermill .+)$", readme, re.M)
    bash(line, copy)
    results = read_results(copy)
    seeds, epochs = re.search(r"SEEDS: (\[.+?\]).* EPOCHS:? (\d+)", line).groups()
    assert results["seeds"] == json.loads(seeds)
    assert results["epochs"] == 2 * int(epochs)  # of the sample
