"""Measure what the notebook's text quotes from beyond its own run.

    MNIST_NPZ=path/to/mnist.npz python benchmarks/answers.py > benchmarks/answers.json

These are the answers to its exercises, and what other learning rates make of raw pixels. Takes three
minutes on two cores.
"""

import contextlib
import json
import sys

import numpy as np
from common import load_functions

PEAKS = 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1  # of the learning rate


def main():
    notebook = load_functions("load", "prepare-code")
    layers = notebook.layers
    builds = {"No hidden layer": notebook.no_hidden_layer, "Hidden layer": notebook.hidden_layer, "CNN": notebook.cnn}
    x_train, y_train, x_test = notebook.x_train, notebook.y_train, notebook.x_test

    def read(build):
        return notebook.train(build, [0])[0].test_accuracy

    answers = {"no relu": read(lambda: notebook.network((784,), layers.Dense(100)))}
    for units in (10, 1000):
        answers[f"{units} units"] = read(lambda: notebook.network((784,), layers.Dense(units, activation="relu")))
    notebook.x_train, notebook.y_train = x_train[:5500], y_train[:5500]
    answers |= {f"a tenth, {name}": read(build) for name, build in builds.items()}
    notebook.x_train, notebook.y_train = x_train, y_train
    notebook.runs = {name: notebook.train(build, notebook.SEEDS) for name, build in builds.items()}
    for name in builds:
        moved = notebook.predict_proba(notebook.best(name).model, np.roll(x_test, 4, axis=2))
        answers[f"moved, {name}"] = float(np.mean(moved.argmax(axis=1) == notebook.y_test))

    steps = notebook.EPOCHS * -(-len(x_train) // 128)
    for peak in PEAKS:  # as compile_model has it, but for the peak
        rate = notebook.keras.optimizers.schedules.CosineDecay(
            0.04 * peak, steps - steps // 5, warmup_target=peak, warmup_steps=steps // 5)
        (run,) = notebook.train(
            lambda: notebook.network((784,), layers.Rescaling(255), notebook.relu()), [0],
            optimizer=notebook.keras.optimizers.AdamW(rate, weight_decay=0.1, beta_2=0.98))
        answers[f"raw pixels, validation, peak {peak}"] = run.history["val_accuracy"][-1]
    answers["validation, peak 0.01"] = notebook.runs["Hidden layer"][0].history["val_accuracy"][-1]

    order = np.random.default_rng(0).permutation(784)
    for name in ("x_train", "x_valid", "x_test"):
        scrambled = getattr(notebook, name).reshape(-1, 784)[:, order].reshape(-1, 28, 28)
        setattr(notebook, name, scrambled)
    answers |= {f"scrambled, {name}": read(builds[name]) for name in ("Hidden layer", "CNN")}
    return answers


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # the progress of training
        answers = main()
    print(json.dumps(answers, indent=2))
