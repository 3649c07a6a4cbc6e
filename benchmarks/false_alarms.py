"""Does the check stay silent where nothing is broken? Prints a table, on whatever dataset the notebook finds.

Re-runs the notebook as pytest does, with one and two threads, and without oneDNN, which computes convolutions in
another order. (For other seeds, see many_seeds.py.) Command: python benchmarks/false_alarms.py
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from common import NOTEBOOK, PROJECT

VARIANTS = {f"{n} thread{'s' * (n > 1)}": {"TF_NUM_INTRAOP_THREADS": str(n), "OMP_NUM_THREADS": str(n)} for n in (1, 2)}
VARIANTS["without oneDNN"] = {"TF_ENABLE_ONEDNN_OPTS": "0"}


def check(environment):
    """Run the check on a copy of the notebook; what was wrong, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(NOTEBOOK, folder)
        pytest = subprocess.run(
            [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "--nbval-cell-timeout=1800",
             f"--nbval-sanitize-with={PROJECT / 'tests/sanitize.cfg'}",
             "-p", "no:cacheprovider", "--color=no", NOTEBOOK.name],
            cwd=folder, env=os.environ | environment, capture_output=True, text=True)
    if pytest.returncode == 0:
        return ""
    reasons = re.findall(r"^\w*Error: .*|^.*mismatch .*", re.sub(r"\x1b\[[\d;]*m", "", pytest.stdout), re.MULTILINE)
    return "; ".join(reasons) or " ".join(pytest.stdout[-500:].split())


if __name__ == "__main__":
    print("| run | check | seconds |\n|---|---|--:|", flush=True)
    failed = 0
    for name, variant in VARIANTS.items():
        start = time.perf_counter()
        wrong = check(variant)
        failed += bool(wrong)
        print(f"| {name} | {wrong or 'passed'} | {time.perf_counter() - start:.0f} |", flush=True)
    sys.exit(failed)
