"""Time and test accuracy of models and recipes, beside what people usually run.

    MNIST_NPZ=path/to/mnist.npz python benchmarks/speed.py --repeats 3

Each time is measured in a process of its own, and all with seed 0 in the first repeat,
1 in the second, and so on. Each is written into speed.json at once, and the command
goes on where it was stopped. Nothing else should run meanwhile. Times drift, so what a
training is compared with is measured again after it, and ratios are taken within a
repeat. Where the package torch is installed, its example comes last, at a quarter of an
hour a repeat. On another machine, name another --record, such as speed-laptop.json.
update_readme.py makes tables of all records beside this file, and growth.py a figure.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import nbformat
import numpy as np
from common import NOTEBOOK, PROJECT, load_functions, predict, run_cells
from provenance import provenance
from sklearn.neural_network import MLPClassifier

FOLDER = PROJECT / "benchmarks"
BUILDERS = {  # the notebook's functions
    "No hidden layer": "no_hidden_layer",
    "Hidden layer": "hidden_layer",
    "Flatten layer": "flatten_layer",
    "CNN": "cnn",
}
SIZES = [1000, 3000, 10000, 30000]  # images to learn from, besides all 60,000
LEGEND = """\
Means of accuracy, medians of seconds and of their ratios within a repeat; each with the
lowest and the highest. All have the same seeds, a new one in each repeat. Ours is timed
again after each that it is compared with, and counts with the median of a repeat."""
UNTIL_IT_STOPS = "until the validation loss has not fallen for 3 epochs, best weights"


def convolutions(layers):
    """What Keras' simple convnet and the tutorials' CNN begin with."""
    return [
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
    ]


def load_notebook(seed, epochs=5):
    """The notebook's functions and data, as a module, with Keras' convnet."""
    notebook = load_functions(
        "load", "check", "prepare-code", "learning-rate", EPOCHS=epochs
    )
    notebook.keras.utils.set_random_seed(seed)
    layers = notebook.layers

    def simple_convnet():
        middle = [*convolutions(layers), layers.Dropout(0.5)]
        return notebook.network((28, 28, 1), middle)

    notebook.simple_convnet = simple_convnet
    return notebook


def fit(notebook, model, x, y, callbacks=(), **options):
    """Train a model with Adam as Keras has it; test it after each epoch and at the end.

    Returns accuracies in %, and seconds of training, without those of testing.
    """
    shape = (-1, *model.input_shape[1:])
    figures = {"accuracy_after": [], "seconds_after": []}
    testing = 0

    def test():
        return 100 * float(np.mean(predict(model, notebook.x_test) == notebook.y_test))

    def test_after_epoch(epoch, logs):
        nonlocal testing
        begin = time.perf_counter()
        figures["seconds_after"].append(begin - start - testing)
        figures["accuracy_after"].append(test())
        testing += time.perf_counter() - begin

    tester = notebook.keras.callbacks.LambdaCallback(on_epoch_end=test_after_epoch)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    start = time.perf_counter()
    model.fit(x.reshape(shape), y, callbacks=[tester, *callbacks], verbose=0, **options)
    figures["seconds"] = time.perf_counter() - start - testing
    figures["accuracy"] = test()
    return figures


def our_recipe(seed, builder, epochs=5, n_images=60000):
    """The notebook's recipe on eleven twelfths of so many images."""
    notebook = load_notebook(seed, epochs)
    n_train = n_images * 11 // 12
    notebook.x_train = notebook.x_train[:n_train]
    notebook.y_train = notebook.y_train[:n_train]
    run_cells(notebook, "learning-rate", "train")
    run = notebook.train(getattr(notebook, builder), [seed])[0]
    return {"accuracy": 100 * run["test_accuracy"], "seconds": run["seconds"]}


def keras_defaults(seed, builder):
    """Adam at 0.001 and batches of 32, until the validation loss stops falling."""
    notebook = load_notebook(seed)
    model = getattr(notebook, builder)()
    stop = notebook.keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
    x_valid = notebook.x_valid.reshape(-1, *model.input_shape[1:])
    validation = x_valid, notebook.y_valid
    data = notebook.x_train, notebook.y_train
    return fit(notebook, model, *data, [stop], validation_data=validation, epochs=100)


def tutorials(seed):
    """The tutorials' four, on all 60,000 images, with their 5, 5, 10 and 5 epochs."""
    notebook = load_notebook(seed)
    x = (notebook.images_train / 255).astype("float32")
    layers = notebook.layers
    figures = {"accuracy": [], "seconds": 0}
    for epochs, shape, middle in [
        (5, (784,), []),
        (5, (784,), [notebook.dense_relu()]),
        (10, (28, 28), [layers.Flatten(), notebook.dense_relu()]),
        (5, (28, 28, 1), [*convolutions(layers), notebook.dense_relu()]),
    ]:
        model = notebook.network(shape, middle, output="sigmoid")
        fitted = fit(notebook, model, x, notebook.labels_train, epochs=epochs)
        figures["accuracy"].append(fitted["accuracy"])
        figures["seconds"] += fitted["seconds"]
    return figures


def keras_example(seed):
    """Keras' example, https://keras.io/examples/vision/mnist_convnet."""
    notebook = load_notebook(seed)
    x = (notebook.images_train / 255).astype("float32")
    model = notebook.simple_convnet()
    settings = {"batch_size": 128, "epochs": 15, "validation_split": 0.1}
    return fit(notebook, model, x, notebook.labels_train, **settings)


def scikit_learn(seed, **settings):
    """scikit-learn's perceptron with 100 hidden units, on the same 55,000 images."""
    notebook = load_notebook(seed)
    x = notebook.x_train.reshape(-1, 784)
    model = MLPClassifier((100,), random_state=seed, **settings)
    start = time.perf_counter()
    model.fit(x, notebook.y_train)
    seconds = time.perf_counter() - start
    right = model.predict(notebook.x_test.reshape(-1, 784)) == notebook.y_test
    return {
        "accuracy": 100 * float(right.mean()),
        "seconds": seconds,
        "epochs": model.n_iter_,
    }


def pytorch_example(seed):
    """PyTorch's example, https://github.com/pytorch/examples/tree/main/mnist."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    data = {}
    with np.load(os.environ["MNIST_NPZ"]) as file:  # beside TensorFlow, it may crash
        for name in ["x_train", "x_test"]:
            x = (file[name][:, np.newaxis] / 255 - 0.1307) / 0.3081
            data[name] = torch.tensor(x, dtype=torch.float32)
        for name in ["y_train", "y_test"]:
            data[name] = torch.tensor(file[name], dtype=torch.int64)
    convolutions = [nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU()]
    between = [nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten()]
    dense = [nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)]
    model = nn.Sequential(*convolutions, *between, *dense)
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.7)
    figures = {"accuracy_after": [], "seconds_after": [], "seconds": 0}
    for _ in range(14):
        start = time.perf_counter()
        model.train()
        for batch in torch.randperm(60000).split(64):
            optimizer.zero_grad()
            outputs = model(data["x_train"][batch])
            nn.functional.cross_entropy(outputs, data["y_train"][batch]).backward()
            optimizer.step()
        scheduler.step()
        figures["seconds"] += time.perf_counter() - start
        model.eval()
        with torch.no_grad():
            outputs = [model(batch) for batch in data["x_test"].split(1000)]
        right = torch.cat(outputs).argmax(1) == data["y_test"]
        figures["seconds_after"].append(figures["seconds"])
        figures["accuracy_after"].append(100 * right.float().mean().item())
    figures["accuracy"] = figures["accuracy_after"][-1]
    figures["version"] = torch.__version__
    return figures


TUTORIALS = (
    "four models as in tutorials (such as codebasics'): sigmoid outputs, Adam, batches "
    "of 32, 5, 5, 10 and 5 epochs on 60,000 images"
)
EXAMPLE = "Keras' simple convnet: Adam, batches of 128, 15 epochs on 54,000 images"
CONVNET = "the same convnet, our recipe: batches of 128, 5 epochs"
SCIKIT_LEARN = (
    "scikit-learn's `MLPClassifier((100,))` as it comes: Adam, batches of 200, "
    "until its loss stops falling"
)
BATCHES_OF_128 = "scikit-learn's `MLPClassifier((100,), batch_size=128)`, likewise"
PYTORCH = "PyTorch's example: Adadelta, batches of 64, 14 epochs on 60,000 images"

OTHERS = {  # what we have for each
    "CNN, our recipe": [EXAMPLE, CONVNET, PYTORCH],
    "Hidden layer, our recipe": [SCIKIT_LEARN, BATCHES_OF_128],
}
RACE = ["CNN, Keras' defaults", EXAMPLE, PYTORCH]
OUR_FOUR = [f"{model}, our recipe" for model in BUILDERS]
AGAIN = {TUTORIALS: OUR_FOUR}  # what of ours is measured again after others
for ours, others in OTHERS.items():
    AGAIN |= dict.fromkeys(others, [ours])
MEASUREMENTS = {}
for model, builder in BUILDERS.items():
    MEASUREMENTS[f"{model}, our recipe"] = partial(our_recipe, builder=builder)
    MEASUREMENTS[f"{model}, Keras' defaults"] = partial(keras_defaults, builder=builder)
    AGAIN[f"{model}, Keras' defaults"] = [f"{model}, our recipe"]
    for size in SIZES:
        measure_size = partial(our_recipe, builder=builder, n_images=size)
        MEASUREMENTS[f"{model}, our recipe, images: {size}"] = measure_size
AGAIN |= dict.fromkeys(RACE, ["CNN, our recipe", "CNN, our recipe, epochs: 1"])
MEASUREMENTS |= {
    TUTORIALS: tutorials,
    EXAMPLE: keras_example,
    CONVNET: partial(our_recipe, builder="simple_convnet"),
    SCIKIT_LEARN: scikit_learn,
    BATCHES_OF_128: partial(scikit_learn, batch_size=128),
}
for n in [1, 2, 3]:
    measure_epochs = partial(our_recipe, builder="cnn", epochs=n)
    MEASUREMENTS[f"CNN, our recipe, epochs: {n}"] = measure_epochs
if importlib.util.find_spec("torch"):
    MEASUREMENTS[PYTORCH] = pytorch_example


def measure(name, seed):
    """A measurement, in a process of its own."""
    program = [sys.executable, __file__, "--measure", name, str(seed)]
    finished = subprocess.run(program, capture_output=True, text=True)
    if finished.returncode:
        sys.exit(f"{name}: {finished.stderr}")
    return json.loads(finished.stdout.splitlines()[-1])


def measure_all(path, repeats):
    """Measure what a record lacks, and write it after each measurement."""
    made = provenance(nbformat.read(NOTEBOOK, as_version=4))
    record = {"provenance": made, "repeats": []}
    if path.exists():
        record = json.loads(path.read_text())
        for key in ["recipe", "versions", "processor", "threads"]:
            if record["provenance"][key] != made[key]:
                sys.exit(f"{path} is of another {key}: move it away.")
    while len(record["repeats"]) < repeats:
        record["repeats"].append({})
    missing = []
    for seed in range(repeats):
        for name in MEASUREMENTS:
            if name not in record["repeats"][seed]:
                missing.append((seed, name))
    missing.sort(key=lambda seed_and_name: seed_and_name[1] == PYTORCH)
    print(f"{len(missing)} left, about a minute each on two cores", flush=True)
    while missing:
        seed, name = missing.pop(0)
        figures = measure(name, seed)
        figures["ours"] = {}
        for ours in AGAIN.get(name, []):
            figures["ours"][ours] = [measure(ours, seed)["seconds"]]
        record["repeats"][seed][name] = figures
        path.write_text(json.dumps(record) + "\n")
        done = f"Seed {seed}, {name}: {figures['seconds']:.1f} s"
        print(f"{len(missing)} left. {done}", flush=True)


def cut(figures, n_epochs):
    """A measurement as it stood after some epochs; unchanged, if None."""
    if n_epochs is None:
        return figures
    return {
        "accuracy": figures["accuracy_after"][:n_epochs][-1],
        "seconds": figures["seconds_after"][:n_epochs][-1],
    }


def seconds_in(repeat, name, n_epochs=None):
    """A training's seconds in a repeat, the median if it was timed again."""
    times = [cut(repeat[name], n_epochs)["seconds"]]
    for figures in repeat.values():
        times += figures["ours"].get(name, [])
    return np.median(times)


def spread(numbers, digits, middle=np.median):
    """The middle of some numbers, with the lowest and the highest."""
    if len(numbers) == 0:
        return "not measured"
    low, high = min(numbers), max(numbers)
    return f"{middle(numbers):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def header(first, records):
    """The first two lines of a table, which has two columns for each record."""
    columns = [first, "test accuracy, %"]
    for record in records:
        columns += [f"seconds, {record['provenance']['processor']}", "times ours"]
    return [f"| {' | '.join(columns)} |", "|---" + "|--:" * (len(columns) - 1) + "|"]


def row(label, records, names, ours, n_epochs=None):
    """A row of a table, for measurements together; accuracy is the first record's.

    Means of accuracy, medians of seconds, and of the times that ours took in the same
    repeat, each with the lowest and the highest.
    """
    columns = [label]
    for record in records:
        accuracies, seconds, ratios = [], [], []
        for repeat in record["repeats"]:
            if repeat.keys() >= {*names, *ours}:
                figures = [cut(repeat[name], n_epochs) for name in names]
                accuracies.append(np.ravel([each["accuracy"] for each in figures]))
                seconds.append(
                    sum(seconds_in(repeat, each, n_epochs) for each in names)
                )
                our_seconds = sum(seconds_in(repeat, each) for each in ours)
                ratios.append(seconds[-1] / our_seconds)
        if record is records[0]:
            models = np.transpose(accuracies)
            by_model = [spread(model, 2, np.mean) for model in models]
            columns.append("; ".join(by_model) or "not measured")
        columns += [spread(seconds, 1), spread(ratios, 1)]
    return f"| {' | '.join(columns)} |"


def recipe_table(records):
    """Each of our models by our recipe, and by what Keras has without further words."""
    lines = header("model and recipe", records)
    for model in BUILDERS:
        ours = [f"{model}, our recipe"]
        defaults = [f"{model}, Keras' defaults"]
        words = f"{model}, Keras' defaults: Adam at 0.001, batches of 32"
        lines.append(row(f"**{model}, our recipe**: 5 epochs", records, ours, ours))
        lines.append(row(f"{words}, 5 epochs", records, defaults, ours, 5))
        lines.append(row(f"{words}, {UNTIL_IT_STOPS}", records, defaults, ours))
    return "\n".join(lines)


def others_table(records):
    """What people would run instead, each beside what we have for it."""
    lines = header("what is run", records)
    lines.append(row(TUTORIALS, records, [TUTORIALS], OUR_FOUR))
    lines.append(row("**our four, our recipe**", records, OUR_FOUR, OUR_FOUR))
    for ours, others in OTHERS.items():
        for name in others:
            lines.append(row(name, records, [name], [ours]))
        lines.append(row(f"**{ours}**", records, [ours], [ours]))
    return "\n".join(lines)


def reaches_99(record, name, n_epochs=None):
    """Whether mean accuracy over the seeds is 99.0 % or more, after some epochs."""
    measured = [repeat[name] for repeat in record["repeats"] if name in repeat]
    accuracies = [cut(figures, n_epochs)["accuracy"] for figures in measured]
    return bool(accuracies) and np.mean(accuracies) >= 99


def race_table(records):
    """The shortest trainings whose mean accuracy over the seeds reaches 99.0 %."""
    lengths = [f"CNN, our recipe, epochs: {n}" for n in [1, 2, 3]]
    lengths.append("CNN, our recipe")
    ours = [name for name in lengths if reaches_99(records[0], name)][:1]
    lines = header("shortest training that reads 99.0 %", records)
    for name in ours:
        lines.append(row(f"**{name}**", records, ours, ours))
    for name in RACE:
        lengths = [n for n in range(1, 16) if reaches_99(records[0], name, n)]
        for n in lengths[:1]:
            lines.append(row(f"{name}; after epoch {n}", records, [name], ours, n))
    return "\n".join(lines)


def read_records():
    """The records beside this file, speed.json first."""
    paths = sorted(FOLDER.glob("speed*.json"), key=lambda path: path.stem)
    return [json.loads(path.read_text()) for path in paths]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--record", type=Path, default=FOLDER / "speed.json")
    parser.add_argument("--measure", nargs=2, help="one measurement, with a seed")
    options = parser.parse_args()
    if options.measure:
        name, seed = options.measure
        print(json.dumps(MEASUREMENTS[name](int(seed))))
    elif os.path.isfile(os.environ.get("MNIST_NPZ", "")):
        measure_all(options.record, options.repeats)
    else:
        sys.exit("Set MNIST_NPZ to your mnist.npz.")


if __name__ == "__main__":
    main()
