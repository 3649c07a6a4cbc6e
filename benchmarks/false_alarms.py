"""Do statements of the notebook fail where nothing is broken?

    export MNIST_NPZ=path/to/mnist.npz
    python benchmarks/many_seeds.py benchmarks/false_alarms.json --seeds 60-89 --group 3
    python benchmarks/false_alarms.py
    python benchmarks/false_alarms.py --ranges

The first command runs the notebook with seeds that no range was drawn on. The second
runs it with other threads, without oneDNN, which computes convolutions in another
order, and on 5,000 of MNIST; it takes half an hour on two cores, a run on each. The
third prints the ranges of test accuracy that the notebook announces.
"""

import json
import math
import sys

import nbformat
import numpy as np
from common import NOTEBOOK, PROJECT, accuracies
from many_seeds import ONE_THREAD, connect, failed_statements, run
from provenance import provenance

SEEDS = [90, 91, 92]
DATASETS = {  # environment variables that lead to each
    "MNIST": {},
    "5,000 of MNIST": {  # no file, an empty cache, and a network that refuses
        "MNIST_NPZ": "",
        "KERAS_HOME": "keras",
        "https_proxy": "http://127.0.0.1:9",
    },
}
SETTINGS = {
    "one thread": ONE_THREAD,
    "two threads": dict.fromkeys(ONE_THREAD, "2"),
    "without oneDNN": ONE_THREAD | {"TF_ENABLE_ONEDNN_OPTS": "0"},
}


def count_statements(outcome):
    """How many statements held in a run, and which failed, as two columns of a table.

    outcome: as many_seeds.run returns it.
    """
    if outcome["results"] is None:
        return f"| 0 | {outcome['error']} |"
    n_held = list(outcome["results"]["checks"].values()).count(True)
    failed = failed_statements(outcome["results"])
    return f"| {n_held} | {'; '.join(failed) or 'none'} |"


def ranges(record):
    """Where each model's mean accuracy is announced to lie, in %: name -> (low, high).

    That is its mean over the recorded seeds, less and plus three of their standard
    deviations, rounded outwards to a tenth.
    """
    found = {}
    for name, values in accuracies(record)[0].items():
        margin = 3 * np.std(values, ddof=1)
        low = math.floor(10 * (values.mean() - margin)) / 10
        high = math.ceil(10 * (values.mean() + margin)) / 10
        found[name] = (low, high)
    return found


def main():
    source = NOTEBOOK.read_text(encoding="utf-8")
    origin = provenance(nbformat.reads(source, as_version=4))
    print(f"Seeds {SEEDS}. {json.dumps(origin)}\n")
    print("| dataset | run | statements that hold | that fail |\n|---|---|--:|---|")
    futures = {}
    with connect() as client:
        for dataset, variables in DATASETS.items():
            for name, settings in SETTINGS.items():
                text = source
                if name == "without oneDNN":  # which the notebook asks for
                    text = source.replace("TF_ENABLE_ONEDNN_OPTS", "UNUSED")
                futures[dataset, name] = client.submit(
                    run, text, SEEDS, variables | settings, pure=False
                )
        for (dataset, name), future in futures.items():
            columns = count_statements(future.result())
            print(f"| {dataset} | {name} {columns}", flush=True)


if __name__ == "__main__":
    if "--ranges" in sys.argv:
        record = json.loads((PROJECT / "benchmarks/thirty_seeds.json").read_text())
        for name, (low, high) in ranges(record).items():
            print(f"{name}: {low:.1f} to {high:.1f} %")
    else:
        main()
