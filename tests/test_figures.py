"""What figures and tables show, on made-up runs with known answers."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers import load_functions, run_cell

NAMES = ["No hidden layer", "Hidden layer", "Flatten layer", "CNN"]
TRUE = np.array([5, 3, 3, 3, 8])  # the labels of the test images


def made_up_run(start, answers, confidence=0.8, test_accuracy=0.5, model=None):
    """A run of two epochs that gives these answers with such a probability."""
    others = (1 - confidence) / 9
    return {
        "model": model or SimpleNamespace(count_params=lambda: 7850),
        "history": {
            "accuracy": [0.5 + start, 0.7 + start],
            "val_accuracy": [0.6 + start, 0.8 + start],
            "loss": [1.5 - start, 1.2 - start],
            "val_loss": [1.4 - start, 1.1 - start],
        },
        "seconds": 1.0,
        "test_accuracy": test_accuracy,
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
    random = np.random.default_rng(0)
    functions = load_functions(
        DATASET="MNIST",
        SEEDS=[4, 6],
        epochs=2,
        skip=None,
        x_test=random.uniform(0.1, 1, (5, 28, 28)),
        y_test=TRUE,
        outputs=outputs,
        runs={
            name: [
                made_up_run(place / 10, [5, 3, 3, 3, 8]),
                made_up_run(place / 10 + 0.02, [5, 3, 3, 3, 3]),
            ]
            for place, name in enumerate(NAMES)
        },
    )
    functions.display = display
    functions.Markdown = str
    functions.check = lambda *statement: None
    return functions


def drawn(axis):
    return np.asarray(axis.images[0].get_array())


@pytest.mark.parametrize("name", NAMES)
def test_curves_are_of_the_model_and_metric_that_their_labels_say(shown, name):
    shown.plot_history(name, "what to see")
    (figure,) = shown.outputs
    assert figure.get_suptitle() == f"{name}, MNIST: what to see"
    for axis, metric in zip(figure.axes, ["accuracy", "loss"], strict=True):
        assert axis.get_xlabel() == "epoch"
        assert axis.get_ylabel() == metric
        assert (axis.get_xscale(), axis.get_yscale()) == ("linear", "linear")
        first_training, first_validation, training, validation = axis.lines
        for run, lines in zip(
            shown.runs[name],
            [(first_training, first_validation), (training, validation)],
            strict=True,
        ):
            for line, values in zip(lines, [metric, f"val_{metric}"], strict=True):
                assert list(line.get_xdata()) == [1, 2]
                assert list(line.get_ydata()) == run["history"][values]
        assert first_training.get_linestyle() == "--"
        assert first_validation.get_linestyle() == "-"
        labels = [text.get_text() for text in axis.get_legend().get_texts()]
        assert labels == ["training", "validation"]
        colours = [handle.get_color() for handle in axis.get_legend().legend_handles]
        assert colours == [first_training.get_color(), first_validation.get_color()]


@pytest.mark.parametrize(
    "name, builder, cells",
    [
        ("No hidden layer", "no_hidden_layer", ["no-hidden-fit", "no-hidden-curves"]),
        ("Hidden layer", "hidden_layer", ["hidden-fit"]),
        ("CNN", "cnn", ["cnn-fit"]),
    ],
)
def test_each_section_trains_and_plots_its_own_model(shown, name, builder, cells):
    def train(build, seeds):
        assert build is getattr(shown, builder)
        assert seeds == [4, 6]
        return runs_of_model

    runs_of_model = shown.runs[name]
    shown.train = train
    shown.plot_history = lambda name, message: shown.outputs.append(name)
    for cell in cells:
        run_cell(shown, cell)
    assert shown.runs[name] is runs_of_model
    assert shown.outputs == [name]


def test_the_first_prediction_is_that_of_the_image_beside_it(shown):
    sure = np.eye(10)[4]
    unsure = np.linspace(0.01, 0.19, 10)
    shown.model = SimpleNamespace(
        predict=lambda x, verbose: np.array([sure, unsure]) * (x is shown.rows_valid)
    )
    shown.rows_valid = "images as rows"
    shown.x_valid = np.random.default_rng(0).random((2, 28, 28))
    shown.y_valid = [4, 8]
    run_cell(shown, "first-predict")
    picture, bars = shown.outputs[0].axes
    np.testing.assert_array_equal(drawn(picture), shown.x_valid[1])
    assert [bar.get_height() for bar in bars.patches] == pytest.approx(unsure)
    assert shown.outputs[0].get_suptitle().startswith("A 8, read as 9:")


def test_weights_are_drawn_below_their_digit_and_white_does_not_count(shown):
    weights = np.random.default_rng(0).normal(size=(784, 10))
    model = shown.runs["No hidden layer"][0]["model"]
    model.get_weights = lambda: [weights.copy(), np.zeros(10)]
    run_cell(shown, "no-hidden-weights")
    for digit, axis in enumerate(shown.outputs[0].axes):
        assert axis.get_title() == str(digit)
        expected = weights[:, digit] - weights.mean(axis=1)
        np.testing.assert_allclose(drawn(axis).ravel(), expected)
        assert axis.images[0].get_cmap().name == "RdBu_r"  # red for positive weights
        assert axis.images[0].norm.vmin == -axis.images[0].norm.vmax


def test_the_first_images_stand_below_their_labels(shown):
    shown.images_train = np.random.default_rng(0).random((40, 28, 28))
    shown.labels_train = np.arange(40) * 7 % 10
    run_cell(shown, "show-images")
    labels = []
    for axis in shown.outputs[0].axes:
        (i,) = np.flatnonzero((drawn(axis) == shown.images_train).all(axis=(1, 2)))
        assert axis.get_title() == str(shown.labels_train[i])
        assert axis.images[0].get_clim() == (0, 255)
        labels.append(shown.labels_train[i])
    assert labels == sorted(shown.labels_train[:30])


def test_the_comparison_gives_means_and_ranges(shown):
    for place, name in enumerate(NAMES):
        first, second = shown.runs[name]
        first["test_accuracy"] = 0.5
        second["test_accuracy"] = 0.6 + place / 20
    run_cell(shown, "comparison-table")
    (table,) = shown.outputs
    assert "| No hidden layer | 7,850 | 55.00% (50.00% to 60.00%) | 45.00% |" in table
    assert "| CNN | 7,850 | 62.50% (50.00% to 75.00%) | 37.50% |" in table


def test_the_best_run_is_that_with_the_lowest_validation_loss(shown):
    shown.runs["CNN"][0]["test_accuracy"] = 1.0  # which does not count
    run_cell(shown, "comparison-table")
    assert shown.best_runs["CNN"] is shown.runs["CNN"][1]


@pytest.fixture
def with_mistakes(shown):
    """Made-up runs that misread 4, 3 and 2 of the five test images."""
    answers = {
        "No hidden layer": [3, 5, 5, 5, 8],
        "Hidden layer": [3, 3, 5, 5, 8],
        "CNN": [5, 3, 3, 5, 0],
    }
    shown.best_runs = {}
    for confidence, name in zip([0.6, 0.7, 0.8], answers, strict=True):
        shown.best_runs[name] = made_up_run(0, answers[name], confidence)
    return shown


def test_mosaics_hold_every_misread_image_once_sorted_by_digit(with_mistakes):
    run_cell(with_mistakes, "mosaics")
    (figure,) = with_mistakes.outputs
    expected = {
        "No hidden layer: 4": [1, 2, 3, 0],  # the 3s, then the 5
        "Hidden layer: 3": [2, 3, 0],
        "CNN: 2": [3, 4],
    }
    for axis, title in zip(figure.axes, expected, strict=True):
        assert axis.get_title() == title
        mosaic = drawn(axis)
        tiles = mosaic.reshape(2, 28, 2, 28).swapaxes(1, 2).reshape(4, 28, 28)
        for tile, i in zip(tiles, expected[title], strict=False):
            np.testing.assert_array_equal(tile, with_mistakes.x_test[i])
        assert not tiles[len(expected[title]) :].any()


def test_mosaics_of_different_sizes_are_drawn_at_one_scale(with_mistakes):
    with_mistakes.best_runs["CNN"] = made_up_run(0, [5, 3, 3, 3, 0])  # one mistake
    run_cell(with_mistakes, "mosaics")
    (figure,) = with_mistakes.outputs
    figure.canvas.draw()  # which fits the axes to their images
    scales = []
    for axis in figure.axes:
        scales.append(axis.get_window_extent().width / len(drawn(axis)))
    assert scales == pytest.approx([scales[0]] * 3, rel=0.03)


def test_shifts_move_the_test_images_to_the_right(with_mistakes):
    shifts = []

    class Model:
        def __init__(self, shape, accuracy):
            self.input_shape = (None, *shape)
            self.accuracy = accuracy

        def evaluate(self, x, y, verbose):
            assert x.shape == (5, *self.input_shape[1:])
            assert y is TRUE
            images = x.reshape(5, 28, 28)
            shift = 28 - np.count_nonzero(images[0, 0])
            assert not images[:, :, :shift].any()
            np.testing.assert_array_equal(
                images[:, :, shift:], with_mistakes.x_test[:, :, : 28 - shift]
            )
            shifts.append(shift)
            return 0, self.accuracy - shift / 100

    models = {
        "No hidden layer": Model((784,), 0.5),
        "Hidden layer": Model((784,), 0.6),
        "CNN": Model((28, 28, 1), 0.7),
    }
    for name, model in models.items():
        with_mistakes.best_runs[name]["model"] = model
    run_cell(with_mistakes, "mosaics")
    run_cell(with_mistakes, "shift-figure")
    assert shifts == 3 * list(range(9))
    (axis,) = with_mistakes.outputs[1].axes
    assert axis.get_yscale() == "linear"
    for line, name in zip(axis.lines, models, strict=True):
        assert line.get_label() == name
        assert list(line.get_xdata()) == list(range(9))
        expected = 100 * models[name].accuracy - np.arange(9)
        assert list(line.get_ydata()) == pytest.approx(expected)


def test_rescued_digits_are_those_that_only_the_models_named_misread(with_mistakes):
    run_cell(with_mistakes, "mosaics")
    run_cell(with_mistakes, "rescued-figure")
    rows = np.reshape(with_mistakes.outputs[1].axes, (3, 7))
    groups = [
        {
            "label": "only without a\nhidden layer",
            "n": 1,
            "first": 1,
            "read": (5, 3, 3),
        },
        {"label": "by all\nbut the CNN", "n": 2, "first": 0, "read": (3, 3, 5)},
        {"label": "by all three", "n": 1, "first": 3, "read": (5, 5, 5)},
    ]
    for row, group in zip(rows, groups, strict=True):
        assert row[0].get_ylabel() == f"misread {group['label']}:\n{group['n']} images"
        filled = [bool(axis.images) for axis in row]
        assert filled == [True] * group["n"] + [False] * (7 - group["n"])
        i = group["first"]
        np.testing.assert_array_equal(drawn(row[0]), with_mistakes.x_test[i])
        assert row[0].get_title() == f"is {TRUE[i]}"
        none, hidden, cnn = group["read"]
        assert row[0].get_xlabel() == (
            f"No hidden layer: {none}, 60%\nHidden layer: {hidden}, 70%\n"
            f"CNN: {cnn}, 80%\n"
        )


def test_confidence_counts_images_and_mistakes_below_nine_tenths(with_mistakes, capsys):
    unsure = made_up_run(0, [5, 3, 3, 5, 0], 0.95)
    unsure["probabilities"][3] = made_up_run(0, [5], 0.85)["probabilities"]
    with_mistakes.best_runs["CNN"] = unsure
    run_cell(with_mistakes, "mosaics")
    run_cell(with_mistakes, "confidence")
    assert "20.0% of images looked at, 50% of mistakes found" in capsys.readouterr().out


def test_techniques_are_compared_with_the_same_seed_of_the_right_model(shown):
    shown.runs["Hidden layer"][0]["test_accuracy"] = 0.5
    shown.runs["CNN"][0]["test_accuracy"] = 0.75
    for name in ["Hidden layer", "CNN"]:
        shown.runs[name][1]["test_accuracy"] = 0.25  # of another seed
    names = ["tutorials' Flatten model", "tutorials' CNN", "raw pixels"]
    shown.technique_runs = {}
    for name in [*names, "constant learning rate"]:
        shown.technique_runs[name] = {"test_accuracy": 0.625}
    run_cell(shown, "techniques-table")
    (table,) = shown.outputs
    assert "| raw pixels | 62.50% | +12.50 | -4.73 ± 0.10 |" in table
    assert "| tutorials' Flatten model | 62.50% | +12.50 |" in table
    assert "| tutorials' CNN | 62.50% | -12.50 |" in table


def test_techniques_are_trained_with_the_first_seed(shown, monkeypatch):
    def train(build, seeds, learning_rate="the recipe's"):
        trained.append((build.__name__, seeds, learning_rate))
        return [build.__name__]

    trained = []
    shown.train = train
    shown.technique_runs = {}
    run_cell(shown, "techniques-fit")
    assert trained == [
        ("raw_pixels", [4], "the recipe's"),
        ("three_hidden_layers", [4], "the recipe's"),
        ("random_shifts", [4], "the recipe's"),
        ("hidden_layer", [4], 0.001),
    ]
    assert shown.technique_runs == {
        "raw pixels": "raw_pixels",
        "three hidden layers": "three_hidden_layers",
        "random shifts": "random_shifts",
        "constant learning rate": "hidden_layer",
    }
