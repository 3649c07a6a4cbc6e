"""Do the checks notice planted faults?

One kernel runs the whole notebook on 5,000 of MNIST. Then, for one fault of faults.md
after the other, everything from its cell on is run as nbval does, until a statement is
False, an output differs, or a model reads more or less than it should. The faults come
from the last cell to the first, so that all before a fault is as it should be. What a
run cannot notice, a test has to. Run pytest -m slow tests/test_faults.py
"""

import re
from operator import itemgetter

import common
import nbformat
import pytest
from common import PROJECT
from helpers import (
    SAMPLE_ACCURACY,
    SAMPLE_TOLERANCE,
    quick_notebook,
    read_faults,
    read_notebook,
    without_mnist,
)
from nbval.plugin import IPyNbFile, NbCellError

pytestmark = pytest.mark.slow

# Half of a run's time, and nothing else depends on them but technique_runs: left out.
UNCONCERNED = "(first|tutorials|techniques)-(model|predict|again|fit|table)"

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

FAULTS = read_faults()
IN_A_RUN = [row for row in FAULTS if row[-1] == "a run"]
IN_A_TEST = [row for row in FAULTS if row[-1] != "a run"]


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
    # Two seeds take two thirds of the time. No outputs: there is nothing to compare.
    notebook = quick_notebook("SEEDS = [0, 1]\nEPOCHS = 5")
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if re.fullmatch(UNCONCERNED, cell.id):
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


def notices(item):
    """Run a cell: does it tell of a fault? No other error will do."""
    item.test_outputs = []
    text = ""
    try:
        item.runtest()
    except NbCellError as error:
        text = re.sub(r"\x1b\[[\d;]*m", "", f"{error}\n{error.inner_traceback}")
    for output in item.test_outputs:
        if re.search("^.+: False$", output.get("text", ""), re.M):
            return True
    told = "^AssertionError: |(Missing|Unexpected) output|mismatch|dissimilar"
    assert not text or re.search(told, text, re.M), text
    return bool(text)


@pytest.mark.parametrize("row", IN_A_RUN, ids=itemgetter(0))
def test_a_run_notices(row, cells, monkeypatch):
    _, cell_id, this, that, _ = row
    cell = cells[cell_id].cell
    source = f"{RESTORE}\n{plant(cell.source, this, that)}"
    monkeypatch.setitem(cell, "source", source)
    names = list(cells)
    later = names[names.index(cell_id) : names.index("keep")]
    assert any(notices(cells[name]) for name in later)


@pytest.mark.parametrize("row", IN_A_TEST, ids=itemgetter(0))
def test_a_test_notices(row, tmp_path, monkeypatch, capsys):
    _, cell_id, this, that, noticed_by = row
    notebook = read_notebook()
    (faulty,) = [cell for cell in notebook.cells if cell.id == cell_id]
    faulty.source = plant(faulty.source, this, that)
    nbformat.write(notebook, tmp_path / "faulty.ipynb")
    monkeypatch.setattr(common, "NOTEBOOK", tmp_path / "faulty.ipynb")
    file, _, name = noticed_by.partition(": ")
    test = f"{PROJECT}/tests/test_{file}.py::test_{name.replace(' ', '_')}"
    pytest.main(["-qx", "-p", "no:cacheprovider", test])
    report = capsys.readouterr().out
    assert re.search("^E +(assert|AssertionError|Failed)", report, re.M), report
