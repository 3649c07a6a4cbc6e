"""Seeds by the dozen: benchmarks/many_seeds.py, on real clusters, with a toy in place of the notebook."""

import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from common import PROJECT

pytest.importorskip("distributed", reason="requirements-dev.txt is not installed")
pytestmark = pytest.mark.slow
TOY = """
import json, os, pathlib, time
seed = SEEDS[0]
with open({started!r}, "a") as file:
    file.write(f"{{seed}}\\n")
pathlib.Path({started!r} + "-on-card-" + os.environ["CUDA_VISIBLE_DEVICES"]).touch()
time.sleep({seconds})
if seed == 12:
    raise OSError("no space left")
if seed == 14:
    os._exit(1)
pathlib.Path("artifacts").mkdir()
one = {{"test_accuracy": [s / 100 for s in SEEDS]}}
results = {{"dataset": "5,000 of MNIST" if seed == 18 else "MNIST", "seeds": SEEDS, "train_images": 1, "test_images": 1,
           "checks": {{"the earth is flat": seed != 16}},
           "models": {{"Hidden layer": one}}, "techniques": {{"dropout": {{"test_accuracy": [seed / 100 + 0.01]}}}}}}
pathlib.Path("artifacts/results.json").write_text(json.dumps(results))
"""
VERDICT = "if seed == 16:\n    raise AssertionError"


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts many_seeds.py with a notebook that does next to nothing, in so many seconds."""
    monkeypatch.setenv("NOTEBOOK", str(tmp_path / "toy.ipynb"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def start(*options, seconds=0):
        cells = [
            nbformat.v4.new_code_cell("SEEDS = [0]", metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell(
                TOY.format(started=str(tmp_path / "started"), seconds=seconds), id="toy"
            ),
            nbformat.v4.new_code_cell(VERDICT, id="verdict"),
        ]
        metadata = {
            "kernelspec": {
                "name": "python3",
                "display_name": "Python 3",
                "language": "python",
            }
        }
        nbformat.write(
            nbformat.v4.new_notebook(cells=cells, metadata=metadata),
            tmp_path / "toy.ipynb",
        )
        processes.append(
            subprocess.Popen(
                [
                    sys.executable,
                    PROJECT / "benchmarks/many_seeds.py",
                    tmp_path / "merged.json",
                    *options,
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        return processes[-1]

    processes = []
    handler = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a job in the background may ignore Ctrl-C
    yield start
    signal.signal(signal.SIGINT, handler)
    for process in processes:
        process.kill()


def numbers(path):
    return list(map(int, path.read_text().split())) if path.exists() else []


def wait_until(happened, seconds=120):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.1)


def papermills(process):
    return [
        one
        for one in process.children(recursive=True)
        if "papermill" in str(one.cmdline())
    ]


def complete(folder):
    return {int(run.name[5:]) for run in folder.glob("merged/seed-*[0-9]")}


def test_a_worker_is_killed_and_all_is_stopped_and_started_again_here_and_elsewhere(
    start, tmp_path
):
    from distributed import LocalCluster

    seeds, started = ("--seeds", "0-9"), tmp_path / "started"
    running = start(*seeds, seconds=6)
    process = psutil.Process(running.pid)
    wait_until(lambda: len(numbers(started)) >= 2)
    everything = [process, *process.children(recursive=True)]
    hosts = {
        each.laddr.ip
        for one in everything
        for each in one.net_connections()
        if each.laddr
    }
    assert hosts == {"127.0.0.1"}  # whoever reaches a Dask cluster can run code there
    worker = papermills(process)[0].parent()
    orphans = worker.children(recursive=True)
    worker.kill()
    assert not psutil.wait_procs(orphans, timeout=4)[
        1
    ]  # before they would have ended by themselves
    wait_until(lambda: len(complete(tmp_path)) >= 3 and len(numbers(started)) >= 6)
    everything = [process, *process.children(recursive=True)]
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    assert not psutil.wait_procs(everything, timeout=40)[1]

    with LocalCluster(
        n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        elsewhere, before = (
            (*seeds, "--scheduler", cluster.scheduler_address),
            len(numbers(started)),
        )
        running = start(*elsewhere, seconds=6)
        wait_until(lambda: len(numbers(started)) > before)
        os.killpg(
            running.pid, signal.SIGINT
        )  # the worker lives on, but not what it was at
        assert running.wait(20)
        wait_until(lambda: not papermills(psutil.Process()), 10)
        done, before = complete(tmp_path), len(numbers(started))
        assert 3 <= len(done) < 10 and not (tmp_path / "merged.json").exists()
        running = start(*elsewhere, seconds=6)
        out, err = running.communicate(timeout=180)
    assert running.returncode == 0, err
    assert sorted(numbers(started)[before:]) == sorted(
        set(range(10)) - done
    )  # what is complete is not run again
    merged = json.loads((tmp_path / "merged.json").read_text())
    assert merged["seeds"] == merged["technique_seeds"] == list(range(10))
    assert (
        "| Hidden layer | 4.50 ± 2.17 |  |" in out
        and "| dropout | 5.50 ± 2.17 | +1.00 ± 0.00 |" in out
    )
    assert merged["ran_on"][0]["threads"] == 1 and {"processor", "keras"} <= set(
        merged["ran_on"][0]
    )
    assert (
        "holds runs of other code"
        in start(*seeds, seconds=1).communicate(timeout=60)[1]
    )


def test_what_fails_is_named_and_not_merged_and_each_worker_has_its_card(
    start, tmp_path
):
    process = start("--seeds", "10-19", "--group", "2", "--gpus", "2", seconds=2)
    out, err = process.communicate(timeout=120)
    merged = json.loads((tmp_path / "merged.json").read_text())
    assert merged["seeds"] == [10, 11, 16, 17] and merged["technique_seeds"] == [10, 16]
    assert {path.name[-1] for path in tmp_path.glob("started-on-card-*")} == {"0", "1"}
    assert merged["does_not_hold"] == {"the earth is flat": ["seeds-16-17"]}
    assert (
        "Does not hold: the earth is flat (seeds-16-17)" in out
        and process.returncode == 1
    )
    for seeds, reason in {
        "12-13": "OSError: no space left",
        "14-15": "Kernel died",
        "18-19": "5,000 of MNIST",
    }.items():
        assert f"seeds-{seeds}, " in err.splitlines()[-1] and reason in err
        assert (tmp_path / f"merged/seeds-{seeds}.failed/run.ipynb").exists()
