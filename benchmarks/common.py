"""What the scripts here and the tests share: the notebook, its functions, and what is read from its results."""

import contextlib
import io
import os
import sys
import types
from pathlib import Path

import nbformat
import numpy as np
from scipy import stats

PROJECT = Path(__file__).parent.parent
NOTEBOOK = Path(os.environ.get("NOTEBOOK", PROJECT / "Handwritten_Digits_Classifier.ipynb"))  # or a copy with a fault


def load_functions(*more):
    """Run the notebook's settings, imports and functions in a module of their own, and return that.

    These are the cells tagged 'parameters' and 'definitions', without the pictures and summaries that they show. The
    cells with the ids in more are run as well, all in the notebook's order.
    """
    module = types.ModuleType("notebook_functions")
    sys.modules[module.__name__] = module  # dataclasses look their module up there
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if {"parameters", "definitions", cell.id} & {*cell.metadata.get("tags", []), *more}:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(without_pictures(cell), f"{NOTEBOOK.name}, cell {cell.id}", "exec"), vars(module))
    return module


def without_pictures(cell):
    """A cell's code without the pictures that it shows in the end."""
    return cell.source.partition("\n\n\nshow_images(")[0]


def accuracies(results):
    """Test accuracies in % from a results.json: of the models and of the techniques, each name -> (seeds,)."""
    return [{name: 100 * np.array(one["test_accuracy"]) for name, one in results[kind].items()}
            for kind in ("models", "techniques")]


def interval(values):
    """The mean of values and half the width of its 95 % confidence interval, by Student's t; NaN for a single one."""
    n = len(values)
    return np.mean(values), stats.t.ppf(0.975, n - 1) * stats.sem(values) if n > 1 else np.nan
