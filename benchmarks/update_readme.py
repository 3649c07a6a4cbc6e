"""Copy what was measured into the README: python benchmarks/update_readme.py

The table and figures of the notebook come from its outputs, what people usually run from speed.md, what 30 seeds say
from thirty_seeds.json, and other people's handwriting from other_handwriting.md, beside this file.
"""

import base64
import json
import re

import matplotlib.pyplot as plt
import nbformat
import numpy as np
from common import NOTEBOOK, PROJECT, accuracies, interval

PICTURES = {
    "mosaics": "mistakes.png",
    "examples-figure": "prepared.png",
}  # of these cells
BESIDE = {  # a comparison -> beginnings of two rows of speed.md: what people usually run, and what is here
    "four models as in tutorials; here three seeds of each": (
        "four models",
        "**this notebook**",
    ),
    "scikit-learn's `MLPClassifier((100,))`; here the hidden layer": (
        "scikit-learn's",
        "its hidden layer",
    ),
    "Keras' simple convnet, 15 epochs; here the CNN": (
        "the simple convnet",
        "its CNN, one",
    ),
    "Keras' simple convnet up to 99.0 %; here a smaller CNN": (
        "the same",
        "its CNN without",
    ),
    "PyTorch's MNIST example, 14 epochs; here the CNN": ("PyTorch's", "its CNN, one"),
}
SMALL_CHANGES = (
    "three hidden layers",
    "batch normalisation",
    "dropout",
    "random shifts",
)  # to a hidden layer


def thirty_seeds():
    """Seeds 0 to 29: test accuracies in %, model -> (30,), and changes in points, technique -> (30,)."""
    results = json.loads(
        (PROJECT / "benchmarks/thirty_seeds.json").read_text(encoding="utf-8")
    )
    assert results["dataset"] == "MNIST" and results["seeds"] == results[
        "technique_seeds"
    ] == list(range(30))
    models, techniques = accuracies(results)
    return models, {
        name: techniques[name] - models["Hidden layer"] for name in SMALL_CHANGES
    }


def seeds_figure():
    """What 30 seeds say of each model and of four techniques, and what each three of them say: a figure."""
    models, changes = thirty_seeds()
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for place, values in enumerate(models.values()):
        mean, margin = interval(values)
        scatter = np.random.default_rng(0).uniform(
            -0.15, 0.15, 30
        )  # so that equal ones do not hide each other
        left.plot(
            values - mean,
            place + scatter,
            "o",
            color="tab:blue",
            alpha=0.4,
            linewidth=0,
            label="one seed",
        )
        left.errorbar(
            0,
            place + 0.3,
            xerr=margin,
            color="black",
            capsize=5,
            label="mean of all 30, 95 % confidence",
        )
    for place, change in enumerate(changes.values()):
        mean, margin = interval(change)
        groups = change.reshape(10, 3).mean(axis=1)
        right.plot(
            groups[1:],
            [place] * 9,
            "D",
            color="tab:orange",
            alpha=0.6,
            linewidth=0,
            label="mean of three seeds",
        )
        right.plot(
            groups[0],
            place,
            "D",
            color="tab:red",
            linewidth=0,
            label="of seeds 0, 1 and 2",
        )
        right.errorbar(mean, place + 0.3, xerr=margin, color="black", capsize=5)
    right.axvline(0, color="gray", linestyle=":")
    left.set(
        title="Each model's 30 seeds spread over 0.2 to 0.4 points",
        xlabel="test accuracy minus its mean, points",
    )
    right.set(
        title="Three seeds may promise what 30 do not keep",
        xlabel="test accuracy minus that of a hidden layer, points",
    )
    for axis, rows, form in (
        (left, models, "{}\n{:.2f} ± {:.2f} %"),
        (right, changes, "{}\n{:+.2f} ± {:.2f}"),
    ):
        axis.set(
            yticks=range(4),
            yticklabels=[
                form.format(name, *interval(values)) for name, values in rows.items()
            ],
            ylim=(4.3, -0.4),
        )
        labels = dict(zip(*reversed(axis.get_legend_handles_labels())))
        axis.legend(labels.values(), labels, loc="lower center", ncols=2, fontsize=9)
    return figure


def with_thirty_seeds(table):
    """The notebook's table of models with one more column: what 30 seeds say."""
    columns = [" mean of 30 seeds ", "--:"] + [
        " {:.2f} ± {:.2f} % ".format(*interval(values))
        for values in thirty_seeds()[0].values()
    ]
    return "\n".join(
        f"{row}{column}|" for row, column in zip(table.splitlines(), columns)
    )


def beside(speed):
    """What people usually run beside what the notebook has for it, from rows of speed.md."""
    found = re.findall(
        r"^\| (.*?) \| (.*?) \| ([\d.]+) \(.*?\) \|$", speed, re.MULTILINE
    )
    table = ["| compared | usually | here |", "|---|--:|--:|"]
    for name, pair in BESIDE.items():
        rows = [row[1:] for start in pair for row in found if row[0].startswith(start)]
        if len(rows) == 2:  # PyTorch may not have been installed
            (accuracy, seconds), ours = rows
            table.append(
                "| {} | {} % in {} s | {} % in {} s |".format(
                    name, accuracy or "99.0", seconds, *ours
                )
            )
    return "\n".join(table)


def handwriting(measured):
    """What the CNN reads of USPS' images, from a row of other_handwriting.md, beside what others published."""
    enlarged, prepared = re.search(
        r"^\| CNN \| ([\d.]+%) \| ([\d.]+%)", measured, re.MULTILINE
    ).groups()
    return "\n".join(
        [
            "| USPS' test images, read by | right |",
            "|---|--:|",
            f"| this CNN, trained on MNIST; images prepared | {prepared} |",
            f"| the same; images only enlarged | {enlarged} |",
            "| published: trained on MNIST | 82.2 ± 0.8 % |",
            "| published: the same, adapted by USPS' unlabelled images (CyCADA) | 95.6 % |",
            "| published: trained on USPS | 96.3 % |",
        ]
    )


def updated(readme):
    """The README, a text, with its tables as they now are, and its pictures, name -> PNG."""
    cells = {cell.id: cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells}
    models = cells["comparison-table"].outputs[0].data["text/markdown"]
    speed = (PROJECT / "benchmarks/speed.md").read_text(encoding="utf-8")
    measured = (PROJECT / "benchmarks/other_handwriting.md").read_text(encoding="utf-8")
    for name, table in {
        "comparison": with_thirty_seeds(models),
        "handwriting": handwriting(measured),
        "speed": beside(speed),
    }.items():
        place = re.compile(f"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        readme = place.sub(lambda found: f"{found[1]}{table}\n{found[2]}", readme)
    return readme, {
        name: base64.b64decode(cells[cell].outputs[0].data["image/png"])
        for cell, name in PICTURES.items()
    }


if __name__ == "__main__":
    readme = PROJECT / "README.md"
    text, pictures = updated(readme.read_text(encoding="utf-8"))
    readme.write_text(text, encoding="utf-8")
    for name, picture in pictures.items():
        (PROJECT / "images" / name).write_bytes(picture)
    seeds_figure().savefig(
        PROJECT / "images/thirty_seeds.png", dpi=100, metadata={"Software": None}
    )
