"""Hooks and fixtures of the tests."""

import pytest
from common import PROJECT
from helpers import read_notebook
from nbval.plugin import IPyNbCell

WHAT_TO_DO = """\
This cell does something else than the committed notebook shows. If you changed the
notebook, run it again and copy its results, with the commands in CONTRIBUTING.md,
and look whether the text is still right: the tests know some of its numbers, and none
of its words. If you did not, please report it. The cells after this were left out."""


class FirstFailure:
    """Say what to do where a cell of the notebook fails, and skip those after it."""

    def pytest_runtest_setup(self, item):
        if isinstance(item, IPyNbCell) and hasattr(item.parent, "failed_cell"):
            pytest.skip(f"{item.parent.failed_cell} failed")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        if isinstance(item, IPyNbCell) and report.failed:
            item.parent.failed_cell = item.name
            title = f"What to do about the cell {item.cell.id}"
            report.sections.append((title, WHAT_TO_DO))
        return report


def pytest_configure(config):
    # Registered, not defined here, as the notebook is not in this folder.
    config.pluginmanager.register(FirstFailure())


@pytest.fixture(scope="session")
def notebook():
    """The notebook as committed."""
    return read_notebook()


@pytest.fixture(scope="session")
def sources(notebook):
    """The notebook's cells: id -> text or code."""
    return {cell.id: cell.source for cell in notebook.cells}


@pytest.fixture(scope="session")
def artifacts(pytestconfig):
    """Where the models are: of this session's run of the notebook, else of the last."""
    folder = pytestconfig.run_folder / "artifacts"
    return folder if folder.exists() else PROJECT / "artifacts"
