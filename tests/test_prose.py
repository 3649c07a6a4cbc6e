"""Every number in the text is in the code or the outputs of its section, or was recorded, or is a known fact."""

import json
import re

import numpy as np
import pytest
from common import PROJECT, interval
from conftest import printed
from test_faults import IN_A_RUN, IN_A_TEST
from update_readme import thirty_seeds

FACTS = {  # place -> numbers that are neither measured nor set where they stand
    "question": "100 10,000", "data": "70,000", "first": "28", "first-predict-text": "100", "no-hidden-seen": "5,000",
    "hidden": "7", "cnn": "40", "comparison-seen": "30 95", "mcnemar-text": "0.01", "mcnemar-seen": "60 40 20 0.2",
    "techniques-text": "7", "techniques-table-text": "20", "techniques-seen": "30 0.003", "own-digits": "99",
    "elsewhere-text": "1,797 13", "exercises": "0 1 2 3 4 5 10 28 784 1,000 5,500 7,850 79,510",
    "answers": "1 2 3 4 5 1,000 55,000",
    "README.md": "2 30 95 3.11 3.13 7 70,000 11 5,000 3.0 2007 2018 2019 99.5",
    "benchmarks/README.md": "0 0.1 1 2 3 3.9 4 5 9 10 14 20 30 32 33 59 60 64 89 95 5,000 10,000 60,000 192.168 1.10 "
                            "127.0 8786"}
NUMBER = re.compile(r"[-+]?\d+\.\d+ ± \d+\.\d+|\d(?:[\d,]*\d)?(?:\.\d+)?")


def numbers(text):
    """The numbers in a text, without commas, and of a share such as 0.9 the per cent, too."""
    text = re.sub(r"\x1b\[[\d;]*m|\]\(.*?\)", "", text)
    found = {number.replace(",", "") for number in NUMBER.findall(text)}
    shares = [float(number) for number in found if number.startswith("0.") and "±" not in number]
    return found | {f"{100 * share:{form}}" for share in shares for form in ("g", ".0f")}


def shown(cell):
    """A code cell's outputs, as text, with the descriptions of figures."""
    return printed(cell) + json.dumps([output.get("metadata", {}) for output in cell.outputs])


def recorded(cells):
    """What was measured elsewhere, or is derived from what another cell holds: place -> text."""
    ranges = [tuple(map(float, pair)) for pair in re.findall(
        r"\(([\d.]+), ([\d.]+)\)", cells["comparison-table"].source)]
    models, changes = thirty_seeds()
    thirty = " ".join([*("{:.2f} ± {:.2f}".format(*interval(values)) for values in models.values()),
                       *("{:+.2f} ± {:.2f}".format(*interval(values)) for values in changes.values())])
    answers = json.loads((PROJECT / "benchmarks/answers.json").read_text())
    speed = (PROJECT / "benchmarks/speed.md").read_text(encoding="utf-8")
    gain = f"{changes['three hidden layers'][:3].mean():.2f}"
    (hidden,) = re.findall(r"^\| Hidden layer .*", shown(cells["comparison-table"]), re.MULTILINE)
    (share,) = re.findall(r"^\| share .*", speed, re.MULTILINE)
    sampling = [f"{1.96 * (mean * (100 - mean) / 10000) ** 0.5:.2f}"  # how 10,000 other images may differ, in points
                for mean in (models["CNN"].mean(), models["Hidden layer"].mean())]
    alarms = json.loads((PROJECT / "benchmarks/false_alarms.json").read_text())["technique_seeds"]
    n_runs = f"{len(alarms) + (PROJECT / 'benchmarks/false_alarms.md').read_text().count('| passed |')}"
    return {"README.md": f"{len(IN_A_RUN + IN_A_TEST)} {n_runs}",
            "benchmarks/README.md": " ".join([thirty, gain, hidden, share, n_runs, *sampling]),
            "question": " ".join(f"{low:.1f} {high:.1f} {100 * (100 - high):.0f} {100 * (100 - low):.0f}"
                                 for low, high in ranges[:4]),
            "load-text": "1,000 " + " ".join(f"{np.mean(pair):.0f}" for pair in ranges[4:]),
            "comparison-seen": thirty,
            "techniques-seen": f"{thirty} {gain} " + " ".join(
                f"{100 * share:.1f}" for name, share in answers.items() if "validation" in name),
            "answers": " ".join(f"{100 * share:{form}}" for share in answers.values() for form in (".1f", ".0f"))}


@pytest.fixture(scope="module")
def text(notebook):
    """Each number in the text: (place, number, the numbers that may be there, whether it states a result)."""
    found, sections = [], [[]]
    derived = recorded({cell.id: cell for cell in notebook.cells})

    def look_at(place, plain, code="", outputs=""):
        given = numbers(FACTS.get(place, "")) | numbers(code)
        results = numbers(derived.get(place, "")) | numbers(outputs)
        for number in NUMBER.findall(re.sub(r"\]\(.*?\)", "", plain)):
            number = number.replace(",", "")
            found.append((place, number, given | results, number not in given and len(number) > 1))

    for cell in notebook.cells:
        if cell.cell_type == "markdown" and re.search("^#+ ", cell.source, re.MULTILINE):
            sections.append([])
        sections[-1].append(cell)
    for section in sections:
        code = [cell for cell in section if cell.cell_type == "code"]
        for cell in section:
            if cell.cell_type == "markdown":
                look_at(cell.id, cell.source, "\n".join(one.source for one in code), "\n".join(map(shown, code)))
    for page in ("README.md", "benchmarks/README.md"):
        look_at(page, re.sub(r"^\|.*", "", (PROJECT / page).read_text(encoding="utf-8"), flags=re.MULTILINE))
    return found


def test_every_number_in_the_text_is_known(text):
    assert not [(place, number) for place, number, allowed, _ in text if number not in allowed]


def test_a_changed_number_is_noticed(text):
    """Of all changes of one digit, in numbers of two digits or more that state a result, nine in ten are noticed."""
    noticed = [f"{number[:place]}{digit}{number[place + 1:]}" not in allowed
               for _, number, allowed, is_result in text if is_result
               for place, now in enumerate(number) if now.isdigit() for digit in range(10) if digit != int(now)]
    assert len(noticed) > 1000 and np.mean(noticed) >= 0.9, (len(noticed), np.mean(noticed))
