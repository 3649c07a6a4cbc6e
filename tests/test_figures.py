"""What figures and tables show, on made-up runs with known answers."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers import load_functions, run_cell

NAMES = ["No hidden layer", "Hidden layer", "Flatten layer", "CNN"]
TRUE = np.array([5, 3, 3, 3, 8])  # the labels of the test images


def made_up_run(start, answers, confidence=0.8):
    """A run of two epochs that gives these answers with such a probability."""
    others = (1 - confidence) / 9
    return {
        "model": SimpleNamespace(count_params=lambda: 7850),
        "history": {
            "accuracy": [0.5 + start, 0.7 + start],
            "val_accuracy": [0.6 + start, 0.8 + start],
            "loss": [1.5 - start, 1.2 - start],
            "val_loss": [1.4 - start, 1.1 - start],
        },
        "test_accuracy": 0.5,
        "probabilities": others + np.eye(10)[answers] * (confidence - others),
    }


@pytest.fixture
def shown():
    """The functions, with made-up runs; shown.outputs lists what they show."""

    def display(output, metadata=None):
        outputs.append(output)
        if not isinstance(output, str):  # a figure is described by its title
            assert metadata == {"image/png": {"alt": output.get_suptitle()}}

    outputs = []
    runs = {}
    for place, name in enumerate(NAMES):
        start = place / 10
        runs[name] = [made_up_run(start, TRUE), made_up_run(start + 0.02, TRUE)]
    functions = load_functions(
        DATASET="MNIST",
        SEEDS=[4, 6],
        epochs=2,
        skip=None,
        x_test=np.random.default_rng(0).uniform(0.1, 1, (5, 28, 28)),
        y_test=TRUE,
        outputs=outputs,
        runs=runs,
    )
    functions.display = display
    functions.Markdown = str
    functions.check = lambda *statement: None
    return functions


@pytest.mark.parametrize(
    "name, cell",
    [
        ("No hidden layer", "no-hidden-curves"),
        ("Hidden layer", "hidden-fit"),
        ("CNN", "cnn-fit"),
    ],
)
def test_curves_are_of_the_model_and_metric_that_their_labels_say(shown, name, cell):
    runs_of_model = shown.runs[name]
    shown.train = lambda build, seeds: runs_of_model
    run_cell(shown, cell)
    (figure,) = shown.outputs
    assert figure.get_suptitle().startswith(f"{name}, MNIST: ")
    for axis, metric in zip(figure.axes, ["accuracy", "loss"], strict=True):
        assert axis.get_ylabel() == metric
        values = []
        for run in runs_of_model:
            values += [run["history"][metric], run["history"][f"val_{metric}"]]
        for line, expected in zip(axis.lines, values, strict=True):
            assert list(line.get_xdata()) == [1, 2]
            assert list(line.get_ydata()) == expected
        labels = [text.get_text() for text in axis.get_legend().get_texts()]
        assert labels == ["training", "validation"]


def test_the_comparison_gives_means_and_ranges(shown):
    shown.runs["CNN"][0]["test_accuracy"] = 0.75
    run_cell(shown, "comparison-table")
    (table,) = shown.outputs
    assert "| No hidden layer | 7,850 | 50.00% (50.00% to 50.00%) | 50.00% |" in table
    assert "| CNN | 7,850 | 62.50% (50.00% to 75.00%) | 37.50% |" in table
    run_cell(shown, "best-runs")
    # The best run is that with the lowest validation loss, whatever it scored.
    assert shown.best_runs["CNN"] is shown.runs["CNN"][1]


@pytest.fixture
def with_mistakes(shown):
    """Made-up runs that misread 4, 3 and 2 of the five test images."""
    shown.best_runs = {
        "No hidden layer": made_up_run(0, [3, 5, 5, 5, 8], confidence=0.6),
        "Hidden layer": made_up_run(0, [3, 3, 5, 5, 8], confidence=0.7),
        "CNN": made_up_run(0, [5, 3, 3, 5, 0], confidence=0.95),
    }
    run_cell(shown, "mosaics")
    return shown


def test_mosaics_hold_every_misread_image_once_sorted_by_digit(with_mistakes):
    (figure,) = with_mistakes.outputs
    expected = {
        "No hidden layer: 4": [1, 2, 3, 0],  # the 3s, then the 5
        "Hidden layer: 3": [2, 3, 0],
        "CNN: 2": [3, 4],
    }
    (axis,) = figure.axes
    for place, (title, image) in enumerate(zip(expected, axis.images, strict=True)):
        assert axis.texts[place].get_text() == title
        # A digit is one unit wide, and one unit is left between two mosaics.
        assert list(image.get_extent()) == [3 * place, 3 * place + 2, -2, 0]
        tiles = np.vstack(image.get_array().reshape(2, 28, 2, 28).swapaxes(1, 2))
        n = len(expected[title])
        np.testing.assert_array_equal(tiles[:n], with_mistakes.x_test[expected[title]])
        assert not tiles[n:].any()


def test_shifts_move_the_test_images_to_the_right(with_mistakes):
    class Model:
        def __init__(self, shape, accuracy):
            self.input_shape = (None, *shape)
            self.accuracy = accuracy

        def evaluate(self, x, y, batch_size, verbose):
            assert y is TRUE
            images = x.reshape(5, 28, 28)
            shift = 28 - np.count_nonzero(images[0, 0])
            rest = with_mistakes.x_test[:, :, : 28 - shift]
            np.testing.assert_array_equal(images[:, :, shift:], rest)
            return 0, self.accuracy - shift / 100

    shapes = {"No hidden layer": (784,), "Hidden layer": (784,), "CNN": (28, 28, 1)}
    for name, accuracy in zip(shapes, [0.5, 0.6, 0.7], strict=True):
        with_mistakes.best_runs[name]["model"] = Model(shapes[name], accuracy)
    run_cell(with_mistakes, "shift-figure")
    (axis,) = with_mistakes.outputs[1].axes
    for line, name, start in zip(axis.lines, shapes, [50, 60, 70], strict=True):
        assert line.get_label() == name
        assert list(line.get_ydata()) == pytest.approx(start - np.arange(9))


def test_rescued_digits_are_those_that_only_the_models_named_misread(with_mistakes):
    run_cell(with_mistakes, "rescued-figure")
    rows = np.reshape(with_mistakes.outputs[1].axes, (3, 7))
    groups = [
        ("only without a\nhidden layer:\n1 images", [1]),
        ("by all\nbut the CNN:\n2 images", [0, 2]),
        ("by all three:\n1 images", [3]),
    ]
    for row, (label, places) in zip(rows, groups, strict=True):
        assert row[0].get_ylabel() == f"misread {label}"
        filled = [axis for axis in row if axis.images]
        for axis, i in zip(filled, places, strict=True):
            image = axis.images[0].get_array()
            np.testing.assert_array_equal(image, with_mistakes.x_test[i])
            assert axis.get_title() == f"is {TRUE[i]}"
    answers = "No hidden layer: 3, 60%\nHidden layer: 3, 70%\nCNN: 5, 95%\n"
    assert rows[1, 0].get_xlabel() == answers


def test_techniques_are_compared_with_the_same_seed_of_the_right_model(shown):
    shown.runs["CNN"][0]["test_accuracy"] = 0.75
    for name in ["Hidden layer", "CNN"]:
        shown.runs[name][1]["test_accuracy"] = 0.25  # of another seed
    shown.technique_runs = {}
    for name in ["tutorials' CNN", "raw pixels", "constant learning rate"]:
        shown.technique_runs[name] = {"test_accuracy": 0.625}
    run_cell(shown, "techniques-table")
    (table,) = shown.outputs
    assert "| raw pixels | 62.50% | +12.50 |" in table
    assert "| tutorials' CNN | 62.50% | -12.50 |" in table
