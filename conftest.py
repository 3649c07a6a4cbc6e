"""Lets pytest run the notebook from any folder, and leave nothing behind in its own."""

import os
import tempfile
from pathlib import Path

from nbval import plugin

RUN_FOLDER = tempfile.TemporaryDirectory(prefix="notebook-")  # gone when pytest ends


class KernelElsewhere(plugin.RunningKernel):
    """The notebook's kernel, in a folder of its own, with what it saves there."""

    def __init__(self, kernel_name, cwd=None, startup_timeout=60):
        super().__init__(kernel_name, RUN_FOLDER.name, startup_timeout)


def pytest_configure(config):
    # nbval looks for this file in the folder that pytest was started in.
    config.option.nbval_sanitize_with = config.rootpath / "tests" / "sanitize.cfg"
    plugin.RunningKernel = KernelElsewhere
    config.run_folder = Path(RUN_FOLDER.name)
    if "MNIST_NPZ" in os.environ:  # may be relative, and the kernel runs elsewhere
        os.environ["MNIST_NPZ"] = str(Path(os.environ["MNIST_NPZ"]).resolve())
