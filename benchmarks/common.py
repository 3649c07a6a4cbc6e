"""What the scripts here share: the notebook's functions, and reading its results."""

import ast
import contextlib
import io
import json
import os
import sys
import types
from pathlib import Path

import nbformat
import numpy as np
from provenance import recipe
from scipy import stats

PROJECT = Path(__file__).parent.parent
# The notebook, or a copy of it in which a test has planted a fault
NOTEBOOK = Path(
    os.environ.get("NOTEBOOK", PROJECT / "Handwritten_Digits_Classifier.ipynb")
)


def load_functions(*more, **settings):
    """Run the notebook's imports and settings and define its functions in a new module.

    more: ids of cells that are run whole, in the notebook's order, such as "load".
    settings: values in place of those in the cell of parameters, such as EPOCHS=1.
    """
    module = types.ModuleType("notebook_functions")
    sys.modules[module.__name__] = module
    # A default argument; the cell "learning-rate" gives it a value
    module.warm_up_and_decay = None
    run_cells(module, "imports", "parameters")
    vars(module).update(settings)
    whole = {"settings", *more}
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.id in whole:
            run_cells(module, cell.id)
        elif "definitions" in cell.metadata.get("tags", []):
            run_cells(module, cell.id, only_functions=True)
    return module


def run_cells(module, *ids, only_functions=False):
    """Run cells of the notebook in a module, without what they print."""
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.id in ids:
            lines = cell.source.splitlines()
            code = "\n".join(line for line in lines if not line.startswith("%"))
            tree = ast.parse(code, f"{NOTEBOOK.name}, cell {cell.id}")
            if only_functions:
                tree.body = [
                    node for node in tree.body if isinstance(node, ast.FunctionDef)
                ]
            with contextlib.redirect_stdout(io.StringIO()):
                exec(
                    compile(tree, f"{NOTEBOOK.name}, cell {cell.id}", "exec"),
                    vars(module),
                )


def predict(model, images):
    """The digits that a model reads in images (n, 28, 28), 0 to 1: (n,)."""
    x = np.asarray(images).reshape(-1, *model.input_shape[1:])
    return model.predict(x, verbose=0).argmax(axis=1)


def last_run(project):
    """What a project's artifacts/results.json holds; exits if it is of other code."""
    results = json.loads((project / "artifacts/results.json").read_text())
    now = recipe(nbformat.read(NOTEBOOK, as_version=4))
    if (results["dataset"], results.get("recipe")) != ("MNIST", now):
        sys.exit("artifacts/ is not of this notebook on MNIST: run it, by the README.")
    return results


def accuracies(results):
    """Test accuracies in % from a results.json, of the models and of the techniques.

    Each is a dictionary, name -> (seeds,).
    """
    found = []
    for kind in ("models", "techniques"):
        by_name = {}
        for name, values in results[kind].items():
            by_name[name] = 100 * np.array(values["test_accuracy"])
        found.append(by_name)
    return found


def interval(values):
    """The mean of values, and half of its 95 % confidence interval by Student's t.

    The half is NaN for a single value.
    """
    n = len(values)
    half_width = np.nan
    if n > 1:
        half_width = stats.t.ppf(0.975, n - 1) * stats.sem(values)
    return np.mean(values), half_width
