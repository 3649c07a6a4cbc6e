"""How fast can a CNN be trained to read 99 % of the test images?

    MNIST_NPZ=path/to/mnist.npz python benchmarks/sprint.py [--validation]

Trains the notebook's CNN, without dropout, for one epoch as a single compiled function:
the images lie in the memory of the graphics card, or else of the processor, and Python
waits until all steps are done. Writes sprint.json. With --validation, it prints what
is read of the validation images, by which settings are chosen, and leaves the test
images alone. Takes a minute; on a processor, where XLA would be many times slower than
TensorFlow's own convolutions, the function is compiled without it.
"""

import json
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import tensorflow as tf

CARDS = tf.config.list_physical_devices("GPU")  # before the notebook hides them

from common import NOTEBOOK, load_functions  # noqa: E402
from provenance import provenance  # noqa: E402

SEEDS = range(5)
EPOCHS = 1
BATCH_SIZE = 128
PEAK = 0.01  # of the learning rate


def build(notebook):
    cnn = notebook.cnn()
    layers = notebook.layers
    kept = [layer for layer in cnn.layers if not isinstance(layer, layers.Dropout)]
    return notebook.keras.Sequential([layers.Input((28, 28, 1)), *kept])


def compile_training(notebook, model, optimizer):
    """Return a function that takes all steps of a training at once.

    Its arguments are images (n, 28, 28, 1), labels (n,), and which images each step is
    to learn from: (steps, batch size).
    """
    loss_function = notebook.keras.losses.SparseCategoricalCrossentropy()

    @tf.function(jit_compile=bool(CARDS))
    def train(images, labels, order):
        for step in tf.range(len(order)):
            batch = order[step]
            with tf.GradientTape() as tape:
                probabilities = model(tf.gather(images, batch), training=True)
                loss = loss_function(tf.gather(labels, batch), probabilities)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)
        return loss

    return train


def measure(notebook, x, y):
    """Train once for each seed; returns accuracies on x and y, and seconds."""
    images = tf.constant(notebook.x_train[..., np.newaxis])
    labels = tf.constant(notebook.y_train.astype("int32"))
    steps = EPOCHS * (len(images) // BATCH_SIZE)
    rate = notebook.keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.04 * PEAK,
        warmup_target=PEAK,
        warmup_steps=steps // 5,
        decay_steps=steps - steps // 5,
    )
    optimizer = notebook.keras.optimizers.AdamW(rate, weight_decay=0.1, beta_2=0.98)
    model = build(notebook)
    optimizer.build(model.trainable_variables)
    train = compile_training(notebook, model, optimizer)
    figures = {"accuracy": [], "seconds": []}
    for seed in [0, *SEEDS]:  # the first time, only to compile
        notebook.keras.utils.set_random_seed(seed)
        model.set_weights(build(notebook).get_weights())
        for variable in optimizer.variables:
            variable.assign(tf.zeros_like(variable))
        random = np.random.default_rng(seed)
        order = [random.permutation(len(images)) for _ in range(EPOCHS)]
        order = np.concatenate(order)[: steps * BATCH_SIZE].reshape(steps, BATCH_SIZE)
        start = time.perf_counter()
        train(images, labels, tf.constant(order.astype("int32"))).numpy()
        figures["seconds"].append(time.perf_counter() - start)
        read = model.predict(x[..., np.newaxis], batch_size=1000, verbose=0)
        figures["accuracy"].append(float(np.mean(read.argmax(axis=1) == y)))
    figures["seconds with compiling"] = figures["seconds"].pop(0)
    del figures["accuracy"][0]
    return figures


def main():
    notebook = load_functions("load", "check", "prepare-code", "learning-rate")
    if "--validation" in sys.argv:
        print(measure(notebook, notebook.x_valid, notebook.y_valid))
        return
    record = {"provenance": provenance(nbformat.read(NOTEBOOK, as_version=4))}
    record["device"] = record["provenance"]["processor"]
    if CARDS:
        details = tf.config.experimental.get_device_details(CARDS[0])
        record["device"] = details["device_name"]
    record["settings"] = {"epochs": EPOCHS, "batch_size": BATCH_SIZE, "peak": PEAK}
    record |= measure(notebook, notebook.x_test, notebook.y_test)
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(
        f"| {record['device']} | {100 * np.mean(record['accuracy']):.2f} % | "
        f"{np.median(record['seconds']):.3f} s | "
        f"{record['seconds with compiling']:.1f} s with compiling |"
    )


if __name__ == "__main__":
    main()
