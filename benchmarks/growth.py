"""Draw how mistakes and training time change with the number of images."""

import matplotlib.pyplot as plt
import numpy as np
from speed import BUILDERS, SIZES


def draw_growth(record):
    """A figure of what speed.json holds of our models, over the number of images."""
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
    left.set_title("More images, fewer mistakes")
    right.set(xlabel="images", ylabel="seconds of training")
    right.set_title("Five epochs of more images take longer")
    left.legend()
    for axis, ticks in [(left, [1, 2, 5, 10]), (right, [1, 2, 5, 10, 20])]:
        axis.minorticks_off()
        axis.set_xticks([*SIZES, 60000], [f"{size:,}" for size in [*SIZES, 60000]])
        axis.set_yticks(ticks, ticks)
        axis.grid(alpha=0.3)
    return figure
