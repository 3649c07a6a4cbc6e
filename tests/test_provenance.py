"""Outputs and records belong to code, and requirements to what is imported."""

import ast
import re
import sys

import pytest
from common import PROJECT
from helpers import read_notebook, without_magics
from provenance import recipe

PACKAGES = {"PIL": "pillow", "sklearn": "scikit-learn"}
USED_IF_INSTALLED = {"torch", "rapidocr_onnxruntime", "pillow_heif"}
RUN_AGAIN = """\
The code that decides the results has changed since the notebook was run. Run it again:
jupyter nbconvert --config nbconvert_config.py --execute --to notebook --inplace \
Handwritten_Digits_Classifier.ipynb"""
FILES = [*PROJECT.glob("*.py"), *PROJECT.glob("tests/*.py")]
FILES += PROJECT.glob("benchmarks/*.py")
OUR_OWN = {path.stem for path in FILES}


def test_the_outputs_were_made_by_this_code(notebook):
    if notebook.metadata.get("recipe") != recipe(notebook):
        pytest.fail(RUN_AGAIN)


def test_the_constraints_are_the_versions_of_the_committed_run(notebook):
    text = (PROJECT / "constraints.txt").read_text(encoding="utf-8")
    constraints = dict(re.findall("^(.+)==(.+)$", text, re.M))
    assert required("requirements.txt") <= constraints.keys()
    for package, version in notebook.metadata["versions"].items():
        assert package == "python" or constraints[package] == version


def change(cell_id, old, new):
    notebook = read_notebook()
    for cell in notebook.cells:
        if cell.id == cell_id:
            assert old in cell.source
            cell.source = cell.source.replace(old, new)
    return recipe(notebook)


def test_what_decides_results_changes_the_recipe(notebook):
    before = recipe(notebook)
    assert change("compile-and-fit", "beta_2=0.98", "beta_2=0.999") != before
    assert change("cnn-build", "momentum=0.9", "momentum=0.99") != before
    assert change("techniques-fit", "1 / 28, 1 / 28", "0, 0") != before
    assert change("prepare-code", "1 / 12", "1 / 6") != before


def test_comments_layout_and_checks_do_not(notebook):
    before = recipe(notebook)
    assert change("train", "runs_of_model = []", "runs_of_model = []  # yet") == before
    assert change("train", "once for each seed", "once a seed") == before
    assert change("prepare-code", "pixels run from", "pixels go from") == before
    assert change("plot-history", "epoch", "pass") == before


def imported(source):
    """The top-level modules that a source imports, ours and Python's own aside."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    modules = {name.split(".")[0] for name in names}
    return modules - OUR_OWN - sys.stdlib_module_names


def required(*files):
    """The packages that requirements files name."""
    names = []
    for file in files:
        text = (PROJECT / file).read_text(encoding="utf-8")
        names += re.findall(r"^([\w-]+)[><=]", text, re.M)
    return {name.lower() for name in names}


def test_every_package_that_is_imported_is_required(notebook):
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    sources = {"the notebook": without_magics("\n".join(code))}
    for path in FILES:
        sources[path.name] = path.read_text(encoding="utf-8")
    daily = required("requirements.txt")
    everything = daily | required("requirements-dev.txt")
    for name, source in sources.items():
        needed = daily if name in ["the notebook", "read_digits.py"] else everything
        for module in imported(source) - USED_IF_INSTALLED:
            assert PACKAGES.get(module, module.lower()) in needed, f"{name}: {module}"
