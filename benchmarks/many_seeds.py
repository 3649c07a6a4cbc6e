"""Run the notebook with many seeds, on all cores or on several machines, and merge what comes of it into one file.

    MNIST_NPZ=path/to/mnist.npz python benchmarks/many_seeds.py thirty_seeds.json

Papermill runs the notebook itself, once for each seed or group of seeds, and Dask hands the runs out. Each run has a
folder of its own, thirty_seeds/seed-7 for instance, with its notebook, its log and its results.json. Start the same
command again after a stop, and it goes on where it was. A run that fails, or that had no more than 5,000 of MNIST, is
kept for a look in a folder that ends in .failed, and not merged. See README.md beside this file for several machines.
"""

import argparse
import contextlib
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dask
import nbformat
import psutil
from common import NOTEBOOK, accuracies, interval
from dask.system import CPU_COUNT
from distributed import (
    CancelledError,
    Client,
    Nanny,
    Scheduler,
    SpecCluster,
    get_worker,
    wait,
)
from tqdm import tqdm

# Papermill in a process of its own, which ends when the worker that started it does, however that ends; the kernel, in
# turn, ends when papermill does.
PAPERMILL = """
import os, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
from papermill.cli import papermill
papermill()
"""


def parameters(seeds):
    return json.dumps({"SEEDS": seeds})


def run(notebook, seeds):
    """On a worker: run a notebook, given as text, with a list of seeds.

    Returns the files that it leaves, name -> bytes, and how it went: status, seconds, and what it ran on.
    """
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS", "1")
    environment = os.environ | dict.fromkeys(
        ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), threads
    )
    if environment.get("MNIST_NPZ"):
        environment["MNIST_NPZ"] = os.path.abspath(
            environment["MNIST_NPZ"]
        )  # the run has a folder of its own
    cpuinfo = (
        Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    )
    processor = re.findall(r"^model name\s*: (.*)", cpuinfo, re.MULTILINE) or [
        platform.processor()
    ]
    versions = {
        one.name: one.version
        for one in importlib.metadata.distributions()
        if re.fullmatch("(tensorflow(.cpu|.macos)?|keras|numpy)", one.name or "")
    }
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(
        dir=get_worker().local_directory
    ) as folder:  # which goes when the worker does
        Path(folder, "run.ipynb").write_text(notebook, encoding="utf-8")
        with (
            open(Path(folder, "log.txt"), "w") as log,
            subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    PAPERMILL,
                    "run.ipynb",
                    "run.ipynb",
                    "-y",
                    parameters(seeds),
                    "--no-progress-bar",
                    "--log-output",
                ],
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            ) as process,
        ):
            process.wait()
        files = {
            name: Path(folder, name).read_bytes()
            for name in ("run.ipynb", "log.txt", "artifacts/results.json")
            if Path(folder, name).exists()
        }
    return files, {
        "status": process.returncode,
        "seconds": round(time.perf_counter() - start),
        "ran_on": {
            "processor": processor[0],
            "threads": int(threads),
            "python": platform.python_version(),
        }
        | versions,
    }


def stop(groups):
    """On a worker: end the runs of some groups of seeds, with their kernels."""
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if {parameters(seeds) for seeds in groups} & set(process.cmdline()):
                process.kill()


def what_came_of(files, status, seeds):
    """Why a run may not be merged, or "", and the statements of the notebook that did not hold in it.

    Such a statement makes the notebook's last cell fail, and is a result like others.
    """
    not_held = []
    try:
        notebook = nbformat.reads(files["run.ipynb"].decode(), as_version=4)
        outputs = [
            (cell.get("id"), output)
            for cell in notebook.cells
            for output in cell.get("outputs", [])
        ]
        errors = [
            (cell, output.ename, output.evalue)
            for cell, output in outputs
            if output.output_type == "error"
        ]
        if "artifacts/results.json" in files:
            results = json.loads(files["artifacts/results.json"])
            not_held = [
                statement
                for statement, result in results["checks"].items()
                if result is False
            ]
        if errors and (errors[0][:2] != ("verdict", "AssertionError") or not not_held):
            return "cell {}: {}: {}".format(*errors[0]), not_held
        if status and not errors:
            return (
                f"status {status}, "
                + files["log.txt"].decode().strip().rpartition("\n")[2]
            ), not_held
        results = json.loads(files["artifacts/results.json"])
    except (ValueError, KeyError) as error:
        return f"it left no results that can be read: {error!r}", []
    if results["dataset"] != "MNIST":
        return f"it had {results['dataset']} instead of all: set MNIST_NPZ", not_held
    return "" if results[
        "seeds"
    ] == seeds else f"it ran the seeds {results['seeds']}", not_held


def code_of(notebook):
    """A short name for the code of a notebook, given as text: runs of different code should not be merged."""
    sources = [
        cell.source
        for cell in nbformat.reads(notebook, as_version=4).cells
        if cell.cell_type == "code"
    ]
    return hashlib.sha256("\n\n".join(sources).encode()).hexdigest()[:12]


def name_of(seeds):
    return f"seed{'s' * (len(seeds) > 1)}-{'-'.join(map(str, seeds))}"


def keep(folder, code, seeds, files, how):
    """Write a run's files into its folder, all at once; returns what was wrong with it, or ""."""
    wrong, not_held = what_came_of(files, how["status"], seeds)
    how = how | {"code": code, "wrong": wrong, "does_not_hold": not_held}
    place, failed, new = (
        folder / (name_of(seeds) + ending) for ending in ("", ".failed", ".new")
    )
    for old in (failed, new):
        shutil.rmtree(old, ignore_errors=True)
    new.mkdir()
    for name, content in (
        files | {"run.json": json.dumps(how, indent=2).encode()}
    ).items():
        (new / Path(name).name).write_bytes(content)
    new.rename(failed if wrong else place)
    return wrong


@contextlib.contextmanager
def connect(options):
    """A Client of the scheduler that options name, or of a cluster on this machine that only this machine reaches."""
    if options.scheduler:
        with Client(options.scheduler) as client:
            yield client
        return
    threads = {"TF_NUM_INTRAOP_THREADS": str(max(1, CPU_COUNT // max(1, options.gpus)))}
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(
        ","
    )  # by a queue, for instance
    cards = (
        given if len(given) >= options.gpus else list(map(str, range(options.gpus)))
    )[: options.gpus]
    environments = [
        threads | {"CUDA_VISIBLE_DEVICES": card, "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        for card in cards
    ]
    environments = environments or [{"CUDA_VISIBLE_DEVICES": "-1"}] * CPU_COUNT
    here = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": "127.0.0.1:0"}
    there = {
        "host": "127.0.0.1",
        "nthreads": 1,
        "memory_limit": 0,
        "silence_logs": logging.WARNING,
    }
    workers = {
        place: {"cls": Nanny, "options": there | {"env": environment}}
        for place, environment in enumerate(environments)
    }
    # A worker may be slow to come back, and a laptop may sleep
    patience = {
        "distributed.deploy.lost-worker-timeout": "10 minutes",
        "distributed.scheduler.worker-ttl": None,
    }
    with (
        dask.config.set(patience),
        SpecCluster(
            workers, {"cls": Scheduler, "options": here}, silence_logs=logging.WARNING
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def executing(dask_worker):
    return [task.key.split()[0] for task in dask_worker.state.executing]


def run_all(client, notebook, code, groups, folder):
    """Run a notebook with each group of seeds and keep what comes of it; returns what was wrong, name -> reason."""
    waiting = {
        name_of(seeds): (
            seeds,
            client.submit(run, notebook, seeds, key=f"{name_of(seeds)} of {code}"),
        )
        for seeds in groups
    }
    wrong = {}
    try:
        with tqdm(total=len(groups), unit="run") as bar:
            while waiting:
                with contextlib.suppress(TimeoutError):
                    wait(
                        [future for _, future in waiting.values()],
                        timeout=5,
                        return_when="FIRST_COMPLETED",
                    )
                for name in [
                    name for name, (_, future) in waiting.items() if future.done()
                ]:
                    seeds, future = waiting.pop(name)
                    error = (
                        future.exception()
                    )  # say, each of several workers died at it
                    reason = (
                        repr(error)
                        if error
                        else keep(folder, code, seeds, *future.result())
                    )
                    if reason:
                        wrong[name] = reason
                        bar.write(f"{name} FAILED: {reason}")
                    bar.update()
                at_work = client.run(executing, on_error="ignore")
                bar.set_postfix_str(
                    "now "
                    + (", ".join(sum(at_work.values(), [])) if at_work else "no worker")
                )
    except BaseException:  # Ctrl-C, for one: no kernel should be left
        with contextlib.suppress(Exception):
            client.cancel([future for _, future in waiting.values()])
            for _ in range(
                2
            ):  # again, if a worker had begun the next one before it learned that it need not
                client.run(stop, groups, on_error="ignore")
                time.sleep(0.5)
        raise
    return wrong


def merge(folder, groups):
    """Merge the runs of some groups of seeds that are complete: a dictionary like results.json, with one more key a
    fact about the runs: of which seeds the techniques are, which statements did not hold, and what they ran on."""
    merged = {
        "dataset": "MNIST",
        "seeds": [],
        "technique_seeds": [],
        "does_not_hold": {},
        "ran_on": [],
    }
    for seeds in groups:
        place = folder / name_of(seeds)
        if not place.exists():
            continue
        results, how = (
            json.loads((place / name).read_text())
            for name in ("results.json", "run.json")
        )
        merged["seeds"] += seeds
        merged["technique_seeds"] += seeds[
            :1
        ]  # which the notebook trains with the first of its seeds
        for kind in ("models", "techniques"):
            for name, one in results[kind].items():
                into = merged.setdefault(kind, {}).setdefault(name, {})
                for key, value in one.items():
                    into[key] = (
                        into.get(key, []) + value if isinstance(value, list) else value
                    )
        merged |= {key: results[key] for key in ("train_images", "test_images")}
        for statement in how["does_not_hold"]:
            merged["does_not_hold"].setdefault(statement, []).append(name_of(seeds))
        if how["ran_on"] not in merged["ran_on"]:
            merged["ran_on"].append(how["ran_on"])
    return merged


def report(merged):
    """A table of what merged runs say, and the statements that did not hold, as text."""
    rows = [
        f"| {len(merged['seeds'])} seeds | test accuracy, % | change, points |\n|---|--:|--:|"
    ]
    models, techniques = accuracies(merged)
    for name, values in (models | techniques).items():
        change = ""
        if name in techniques:
            baseline = models["CNN" if "CNN" in name else "Hidden layer"]
            of_seed = dict(zip(merged["seeds"], baseline))
            change = "{:+.2f} ± {:.2f}".format(
                *interval(
                    values - [of_seed[seed] for seed in merged["technique_seeds"]]
                )
            )
        rows.append(
            "| {} | {:.2f} ± {:.2f} | {} |".format(name, *interval(values), change)
        )
    rows.append("\nBehind ± stands half of a 95 % confidence interval, over seeds.")
    for statement, names in merged["does_not_hold"].items():
        rows.append(f"Does not hold: {statement} ({', '.join(names)})")
    return "\n".join(rows)


def from_to(text):  # 0-29
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "output",
        type=Path,
        help="the file to merge into; the runs' folders lie beside it",
    )
    parser.add_argument(
        "--seeds", type=from_to, default="0-29", help="from-to; default: 0-29"
    )
    parser.add_argument(
        "--group",
        type=int,
        default=1,
        help="seeds a run; statements about several need 2 or more",
    )
    parser.add_argument(
        "--gpus",
        type=int,
        default=0,
        help="a worker for each of so many graphics cards here",
    )
    parser.add_argument(
        "--scheduler",
        help="the address of a Dask cluster, instead of one on this machine",
    )
    options = parser.parse_args()
    if not options.output.suffix or options.group < 1 or not options.seeds:
        parser.error(
            "the output should be named something.json, seeds run upwards, and a group have at least one"
        )

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    notebook = NOTEBOOK.read_text(encoding="utf-8")
    groups = [
        options.seeds[i : i + options.group]
        for i in range(0, len(options.seeds), options.group)
    ]
    folder = options.output.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    code = code_of(notebook)
    if any(
        json.loads(run.read_text())["code"] != code
        for run in folder.glob("seed*[0-9]/run.json")
    ):
        sys.exit(
            f"{folder} holds runs of other code of the notebook. Move it away, or choose another output."
        )
    todo = [seeds for seeds in groups if not (folder / name_of(seeds)).exists()]
    print(f"{len(groups) - len(todo)} of {len(groups)} runs are in {folder} already")
    wrong = {}
    if todo:
        try:
            with connect(options) as client:
                wrong = run_all(client, notebook, code, todo, folder)
        except (KeyboardInterrupt, CancelledError, OSError) as error:
            sys.exit(f"Stopped: {error!r}. The same command goes on from here.")
    merged = merge(folder, groups)
    if merged["seeds"]:
        text = json.dumps(merged, indent=2, ensure_ascii=False)
        text = re.sub(
            r"\[[^][{}]*]", lambda found: " ".join(found[0].split()), text
        )  # a list on a line
        options.output.write_text(text + "\n", encoding="utf-8")
        print(report(merged))
    if wrong:
        sys.exit(
            f"NOT MERGED, see {folder}: "
            + "; ".join(f"{name}, {reason}" for name, reason in wrong.items())
        )


if __name__ == "__main__":
    main()
