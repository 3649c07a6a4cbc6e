"""Draw how mistakes and training time change with the number of images.

    python benchmarks/growth.py

Reads speed.json, which speed.py writes, and writes images/growth.png.
"""

import json

import matplotlib.pyplot as plt
import numpy as np
from common import PROJECT
from speed import BUILDERS, FOLDER, SIZES


def draw_growth(record):
    """A figure of mistakes and seconds over the number of images, for our models."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for model, line in zip(BUILDERS, ["C7s:", "C2^-", "C2v--", "C3o-"], strict=True):
        misread, seconds = [], []
        names = [f"{model}, our recipe, images: {size}" for size in SIZES]
        for name in [*names, f"{model}, our recipe"]:
            figures = [repeat[name] for repeat in record["repeats"] if name in repeat]
            misread.append(100 - np.mean([each["accuracy"] for each in figures]))
            seconds.append(np.median([each["seconds"] for each in figures]))
        left.loglog([*SIZES, 60000], misread, line, label=model)
        right.loglog([*SIZES, 60000], seconds, line)
    left.set(xlabel="images", ylabel="test images misread, %")
    right.set(xlabel="images", ylabel="seconds of training")
    left.legend()
    return figure


if __name__ == "__main__":
    record = json.loads((FOLDER / "speed.json").read_text())
    metadata = {"Software": None}
    path = PROJECT / "images" / "growth.png"
    draw_growth(record).savefig(path, dpi=100, metadata=metadata)
