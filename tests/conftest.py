"""What the tests share: the notebook, and its functions, loaded from it."""

import os
import sys
import types
from pathlib import Path

import nbformat
import pytest

PROJECT = Path(__file__).parent.parent
NOTEBOOK = Path(os.environ.get("NOTEBOOK", PROJECT / "Handwritten_Digits_Classifier.ipynb"))  # or a copy with a fault


def load_functions(*more):
    """Run the notebook's settings, imports and functions in a module of their own, and return that.

    These are the cells tagged 'parameters' and 'definitions', without the pictures that they show. The cells with the
    ids in more are run as well, all in the notebook's order.
    """
    module = types.ModuleType("notebook_functions")
    sys.modules[module.__name__] = module  # dataclasses look their module up there
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if {"parameters", "definitions", cell.id} & {*cell.metadata.get("tags", []), *more}:
            exec(compile(without_pictures(cell), f"{NOTEBOOK.name}, cell {cell.id}", "exec"), vars(module))
    return module


def without_pictures(cell):
    """A cell's code without the pictures that it shows in the end."""
    return cell.source.partition("\n\n\nshow_images(")[0]


def without_mnist(patch, folder):
    """For a pytest.MonkeyPatch: let the notebook find no file of MNIST, no cached one, and a network that refuses."""
    patch.delenv("MNIST_NPZ", raising=False)
    patch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    patch.setenv("KERAS_HOME", str(folder / "keras"))


@pytest.fixture(scope="session")
def notebook():
    """The notebook as committed, a NotebookNode."""
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="session")
def functions():
    """A module with the notebook's functions."""
    return load_functions()


def pytest_terminal_summary(terminalreporter):
    """The planted faults and what noticed them, as a table: see test_mutations.py."""
    reports = [report for outcome in terminalreporter.stats.values() for report in outcome
               if getattr(report, "when", "") == "call" and "fault" in dict(report.user_properties)]
    if reports:
        terminalreporter.write_line("\n| planted fault | result | noticed by |\n|---|---|---|")
    for report in reports:
        row = dict(report.user_properties)
        result = "caught" if report.passed else "MISSED"
        terminalreporter.write_line(f"| {row['fault']} | {result} | {row.get('noticed by', '')} |")
