"""Where numbers come from: the notebook's recipe, versions, machine and commit."""

import ast
import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path

COMMAND = ("load_model", "write_picture", "main")  # of read_digits.py
PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn")


def recipe(notebook):
    """Return a hash of the code that decides a notebook's results: 12 characters.

    It covers the cells with the tag "recipe": those that prepare the data, build, train
    and evaluate. Comments, docstrings and layout do not count, nor do statements that
    only show or check something.

    notebook: as nbformat.read returns it.
    """
    trees = []
    for cell in notebook.cells:
        if "recipe" in cell.metadata.get("tags", []):
            lines = cell.source.splitlines()
            code = "\n".join(line for line in lines if not line.startswith("%"))
            for statement in ast.parse(code).body:
                if not isinstance(statement, ast.Expr):
                    trees.append(simplify(statement))
    return hashlib.sha256(json.dumps(trees).encode()).hexdigest()[:12]


def preparation(notebook):
    """Return a hash of the code that prepares people's own pictures: 12 characters.

    It covers the notebook's cell "prepare-digit", and read_digits.py but for its
    command.
    """
    path = Path(__file__).parent.parent / "read_digits.py"
    sources = [path.read_text(encoding="utf-8")]
    sources += [cell.source for cell in notebook.cells if cell.id == "prepare-digit"]
    trees = []
    for source in sources:
        for statement in ast.parse(source).body:
            is_function = isinstance(statement, ast.FunctionDef)
            if is_function and statement.name not in COMMAND:
                trees.append(simplify(statement))
    return hashlib.sha256(json.dumps(trees).encode()).hexdigest()[:12]


def simplify(node):
    """Return a syntax tree as lists of text, the same for every version of Python."""
    if isinstance(node, list):
        return [simplify(part) for part in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = [type(node).__name__]
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, ast.FunctionDef):
            has_docstring = ast.get_docstring(node) is not None
            value = value[1:] if has_docstring else value
        if value is not None and value != []:
            parts.append([name, simplify(value)])
    return parts


def provenance(notebook):
    """Return what a record says of its origin, as a dictionary for JSON.

    notebook: as nbformat.read returns it; its recipe is the record's.
    """
    git = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    folder = Path(__file__).parent
    commit = subprocess.run(git, cwd=folder, capture_output=True, text=True).stdout
    return {
        "recipe": recipe(notebook),
        "versions": versions(),
        "processor": processor(),
        "threads": os.cpu_count(),
        "date": datetime.date.today().isoformat(),
        "commit": commit.strip() or "unknown",
    }


def versions():
    """Return the versions that numbers may depend on, by the packages' names."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        found[package] = importlib.metadata.version(package)
    return found


def processor():
    """Return the processor's name, as far as the system tells it, and if it is old."""
    if Path("/proc/cpuinfo").exists():
        text = Path("/proc/cpuinfo").read_text()
        for line in text.splitlines():
            if line.startswith("model name"):
                name = line.split(":")[1].strip()
                # In virtual machines, very different ones may have the same name
                return name if "avx512" in text else f"{name} without AVX-512"
    return platform.processor() or platform.machine()
