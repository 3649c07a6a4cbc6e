"""Time the notebook against what people usually run, in turn, on one machine, and print what the README shows of it.

    MNIST_NPZ=path/to/mnist.npz python benchmarks/speed.py [repeats] > benchmarks/speed.md

Each measurement runs in a process of its own, opponents with another seed in each repeat. Nothing else should run
meanwhile. Times drift, so trust the ratios, which are taken within each repeat, more than the seconds. PyTorch's
example is measured where the package torch is installed. Expect 14 minutes per repeat on two cores, with PyTorch 27.
"""

import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import psutil
from common import NOTEBOOK, load_functions, predict, run_cells

FOUR = "No hidden layer, %", "Hidden layer, %", "Flatten layer, %", "CNN, %"


def prepared(seed, epochs=5):
    """The notebook's functions as a module, with its data loaded and prepared."""
    notebook = load_functions(
        "load", "check", "prepare-code", "learning-rate", EPOCHS=epochs
    )
    notebook.keras.utils.set_random_seed(seed)  # for the opponents: train sets its own
    return notebook


def accuracy(notebook, answers):
    return 100 * float((answers == notebook.y_test).mean())


def stock(seed):
    """The usual four: sigmoid outputs, Adam, batches of 32; 5, 5, 10 and 5 epochs on all 60,000 images."""
    notebook = prepared(seed)
    layers = notebook.layers
    x_train = (notebook.images_train / 255).astype("float32")
    beginnings = [
        (5, [layers.Input((784,))]),
        (5, [layers.Input((784,)), layers.Dense(100, activation="relu")]),
        (
            10,
            [
                layers.Input((28, 28)),
                layers.Flatten(),
                layers.Dense(100, activation="relu"),
            ],
        ),
        (
            5,
            [
                layers.Input((28, 28, 1)),
                layers.Conv2D(32, 3, activation="relu"),
                layers.MaxPooling2D(),
                layers.Conv2D(64, 3, activation="relu"),
                layers.MaxPooling2D(),
                layers.Flatten(),
                layers.Dense(100, activation="relu"),
            ],
        ),
    ]
    figures = {"s": 0}
    for name, (epochs, beginning) in zip(FOUR, beginnings):
        model = notebook.keras.Sequential(
            [*beginning, layers.Dense(10, activation="sigmoid")]
        )
        model.compile(
            optimizer="adam",
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        start = time.perf_counter()
        model.fit(
            x_train.reshape(-1, *model.input_shape[1:]),
            notebook.labels_train,
            epochs=epochs,
            verbose=0,
        )
        figures["s"] += time.perf_counter() - start
        figures[name] = accuracy(notebook, predict(model, notebook.x_test))
    return figures


def convnet(seed):
    """Keras' simple convnet: 34,826 parameters, Adam, batches of 128, 15 epochs on 54,000 images."""
    notebook = prepared(seed)
    layers = notebook.layers
    model = notebook.keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    x_train = (notebook.images_train[:54000, ..., np.newaxis] / 255).astype("float32")
    figures = {"s": 0, "to 99.0 %, s": math.nan}
    for _ in range(
        15
    ):  # one fit an epoch, so that the look at the test set in between is not timed
        start = time.perf_counter()
        model.fit(x_train, notebook.labels_train[:54000], batch_size=128, verbose=0)
        figures["s"] += time.perf_counter() - start
        figures["CNN, %"] = accuracy(notebook, predict(model, notebook.x_test))
        if figures["CNN, %"] >= 99 and math.isnan(figures["to 99.0 %, s"]):
            figures["to 99.0 %, s"] = figures["s"]
    return figures


def perceptron(seed):
    """scikit-learn's MLPClassifier with 100 hidden units and batches of 128, 20 epochs."""
    from sklearn.neural_network import MLPClassifier

    notebook = prepared(seed)
    x_train, x_test = (
        x.reshape(-1, 784).astype("float32")
        for x in (notebook.x_train, notebook.x_test)
    )
    model = MLPClassifier((100,), batch_size=128, max_iter=20, random_state=seed)
    start = time.perf_counter()
    with warnings.catch_warnings(action="ignore"):  # that it could go on
        model.fit(x_train, notebook.y_train)
    return {
        "s": time.perf_counter() - start,
        "Hidden layer, %": accuracy(notebook, model.predict(x_test)),
    }


def pytorch(seed):
    """PyTorch's own MNIST example: Adadelta, batches of 64, 14 epochs, the rate times 0.7 after each, 60,000 images."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    with np.load(
        os.environ["MNIST_NPZ"]
    ) as file:  # without TensorFlow, beside which PyTorch may crash
        x_train, x_test = (
            torch.tensor(
                (file[name][:, np.newaxis] / 255 - 0.1307) / 0.3081, dtype=torch.float32
            )
            for name in ("x_train", "x_test")
        )
        y_train, y_test = (
            torch.tensor(file[name], dtype=torch.int64)
            for name in ("y_train", "y_test")
        )
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    rate = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.7)
    start = time.perf_counter()
    for _ in range(14):
        for some in torch.randperm(len(x_train)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x_train[some]), y_train[some]).backward()
            optimizer.step()
        rate.step()
    seconds = time.perf_counter() - start
    model.eval()
    with torch.no_grad():
        answers = torch.cat([model(x).argmax(1) for x in x_test.split(1000)])
    return {"s": seconds, "CNN, %": 100 * (answers == y_test).float().mean().item()}


def memory_of(process):
    """Bytes in memory of a process and its children together."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            pass
    return total


def ours(seed):
    """This notebook, all of it, headless: imports, data, training of all seeds, figures, files, checks."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / NOTEBOOK.name
        copy.write_bytes(NOTEBOOK.read_bytes())
        start, peak = time.perf_counter(), 0
        with subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyter",
                "nbconvert",
                "--execute",
                "--to",
                "notebook",
                "--inplace",
                copy,
            ]
        ) as process:
            while process.poll() is None:
                peak = max(peak, memory_of(psutil.Process(process.pid)))
                time.sleep(0.2)
            if process.returncode:
                sys.exit(process.returncode)
        seconds = time.perf_counter() - start
        results = json.loads((Path(folder) / "artifacts/results.json").read_text())
    models = results["models"]
    techniques = sum(
        sum(one["train_seconds"]) for one in results["techniques"].values()
    )
    return {
        f"{name}, %": 100 * statistics.mean(model["test_accuracy"])
        for name, model in models.items()
    } | {
        "s": seconds,
        "memory, GB": peak / 1e9,
        "without techniques, s": seconds - techniques,
        "a hidden layer, s": statistics.mean(models["Hidden layer"]["train_seconds"]),
        "a CNN, s": statistics.mean(models["CNN"]["train_seconds"]),
    }


def by_the_recipe(notebook, build, seeds):
    """Mean accuracy and seconds of a CNN trained by the notebook's recipe."""
    runs = notebook.train(build, range(seeds))
    return {
        "CNN, %": 100 * statistics.mean(run["test_accuracy"] for run in runs),
        "s": statistics.mean(run["seconds"] for run in runs),
    }


def sprint(seed):
    """The notebook's recipe for one epoch, its CNN without biases and dropout, five seeds."""
    notebook = prepared(seed, epochs=1)
    layers = notebook.layers
    return by_the_recipe(
        notebook,
        lambda: notebook.keras.Sequential(
            [
                layers.Input((28, 28, 1)),
                layers.Conv2D(16, 5, use_bias=False),
                layers.MaxPooling2D(3),
                layers.ReLU(),
                layers.Conv2D(64, 5, use_bias=False),
                layers.BatchNormalization(momentum=0.9),
                layers.ReLU(),
                layers.Flatten(),
                layers.Dense(128, use_bias=False),
                layers.BatchNormalization(momentum=0.9),
                layers.ReLU(),
                layers.Dense(10, activation="softmax"),
            ]
        ),
        5,
    )


def shifts(seed):
    """The notebook's recipe for twelve epochs with random shifts, a CNN with more normalisation, three seeds."""
    notebook = prepared(seed, epochs=12)
    layers = notebook.layers

    def normalised():
        return [layers.BatchNormalization(momentum=0.9), layers.ReLU()]

    return by_the_recipe(
        notebook,
        lambda: notebook.keras.Sequential(
            [
                layers.Input((28, 28, 1)),
                layers.RandomTranslation(1 / 28, 1 / 28, "constant", "nearest"),
                layers.Conv2D(24, 5, use_bias=False),
                layers.MaxPooling2D(3),
                *normalised(),
                layers.Conv2D(64, 5, use_bias=False),
                *normalised(),
                layers.Flatten(),
                layers.Dropout(0.2),
                layers.Dense(128, use_bias=False),
                *normalised(),
                layers.Dropout(0.2),
                layers.Dense(10, activation="softmax"),
            ]
        ),
        3,
    )


def growth(seed):
    """Seconds to train the four models once on 15,000, 30,000 and 60,000 images, a twelfth held back.

    And how much of the processor's peak the CNN's arithmetic reaches; a matrix product of its largest layer's shape
    stands for the peak.
    """
    notebook = prepared(seed)
    x, y, figures = notebook.x_train, notebook.y_train, {}
    for n in (15000, 30000, 60000):
        notebook.x_train, notebook.y_train = x[: n * 11 // 12], y[: n * 11 // 12]
        run_cells(notebook, "learning-rate", "train")
        builds = (
            notebook.no_hidden_layer,
            notebook.hidden_layer,
            notebook.flatten_layer,
            notebook.cnn,
        )
        figures[f"{n}, s"] = sum(
            notebook.train(build, [0])[0]["seconds"] for build in builds
        )
    _, run = notebook.train(notebook.cnn, [0, 1])  # the second one needs no tracing
    forward = [
        layer.kernel.shape[-1]
        * math.prod(layer.kernel.shape[:-1])
        * math.prod(layer.output.shape[1:-1])
        for layer in run["model"].layers
        if hasattr(layer, "kernel")
    ]  # multiplications for one image
    training = (
        3 * sum(forward) - forward[0]
    )  # and back, to weights and inputs; the image needs no gradient
    one, other = (
        notebook.tf.random.normal((2048, 400)),
        notebook.tf.random.normal((400, 64)),
    )
    start = time.perf_counter()
    for _ in range(2000):
        product = one @ other
    product.numpy()
    peak = 2 * 2000 * 2048 * 400 * 64 / (time.perf_counter() - start)
    figures["GFLOP/s"] = 2 * training * len(x) * notebook.EPOCHS / run["seconds"] / 1e9
    return figures | {
        "peak, GFLOP/s": peak / 1e9,
        "share": 1e9 * figures["GFLOP/s"] / peak,
    }


MEASUREMENTS = [stock, convnet, perceptron, ours, sprint, shifts, growth]
if importlib.util.find_spec("torch"):
    MEASUREMENTS.insert(3, pytorch)
ROWS = [  # what was measured, whose, accuracies, seconds
    ("four models as tutorials build them, with Keras' defaults", stock, FOUR, "s"),
    ("the simple convnet of the Keras examples, 15 epochs", convnet, FOUR[3:], "s"),
    ("the same, until it passed 99.0 %", convnet, (), "to 99.0 %, s"),
    ("scikit-learn's `MLPClassifier((100,))`, 20 epochs", perceptron, FOUR[1:2], "s"),
    ("PyTorch's own MNIST example, 14 epochs", pytorch, FOUR[3:], "s"),
    (
        "**this notebook**, all cells but the techniques, three seeds",
        ours,
        FOUR,
        "without techniques, s",
    ),
    ("this notebook, all cells", ours, (), "s"),
    ("its hidden layer, one seed", ours, FOUR[1:2], "a hidden layer, s"),
    ("its CNN, one seed", ours, FOUR[3:], "a CNN, s"),
    (
        "its CNN without biases and dropout, one epoch, mean of five seeds",
        sprint,
        FOUR[3:],
        "s",
    ),
    (
        "a CNN with random shifts, twelve epochs, mean of three seeds",
        shifts,
        FOUR[3:],
        "s",
    ),
    *(
        (f"its four models once, on {n:,} images", growth, (), f"{n}, s")
        for n in (15000, 30000, 60000)
    ),
]
RATIOS = [
    ("all cells / the four models as tutorials build them", ours, "s", stock, "s"),
    (
        "all cells but the techniques / the four models as tutorials build them",
        ours,
        "without techniques, s",
        stock,
        "s",
    ),
    ("a CNN here / 15 epochs of the simple convnet", ours, "a CNN, s", convnet, "s"),
    (
        "the CNN with random shifts / 15 epochs of the simple convnet",
        shifts,
        "s",
        convnet,
        "s",
    ),
    (
        "one epoch / the simple convnet until it passed 99.0 %",
        sprint,
        "s",
        convnet,
        "to 99.0 %, s",
    ),
    ("a CNN here / PyTorch's own example", ours, "a CNN, s", pytorch, "s"),
    (
        "a hidden layer here / `MLPClassifier`",
        ours,
        "a hidden layer, s",
        perceptron,
        "s",
    ),
    ("training on 60,000 images / on 15,000", growth, "60000, s", growth, "15000, s"),
]
MORE = [
    ("arithmetic of the CNN's training, GFLOP/s", growth, "GFLOP/s"),
    ("a matrix product of its largest layer's shape, GFLOP/s", growth, "peak, GFLOP/s"),
    ("share of that which it reaches", growth, "share"),
    ("peak memory of all cells, GB", ours, "memory, GB"),
]


def measure(measurement, seed):
    """Run one measurement in a process of its own; returns its figures, name -> number."""
    program = [sys.executable, __file__, "--only", measurement.__name__, str(seed)]
    done = subprocess.run(program, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main(repeats):
    if not os.environ.get("MNIST_NPZ"):
        sys.exit("Set MNIST_NPZ to a copy of mnist.npz: these figures are about MNIST.")
    os.environ["MNIST_NPZ"] = os.path.abspath(
        os.environ["MNIST_NPZ"]
    )  # the notebook runs in another folder
    found = {measurement: [] for measurement in MEASUREMENTS}
    for repeat in range(repeats):
        for measurement in MEASUREMENTS:
            start = time.perf_counter()
            print(
                f"repeat {repeat + 1} of {repeats}: {measurement.__name__} ...",
                end="",
                flush=True,
                file=sys.stderr,
            )
            found[measurement].append(measure(measurement, repeat))
            print(f" {time.perf_counter() - start:.0f} s", file=sys.stderr)

    print(
        f"| MNIST, {repeats} repeats, {os.cpu_count()} processor cores | test accuracy, % | seconds |\n|---|--:|--:|"
    )
    for label, whose, accuracies, seconds in ROWS:
        if whose not in found:
            print(f"| {label} | not measured: | the package torch is not installed |")
            continue
        medians = [
            f"{statistics.median(one[name] for one in found[whose]):.2f}"
            for name in accuracies
        ]
        print(
            f"| {label} | {', '.join(medians)} | {spread([one[seconds] for one in found[whose]], 1)} |"
        )
    print("\n| ratio of two times, arithmetic, memory | |\n|---|--:|")
    for label, over, a, under, b in RATIOS:
        if under in found:
            print(
                f"| {label} | {spread([x[a] / y[b] for x, y in zip(found[over], found[under])], 2)} |"
            )
    for label, whose, name in MORE:
        print(f"| {label} | {spread([one[name] for one in found[whose]], 2)} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--only"]:
        print(json.dumps(globals()[sys.argv[2]](int(sys.argv[3]))))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
