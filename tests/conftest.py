"""What the tests share: the notebook, and its functions, loaded from it."""

import sys
import types
from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parent.parent / "Handwritten_Digits_Classifier.ipynb"


def load_functions(*more):
    """Run the notebook's settings, imports and functions in a module of their own, and return that.

    These are the cells tagged 'parameters' and 'definitions'. The cells with the ids in more are run as well,
    all in the notebook's order.
    """
    module = types.ModuleType("notebook_functions")
    sys.modules[module.__name__] = module  # dataclasses look their module up there
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if {"parameters", "definitions", cell.id} & {*cell.metadata.get("tags", []), *more}:
            exec(compile(cell.source, f"{NOTEBOOK.name}, cell {cell.id}", "exec"), vars(module))
    return module


@pytest.fixture(scope="session")
def notebook():
    """The notebook as committed, a NotebookNode."""
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="session")
def functions():
    """A module with the notebook's functions."""
    return load_functions()
