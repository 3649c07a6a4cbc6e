"""Seeds by the dozen: benchmarks/many_seeds.py, on real clusters, mostly with a toy in place of the notebook."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from common import NOTEBOOK, PROJECT
from conftest import without_mnist

json_load_robust = pytest.importorskip(
    "distributed.utils", reason="requirements-dev.txt is not installed").json_load_robust
pytestmark = pytest.mark.slow

TOY = """
import json, os, pathlib, time
seed = SEEDS[0]
with open({started!r}, "a") as file:
    file.write(f"{{seed}}\\n")
time.sleep({seconds})
if seed == 11:
    raise OSError("no space left")
if seed == 12:
    os._exit(1)
pathlib.Path("artifacts").mkdir()
one = {{"test_accuracy": [s / 100 for s in SEEDS], "parameters": 1, "device": [os.environ.get("CUDA_VISIBLE_DEVICES")]}}
results = {{"dataset": "5,000 of MNIST" if seed == 13 else "MNIST", "seeds": SEEDS, "train_images": 1, "test_images": 1,
           "models": {{"Hidden layer": one}}, "techniques": {{"dropout": {{"test_accuracy": [seed / 100 + 0.01]}}}}}}
pathlib.Path("artifacts/results.json").write_text(json.dumps(results))
"""
VERDICT = """
if seed == 14:
    print("FAILS: the earth is flat")
    raise AssertionError("something does not hold")
"""


@pytest.fixture
def toy(tmp_path):
    """A notebook that does next to nothing: makes it, given its seconds, and returns the command that runs it."""
    def make(seconds):
        cells = [nbformat.v4.new_code_cell("SEEDS = [0]", metadata={"tags": ["parameters"]}),
                 nbformat.v4.new_code_cell(TOY.format(started=str(tmp_path / "started"), seconds=seconds)),
                 nbformat.v4.new_code_cell(VERDICT, id="verdict")]
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), tmp_path / "toy.ipynb")

        def command(*options, output="merged.json"):
            return {"args": [sys.executable, PROJECT / "benchmarks/many_seeds.py", tmp_path / output, *options],
                    "env": os.environ | {"NOTEBOOK": str(tmp_path / "toy.ipynb")}, "text": True}
        return command
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background may ignore Ctrl-C
    yield make
    signal.signal(signal.SIGINT, handler)


def lines(path):
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def wait_until(happened, seconds=120):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_worker_is_killed_then_all_is_stopped_and_started_again(toy, tmp_path):
    command = toy(seconds=6)("--seeds", "0-7")
    started, folder = tmp_path / "started", tmp_path / "merged"
    process = psutil.Process(subprocess.Popen(**command, start_new_session=True).pid)
    try:
        wait_until(lambda: len(lines(started)) >= 2)
        everything = process.children(recursive=True)
        hosts = {each.laddr.ip for one in [process, *everything] for each in one.net_connections() if each.laddr}
        assert hosts == {"127.0.0.1"}  # whoever reaches a Dask cluster can run code there
        worker = next(one for one in everything if any("papermill" in " ".join(c.cmdline()) for c in one.children()))
        orphans = worker.children(recursive=True)
        worker.kill()
        assert not psutil.wait_procs(orphans, timeout=4)[1]  # before they would have ended by themselves

        wait_until(lambda: len(list(folder.glob("seed-*[0-9]/results.json"))) >= 3 and len(lines(started)) >= 6)
        everything = process.children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        assert not psutil.wait_procs([process, *everything], timeout=40)[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    complete = {int(run.name[5:]) for run in folder.glob("seed-*[0-9]")}
    assert 3 <= len(complete) < 8 and not (tmp_path / "merged.json").exists()
    before = lines(started)

    again = subprocess.run(**command, capture_output=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert sorted(lines(started)[len(before):]) == sorted(set(range(8)) - complete)  # what is complete is not run again
    merged = json.loads((tmp_path / "merged.json").read_text())
    assert merged["seeds"] == merged["technique_seeds"] == list(range(8))
    assert merged["models"]["Hidden layer"]["test_accuracy"] == [seed / 100 for seed in range(8)]
    assert merged["models"]["Hidden layer"]["parameters"] == 1
    assert "| Hidden layer | 3.50 ± 2.05 |  |" in again.stdout
    assert "| dropout | 4.50 ± 2.05 | +1.00 ± 0.00 |" in again.stdout
    assert merged["ran_on"][0]["threads"] == 1 and {"processor", "keras"} <= set(merged["ran_on"][0])

    other = toy(seconds=1)("--seeds", "0-7")  # other code
    refused = subprocess.run(**other, capture_output=True, timeout=60)
    assert refused.returncode and "holds runs of other code" in refused.stderr


def test_what_fails_is_named_and_kept_and_not_merged(toy, tmp_path):
    ran = subprocess.run(**toy(seconds=0)("--seeds", "10-14"), capture_output=True, timeout=120)
    assert ran.returncode == 1
    merged = json.loads((tmp_path / "merged.json").read_text())
    assert merged["seeds"] == [10, 14] and merged["does_not_hold"] == {"the earth is flat": ["seed-14"]}
    assert "Does not hold: the earth is flat (seed-14)" in ran.stdout
    for seed, reason in {11: "OSError: no space left", 12: "Kernel died", 13: "it had 5,000 of MNIST"}.items():
        assert f"seed-{seed}, " in ran.stderr.splitlines()[-1] and reason in ran.stderr
        assert (tmp_path / f"merged/seed-{seed}.failed/run.ipynb").exists()


def test_each_worker_sees_the_graphics_card_that_it_was_given(toy, tmp_path):
    ran = subprocess.run(**toy(seconds=2)("--seeds", "0-3", "--group", "2", "--gpus", "2"), capture_output=True,
                         timeout=120)
    assert ran.returncode == 0, ran.stderr
    merged = json.loads((tmp_path / "merged.json").read_text())
    assert sorted(merged["models"]["Hidden layer"]["device"]) == ["0", "1"] and merged["technique_seeds"] == [0, 2]


def test_another_cluster_over_tls(toy, tmp_path):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    tls = ["--tls-ca-file", cert, "--tls-cert", cert, "--tls-key", key]
    here = ["--dashboard-address", "127.0.0.1:0", *tls]
    with contextlib.ExitStack() as stack:
        def start(*command):
            command = [sys.executable, "-m", "dask", *command, *here]
            process = stack.enter_context(subprocess.Popen(command, cwd=tmp_path))
            stack.callback(process.terminate)
            return psutil.Process(process.pid)

        start("scheduler", "--host", "tls://127.0.0.1", "--port", "0", "--scheduler-file", "scheduler.json")
        address = json_load_robust(tmp_path / "scheduler.json", timeout=60)["address"]
        worker = start("worker", address, "--nthreads", "1")
        ran = subprocess.run(**toy(seconds=0)("--seeds", "0-1", "--scheduler", address, *tls), capture_output=True,
                             timeout=120)
        (tmp_path / "started").unlink()
        command = toy(seconds=30)("--seeds", "2-3", "--scheduler", address, *tls, output="other.json")
        stopped = subprocess.Popen(**command)
        wait_until(lambda: lines(tmp_path / "started"))
        stopped.send_signal(signal.SIGINT)  # the workers live on, but not what they were at
        assert stopped.wait(20)
        wait_until(lambda: not any("papermill" in str(one.cmdline()) for one in worker.children(recursive=True)), 10)
    assert address.startswith("tls://127.0.0.1") and ran.returncode == 0, ran.stderr
    assert json.loads((tmp_path / "merged.json").read_text())["seeds"] == [0, 1]


def test_a_run_of_5000_digits_is_refused(tmp_path, monkeypatch):
    without_mnist(monkeypatch, tmp_path)
    monkeypatch.setenv("NOTEBOOK", str(NOTEBOOK))
    command = [sys.executable, PROJECT / "benchmarks/many_seeds.py", tmp_path / "merged.json", "--seeds", "0-0"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 1 and "seed-0, it had 5,000 of MNIST instead of all" in ran.stderr
    assert not (tmp_path / "merged.json").exists()
    assert json.loads((tmp_path / "merged/seed-0.failed/results.json").read_text())["seeds"] == [0]
