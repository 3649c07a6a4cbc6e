"""The committed notebook and the README, as a reader finds them."""

import base64
import io
import re
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from common import NOTEBOOK, PROJECT, interval
from PIL import Image
from update_readme import thirty_seeds, updated

README = (PROJECT / "README.md").read_text(encoding="utf-8")
RECORDED = (PROJECT / "benchmarks/README.md").read_text(encoding="utf-8")


def outputs(notebook, cell_id):
    (cell,) = (cell for cell in notebook.cells if cell.id == cell_id)
    return cell.outputs


def comparison(notebook):
    """The table of the four models, as Markdown."""
    return outputs(notebook, "comparison-table")[0].data["text/markdown"]


def test_format_is_valid(notebook):
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)


def test_outputs_are_of_one_run_from_top_to_bottom(notebook):
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


def test_outputs_are_of_the_real_mnist(notebook):
    (output,) = outputs(notebook, "load")
    assert output.text.startswith("MNIST: 60,000 images to train on and 10,000 to test on")


def test_outputs_show_no_error_and_no_path(notebook):
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error" and output.get("name") != "stderr", cell.id
            text = output.get("text", "") + "".join(
                value for kind, value in output.get("data", {}).items() if kind.startswith("text/"))
            assert not re.search(r"/(home|root|tmp|work|usr|Users)/|[A-Z]:\\|\x08|\r", text), cell.id


def test_every_figure_has_a_description_and_is_not_blank(notebook):
    figures = [(cell.id, output) for cell in notebook.cells for output in cell.get("outputs", [])
               if "image/png" in output.get("data", {})]
    assert len(figures) > 10
    for cell, output in figures:
        assert len(output.metadata["image/png"]["alt"]) > 20, cell
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))).convert("L"))
        assert np.mean(picture < 250) > 0.03, cell


def test_nbval_compares_most_cells_and_all_of_them_strictly(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    ignored = [cell.id for cell in code if "nbval-ignore-output" in cell.metadata.get("tags", [])]
    assert len(ignored) < len(code) / 2
    assert not [cell.id for cell in code if {"nbval-skip", "raises-exception"} & {*cell.metadata.get("tags", [])}
                or "NBVAL" in cell.source]


@pytest.mark.parametrize("text", ["README", "notebook"])
def test_headings_go_down_one_level_at_a_time(notebook, text):
    markdown = README if text == "README" else "\n".join(
        cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    levels = [len(marks) for marks in re.findall(r"^(#+) ", markdown, re.MULTILINE)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(lower <= upper + 1 for upper, lower in zip(levels, levels[1:]))


def test_small_enough_for_github_to_show():
    assert NOTEBOOK.stat().st_size < 2_000_000


def test_readme_shows_what_was_measured():
    text, pictures = updated(README)
    assert text == README, "run python benchmarks/update_readme.py"
    for name, picture in pictures.items():
        assert (PROJECT / "images" / name).read_bytes() == picture and f"](images/{name})" in README


def test_every_statement_held_in_the_committed_run(notebook):
    said = "\n".join(output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output)
    statements = {}  # a statement -> what was last said of it
    for verdict, statement in re.findall(r"^(holds|FAILS|skipped[^:]*): (.+)$", said, re.MULTILINE):
        statements[statement] = verdict
    assert set(statements.values()) == {"holds"}
    (verdict,) = outputs(notebook, "verdict")
    assert verdict.text.splitlines()[-1] == f"{len(statements)} of {len(statements)} statements hold, and none fails."
    assert len(statements) >= 20


def test_check_says_what_holds_what_fails_and_why_something_is_skipped(notebook, capsys):
    (source,) = (cell.source for cell in notebook.cells if cell.id == "check")
    names = {"EPOCHS": 5, "SEEDS": [0], "DATASET": "MNIST", "np": np,
             "tf": SimpleNamespace(config=SimpleNamespace(list_physical_devices=lambda kind: []))}
    exec(source.rpartition("\n")[0], names)
    for holds, unless in ((np.True_, None), (0, None), (False, "about elephants")):
        names["check"](f"it is {holds}", holds, unless)
    assert capsys.readouterr().out == (
        "holds: it is True\nFAILS: it is 0\nskipped, about elephants: it is False\n")
    assert list(names["checked"].values()) == [True, False, "about elephants"]
    assert names["not_mnist"] and not names["on_a_gpu"]


def test_a_statement_that_fails_stops_the_last_cell(notebook, capsys):
    (verdict,) = (cell.source for cell in notebook.cells if cell.id == "verdict")
    names = {"check_data": lambda: None, "DATASET": "MNIST"}
    exec(verdict, names | {"checked": {"one": True, "another": "about elephants"}})
    assert capsys.readouterr().out == "another: about elephants\n1 of 2 statements hold, and none fails.\n"
    with pytest.raises(AssertionError, match="these statements of the text do not hold: another; a third"):
        exec(verdict, names | {"checked": {"one": True, "another": False, "a third": np.False_}})
    assert "none fails" not in capsys.readouterr().out


def test_benchmark_is_of_this_notebook(notebook):
    """The accuracies that the benchmark measured are those of the committed run, or very nearly."""
    speed = (PROJECT / "benchmarks/speed.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| \*\*this notebook\*\*.*? \| ([\d., ]+) \|", speed, re.MULTILINE)
    committed = re.findall(r"([\d.]+)% \(", comparison(notebook))
    assert [float(one) for one in row.split(", ")] == pytest.approx([float(one) for one in committed], abs=0.1)


def test_what_is_said_of_thirty_seeds_was_measured(notebook):
    """Means and confidence intervals, wherever the text has them; and what each group of three says."""
    models, changes = thirty_seeds()
    measured = {"{:.2f} ± {:.2f}".format(*interval(values)) for values in models.values()}
    measured |= {"{:+.2f} ± {:.2f}".format(*interval(change)) for change in changes.values()}
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    text = " ".join("\n".join([RECORDED, *cells]).split())
    said = re.findall(r"[-+]?\d+\.\d+ ± \d+\.\d+", text)
    assert len(said) >= 12 and not set(said) - measured
    for name, change in changes.items():  # each number stands behind its own name, in both texts
        number = re.escape("{:+.2f} ± {:.2f}".format(*interval(change)))
        assert len(re.findall(rf"{name}[^±]*{number}", text)) == 2, name
    groups = {name: change.reshape(10, 3).mean(axis=1) for name, change in changes.items()}
    assert max(groups["dropout"]) < 0 < min(groups["random shifts"])
    gain = f"{groups['three hidden layers'][0]:.2f} points"
    assert f"promise a gain, of {gain}" in text and f"every one of them gains, {gain}" in text
    assert min(changes["three hidden layers"][:3]) > 0
    assert abs(interval(changes["three hidden layers"])[0]) < interval(changes["three hidden layers"])[1]
    assert list(groups["batch normalisation"] > 0) == [True] + 9 * [False]
    assert all(0.15 <= np.ptp(values) < 0.45 for values in models.values())  # as the figure's title says
    shown = dict(re.findall(r"^\| (.+?) \| [\d,]+ \| ([\d.]+)%", comparison(notebook), re.MULTILINE))
    lucky = {name: float(accuracy) - interval(models[name])[0] for name, accuracy in shown.items()}
    assert lucky["Hidden layer"] < -interval(models["Hidden layer"])[1] and lucky["CNN"] > interval(models["CNN"])[1]


@pytest.mark.parametrize("page", ["README.md", "benchmarks/README.md"])
def test_links_inside_the_project_lead_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)]+)\)", (PROJECT / page).read_text(encoding="utf-8")):
        file, _, heading = target.partition("#")
        place = (PROJECT / page).parent / file if file else PROJECT / page
        assert place.exists(), target
        headings = re.findall("^#+ (.+)$", place.read_text(encoding="utf-8"), re.MULTILINE) if heading else []
        assert heading in ["", *(re.sub(r"\s+", "-", one.lower()) for one in headings)], target
