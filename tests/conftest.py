"""What the tests share."""

import nbformat
import pytest
from common import NOTEBOOK, load_functions
from nbval.plugin import IPyNbCell

WHAT_TO_DO = """This cell does something else than the committed notebook shows. If you changed the notebook, run it
again and copy its results, with the commands under Contributing in README.md; the tests then name the numbers in the
text that are no longer right. If you did not, please report it. The cells after this one were left out."""


class FirstFailure:
    """Where a cell of the notebook fails, say what to do, and skip the cells after it, which would only repeat it."""

    def pytest_runtest_setup(self, item):
        if isinstance(item, IPyNbCell) and hasattr(item.parent, "failed_cell"):
            pytest.skip(f"{item.parent.failed_cell} failed")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        if isinstance(item, IPyNbCell) and report.failed:
            item.parent.failed_cell = item.name
            report.sections.append(("What to do", WHAT_TO_DO))
        return report


def pytest_configure(config):
    config.pluginmanager.register(FirstFailure())  # so that it sees the notebook, which is not in this folder


def without_mnist(patch, folder):
    """For a pytest.MonkeyPatch: let the notebook find no file of MNIST, no cached one, and a network that refuses."""
    patch.delenv("MNIST_NPZ", raising=False)
    patch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    patch.setenv("KERAS_HOME", str(folder / "keras"))


def printed(cell):
    """What a code cell shows, as text, of tables the Markdown."""
    return "".join(output.get("text") or "\n{}\n".format(data.get("text/markdown", data.get("text/plain")))
                   for output in cell.outputs for data in [output.get("data", {})])


@pytest.fixture(scope="session")
def notebook():
    """The notebook as committed, a NotebookNode."""
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="session")
def sources(notebook):
    return {cell.id: cell.source for cell in notebook.cells}


@pytest.fixture(scope="session")
def functions():
    """A module with the notebook's functions."""
    return load_functions()


def pytest_terminal_summary(terminalreporter):
    """What was left out, in a line; and the planted faults and what noticed them, as a table: see test_faults.py."""
    left_out = len(terminalreporter.stats.get("deselected", []))
    if left_out and terminalreporter.config.option.markexpr == "not slow":
        terminalreporter.write_line(
            f"Left out: {left_out} tests that take minutes. pip install -r requirements-dev.txt && pytest -m slow")
    reports = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    rows = [dict(report.user_properties) for report in reports if report.user_properties]
    for row in [{"fault": "planted fault", "noticed by": "noticed by"}] * bool(rows) + rows:
        terminalreporter.write_line(f"| {row['fault']} | {row.get('noticed by', 'NOTHING')} |")
