"""Measure what the notebook's text quotes from beyond its own run.

    MNIST_NPZ=path/to/mnist.npz python benchmarks/answers.py

These are the answers to its exercises, what other learning rates make of raw pixels,
what sigmoids and one-hot labels change, and what batch normalisation and dropout give
the CNN. Takes ten minutes on two cores, and on slow ones four times as long. Writes
answers.json, beside this file.
"""

import json
from pathlib import Path

import nbformat
import numpy as np
from common import NOTEBOOK, load_functions, predict, run_cells
from provenance import provenance

PEAKS = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1]  # of the learning rate
BUILDERS = {
    "No hidden layer": "no_hidden_layer",
    "Hidden layer": "hidden_layer",
    "CNN": "cnn",
}


def measure_answers():
    """Return accuracies, 0 to 1, of the test images if not said otherwise."""
    notebook = load_functions("load", "check", "prepare-code", "learning-rate")
    answers = {}

    def measure(build):
        return notebook.train(build, [0])[0]["test_accuracy"]

    def dense_model(units, activation):
        def build():
            layer = notebook.layers.Dense(units, activation=activation)
            return notebook.network((784,), [layer])

        return build

    answers["no relu"] = measure(dense_model(100, None))
    answers["10 units"] = measure(dense_model(10, "relu"))
    answers["1000 units"] = measure(dense_model(1000, "relu"))

    shifting = notebook.train(lambda: shifting_cnn(notebook), [0])[0]
    moved = np.zeros_like(notebook.x_test)
    moved[:, :, 4:] = notebook.x_test[:, :, :-4]
    read = predict(shifting["model"], moved)
    answers["shift while training, CNN"] = shifting["test_accuracy"]
    answers["shift while training, moved"] = float(np.mean(read == notebook.y_test))

    hidden = notebook.train(notebook.hidden_layer, [0])[0]
    answers["validation, peak 0.01"] = hidden["history"]["val_accuracy"][-1]
    for peak in PEAKS:
        rate = notebook.keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.04 * peak,
            warmup_target=peak,
            warmup_steps=notebook.steps // 5,
            decay_steps=notebook.steps - notebook.steps // 5,
        )
        run = notebook.train(notebook.raw_pixels, [0], learning_rate=rate)[0]
        accuracy = run["history"]["val_accuracy"][-1]
        answers[f"raw pixels, validation, peak {peak}"] = accuracy

    answers |= compare_outputs(notebook)
    answers |= compare_parts_of_the_cnn(notebook)

    images, labels = notebook.x_train, notebook.y_train
    notebook.x_train, notebook.y_train = images[:5500], labels[:5500]
    run_cells(notebook, "learning-rate", "train")
    for name, builder in BUILDERS.items():
        answers[f"a tenth, {name}"] = measure(getattr(notebook, builder))
    notebook.x_train, notebook.y_train = images, labels
    run_cells(notebook, "learning-rate", "train")

    order = np.random.default_rng(0).permutation(784)
    for name in ("x_train", "x_valid", "x_test"):
        pixels = getattr(notebook, name).reshape(-1, 784)
        setattr(notebook, name, pixels[:, order].reshape(-1, 28, 28))
    for name in ("Hidden layer", "CNN"):
        answers[f"scrambled, {name}"] = measure(getattr(notebook, BUILDERS[name]))
    return answers


def shifting_cnn(notebook):
    """The notebook's CNN, after a layer that moves each training image at random."""
    keras = notebook.keras
    cnn = notebook.cnn()
    shift = keras.layers.RandomTranslation(0.15, 0.15)
    return keras.Sequential([keras.layers.Input((28, 28, 1)), shift, *cnn.layers])


def compare_outputs(notebook):
    """Train a hidden layer as it is, with ten sigmoids, and with one-hot labels.

    Returns the accuracies of the seeds 0, 1 and 2, each three numbers.
    """
    keras = notebook.keras
    seeds = [0, 1, 2]

    def with_sigmoids():
        return notebook.network((784,), [notebook.dense_relu()], output="sigmoid")

    def with_one_hot_labels():
        model = notebook.hidden_layer()
        compile_model = model.compile

        def compile_with_other_loss(**settings):
            settings["loss"] = "categorical_crossentropy"
            compile_model(**settings)

        model.compile = compile_with_other_loss
        return model

    runs = {
        "softmax, seeds 0 to 2": notebook.train(notebook.hidden_layer, seeds),
        "sigmoids, seeds 0 to 2": notebook.train(with_sigmoids, seeds),
    }
    labels = {}
    for name in ["y_train", "y_valid", "y_test"]:
        labels[name] = getattr(notebook, name)
        setattr(notebook, name, keras.utils.to_categorical(labels[name]))
    runs["one-hot, seeds 0 to 2"] = notebook.train(with_one_hot_labels, seeds)
    vars(notebook).update(labels)
    accuracies = {}
    for name, runs_of_model in runs.items():
        accuracies[name] = [run["test_accuracy"] for run in runs_of_model]
    return accuracies


def compare_parts_of_the_cnn(notebook):
    """Train the CNN without batch normalisation, without dropout, and without both.

    Returns the accuracies of the seeds 0 to 4, each five numbers.
    """
    layers = notebook.layers
    accuracies = {}
    for name, left_out in {
        "CNN, without batch normalisation": layers.BatchNormalization,
        "CNN, without dropout": layers.Dropout,
        "CNN, without both": (layers.BatchNormalization, layers.Dropout),
    }.items():

        def build(left_out=left_out):
            cnn = notebook.cnn()
            kept = [layer for layer in cnn.layers if not isinstance(layer, left_out)]
            return notebook.keras.Sequential([layers.Input((28, 28, 1)), *kept])

        runs_of_model = notebook.train(build, range(5))
        accuracies[name] = [run["test_accuracy"] for run in runs_of_model]
    return accuracies


def main():
    record = {"provenance": provenance(nbformat.read(NOTEBOOK, as_version=4))}
    record["answers"] = measure_answers()
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
