"""Does the check stay silent where nothing is broken? Prints a table. (For other seeds, see many_seeds.py.)

Re-runs the notebook as pytest does, on MNIST and on 5,000 of it, with one and two threads, and without oneDNN, which
computes convolutions in another order. Command: MNIST_NPZ=path/to/mnist.npz python benchmarks/false_alarms.py
"""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

from common import NOTEBOOK, PROJECT

VARIANTS = {
    f"{n} thread{'s' * (n > 1)}": {
        "TF_NUM_INTRAOP_THREADS": str(n),
        "OMP_NUM_THREADS": str(n),
    }
    for n in (1, 2)
}
VARIANTS["without oneDNN"] = {"TF_ENABLE_ONEDNN_OPTS": "0"}
WITHOUT_MNIST = {
    "MNIST_NPZ": "",
    "https_proxy": "http://127.0.0.1:9",
}  # nothing listens there


def check(environment):
    """Run the check on a copy of the notebook; what was wrong, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        if "MNIST_NPZ" in environment:
            environment = environment | {"KERAS_HOME": folder}
        shutil.copy(NOTEBOOK, folder)
        pytest = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "--nbval",
                "--nbval-current-env",
                "--nbval-cell-timeout=1800",
                f"--nbval-sanitize-with={PROJECT / 'tests/sanitize.cfg'}",
                "-p",
                "no:cacheprovider",
                "--color=no",
                NOTEBOOK.name,
            ],
            cwd=folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )
    if pytest.returncode == 0:
        return ""
    reasons = re.findall(
        r"^\w*Error: .*|^.*mismatch .*",
        re.sub(r"\x1b\[[\d;]*m", "", pytest.stdout),
        re.MULTILINE,
    )
    return "; ".join(reasons) or " ".join(pytest.stdout[-500:].split())


if __name__ == "__main__":
    if not os.path.isfile(os.environ.get("MNIST_NPZ", "")):
        sys.exit("Set MNIST_NPZ to your mnist.npz.")
    os.environ["MNIST_NPZ"] = os.path.abspath(os.environ["MNIST_NPZ"])
    versions = [
        f"{name} {importlib.metadata.version(name)}"
        for name in ("tensorflow", "keras", "numpy")
    ]
    print(
        f"Python {platform.python_version()}, {', '.join(versions)}:\n\n| dataset | run | check |"
    )
    print("|---|---|---|", flush=True)
    failed = 0
    for dataset, environment in {"MNIST": {}, "5,000 of MNIST": WITHOUT_MNIST}.items():
        for name, variant in VARIANTS.items():
            wrong = check(environment | variant)
            failed += bool(wrong)
            print(f"| {dataset} | {name} | {wrong or 'passed'} |", flush=True)
    sys.exit(failed)
