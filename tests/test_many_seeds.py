"""benchmarks/many_seeds.py, with a toy in place of the notebook."""

import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from common import PROJECT

pytest.importorskip("distributed", reason="requirements-dev.txt is not installed")

import psutil
from distributed import LocalCluster
from provenance import recipe

pytestmark = pytest.mark.slow
RECIPE = "accuracies = [seed / 100 for seed in SEEDS]"
TOY = """
import json, os, pathlib, time
tests = pathlib.Path({folder!r})
with open(tests / "started", "a") as file:
    file.write(f"{{SEEDS[0]}}\\n")
while (tests / f"hold-{{SEEDS[0]}}").exists():
    time.sleep(0.1)
if SEEDS[0] == 10:
    raise OSError("no space left")
if SEEDS[0] == 11:
    os._exit(1)
results = {{
    "dataset": "5,000 of MNIST" if SEEDS[0] == 13 else "MNIST",
    "seeds": SEEDS,
    "train_images": 1,
    "test_images": 1,
    "epochs": 5,
    "models": {{"Hidden layer": {{"test_accuracy": accuracies}}}},
    "techniques": {{"dropout": {{"test_accuracy": [accuracies[0] + 0.01]}}}},
    "checks": {{"the earth is flat": SEEDS[0] != 12, "so is Mars": "skipped"}},
}}
pathlib.Path("artifacts").mkdir()
pathlib.Path("artifacts/results.json").write_text(json.dumps(results))
assert SEEDS[0] != 12
"""


class Runs:
    """Starts many_seeds.py with the toy; knows which seeds were started, and ended."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = []
        self.write_toy(RECIPE)

    def write_toy(self, recipe_source):
        new_cell = nbformat.v4.new_code_cell
        cells = [
            new_cell("SEEDS = [0]", metadata={"tags": ["parameters"]}),
            new_cell(recipe_source, metadata={"tags": ["recipe"]}),
            new_cell(TOY.format(folder=str(self.folder))),
        ]
        self.notebook = nbformat.v4.new_notebook(cells=cells)
        nbformat.write(self.notebook, self.folder / "toy.ipynb")

    def start(self, *options):
        script = PROJECT / "benchmarks" / "many_seeds.py"
        process = psutil.Popen(
            [sys.executable, script, self.folder / "merged.json", *options],
            env=os.environ | {"NOTEBOOK": str(self.folder / "toy.ipynb")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def finish(self, *options):
        """Run it to its end; returns its exit status, and what it printed."""
        process = self.start(*options)
        out, err = process.communicate(timeout=120)
        return process.returncode, out + err

    def started(self):
        file = self.folder / "started"
        return file.read_text().split() if file.exists() else []

    def complete(self):
        folders = self.folder.glob("merged/seed-*[0-9]")
        return sorted(int(folder.name.removeprefix("seed-")) for folder in folders)

    def merged(self):
        return json.loads((self.folder / "merged.json").read_text())


@pytest.fixture
def runs(tmp_path):
    # A job in the background may ignore Ctrl-C, and so would what it starts
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    runs = Runs(tmp_path)
    yield runs
    signal.signal(signal.SIGINT, handler)
    for process in runs.processes:
        if process.poll() is None:
            process.kill()


def wait_until(happened):
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.1)


def kernels(process):
    children = process.children(recursive=True)
    return [child for child in children if "ipykernel" in str(child.cmdline())]


def ended(processes):
    return not psutil.wait_procs(processes, timeout=30)[1]


def test_a_worker_is_killed_then_all_is_stopped_then_it_goes_on(runs, tmp_path):
    for seed in range(4):
        (tmp_path / f"hold-{seed}").touch()
    process = runs.start("--seeds", "0-3")
    wait_until(lambda: len(runs.started()) >= 2)
    everything = [process, *process.children(recursive=True)]
    hosts = set()
    for member in everything:
        for connection in member.net_connections():
            if connection.laddr:
                hosts.add(connection.laddr.ip)
    assert hosts == {"127.0.0.1"}  # whoever reaches a Dask cluster can run code there

    kernel = kernels(process)[0]
    n_started = len(runs.started())
    kernel.parent().kill()
    assert ended([kernel])
    wait_until(lambda: len(runs.started()) > n_started)  # it is run again
    for seed in range(3):
        (tmp_path / f"hold-{seed}").unlink()
    wait_until(lambda: runs.complete() == [0, 1, 2] and kernels(process))

    everything = [process, *process.children(recursive=True)]
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    assert ended(everything)
    assert not (tmp_path / "merged.json").exists()
    (tmp_path / "hold-3").unlink()
    n_started = len(runs.started())
    status, printed = runs.finish("--seeds", "0-3")
    assert status == 0, printed
    assert runs.started()[n_started:] == ["3"]  # the others are complete
    merged = runs.merged()
    assert merged["seeds"] == merged["technique_seeds"] == [0, 1, 2, 3]
    assert merged["provenance"]["recipe"] == recipe(runs.notebook)
    assert {"processor", "keras"} <= merged["ran_on"][0].keys()
    assert merged["ran_on"][0]["TF_NUM_INTRAOP_THREADS"] == "1"
    assert "| Hidden layer | 1.50 ± 2.05 | |" in printed
    assert "| dropout | 2.50 ± 2.05 | +1.00 ± 0.00 |" in printed


def test_on_other_machines_a_stop_ends_the_runs_and_not_the_workers(runs, tmp_path):
    (tmp_path / "hold-0").touch()
    this_process = psutil.Process()
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        options = ["--seeds", "0-3", "--group", "2"]
        options += ["--scheduler", cluster.scheduler_address]
        process = runs.start(*options)
        wait_until(lambda: runs.started() == ["0"])
        (kernel,) = kernels(this_process)
        worker = kernel.parent()
        os.killpg(process.pid, signal.SIGINT)
        assert ended([process, kernel])
        (tmp_path / "hold-0").unlink()
        status, printed = runs.finish(*options)
        assert worker.is_running()
    assert status == 0, printed
    merged = runs.merged()
    assert merged["seeds"] == [0, 1, 2, 3]
    assert merged["technique_seeds"] == [0, 2]
    assert merged["models"]["Hidden layer"]["test_accuracy"] == [0, 0.01, 0.02, 0.03]
    assert merged["techniques"]["dropout"]["test_accuracy"] == [0.01, 0.03]


def test_what_fails_is_named_and_not_merged(runs, tmp_path):
    status, printed = runs.finish("--seeds", "10-13")
    assert status == 1
    assert "seed-10: NOT MERGED, OSError: no space left. " in printed
    assert "seed-11: NOT MERGED, Kernel died" in printed
    assert "seed-13: NOT MERGED, it had 5,000 of MNIST instead of all" in printed
    assert printed.endswith("seed-10, seed-11, seed-13\n")
    assert (tmp_path / "merged/seed-10.failed/run.ipynb").exists()
    assert "\nDoes not hold: the earth is flat (seed-12)" in printed
    merged = runs.merged()
    assert merged["seeds"] == [12]
    assert merged["checked"] == {"the earth is flat": 1}
    assert merged["does_not_hold"] == {"the earth is flat": ["seed-12"]}

    runs.write_toy("accuracies = [seed / 50 for seed in SEEDS]")
    status, printed = runs.finish("--seeds", "10-13")
    assert status == 1
    assert "is of another recipe" in printed
