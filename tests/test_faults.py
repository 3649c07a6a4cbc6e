"""Do the checks notice? Faults are planted, and a table says what noticed each.

One kernel runs the whole notebook on 5,000 of MNIST. Then, for one fault of faults.md
after the other, everything from its cell on is run as nbval does, until a statement is
False, an output differs, or a model reads more or less than it should. The faults come
from the last cell to the first, so that all before a fault is as it should be. What a
run cannot notice, a test has to. Run pytest -m slow tests/test_faults.py
"""

import re

import helpers
import nbformat
import pytest
from common import PROJECT
from helpers import SAMPLE_ACCURACY, SAMPLE_TOLERANCE, read_notebook, without_mnist
from nbval.plugin import IPyNbFile, NbCellError

pytestmark = pytest.mark.slow

# Half of a run's time, and nothing else depends on them but technique_runs: left out.
UNCONCERNED = [
    "first-model",
    "first-predict",
    "first-again",
    "tutorials-fit",
    "techniques-fit",
    "techniques-table",
]

# At the end of the first run, and before a fault
KEEP = "CLEAN = dict(globals())\nCLEAN_RUNS = dict(runs)"
RESTORE = "globals().update(CLEAN)\nruns = dict(CLEAN_RUNS)"

# Comes after each cell that trains one of the four models.
SAMPLE_CHECK = f"""
for name in runs:
    for run in runs[name]:
        difference = 100 * run["test_accuracy"] - {SAMPLE_ACCURACY}[name]
        if abs(difference) > {SAMPLE_TOLERANCE}:
            raise AssertionError(f"{{name}} reads {{run['test_accuracy']:.1%}}")
    if runs[name][0]["history"] == runs[name][1]["history"]:
        raise AssertionError(f"{{name}}: all seeds give the same")
"""


def read_faults():
    """The rows of faults.md: fault, cell, this, that, noticed by."""
    text = (PROJECT / "tests" / "faults.md").read_text(encoding="utf-8")
    rows = []
    for line in text.splitlines():
        if line.startswith("|"):
            columns = [column.strip(" ") for column in line.strip("|").split("|")]
            rows.append([column.strip("`") for column in columns])
    return rows[2:]


def from_last_to_first(faults):
    cell_ids = [cell.id for cell in read_notebook().cells]
    return sorted(faults, key=lambda fault: -cell_ids.index(fault[1]))


FAULTS = read_faults()
IN_A_RUN = from_last_to_first([fault for fault in FAULTS if fault[-1] == "a run"])
IN_A_TEST = [fault for fault in FAULTS if fault[-1] != "a run"]


def plant(source, this, that):
    """A cell's source with a fault."""
    assert this in source, f"there is no '{this}' in the cell any more"
    if this:
        return source.replace(this, that)
    return f"{source}\n{that}\nNone"  # lest the cell show another value


@pytest.fixture(scope="module")
def cells(request, tmp_path_factory):
    """The notebook's code cells as nbval's tests, with the outputs of a first run."""
    folder = tmp_path_factory.mktemp("faults")
    notebook = read_notebook()
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None  # so the first run is compared with nothing
        if cell.id == "parameters":
            cell.source = "SEEDS = [0, 1]\nEPOCHS = 5"  # takes two thirds of the time
        if cell.id in UNCONCERNED:
            cell.source = "technique_runs = {}"
        if cell.id.endswith("-build"):
            # Keras numbers layers, and each run goes on where the last one ended.
            cell.source = f"keras.utils.clear_session()\n{cell.source}"
        if re.fullmatch("(no-hidden|hidden|flatten|cnn)-fit", cell.id):
            cell_id = f"{cell.id}-check"
            cells.append(nbformat.v4.new_code_cell(SAMPLE_CHECK, id=cell_id))
    notebook.cells = [*cells, nbformat.v4.new_code_cell(KEEP, id="keep")]
    nbformat.write(notebook, folder / "notebook.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        without_mnist(patch, folder)
        file = IPyNbFile.from_parent(request.session, path=folder / "notebook.ipynb")
        items = {item.cell.id: item for item in file.collect()}
        file.setup()
        for item in items.values():
            item.runtest()
            item.cell.outputs = item.test_outputs
            item.cell.execution_count = 1
        yield items
        file.teardown()


def what_failed(error, outputs):
    """What a cell's error or outputs tell of a fault, or None.

    Not any error will do: it might be in what is planted.
    """
    for output in outputs or []:
        statement = re.search("^(.+): False$", output.get("text", ""), re.M)
        if statement:
            return f"{statement[1]}: False"
    text = f"{error}\n{getattr(error, 'inner_traceback', '')}"
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    assertion = re.search("^AssertionError: (.+)", text, re.M)
    if assertion:
        return assertion[1]
    difference = re.search(r"(Missing|Unexpected) output|mismatch|dissimilar", text)
    return "shows something else than before" if difference else None


def first_failure(cells, start):
    """Run the cells from one on, until one fails: what failed, and its error."""
    names = list(cells)
    for name in names[names.index(start) : names.index("keep")]:
        error = None
        cells[name].test_outputs = None
        try:
            cells[name].runtest()
        except NbCellError as cell_error:
            error = cell_error
        failed = what_failed(error, cells[name].test_outputs)
        if failed:
            return f"cell {name}: {failed}", error
        if error:
            return None, error
    return None, "nothing failed"


@pytest.mark.parametrize("fault, cell_id, this, that, noticed_by", IN_A_RUN)
def test_a_run_notices(
    fault, cell_id, this, that, noticed_by, cells, record_property, monkeypatch
):
    record_property("fault", fault)
    cell = cells[cell_id].cell
    source = f"{RESTORE}\n{plant(cell.source, this, that)}"
    monkeypatch.setitem(cell, "source", source)
    noticed, error = first_failure(cells, cell_id)
    assert noticed, f"{error}\n{getattr(error, 'inner_traceback', '')}"[-3000:]
    record_property("noticed by", noticed)


class Failures:
    """A plugin for pytest that collects the reports of tests that fail."""

    def __init__(self):
        self.reports = []

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.reports.append(report)


@pytest.mark.parametrize("fault, cell_id, this, that, noticed_by", IN_A_TEST)
def test_a_test_notices(
    fault, cell_id, this, that, noticed_by, tmp_path, record_property, monkeypatch
):
    record_property("fault", fault)
    notebook = read_notebook()
    (faulty,) = [cell for cell in notebook.cells if cell.id == cell_id]
    faulty.source = plant(faulty.source, this, that)
    nbformat.write(notebook, tmp_path / "faulty.ipynb")
    monkeypatch.setattr(helpers, "NOTEBOOK", tmp_path / "faulty.ipynb")
    file, _, name = noticed_by.partition(": ")
    test = f"{PROJECT}/tests/test_{file}.py::test_{name.replace(' ', '_')}"
    failures = Failures()
    pytest.main(["-qx", "-p", "no:cacheprovider", test], plugins=[failures])
    assert failures.reports, "no test failed"
    failure = str(failures.reports[0].longrepr)
    assert re.search("^E +(assert|AssertionError|Failed)", failure, re.M), failure
    record_property("noticed by", noticed_by)
