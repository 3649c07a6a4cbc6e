"""The committed notebook and the README, as a reader finds them."""

import re
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from common import NOTEBOOK, PROJECT, interval
from conftest import printed
from nbconvert import HTMLExporter
from traitlets.config import PyFileConfigLoader
from update_readme import thirty_seeds, updated

PAGES = {name: (PROJECT / name).read_text(encoding="utf-8") for name in ("README.md", "benchmarks/README.md")}


def outputs(notebook):
    return [(cell.id, output) for cell in notebook.cells for output in cell.get("outputs", [])]


def test_outputs_are_of_one_run_on_the_real_mnist_without_an_error_or_a_path(notebook):
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5) and NOTEBOOK.stat().st_size < 2_000_000  # for GitHub
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    text = {cell.id: printed(cell) for cell in notebook.cells if cell.cell_type == "code"}
    assert text["load"].startswith("MNIST: 60,000 images to train on and 10,000 to test on")
    assert not [cell for cell, one in outputs(notebook) if one.get("name", one.output_type) in ("stderr", "error")]
    assert not [one for one in text.items() if re.search(r"/(home|root|tmp|work|usr|Users)/|[A-Z]:\\|\x08|\r", one[1])]


def test_every_figure_has_a_description_and_nbval_compares_most_cells(notebook):
    config = PyFileConfigLoader(str(PROJECT / "nbconvert_config.py")).load_config()  # as the README's command does
    page, _ = HTMLExporter(config=config).from_notebook_node(notebook)
    found = [page.count(one) for one in ("<img", "No description has been provided")]
    assert found == [str(notebook.cells).count("'image/png': 'iVBOR"), 0] != [0, 0]
    tags = [cell.metadata.get("tags", []) for cell in notebook.cells if cell.cell_type == "code"]
    assert sum("nbval-ignore-output" in one for one in tags) < len(tags) / 2
    assert "nbval-skip" not in str(tags) and "NBVAL" not in str(notebook.cells)


@pytest.mark.parametrize("text", [*PAGES, "the notebook"])
def test_headings_go_down_one_level_at_a_time_and_links_lead_somewhere(notebook, text):
    markdown = PAGES.get(text) or "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    levels = [len(marks) for marks in re.findall(r"^(#+) ", markdown, re.MULTILINE)]
    assert levels[0] == levels.count(1) == 1 and all(lower <= upper + 1 for upper, lower in zip(levels, levels[1:]))
    for target in re.findall(r"\]\((?!http)([^)]+)\)", markdown):
        file, _, heading = target.partition("#")
        place = (PROJECT / text).parent / file if file else PROJECT / text
        assert place.exists(), target
        headings = re.findall("^#+ (.+)$", place.read_text(encoding="utf-8"), re.MULTILINE) if heading else []
        assert heading in ["", *(re.sub(r"[^\w-]", "", one.lower().replace(" ", "-")) for one in headings)], target


def test_readme_shows_what_was_measured(sources):
    text, pictures = updated(PAGES["README.md"])
    assert re.search("```python\n.*?```", sources["save"], re.DOTALL)[0] in text  # test_run.py runs it
    assert text == PAGES["README.md"], "run python benchmarks/update_readme.py"
    for name, picture in pictures.items():
        assert (PROJECT / "images" / name).read_bytes() == picture and f"](images/{name})" in text


def test_every_statement_held_in_the_committed_run(notebook):
    text = "\n".join(printed(cell) for cell in notebook.cells if cell.cell_type == "code")
    said = re.findall(r"^(holds|FAILS|skipped[^:]*): (.+)$", text, re.MULTILINE)
    n = len({statement for _, statement in said})
    assert {verdict for verdict, _ in said} == {"holds"} and n >= 20
    assert text.splitlines()[-1] == f"{n} of {n} statements hold, and none fails."


def test_check_says_what_holds_what_fails_and_why_something_is_skipped(sources, capsys):
    names = {"EPOCHS": 5, "SEEDS": [0], "DATASET": "MNIST", "np": np,
             "tf": SimpleNamespace(config=SimpleNamespace(list_physical_devices=lambda kind: []))}
    exec(sources["check"].rpartition("\n")[0], names)
    for holds, unless in ((np.True_, None), (0, None), (False, "about cats")):
        names["check"](f"it is {holds}", holds, unless)
    assert capsys.readouterr().out == "holds: it is True\nFAILS: it is 0\nskipped, about cats: it is False\n"
    assert [*names["checked"].values(), names["on_a_gpu"]] == [True, False, "about cats", None] and names["not_mnist"]


def test_a_statement_that_fails_stops_the_last_cell(sources, capsys):
    names = {"check_data": lambda: None, "DATASET": "MNIST"}
    exec(sources["verdict"], names | {"checked": {"one": True, "another": "about cats"}})
    assert capsys.readouterr().out == "another: about cats\n1 of 2 statements hold, and none fails.\n"
    with pytest.raises(AssertionError, match="these statements of the text do not hold: another; a third"):
        exec(sources["verdict"], names | {"checked": {"one": True, "another": False, "a third": np.False_}})
    assert "none fails" not in capsys.readouterr().out


def test_what_is_said_of_benchmarks_was_measured(notebook, sources):
    """Of speed, false alarms, and what each three of 30 seeds say. The numbers are in test_prose.py."""
    speed = (PROJECT / "benchmarks/speed.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| \*\*this notebook\*\*.*? \| ([\d., ]+) \|", speed, re.MULTILINE)
    table = next(output.data["text/markdown"] for cell, output in outputs(notebook) if cell == "comparison-table")
    shown = {name: float(accuracy) for name, accuracy in re.findall(r"^\| (.+?) \| [\d,]+ \| ([\d.]+)%", table, re.M)}
    assert [float(one) for one in row.split(", ")] == pytest.approx(list(shown.values()), abs=0.1)
    alarms = [(PROJECT / f"benchmarks/false_alarms.{kind}").read_text(encoding="utf-8") for kind in ("md", "json")]
    assert alarms[0].count("| passed |") == alarms[0].count("MNIST |") and '"does_not_hold": {}' in alarms[1]
    models, changes = thirty_seeds()
    groups = {name: change.reshape(10, 3).mean(axis=1) for name, change in changes.items()}
    assert max(groups["dropout"]) < 0 < min(groups["random shifts"]) and min(changes["three hidden layers"][:3]) > 0
    assert abs(interval(changes["three hidden layers"])[0]) < interval(changes["three hidden layers"])[1]
    assert list(groups["batch normalisation"] > 0) == [True] + 9 * [False]
    assert all(0.15 <= np.ptp(values) < 0.45 for values in models.values())  # as the figure's title says
    none, hidden, _, cnn = (100 - interval(accuracies)[0] for accuracies in models.values())
    assert (1 - hidden / none, 1 - cnn / hidden) == pytest.approx((0.75, 0.7), abs=0.02)  # three quarters, seven in ten
    for text in (PAGES["benchmarks/README.md"], sources["techniques-seen"]):
        for name, change in changes.items():  # each number stands behind its own name
            number = re.escape("{:+.2f} ± {:.2f}".format(*interval(change)))
            assert len(re.findall(rf"{name}[^±]*{number}", " ".join(text.split()))) == 1, name
    luck = {name: accuracy - interval(models[name])[0] for name, accuracy in shown.items()}
    assert luck["Hidden layer"] < -interval(models["Hidden layer"])[1] and luck["CNN"] > interval(models["CNN"])[1]
