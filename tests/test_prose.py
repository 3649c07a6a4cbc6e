"""Results in the text were printed by the notebook, or recorded in benchmarks/."""

import ast
import re

import numpy as np
import pytest
from common import accuracies, interval
from helpers import SAMPLE_ACCURACY, printed
from provenance import recipe
from update_readme import changes_by_technique, read_record

NUMBER = r"[-+]?\d+\.\d+"
PLUS_MINUS = rf"(?:{NUMBER} )?± {NUMBER}"
# A decimal of a per cent or of points, or one from which a range reaches to such a one.
SHARE = rf"({NUMBER})(?= ?%| points| to {NUMBER} ?%| and {NUMBER} ?%)"

ANSWERS = [  # of each exercise in turn, by their names in answers.json
    ["no relu"],
    ["10 units", "1000 units"],
    ["scrambled, Hidden layer", "scrambled, CNN"],
    ["a tenth, No hidden layer", "a tenth, Hidden layer", "a tenth, CNN"],
    ["shift while training, moved", "shift while training, CNN"],
]


@pytest.fixture(scope="module")
def thirty_seeds():
    """Accuracies in % of each model, and changes in points by each technique: (30,)."""
    record = read_record("thirty_seeds.json")
    return accuracies(record)[0], changes_by_technique(record)


@pytest.fixture(scope="module")
def recorded(thirty_seeds):
    """The results in the records, as the text may write them."""
    models, changes = thirty_seeds
    texts = []
    for values in models.values():
        mean, half_width = interval(values)
        texts.append(f"{mean:.2f} ± {half_width:.2f}")
        # How far 10,000 other test images might move this, in points
        standard_error = (mean * (100 - mean) / 10000) ** 0.5
        texts.append(f"± {1.96 * standard_error:.2f}")
    for values in changes.values():
        mean, half_width = interval(values)
        texts.append(f"{mean:+.2f} ± {half_width:.2f}")
        for mean_of_three in values.reshape(-1, 3).mean(axis=1):
            texts.append(f"{abs(mean_of_three):.2f}")
    for share in read_record("answers.json")["answers"].values():
        if isinstance(share, list):
            mean, half_width = interval(100 * np.array(share))
            texts.append(f"{mean:.2f} ± {half_width:.2f}")
        else:
            texts.append(f"{100 * share:.1f}")
    return texts


def results_in(text):
    """The results that a text states: per cents and points with decimals, and ±."""
    text = re.sub("`[^`]*`", "", text)  # code
    plus_minus = re.findall(PLUS_MINUS, text)
    return plus_minus + re.findall(SHARE, re.sub(PLUS_MINUS, "", text))


def test_a_result_in_the_text_was_printed_or_recorded(notebook, recorded):
    sections = []
    for cell in notebook.cells:
        if re.search("^#+ ", cell.source, re.M) and cell.cell_type == "markdown":
            sections.append([])
        sections[-1].append(cell)
    n_results = 0
    for section in sections[1:]:  # the first announces what another test compares
        known = " ".join(recorded)
        for cell in section:
            if cell.cell_type == "code":
                known += " " + printed(cell)
        for cell in section:
            if cell.cell_type == "markdown":
                for result in results_in(cell.source):
                    n_results += 1
                    assert re.search(rf"(?<![\d.]){re.escape(result)}(?!\d)", known), (
                        f"cell {cell.id}: {result} was neither printed nor recorded"
                    )
    assert n_results >= 15


def test_what_is_announced_is_what_is_checked(sources):
    rows = re.findall(
        r"\| ([\d.]+) to ([\d.]+) % \| (\d+) to (\d+) \|", sources["question"]
    )
    (announced,) = re.findall(
        r"^announced = (.+?)(?: #|$)", sources["comparison-table"], re.M
    )
    ranges = ast.literal_eval(announced)
    del ranges[2]  # the Flatten layer's, of which is said: the same
    for (low, high, fewest, most), announced_range in zip(rows, ranges, strict=True):
        assert (float(low), float(high)) == announced_range
        assert round(100 * (100 - float(high))) == int(fewest)
        assert round(100 * (100 - float(low))) == int(most)
    (numbers,) = re.findall(r"expect about ([\d, and]+) %", sources["data"])
    expected = [int(number) for number in re.findall(r"\d+", numbers)]
    assert expected == list(SAMPLE_ACCURACY.values())


def test_the_table_of_techniques_has_what_was_recorded(sources, thirty_seeds):
    _, changes = thirty_seeds
    (shown,) = re.findall(
        r"thirty_seeds = (\{.+?\})", sources["techniques-table"], re.S
    )
    for name, text in ast.literal_eval(shown).items():
        mean, half_width = interval(changes[name])
        assert text == f"{mean:+.2f} ± {half_width:.2f}", name


def test_what_is_said_of_thirty_seeds_in_words(thirty_seeds):
    models, changes = thirty_seeds
    none, hidden, _, cnn = [100 - accuracy.mean() for accuracy in models.values()]
    assert 1 - hidden / none == pytest.approx(0.75, abs=0.02)  # three quarters
    assert 1 - cnn / hidden == pytest.approx(0.7, abs=0.02)  # seven in ten
    of_three = changes["three hidden layers"].reshape(-1, 3).mean(axis=1)
    assert (of_three.argmax(), of_three.argmin()) == (4, 3)  # 12 to 14, and 9 to 11
    mean, half_width = interval(changes["three hidden layers"])
    assert abs(mean) < half_width
    assert changes["random shifts"].mean() == pytest.approx(1 / 3, abs=0.04)
    assert changes["constant learning rate"].mean() == pytest.approx(-1, abs=0.1)
    answers = read_record("answers.json")["answers"]
    softmax, sigmoids, one_hot = [
        answers[f"{name}, seeds 0 to 2"] for name in ["softmax", "sigmoids", "one-hot"]
    ]
    assert softmax == sigmoids == one_hot


def test_numbers_of_parameters_are_those_of_the_models(notebook):
    summaries = ""
    stated = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            summaries += printed(cell)
        else:
            stated += re.findall(r"([\d,]+) \*?parameters", cell.source)
    assert len(stated) >= 5
    for number in stated:
        assert number in summaries


def test_what_an_earlier_edition_measured_is_said_to_be_of_one(notebook, sources):
    for record, text in [
        ("thirty_seeds.json", "techniques-table-text"),
        ("answers.json", "seen"),
    ]:
        if read_record(record)["provenance"]["recipe"] != recipe(notebook):
            assert "an earlier edition" in sources[text], (
                f"{record} is of another recipe"
            )


def test_answers_to_exercises_were_measured(sources):
    record = read_record("answers.json")["answers"]
    texts = re.findall(
        "<summary>Answer</summary>(.+?)</details>", sources["seen"], re.S
    )
    for text, names in zip(texts, ANSWERS, strict=True):
        shares = re.findall(r"(\d+\.\d+)(?= ?%| and \d)", text)
        expected = [f"{100 * record[name]:.1f}" for name in names]
        assert sorted(shares) == sorted(expected), text
