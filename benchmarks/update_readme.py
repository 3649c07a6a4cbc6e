"""Write what was measured into the README and images/, and into benchmarks/README.md:

    python benchmarks/update_readme.py

Tables, sentences and figures come from the outputs of the committed notebook and from
the records beside this file. A record of another recipe than the notebook's gets a †.
"""

import base64
import hashlib
import json
import re

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import speed
from common import NOTEBOOK, PROJECT, accuracies, interval
from growth import draw_growth
from provenance import preparation, recipe

BENCHMARKS = PROJECT / "benchmarks"
IMAGES = PROJECT / "images"
PICTURES = {"mosaics": "mistakes.png"}  # by the cells that draw them
SHARES = {
    "a quarter": 1 / 4,
    "a third": 1 / 3,
    "two fifths": 2 / 5,
    "half": 1 / 2,
    "three fifths": 3 / 5,
    "two thirds": 2 / 3,
    "seven in ten": 7 / 10,
    "three quarters": 3 / 4,
    "four fifths": 4 / 5,
    "nine in ten": 9 / 10,
}
COLOURS = {  # as in the notebook
    "No hidden layer": "C7",
    "Hidden layer": "C2",
    "Flatten layer": "C2",
    "CNN": "C3",
}
RECORDS = [
    ("thirty_seeds.json", "what 30 seeds say", "many_seeds.py", "an hour"),
    (
        "speed.json",
        "time and accuracy beside what people usually run",
        "speed.py",
        "20 minutes a repeat, 12 more with PyTorch",
    ),
    (
        "speed-older.json",
        "the same on an older processor, in part with one seed",
        "speed.py",
        "three hours",
    ),
    (
        "own_digits.json",
        "how people's own pictures are read",
        "own_digits.py",
        "minutes",
    ),
    (
        "other_handwriting.json",
        "how the models read USPS' and scikit-learn's digits",
        "other_handwriting.py",
        "1 minute",
    ),
    (
        "answers.json",
        "answers to the notebook's exercises, and more that its text quotes",
        "answers.py",
        "10 minutes",
    ),
    (
        "false_alarms.json",
        "which statements fail with other seeds",
        "many_seeds.py",
        "40 minutes",
    ),
    (
        "best_cnn.json",
        "how much a CNN reads that may take as long as Keras' example",
        "best_cnn.py",
        "50 minutes",
    ),
    ("sprint.json", "how fast a CNN reads 99 %", "sprint.py", "a minute"),
]
OF_ANOTHER_RECIPE = "† measured with another edition of the notebook."


def read_record(name):
    return json.loads((BENCHMARKS / name).read_text(encoding="utf-8"))


def in_words(share):
    """The nearest share that one says in words, such as three quarters."""
    return min(SHARES, key=lambda words: abs(SHARES[words] - share))


def mark(record, notebook):
    """A dagger for a record that was made with other code than there is now."""
    current = record.get("provenance", {}).get("recipe") == recipe(notebook)
    if "preparation" in record:
        current = current and record["preparation"] == preparation(notebook)
    return "" if current else " †"


def table_of(notebook, cell_id):
    """The rows of a table that a cell of the notebook shows, each a list of texts."""
    (cell,) = [cell for cell in notebook.cells if cell.id == cell_id]
    rows = []
    for line in cell.outputs[0].data["text/markdown"].splitlines():
        rows.append([column.strip() for column in line.strip("|").split("|")])
    return rows[2:]


def models_table(notebook):
    record = read_record("thirty_seeds.json")
    models, _ = accuracies(record)
    n_seeds = len(record["seeds"])
    header = f"| model | parameters | test images read right, {n_seeds} seeds"
    lines = [f"{header}{mark(record, notebook)} |", "|---|--:|--:|"]
    for name, parameters, *_ in table_of(notebook, "comparison-table"):
        mean, half_width = interval(models[name])
        lines.append(f"| {name} | {parameters} | {mean:.2f} ± {half_width:.2f} % |")
    return "\n".join(lines)


def takeaways(notebook):
    """What to take away, its words from the recorded seeds and the notebook's table."""
    models, _ = accuracies(read_record("thirty_seeds.json"))
    misread = {name: 100 - values.mean() for name, values in models.items()}
    hidden = in_words(1 - misread["Hidden layer"] / misread["No hidden layer"])
    cnn = in_words(1 - misread["CNN"] / misread["Hidden layer"])
    elsewhere = {row[0]: row[1:] for row in table_of(notebook, "elsewhere")}
    enlarged, prepared = elsewhere["CNN"]
    return "\n".join(
        [
            f"- **A hidden layer** removes about {hidden} of the mistakes.",
            "- **A Flatten layer** spares you from reshaping the images yourself, "
            "and changes no answer.",
            f"- **A CNN** removes about {cnn} of the mistakes that are left.",
            "- **How a picture is prepared** can count for more than which model "
            f"reads it: of 1,797 digits from elsewhere, the CNN reads {enlarged} "
            f"merely enlarged, and {prepared} prepared as MNIST was.",
        ]
    )


def changes_by_technique(record):
    """Changes in points by each technique, a dictionary, name -> (seeds,)."""
    models, techniques = accuracies(record)
    changes = {}
    for name, values in techniques.items():
        baseline = "CNN" if "CNN" in name else "Hidden layer"
        changes[name] = values - models[baseline]
    return changes


def draw_seeds(record):
    """Draw what 30 seeds say of models and techniques, and each three of them."""
    models, _ = accuracies(record)
    changes = changes_by_technique(record)
    del changes["raw pixels"]  # far to the left of all others
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    labels = []
    ranges = []
    for row, (name, values) in enumerate(models.items()):
        ranges.append(np.ptp(values))
        mean, half_width = interval(values)
        labels.append(f"{name}\n{mean:.2f} ± {half_width:.2f} %")
        heights = np.linspace(row - 0.2, row + 0.2, len(values))
        left.plot(values - mean, heights, "o", color=COLOURS[name], alpha=0.5)
        left.errorbar(0, row + 0.35, xerr=half_width, color="black", capsize=4)
    left.set(
        title=f"Seeds differ by {min(ranges):.1f} to {max(ranges):.1f} points",
        xlabel="test accuracy minus its mean, points",
        yticks=range(len(labels)),
        yticklabels=labels,
    )
    labels = []
    for row, (name, change) in enumerate(changes.items()):
        mean, half_width = interval(change)
        labels.append(f"{name}\n{mean:+.2f} ± {half_width:.2f}")
        of_three = change.reshape(-1, 3).mean(axis=1)
        right.plot(of_three, [row] * len(of_three), "D", color="C0", alpha=0.5)
        right.errorbar(mean, row + 0.3, xerr=half_width, color="black", capsize=4)
    right.axvline(0, color="grey", linestyle=":")
    right.set(
        title="Three seeds may promise what 30 do not keep",
        xlabel="points; diamonds: three seeds, line: all 30",
        yticks=range(len(labels)),
        yticklabels=labels,
    )
    for axis in (left, right):
        axis.invert_yaxis()
        axis.grid(alpha=0.3)
    return figure


def records_table(notebook):
    """The records, each with what it says, what makes it, and how long that takes."""
    lines = [
        "| recorded | what it says | made by | on two cores |",
        "|---|---|---|--:|",
    ]
    for name, says, script, time in RECORDS:
        dagger = mark(read_record(name), notebook)
        lines.append(f"| [{name}]({name}){dagger} | {says} | `{script}` | {time} |")
    return "\n".join(lines)


def seeds_table(notebook):
    """What 30 seeds say of each technique, and each three of them."""
    record = read_record("thirty_seeds.json")
    lines = [
        "| technique | change by 30 seeds, points | gains in 10 groups of three |",
        "|---|--:|--:|",
    ]
    for name, change in changes_by_technique(record).items():
        mean, half_width = interval(change)
        n_gains = (change.reshape(-1, 3).mean(axis=1) > 0).sum()
        lines.append(f"| {name} | {mean:+.2f} ± {half_width:.2f} | {n_gains} |")
    return "\n".join(lines) + origin(record, notebook)


def origin(record, notebook):
    """A sentence on what a record was made with, below a table."""
    made = record.get("provenance")
    if made is None:
        return f"\n\n{OF_ANOTHER_RECIPE}"
    versions = made["versions"]
    threads = f"{made['threads']} threads"
    if "ran_on" in record:  # by many_seeds.py
        threads = "one thread a run"
    sentence = (
        f"Measured on {made['date']} on {made['processor']} with {threads}, "
        f"TensorFlow {versions['tensorflow']} and Keras {versions['keras']}."
    )
    if mark(record, notebook):
        sentence += f" {OF_ANOTHER_RECIPE}"
    return f"\n\n{sentence}"


def own_digits(notebook):
    """What is read of people's own pictures."""
    record = read_record("own_digits.json")
    read_right = record["read right"]
    readers = list(read_right["drawn digits"])
    header = f"| read right{mark(record, notebook)} | {' | '.join(readers)} |"
    lines = [header, "|---" + "|--:" * len(readers) + "|"]
    for name, counts in read_right.items():
        columns = []
        for reader in readers:
            count = counts[reader]
            columns.append(f"{count['right']} of {count['of']}" if count else "–")
        lines.append(f"| {name} | {' | '.join(columns)} |")
    versions = [f"{name} {version}" for name, version in record["versions"].items()]
    lines.append(f"\n{' and '.join(versions)}.")
    return "\n".join(lines) + origin(record, notebook)


def handwriting(notebook):
    """What the program reads of other people's digits, beside two OCR programs."""
    record = read_record("own_digits.json")
    read_right = record["read right"]
    groups = {
        "{} digits that people drew or photographed": ["drawn digits", "wild digits"],
        "{} pages of several digits, all of a page": ["wild pages"],
        "{} digits from US envelopes (USPS)": ["USPS' test images"],
    }
    dagger = mark(record, notebook)
    lines = [f"| read right{dagger} | read_digits.py | Tesseract | RapidOCR |"]
    lines.append("|---|--:|--:|--:|")
    for label, names in groups.items():
        columns = []
        for reader in ["read_digits.py", "Tesseract", "RapidOCR"]:
            counts = [read_right[name][reader] for name in names]
            if all(counts):  # else it was not measured
                columns.append(f"{sum(count['right'] for count in counts):,}")
            else:
                columns.append("–")
        n_pictures = sum(read_right[name]["read_digits.py"]["of"] for name in names)
        lines.append(f"| {label.format(f'{n_pictures:,}')} | {' | '.join(columns)} |")
    return "\n".join(lines)


def speed_table(notebook):
    """What people usually run beside what is here; ratios are medians by machine."""
    records = speed.read_records()
    ours, defaults = "CNN, our recipe", "CNN, Keras' defaults"
    hidden = "Hidden layer, our recipe"
    scikit_learn = "scikit-learn's `MLPClassifier((100,))`, until it stops"
    stopped = [each[speed.SCIKIT_LEARN]["epochs"] for each in records[0]["repeats"]]
    epochs = f"{min(stopped)} to {max(stopped)}"
    rows = [
        ("**our CNN**, 5 epochs", ours, ours, None),
        ("our CNN by Keras' defaults, 5 epochs", defaults, ours, 5),
        ("the same, until validation loss stops falling", defaults, ours, None),
        ("Keras' simple convnet, 15 epochs", speed.EXAMPLE, ours, None),
        ("the same convnet, our recipe, 5 epochs", speed.CONVNET, ours, None),
        ("**our hidden layer**, 5 epochs", hidden, hidden, None),
        (f"{scikit_learn}, {epochs} epochs", speed.SCIKIT_LEARN, hidden, None),
    ]
    processor = records[0]["provenance"]["processor"]
    lines = [
        f"| what is run | test accuracy, % | seconds, {processor} "
        f"| times ours, medians of {len(records)} machines |",
        "|---|--:|--:|--:|",
    ]
    for label, name, compared, n_epochs in rows:
        accuracies = []
        seconds = []
        for repeat in records[0]["repeats"]:
            accuracies.append(speed.cut(repeat[name], n_epochs)["accuracy"])
            seconds.append(speed.seconds_in(repeat, name, n_epochs))
        medians = []  # of the ratios on each machine
        for record in records:
            ratios = []
            for repeat in record["repeats"]:
                if {name, compared} <= repeat.keys():
                    seconds_of_ours = speed.seconds_in(repeat, compared)
                    seconds_here = speed.seconds_in(repeat, name, n_epochs)
                    ratios.append(seconds_here / seconds_of_ours)
            medians.append(np.median(ratios))
        times = f"{min(medians):.1f} to {max(medians):.1f}"
        if name == compared:
            times = "1"
        lines.append(
            f"| {label} | {np.mean(accuracies):.2f} | {np.median(seconds):.1f} "
            f"| {times} |"
        )
    if any(mark(record, notebook) for record in records):
        lines.append(f"\n{OF_ANOTHER_RECIPE}")
    accuracy, seconds = best_cnn()
    dagger = mark(read_record("best_cnn.json"), notebook)
    lines.append(
        f"\nA deeper CNN reads {accuracy} % ({len(seconds)} seeds), in "
        f"{np.median(seconds):.0f} s without validation{dagger}."
    )
    return "\n".join(lines)


def speed_tables(notebook):
    """All that was measured, on all machines."""
    records = speed.read_records()
    tables = [speed.recipe_table(records), speed.others_table(records)]
    for record in records:  # on each machine, others may need fewer epochs
        tables.append(speed.race_table([record]))
    times = []
    epochs = []
    seconds_each = []
    ours_each = []
    for repeat in records[0]["repeats"]:
        times.append(repeat["CNN, our recipe"]["seconds"])
        for figures in repeat.values():
            times += figures["ours"].get("CNN, our recipe", [])
        figures = repeat[speed.SCIKIT_LEARN]
        epochs.append(figures["epochs"])
        seconds_each.append(figures["seconds"] / figures["epochs"])
        ours_each.append(speed.seconds_in(repeat, "Hidden layer, our recipe") / 5)
    noise = (
        f"A single training of our CNN took {min(times):.0f} to {max(times):.0f} s, in "
        f"{len(times)} measurements: of factors below 1.5, think nothing. "
        f"scikit-learn's as it comes stopped after {min(epochs)} to {max(epochs)} "
        f"epochs of {np.median(seconds_each):.1f} s each, where our hidden layer's "
        f"take {np.median(ours_each):.1f} s, with start and validation."
    )
    text = "\n\n".join([*tables, speed.LEGEND, noise])
    text = re.sub(r"([\d.]+) \(\1 to \1\)", r"\1", text)  # of a single measurement
    for record in records:
        text += origin(record, notebook)
    return text


def best_cnn():
    """The mean accuracy of the best CNN in %, as text with ±, and seconds by seed."""
    runs = read_record("best_cnn.json")["runs"]
    mean, half_width = interval(100 * np.ravel([run["accuracy"] for run in runs]))
    return f"{mean:.2f} ± {half_width:.2f}", np.ravel([run["seconds"] for run in runs])


def limits(notebook):
    """How much a CNN can read, and how fast one can be trained."""
    best = read_record("best_cnn.json")
    accuracy, seconds = best_cnn()
    together = [100 * run["together"] for run in best["runs"]]
    sprint = read_record("sprint.json")
    of_sprint = speed.spread([100 * each for each in sprint["accuracy"]], 2, np.mean)
    compiling = sprint["seconds with compiling"]
    lines = [
        "| what is trained | seeds | test accuracy, % | seconds |",
        "|---|--:|--:|--:|",
        f"| the best CNN{mark(best, notebook)} | {len(seconds)} "
        f"| {accuracy} | {speed.spread(seconds, 0)} |",
        f"| three of them, their probabilities added | {len(together)} times 3 "
        f"| {speed.spread(together, 2, np.mean)} | {3 * np.median(seconds):.0f} |",
        f"| the sprint{mark(sprint, notebook)}, on {sprint['device']} "
        f"| {len(sprint['accuracy'])} | {of_sprint} "
        f"| {speed.spread(sprint['seconds'], 1)}; {compiling:.1f} with compiling |",
    ]
    return "\n".join(lines) + origin(best, notebook)


def other_handwriting(notebook):
    record = read_record("other_handwriting.json")
    shares = record["read right"]
    columns = list(shares["CNN"])
    lines = [f"| model | {' | '.join(columns)} |", "|---" + "|--:" * len(columns) + "|"]
    for model, by_column in shares.items():
        texts = [f"{by_column[column]:.1%}" for column in columns]
        lines.append(f"| {model} | {' | '.join(texts)} |")
    return "\n".join(lines) + origin(record, notebook)


def false_alarms(notebook):
    record = read_record("false_alarms.json")
    n_failed = len({run for runs in record["does_not_hold"].values() for run in runs})
    failed = {0: "none", 1: "one"}.get(n_failed, n_failed)
    text = nbformat.writes(notebook)
    words = ""
    if n_failed and not any(each in text for each in record["does_not_hold"]):
        words = "; its limit is another now"
    return (
        f"- [False alarms](benchmarks/README.md#false-alarms): with nothing broken, a "
        f"statement failed in {failed} of {len(record['technique_seeds'])} runs with "
        f"new seeds{mark(record, notebook)}{words}."
    )


PARTS = {  # of each page, a name -> what makes it
    "README.md": {
        "comparison": models_table,
        "takeaways": takeaways,
        "handwriting": handwriting,
        "speed": speed_table,
        "alarms": false_alarms,
    },
    "benchmarks/README.md": {
        "records": records_table,
        "speed": speed_tables,
        "limits": limits,
        "seeds": seeds_table,
        "own digits": own_digits,
        "other handwriting": other_handwriting,
    },
}


def updated(page, text):
    """A page's text, each part from <!-- name --> to <!-- end --> as it is now."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for name, make in PARTS[page].items():
        before, start, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not (start and end):
            raise ValueError(f"{page} has no part <!-- {name} --> ... <!-- end -->")
        text = f"{before}{start}{make(notebook)}\n{end}{after}"
    return text


def pictures():
    """The notebook's figures that the README shows: a file's name -> PNG."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    found = {}
    for cell in notebook.cells:
        if cell.id in PICTURES:
            png = cell.outputs[0].data["image/png"]
            found[PICTURES[cell.id]] = base64.b64decode(png)
    return found


def digest(record):
    """A short text that says of which record a figure is."""
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()[:12]


FIGURES = {  # of records: a file's name -> what draws it, and the record
    "thirty_seeds.png": (draw_seeds, "thirty_seeds.json"),
    "growth.png": (draw_growth, "speed.json"),
}


def main():
    for page in PARTS:
        path = PROJECT / page
        text = updated(page, path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
    for name, png in pictures().items():
        (IMAGES / name).write_bytes(png)
    for name, (draw, source) in FIGURES.items():
        record = read_record(source)
        metadata = {"Software": None, "Description": digest(record)}
        draw(record).savefig(IMAGES / name, dpi=100, metadata=metadata)


if __name__ == "__main__":
    main()
