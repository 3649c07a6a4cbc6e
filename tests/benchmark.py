"""Time the notebook against what people usually run, in turn, on one machine, and print what the README shows of it.

    MNIST_NPZ=path/to/mnist.npz python tests/benchmark.py [repeats] > tests/benchmark.md

The opponents are the four models with Keras' defaults, as tutorials train them, and the simple convnet of the
Keras examples, with another seed in each repeat. Each measurement runs in a process of its own, and nothing else
should run meanwhile. Times drift on most machines, so trust the ratios, which are taken within each repeat, more
than the seconds.
Expect about 17 minutes a repeat on two processor cores.
"""

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from conftest import NOTEBOOK, load_functions


def prepared():
    """The notebook's functions as a module, with its data loaded and prepared."""
    return load_functions("load", "prepare-code")


def test_accuracy(notebook, model):
    answers = notebook.predict_proba(model, notebook.x_test).argmax(axis=1)
    return float((answers == notebook.y_test).mean())


def stock():
    """The usual four: sigmoid outputs, Adam, batches of 32; 5, 5, 10 and 5 epochs on all 60,000 images."""
    notebook = prepared()
    layers = notebook.layers
    x_train = (notebook.images_train / 255).astype("float32")
    models = {
        "No hidden layer": (5, [layers.Input((784,))]),
        "Hidden layer": (5, [layers.Input((784,)), layers.Dense(100, activation="relu")]),
        "Flatten layer": (10, [layers.Input((28, 28)), layers.Flatten(), layers.Dense(100, activation="relu")]),
        "CNN": (5, [layers.Input((28, 28, 1)),
                    layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
                    layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(),
                    layers.Flatten(), layers.Dense(100, activation="relu")]),
    }
    figures = {"training, s": 0}
    for name, (epochs, beginning) in models.items():
        model = notebook.keras.Sequential([*beginning, layers.Dense(10, activation="sigmoid")])
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        start = time.perf_counter()
        model.fit(x_train.reshape(-1, *model.input_shape[1:]), notebook.labels_train, epochs=epochs, verbose=0)
        figures["training, s"] += time.perf_counter() - start
        figures[f"{name}, %"] = 100 * test_accuracy(notebook, model)
    return figures


def convnet():
    """The simple convnet: 34,826 parameters, Adam, batches of 128, 15 epochs on 54,000 images."""
    notebook = prepared()
    keras, layers = notebook.keras, notebook.layers
    model = keras.Sequential([
        layers.Input((28, 28, 1)),
        layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(),
        layers.Flatten(), layers.Dropout(0.5), layers.Dense(10, activation="softmax"),
    ])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    x_train = (notebook.images_train[:54000, ..., np.newaxis] / 255).astype("float32")
    figures = {"training, s": 0, "to 99.0 %, s": math.nan}
    for _ in range(15):  # one fit an epoch, so that the look at the test set in between is not timed
        start = time.perf_counter()
        model.fit(x_train, notebook.labels_train[:54000], batch_size=128, verbose=0)
        figures["training, s"] += time.perf_counter() - start
        accuracy = test_accuracy(notebook, model)
        if accuracy >= 0.99 and math.isnan(figures["to 99.0 %, s"]):
            figures["to 99.0 %, s"] = figures["training, s"]
    return figures | {"CNN, %": 100 * accuracy}


def memory_of(process):
    """Bytes in memory of a process and its children together."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            pass
    return total


def ours():
    """This notebook, all of it, headless: imports, data, training of all seeds, figures, files, checks."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / NOTEBOOK.name
        copy.write_bytes(NOTEBOOK.read_bytes())
        start, peak = time.perf_counter(), 0
        with subprocess.Popen([sys.executable, "-m", "jupyter", "nbconvert", "--execute", "--to", "notebook",
                               "--inplace", copy]) as process:
            while process.poll() is None:
                peak = max(peak, memory_of(psutil.Process(process.pid)))
                time.sleep(0.2)
            if process.returncode:
                sys.exit(process.returncode)
        figures = {"all cells, s": time.perf_counter() - start, "memory, GB": peak / 1e9}
        results = json.loads((Path(folder) / "artifacts/results.json").read_text())
    models = results["models"]
    techniques = sum(sum(one["train_seconds"]) for one in results["techniques"].values())
    figures["without techniques, s"] = figures["all cells, s"] - techniques
    for name, model in models.items():
        figures[f"{name}, %"] = 100 * statistics.mean(model["test_accuracy"])
    return figures | {"training, s": sum(sum(model["train_seconds"]) for model in models.values()),
                      "training of a CNN, s": statistics.mean(models["CNN"]["train_seconds"])}


def mean_over_seeds(notebook, build, epochs, seeds, **how):
    """Mean accuracy and seconds of a CNN trained with so many seeds by the notebook's recipe for so many epochs."""
    runs = notebook.train(build, range(seeds), n_epochs=epochs, **how)
    return {"CNN, %": 100 * statistics.mean(run.test_accuracy for run in runs),
            "training of a CNN, s": statistics.mean(run.seconds for run in runs)}


def sprint():
    """The notebook's recipe for one epoch, its CNN without biases and dropout, five seeds."""
    notebook = prepared()
    layers = notebook.layers

    def quick_cnn():
        return notebook.keras.Sequential([
            layers.Input((28, 28, 1)),
            layers.Conv2D(16, 5, use_bias=False), layers.MaxPooling2D(3), layers.ReLU(),
            layers.Conv2D(64, 5, use_bias=False), layers.BatchNormalization(momentum=0.9), layers.ReLU(),
            layers.Flatten(),
            layers.Dense(128, use_bias=False), layers.BatchNormalization(momentum=0.9), layers.ReLU(),
            layers.Dense(10, activation="softmax"),
        ])

    return mean_over_seeds(notebook, quick_cnn, epochs=1, seeds=5)


def shifts():
    """The notebook's recipe for ten epochs with random shifts, a CNN with more filters, three seeds."""
    notebook = prepared()
    layers = notebook.layers

    def large_cnn():
        return notebook.keras.Sequential([
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 5, use_bias=False), layers.MaxPooling2D(), layers.BatchNormalization(), layers.ReLU(),
            layers.Conv2D(64, 5, use_bias=False), layers.MaxPooling2D(), layers.BatchNormalization(), layers.ReLU(),
            layers.Flatten(), layers.Dropout(0.3),
            layers.Dense(256, use_bias=False), layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ])

    return mean_over_seeds(notebook, large_cnn, epochs=10, seeds=3, augment=notebook.shift)


def growth():
    """Seconds to train the four models, one seed each, on 15,000, 30,000 and 60,000 images.

    Of these, a twelfth is held back for validation, as always.
    """
    figures = {}
    with np.load(os.environ["MNIST_NPZ"]) as file, tempfile.TemporaryDirectory() as folder:
        arrays = dict(file)
        for images in (15000, 30000, 60000):
            os.environ["MNIST_NPZ"] = str(Path(folder) / f"{images}.npz")
            fewer = {name: arrays[name][:images] for name in ("x_train", "y_train")}
            np.savez(os.environ["MNIST_NPZ"], **arrays | fewer)
            notebook = prepared()
            builds = (notebook.no_hidden_layer, notebook.hidden_layer, notebook.flatten_layer, notebook.cnn)
            figures[f"training on {images:,}, s"] = sum(
                notebook.train(build, [0])[0].seconds for build in builds)
    return figures


MEASUREMENTS = (stock, convnet, ours, sprint, shifts, growth)
ROWS = {  # what was measured: accuracies and seconds, as (measurement, its figures)
    "four models as tutorials build them, with Keras' defaults":
        (("stock", "No hidden layer, %", "Hidden layer, %", "Flatten layer, %", "CNN, %"), ("stock", "training, s")),
    "the simple convnet of the Keras examples, 15 epochs": (("convnet", "CNN, %"), ("convnet", "training, s")),
    "the same, until it passed 99.0 %": (None, ("convnet", "to 99.0 %, s")),
    "**this notebook**, all cells but the techniques, three seeds":
        (("ours", "No hidden layer, %", "Hidden layer, %", "Flatten layer, %", "CNN, %"),
         ("ours", "without techniques, s")),
    "this notebook, all cells": (None, ("ours", "all cells, s")),
    "its CNN, mean of three seeds": (("ours", "CNN, %"), ("ours", "training of a CNN, s")),
    "its CNN without biases and dropout, one epoch, mean of five seeds":
        (("sprint", "CNN, %"), ("sprint", "training of a CNN, s")),
    "a larger CNN with random shifts, ten epochs, mean of three seeds":
        (("shifts", "CNN, %"), ("shifts", "training of a CNN, s")),
    "its four models once, on 15,000 images": (None, ("growth", "training on 15,000, s")),
    "on 30,000 images": (None, ("growth", "training on 30,000, s")),
    "on 60,000 images": (None, ("growth", "training on 60,000, s")),
}
RATIOS = {
    "all cells but the techniques / the four models as tutorials build them":
        (("ours", "without techniques, s"), ("stock", "training, s")),
    "all cells / the four models as tutorials build them": (("ours", "all cells, s"), ("stock", "training, s")),
    "a CNN here / 15 epochs of the simple convnet":
        (("ours", "training of a CNN, s"), ("convnet", "training, s")),
    "one epoch of the CNN without biases and dropout / the simple convnet until it passed 99.0 %":
        (("sprint", "training of a CNN, s"), ("convnet", "to 99.0 %, s")),
    "training on 30,000 images / on 15,000":
        (("growth", "training on 30,000, s"), ("growth", "training on 15,000, s")),
    "training on 60,000 images / on 30,000":
        (("growth", "training on 60,000, s"), ("growth", "training on 30,000, s")),
}


def measure(name, seed):
    """Run one measurement in a process of its own; returns its figures, name -> number."""
    program = [sys.executable, __file__, "--only", name, str(seed)]
    done = subprocess.run(program, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main(repeats):
    if not os.environ.get("MNIST_NPZ"):
        sys.exit("Set MNIST_NPZ to a copy of mnist.npz: these figures are about MNIST.")
    os.environ["MNIST_NPZ"] = os.path.abspath(os.environ["MNIST_NPZ"])  # the notebook runs in another folder
    figures = {measurement.__name__: [] for measurement in MEASUREMENTS}
    for repeat in range(repeats):
        for name in figures:
            print(f"repeat {repeat + 1} of {repeats}: {name} ...", end="", flush=True, file=sys.stderr)
            start = time.perf_counter()
            figures[name].append(measure(name, seed=repeat))
            print(f" {time.perf_counter() - start:.0f} s", file=sys.stderr)

    def repeated(name, figure):
        return [one[figure] for one in figures[name]]

    print(f"| MNIST, {repeats} repeats, {os.cpu_count()} processor cores | test accuracy, % | seconds |\n|---|--:|--:|")
    for label, (accuracies, (name, seconds)) in ROWS.items():
        medians = accuracies and [statistics.median(repeated(accuracies[0], one)) for one in accuracies[1:]]
        shown = ", ".join(f"{one:.2f}" for one in medians or [])
        print(f"| {label} | {shown} | {spread(repeated(name, seconds), 1)} |")
    print("\n| ratio of two times, or memory | |\n|---|--:|")
    for label, ((over, a), (under, b)) in RATIOS.items():
        print(f"| {label} | {spread([x / y for x, y in zip(repeated(over, a), repeated(under, b))], 2)} |")
    print(f"| peak memory of all cells, GB | {spread(repeated('ours', 'memory, GB'), 2)} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--only"]:
        (measurement,) = (one for one in MEASUREMENTS if one.__name__ == sys.argv[2])
        import keras  # not for the process that only waits and prints

        keras.utils.set_random_seed(int(sys.argv[3]))  # for the opponents: the notebook sets its own seeds
        print(json.dumps(measurement()))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
