"""Copy what was measured into the README: python tests/update_readme.py

The comparison table and figure come from the notebook's outputs, two more tables from tests/benchmark.md, and the
figure of 30 seeds from tests/thirty_seeds.json, the results.json of a run with the seeds 0 to 29.
"""

import base64
import json
import re

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import scipy
from conftest import NOTEBOOK, PROJECT

SMALL_CHANGES = {  # a technique tried with all seeds -> the model it is compared with
    "three hidden layers": "Hidden layer", "batch normalisation": "Hidden layer", "dropout": "Hidden layer",
    "random shifts": "Flatten layer"}


def interval(values):
    """The mean and half the width of its 95 % confidence interval, by Student's t."""
    return np.mean(values), scipy.stats.t.ppf(0.975, len(values) - 1) * scipy.stats.sem(values)


def thirty_seeds():
    """Seeds 0 to 29: test accuracies in %, model -> (30,), and changes in points, technique -> (30,)."""
    results = json.loads((PROJECT / "tests" / "thirty_seeds.json").read_text())
    assert results["dataset"] == "MNIST" and results["seeds"] == list(range(30))
    models, techniques = ({name: 100 * np.array(one["test_accuracy"]) for name, one in results[kind].items()}
                          for kind in ("models", "techniques"))
    return models, {name: techniques[name] - models[baseline] for name, baseline in SMALL_CHANGES.items()}


def seeds_figure():
    """What 30 seeds say of each model and of four techniques, and what each three of them say: a figure."""
    models, changes = thirty_seeds()
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for place, accuracies in enumerate(models.values()):
        mean, margin = interval(accuracies)
        scatter = np.random.default_rng(0).uniform(-0.15, 0.15, 30)  # so that equal ones do not hide each other
        left.plot(accuracies - mean, place + scatter, "o", color="tab:blue", alpha=0.4, linewidth=0, label="one seed")
        left.errorbar(0, place + 0.3, xerr=margin, color="black", capsize=5, label="mean of all 30, 95 % confidence")
    for place, change in enumerate(changes.values()):
        mean, margin = interval(change)
        groups = change.reshape(10, 3).mean(axis=1)
        right.plot(groups[1:], [place] * 9, "D", color="tab:orange", alpha=0.6, linewidth=0,
                   label="mean of three seeds")
        right.plot(groups[0], place, "D", color="tab:red", linewidth=0, label="of 0, 1 and 2")
        right.errorbar(mean, place + 0.3, xerr=margin, color="black", capsize=5)
    right.axvline(0, color="gray", linestyle=":")
    left.set(title="Each model's 30 seeds: 0.2 to 0.4 points apart", xlabel="test accuracy minus its mean, points")
    right.set(title="Three seeds may promise what 30 do not keep",
              xlabel="test accuracy minus that of a hidden layer, points")
    for axis, rows, form in ((left, models, "{}\n{:.2f} ± {:.2f} %"), (right, changes, "{}\n{:+.2f} ± {:.2f}")):
        axis.set(yticks=range(4), yticklabels=[form.format(name, *interval(values)) for name, values in rows.items()],
                 ylim=(4.3, -0.4))
        labels = dict(zip(*reversed(axis.get_legend_handles_labels())))
        axis.legend(labels.values(), labels, loc="lower center", ncols=2, fontsize=9)
    return figure


def main():
    cells = {cell.id: cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells}
    table = cells["comparison-table"].outputs[0].data["text/markdown"]
    readme = PROJECT / "README.md"
    text = readme.read_text(encoding="utf-8")
    tables = {"comparison": table, "benchmark": (PROJECT / "tests" / "benchmark.md").read_text(encoding="utf-8")}
    for name, copied in tables.items():
        place = re.compile(f"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        text = place.sub(lambda found: f"{found[1]}{copied.rstrip()}\n{found[2]}", text)
    readme.write_text(text, encoding="utf-8")
    picture = base64.b64decode(cells["comparison-figure"].outputs[0].data["image/png"])
    (PROJECT / "images" / "comparison.png").write_bytes(picture)
    seeds_figure().savefig(PROJECT / "images" / "thirty_seeds.png", dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main()
