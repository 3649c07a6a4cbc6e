"""Which CNN reads most, in less time than Keras' simple convnet takes for 15 epochs?

    export MNIST_NPZ=path/to/mnist.npz
    python benchmarks/best_cnn.py --validation shifts turned slight affine averaged
    python benchmarks/best_cnn.py shifts

The first command trains with seeds 100 and 101, and prints what is read of validation
images, by which one is chosen. The second trains one with seeds 0 to 29, has each read
the test images once, and writes best_cnn.json. It goes on where it was stopped.
"""

import json
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
from common import NOTEBOOK, load_functions
from provenance import provenance

RECORD = Path(__file__).with_suffix(".json")
CANDIDATES = {  # pixels, degrees and share of random changes, epochs, average
    "shifts": (1, 0, 0, 10, None),
    "turned": (1, 8, 0, 10, None),
    "slight": (1, 7, 0.05, 10, None),
    "affine": (2, 10, 0.1, 10, None),
    "averaged": (2, 10, 0.1, 10, 0.995),
}


def build(notebook, pixels, degrees, share):
    """Three convolutions; while training, images are moved, turned and zoomed.

    Turning and zooming blur the images, moving by whole pixels does not.
    """
    layers = notebook.layers
    shift = pixels / 28
    middle = [layers.RandomTranslation(shift, shift, "constant", "nearest")]
    if degrees > 0:
        middle.append(layers.RandomRotation(degrees / 360, "constant"))
    if share > 0:
        middle.append(layers.RandomZoom(share, fill_mode="constant"))
    for n_filters, size, pool in [(24, 5, 2), (48, 3, 2), (64, 3, 1)]:
        middle += [layers.Conv2D(n_filters, size), layers.MaxPooling2D(pool)]
        middle += [layers.BatchNormalization(momentum=0.9), layers.ReLU()]
    middle += [layers.Flatten(), layers.Dropout(0.3), layers.Dense(128)]
    middle += [layers.BatchNormalization(momentum=0.9), layers.ReLU()]
    middle.append(layers.Dropout(0.3))
    return notebook.network((28, 28, 1), middle)


def train(notebook, seed, pixels, degrees, share, epochs, average):
    """Train with the training images alone; returns the model, and seconds."""
    notebook.keras.utils.set_random_seed(seed)
    start = time.perf_counter()
    model = build(notebook, pixels, degrees, share)
    optimizer = notebook.keras.optimizers.AdamW(
        notebook.warm_up_and_decay, weight_decay=0.1, beta_2=0.98
    )
    if average:  # fit ends with the average of the weights, which keeps this share
        optimizer.use_ema = True  # of itself at each step
        optimizer.ema_momentum = average
    model.compile(optimizer, "sparse_categorical_crossentropy", steps_per_execution=43)
    x = notebook.x_train[..., np.newaxis]
    model.fit(x, notebook.y_train, batch_size=128, epochs=epochs, verbose=0)
    return model, time.perf_counter() - start


def measure(name, seeds, kind):
    """Train a candidate; returns shares of images, "valid" or "test", read right."""
    cells = ["load", "check", "prepare-code", "learning-rate"]
    notebook = load_functions(*cells, EPOCHS=CANDIDATES[name][3])
    x, y = vars(notebook)[f"x_{kind}"], vars(notebook)[f"y_{kind}"]
    figures = {"seeds": list(seeds), "accuracy": [], "seconds": []}
    total = 0
    for seed in seeds:
        model, seconds = train(notebook, seed, *CANDIDATES[name])
        probabilities = model.predict(x[..., np.newaxis], batch_size=1000, verbose=0)
        figures["accuracy"].append(float(np.mean(probabilities.argmax(axis=1) == y)))
        figures["seconds"].append(seconds)
        total += probabilities
    figures["together"] = float(np.mean(total.argmax(axis=1) == y))
    return figures


def main(name):
    record = {"provenance": provenance(nbformat.read(NOTEBOOK, as_version=4))}
    record |= {"candidate": name, "settings": CANDIDATES[name], "runs": []}
    if RECORD.exists():
        record = json.loads(RECORD.read_text())
    if record["candidate"] != name:
        sys.exit(f"{RECORD} is of another candidate: move it away.")
    for first in range(3 * len(record["runs"]), 30, 3):
        record["runs"].append(measure(name, range(first, first + 3), "test"))
        RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        print(record["runs"][-1], f"{27 - first} seeds left", flush=True)


if __name__ == "__main__":
    if sys.argv[1] != "--validation":
        main(sys.argv[1])
    for name in sys.argv[2:]:
        print(name, measure(name, range(100, 102), "valid"), flush=True)
