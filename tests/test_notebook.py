"""The committed notebook and the pages of text, as a reader finds them."""

import ast
import re

import keras
import nbformat
import numpy as np
import pytest
from common import NOTEBOOK, PROJECT
from helpers import load_functions, printed, read_faults, run_cell, without_magics
from PIL import Image
from update_readme import FIGURES, PARTS, digest, pictures, read_record, updated

PAGES = ["README.md", "CONTRIBUTING.md", "benchmarks/README.md"]
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@pytest.fixture
def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture
def text(notebook):
    """All text of the notebook."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    return "\n\n".join(cell.source for cell in cells)


def test_outputs_are_of_one_run_on_mnist(notebook, code_cells):
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    counts = [cell.execution_count for cell in code_cells]
    assert counts == list(range(1, len(counts) + 1))
    (load,) = [cell for cell in code_cells if cell.id == "load"]
    assert printed(load) == "MNIST: 60,000 training and 10,000 test images\n"
    (fit,) = [cell for cell in code_cells if cell.id == "no-hidden-fit"]
    (settings,) = [cell for cell in code_cells if cell.id == "parameters"]
    seeds = [int(seed) for seed in re.findall(r"seed (\d+)", printed(fit))]
    assert settings.source.startswith(f"SEEDS = {seeds}\n"), "run the notebook again"


def test_outputs_hold_no_error_no_path_and_are_small(code_cells):
    for cell in code_cells:
        for output in cell.outputs:
            kind = output.get("name", output.output_type)
            assert kind not in ["stderr", "error"], cell.id
        path = re.search(r"/(home|root|tmp|work|usr|Users)/|[A-Z]:\\", printed(cell))
        assert not path, cell.id
        assert not re.search("[\b\r]", printed(cell)), cell.id
    assert NOTEBOOK.stat().st_size < 2_000_000  # or GitHub does not show it


def test_every_figure_has_a_description(notebook):
    figures = 0
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                figures += 1
                assert output.metadata["image/png"]["alt"], cell.id
    assert figures >= 8


def test_every_statement_held_in_the_committed_run(code_cells):
    output = "\n".join(printed(cell) for cell in code_cells)
    n = len(re.findall("^.+: True$", output, re.M))
    assert n >= 20
    assert f"\n{n} of {n} statements hold, and none fails.\n" in output


def test_planted_faults_fit_their_cells(sources):
    for fault, cell_id, this, _, noticed_by in read_faults():
        assert this in sources[cell_id], f"tests/faults.md, {fault}"
        file, _, name = noticed_by.partition(": ")
        if name:
            test = PROJECT / "tests" / f"test_{file}.py"
            assert f"test_{name.replace(' ', '_')}(" in test.read_text(), noticed_by


def test_check_prints_and_keeps_what_holds_what_fails_and_what_is_skipped(capsys):
    functions = load_functions(DATASET="5,000 of MNIST", EPOCHS=5, SEEDS=[0, 1])
    run_cell(functions, "check")
    functions.check("twice", np.True_)
    functions.check("never", 0)
    functions.check("elsewhere", False, functions.skip)
    assert capsys.readouterr().out == (
        "twice: True\nnever: False\nelsewhere: skipped, it is about all of MNIST\n"
    )
    assert functions.checks == {
        "twice": True,
        "never": False,
        "elsewhere": "skipped, it is about all of MNIST",
    }


def test_the_last_cell_counts_what_holds_and_fails_where_something_does_not(capsys):
    checks = {"one": True, "another": "skipped, it is about cats"}
    run_cell(load_functions(DATASET="MNIST", checks=checks), "verdict")
    assert capsys.readouterr().out == "1 of 2 statements hold, and none fails.\n"
    checks["a third"] = False
    with pytest.raises(AssertionError, match=r"do not hold: \['a third'\]"):
        run_cell(load_functions(DATASET="MNIST", checks=checks), "verdict")


def test_the_code_stays_short_and_plain(code_cells, text):
    lines = []
    comprehensions = 0
    n_compared = 0
    for cell in code_cells:
        lines.append(len([line for line in cell.source.splitlines() if line.strip()]))
        for node in ast.walk(ast.parse(without_magics(cell.source))):
            comprehensions += isinstance(node, COMPREHENSIONS)
            assert not isinstance(node, ast.Assert), cell.id  # python -O drops it
        metadata = str(cell.metadata)
        n_compared += "nbval-ignore-output" not in metadata
        for word in [
            "source_hidden",
            "cellView",
            "hide-input",
            "hide-cell",
            "nbval-skip",
        ]:
            assert word not in metadata, cell.id
    assert len(code_cells) <= 42
    assert sum(lines) <= 500
    assert max(lines) <= 25
    assert n_compared > len(lines) / 2
    assert comprehensions / sum(lines) <= 0.03
    assert len(text.split()) <= 4000


def test_the_recipe_for_ones_own_pictures_works(text, tmp_path, monkeypatch):
    (code,) = re.findall("^```python\n(.+?)^```", text, re.M | re.S)
    for name in ["cats", "dogs", "ducks"]:
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(5):
            picture = Image.effect_noise((80, 60), 10 * i)
            picture.save(tmp_path / "pictures" / name / f"{i}.jpg")
    picture.save(tmp_path / "new.jpg")
    monkeypatch.chdir(tmp_path)
    code = code.replace("epochs=50", "epochs=1")
    exec(code, {"keras": keras, "layers": keras.layers})


@pytest.mark.parametrize("page", [*PAGES, "the notebook"])
def test_links_lead_somewhere(text, page):
    if page in PAGES:
        text = (PROJECT / page).read_text(encoding="utf-8")
    for file in re.findall(r"\]\((?!http|../../actions)([^)#]+)", text):
        assert ((PROJECT / page).parent / file).exists(), file


@pytest.mark.parametrize("page", PAGES)
def test_commands_name_files_and_options_that_exist(page):
    text = (PROJECT / page).read_text(encoding="utf-8")
    for file in re.findall(r"\b(?:benchmarks|tests|images)/[\w/]+\.\w+", text):
        assert (PROJECT / file).exists(), file
    for script, options in re.findall(r"python ([\w/]+\.py)([^`\n]*)", text):
        source = (PROJECT / script).read_text(encoding="utf-8")
        for option in re.findall(r"--[\w-]+", options):
            assert f'"{option}"' in source, f"{script} {option}"


@pytest.mark.parametrize("page", PARTS)
def test_a_page_shows_what_was_measured(page):
    text = (PROJECT / page).read_text(encoding="utf-8")
    if updated(page, text) != text:  # not an assert, which would print all of it
        pytest.fail(f"{page} is out of date: run python benchmarks/update_readme.py")


def test_pictures_are_of_the_notebook_and_the_records():
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    for name, png in pictures().items():
        assert (PROJECT / "images" / name).read_bytes() == png
    for name in ["mistakes.png", "page.png"]:
        assert f"](images/{name})" in readme
    for name, (_, record) in FIGURES.items():
        figure = Image.open(PROJECT / "images" / name)
        assert figure.info["Description"] == digest(read_record(record))
