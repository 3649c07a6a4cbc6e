"""Run the notebook with many seeds, and merge what comes of it into one record.

    MNIST_NPZ=path/to/mnist.npz python benchmarks/many_seeds.py thirty_seeds.json

Dask hands the runs out, to one worker for each core of this machine or to a cluster of
your own (see README.md beside this file). Each run has a folder, thirty_seeds/seed-7
for instance, with its notebook, its results.json, and run.json, which says how it went.
Stop it with Ctrl-C; the same command goes on where it stopped. A run that fails, or
that had only 5,000 of MNIST, is kept in a folder that ends in .failed, and not merged.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import dask
import nbformat
import provenance
from common import NOTEBOOK, accuracies, interval
from distributed import Client, LocalCluster, as_completed, get_worker
from distributed.diagnostics.plugin import UploadFile
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ONE_THREAD = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


def run(source, seeds, settings=ONE_THREAD):
    """On a worker: run a notebook with a list of seeds.

    source: the notebook as text.
    settings: environment variables of its kernel, beside the worker's own.
    Returns a dictionary: the notebook with its outputs, as text; the results that it
    left, or None; the error that ended it, or ""; seconds; and what it ran on.
    """
    worker = get_worker()
    task = worker.state.tasks[worker.get_current_task()]
    environment = os.environ | settings
    if environment.get("MNIST_NPZ"):  # may be relative, and the kernel runs elsewhere
        environment["MNIST_NPZ"] = os.path.abspath(environment["MNIST_NPZ"])
    notebook = nbformat.reads(source, as_version=4)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source += f"\nSEEDS = {seeds}"
    start = time.perf_counter()
    # The folder goes when the worker does, and so does the kernel
    with tempfile.TemporaryDirectory(dir=worker.local_directory) as folder:
        error = asyncio.run(execute(notebook, folder, environment, task))
        results = None
        results_file = Path(folder, "artifacts", "results.json")
        if results_file.exists():
            results = json.loads(results_file.read_text())
    versions = provenance.versions()
    return {
        "notebook": nbformat.writes(notebook),
        "results": results,
        "error": error,
        "seconds": round(time.perf_counter() - start),
        "ran_on": {"processor": provenance.processor()} | versions | settings,
    }


async def execute(notebook, folder, environment, task):
    """Run a notebook's cells in a folder, as long as a Dask task is wanted.

    Returns the error that ended it, or "".
    """
    client = NotebookClient(
        notebook,
        resources={"metadata": {"path": folder}},
        shutdown_kernel="immediate",
    )
    execution = asyncio.create_task(client.async_execute(env=environment))
    while not execution.done():
        await asyncio.wait([execution], timeout=1)
        if task.state == "cancelled":  # whoever asked for it has stopped, or is gone
            execution.cancel()
    if execution.cancelled():
        return "it was stopped"
    error = execution.exception()
    if isinstance(error, CellExecutionError):
        error = f"{error.ename}: {error.evalue}"
    return str(error or "")


def failed_statements(results):
    """The statements of the notebook that did not hold in a run."""
    checks = results["checks"]
    return [statement for statement in checks if checks[statement] is False]


def reason_not_to_merge(outcome, seeds):
    """Why the outcome of a run, as run returns it, may not be merged, or "".

    A statement that does not hold ends the notebook with an error in its last cell,
    after it has written its results. It is a result like others.
    """
    results = outcome["results"]
    if results is None:
        return outcome["error"] or "it left no results"
    if outcome["error"] and not failed_statements(results):
        return outcome["error"]
    if results["dataset"] != "MNIST":
        return f"it had {results['dataset']} instead of all: set MNIST_NPZ"
    if results["seeds"] != seeds:
        return f"it ran the seeds {results['seeds']}"
    return ""


def name_of(seeds):
    """The name of a run's folder, such as seed-7 or seeds-6-7-8."""
    numbers = "-".join(str(seed) for seed in seeds)
    return f"seed-{numbers}" if len(seeds) == 1 else f"seeds-{numbers}"


def keep(folder, recipe, seeds, outcome):
    """Write a run's files into its folder, all at once.

    Returns why it may not be merged, or "".
    """
    reason = reason_not_to_merge(outcome, seeds)
    facts = {"recipe": recipe, "reason": reason}
    facts |= {"seconds": outcome["seconds"], "ran_on": outcome["ran_on"]}
    place = folder / name_of(seeds)
    failed = folder / f"{place.name}.failed"
    unfinished = folder / f"{place.name}.unfinished"
    for old in [failed, unfinished]:
        shutil.rmtree(old, ignore_errors=True)
    unfinished.mkdir()
    (unfinished / "run.ipynb").write_text(outcome["notebook"], encoding="utf-8")
    (unfinished / "results.json").write_text(to_json(outcome["results"]))
    (unfinished / "run.json").write_text(to_json(facts))
    unfinished.rename(failed if reason else place)
    return reason


@contextlib.contextmanager
def connect(address=None):
    """A client of the scheduler at an address or of a cluster on this machine."""
    if address:
        with Client(address) as client:
            client.register_plugin(UploadFile(provenance.__file__))
            yield client
        return
    # A worker may be slow to come back, and a laptop may sleep
    patience = {
        "distributed.deploy.lost-worker-timeout": "10 minutes",
        "distributed.scheduler.worker-ttl": None,
    }
    with (
        dask.config.set(patience),
        LocalCluster(  # which no other machine can reach
            threads_per_worker=1,  # and as many workers as there are cores
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def run_all(client, source, recipe, groups, folder):
    """Run a notebook with each group of seeds, and keep what comes of it.

    Returns why runs may not be merged, a dictionary, name -> reason.
    """
    seeds_of = {}
    for seeds in groups:
        seeds_of[client.submit(run, source, seeds, pure=False)] = seeds
    reasons = {}
    start = time.perf_counter()
    for n_done, future in enumerate(as_completed(seeds_of), start=1):
        seeds = seeds_of[future]
        if future.status == "finished":
            reason = keep(folder, recipe, seeds, future.result())
        else:  # say, several workers died at it
            reason = repr(future.exception())
        if reason:
            reasons[name_of(seeds)] = reason
        minutes = (time.perf_counter() - start) / 60
        n_left = len(groups) - n_done
        print(
            f"{name_of(seeds)}: {'NOT MERGED, ' + reason if reason else 'done'}. "
            f"{n_left} left, about {n_left * minutes / n_done:.0f} minutes",
            flush=True,
        )
    return reasons


def merge(folder, groups, notebook):
    """Merge the complete runs of groups of seeds: a dictionary like results.json.

    It has more keys: where the runs come from and what they ran on, of which seeds the
    techniques are, in how many runs each statement was checked, and in which not held.
    """
    merged = {
        "provenance": provenance.provenance(notebook),
        "ran_on": [],
        "seeds": [],
        "technique_seeds": [],
        "checked": {},
        "does_not_hold": {},
        "models": {},
        "techniques": {},
    }
    for seeds in groups:
        place = folder / name_of(seeds)
        if not place.exists():
            continue
        results = json.loads((place / "results.json").read_text())
        ran_on = json.loads((place / "run.json").read_text())["ran_on"]
        if ran_on not in merged["ran_on"]:
            merged["ran_on"].append(ran_on)
        merged["seeds"] += seeds
        merged["technique_seeds"].append(seeds[0])  # the notebook trains only these
        for key in ["dataset", "train_images", "test_images", "epochs"]:
            merged[key] = results[key]
        for kind in ["models", "techniques"]:
            for name, measured in results[kind].items():
                all_measured = merged[kind].setdefault(name, {})
                for key, values in measured.items():
                    all_measured.setdefault(key, []).extend(values)
        for statement, holds in results["checks"].items():
            if isinstance(holds, bool):
                merged["checked"].setdefault(statement, 0)
                merged["checked"][statement] += 1
        for statement in failed_statements(results):
            merged["does_not_hold"].setdefault(statement, []).append(place.name)
    return merged


def to_json(record):
    """A record as JSON, each list of numbers or words on a line."""
    text = json.dumps(record, indent=2, ensure_ascii=False)
    return re.sub(r"\[[^][{}]*\]", lambda found: " ".join(found[0].split()), text)


def report(merged):
    """A table of what merged runs say, and the statements that did not hold."""
    models, techniques = accuracies(merged)
    lines = [
        f"| {len(merged['seeds'])} seeds | test accuracy, % | change, points |",
        "|---|--:|--:|",
    ]
    for name, values in models.items():
        mean, half_width = interval(values)
        lines.append(f"| {name} | {mean:.2f} ± {half_width:.2f} | |")
    places = [merged["seeds"].index(seed) for seed in merged["technique_seeds"]]
    for name, values in techniques.items():
        baseline = models["CNN" if "CNN" in name else "Hidden layer"][places]
        mean, half_width = interval(values)
        change, change_half_width = interval(values - baseline)
        lines.append(
            f"| {name} | {mean:.2f} ± {half_width:.2f} "
            f"| {change:+.2f} ± {change_half_width:.2f} |"
        )
    lines.append("\nAfter ± stands half of a 95 % confidence interval, over seeds.")
    for statement, names in merged["does_not_hold"].items():
        lines.append(f"Does not hold: {statement} ({', '.join(names)})")
    return "\n".join(lines)


def from_to(text):
    """The seeds that a text such as 0-29 or 7 names."""
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def read_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path, help="the record; the runs lie beside it")
    parser.add_argument("--seeds", type=from_to, default="0-29", help="default: 0-29")
    parser.add_argument("--group", type=int, default=1, help="seeds a run; default: 1")
    parser.add_argument("--scheduler", help="of a Dask cluster, instead of one here")
    options = parser.parse_args()
    if not options.output.suffix or options.group < 1 or not options.seeds:
        parser.error("name the output something.json, and at least one seed a run")
    return options


def main():
    options = read_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Terminated."))
    source = NOTEBOOK.read_text(encoding="utf-8")
    notebook = nbformat.reads(source, as_version=4)
    recipe = provenance.recipe(notebook)
    groups = []
    for i in range(0, len(options.seeds), options.group):
        groups.append(options.seeds[i : i + options.group])
    folder = options.output.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    for facts in folder.glob("*/run.json"):
        if json.loads(facts.read_text())["recipe"] != recipe:
            sys.exit(f"{facts.parent} is of another recipe: move {folder} away.")
    missing = [seeds for seeds in groups if not (folder / name_of(seeds)).exists()]
    print(f"{len(groups) - len(missing)} of {len(groups)} runs are in {folder} already")
    reasons = {}
    if missing:
        try:
            with connect(options.scheduler) as client:
                reasons = run_all(client, source, recipe, missing, folder)
        except KeyboardInterrupt:
            sys.exit("Stopped. The same command goes on from here.")
    merged = merge(folder, groups, notebook)
    if merged["seeds"]:
        options.output.write_text(to_json(merged) + "\n", encoding="utf-8")
        print(report(merged))
    if reasons:
        sys.exit(f"Not merged, see {folder}: {', '.join(sorted(reasons))}")


if __name__ == "__main__":
    main()
