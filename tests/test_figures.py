"""What the notebook's figures and tables show, on made-up runs with known answers."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import signal

NAMES = ["No hidden layer", "Hidden layer", "Flatten layer", "CNN"]
CURVES = dict(zip(("no-hidden-curves", "hidden-curves", "flatten-curves", "cnn-curves"), NAMES))
TRUE = np.array([3, 3, 3, 5])  # the labels of the test images


def made_up(shift, answers, sure=0.8, model=None):
    """A run of two epochs, which gives these answers with such a probability."""
    history = {"accuracy": [0.5 + shift, 0.7 + shift], "val_accuracy": [0.6 + shift, 0.8 + shift],
               "loss": [1.5 - shift, 1.2 - shift], "val_loss": [1.4 - shift, 1.1 - shift]}
    return SimpleNamespace(
        model=model or SimpleNamespace(count_params=lambda: 7850), history=history, seconds=10 * shift,
        probabilities=(1 - sure) / 9 + np.eye(10)[answers] * (sure - (1 - sure) / 9), test_accuracy=0.5)


@pytest.fixture
def shown(functions, sources, monkeypatch):
    """The functions, with two made-up runs of each model; a list of what they show; and how to run some cells there."""
    def show(figure, title):
        figure.suptitle(title)
        outputs.append(figure)

    def run(*cells, **given):
        names = vars(functions) | given
        for name in cells:
            exec(sources[name], names)
        return names

    outputs = []
    runs = {name: [made_up(0.1 * place, [3, 5, 5, 5]), made_up(0.1 * place + 0.02, [3, 3, 5, 8])]
            for place, name in enumerate(NAMES)}
    for name, value in {
            "DATASET": "MNIST", "show": show, "display": lambda one, **more: outputs.append(one), "Markdown": str,
            "y_test": TRUE, "runs": runs, "images_train": np.random.default_rng(0).random((60, 28, 28)),
            "labels_train": np.arange(60) % 10, "check": lambda *statement: None,
            "other_settings": None, "not_mnist": None, "on_a_gpu": None}.items():
        monkeypatch.setattr(functions, name, value, raising=False)
    return functions, outputs, run


@pytest.mark.parametrize("cell", CURVES)
def test_curves_are_of_the_model_and_metric_that_their_labels_say(shown, cell):
    functions, figures, run = shown
    run(cell)
    (figure,), middle = figures, made_up(0.1 * list(CURVES).index(cell) + 0.01, TRUE).history
    assert figure.get_suptitle() == f"{CURVES[cell]} on MNIST: training accuracy ends 10.0 points below validation"
    assert functions.lead(CURVES[cell]) == pytest.approx(-0.1)
    curves = {(axis.get_ylabel(), line.get_label()): pytest.approx(list(line.get_ydata()))
              for axis in figure.axes for line in axis.lines}
    assert curves == {("accuracy", "training"): middle["accuracy"], ("accuracy", "validation"): middle["val_accuracy"],
                      ("loss", "training"): middle["loss"], ("loss", "validation"): middle["val_loss"]}
    for axis in figure.axes:
        assert all(list(line.get_xdata()) == [1, 2] for line in axis.lines)
        assert (axis.get_xlabel(), axis.get_xscale(), axis.get_yscale()) == ("epoch", "linear", "linear")
    lowest, highest = figure.axes[0].collections[0].get_datalim(figure.axes[0].transData).intervaly
    assert (lowest, highest) == pytest.approx((middle["accuracy"][0] - 0.01, middle["accuracy"][1] + 0.01))


def test_the_best_run_is_chosen_by_validation_loss(shown):
    functions, _, _ = shown
    functions.runs["CNN"][0].test_accuracy = 1.0  # better on the test set, which does not count
    assert functions.best("CNN") is functions.runs["CNN"][1]


def test_the_first_prediction_is_that_of_the_image_beside_it(shown):
    _, figures, run = shown
    chances, images = np.linspace(0.01, 0.19, 10)[::-1], np.random.default_rng(0).random((2, 28, 28))
    run("first-predict", x_valid=images, y_valid=[7, 8], model=SimpleNamespace(
        predict=lambda x, verbose: chances[np.newaxis] * np.array_equal(x.ravel(), images[0].ravel())))
    picture, bars = figures[0].axes
    np.testing.assert_array_equal(picture.images[0].get_array(), images[0])
    assert [bar.get_height() for bar in bars.patches] == pytest.approx(chances) and bars.get_ylabel() == "probability"
    assert figures[0].get_suptitle() == "An image with the label 7; the model's answer: 0"


def test_images_and_masks_are_of_the_digits_below_them(shown):
    functions, figures, run = shown
    weights = np.random.default_rng(0).normal(size=(784, 10))
    layer = SimpleNamespace(get_weights=lambda: [weights, np.zeros(10)])
    for each in functions.runs["No hidden layer"]:
        each.model = SimpleNamespace(get_layer={"output": layer}.get)
    run("look-figure", "no-hidden-weights")
    for digit, (images, mask) in enumerate(zip(figures[0].axes, figures[1].axes, strict=True)):
        np.testing.assert_array_equal(
            images.images[0].get_array(), np.vstack(functions.images_train[digit:50:10]))
        np.testing.assert_array_equal(mask.images[0].get_array(), weights[:, digit].reshape(28, 28)[4:24, 4:24])
        assert images.get_xlabel() == mask.get_xlabel() == str(digit) and mask.images[0].get_cmap().name == "gray_r"
        assert mask.images[0].norm.vmin == -mask.images[0].norm.vmax  # mid-grey does not count


def test_maps_are_of_the_filters_above_them(shown):
    functions, figures, run = shown
    functions.runs["CNN"] = [made_up(0, TRUE, model=functions.cnn())]
    images = np.random.default_rng(0).random((4, 28, 28), "float32")
    run("look-figure", "cnn-filters", x_valid=images, y_valid=np.array([7, 7, 7, 7]))
    pictures = [np.asarray(axis.images[0].get_array()) for axis in figures[1].axes]
    assert len(pictures) == 18 and pictures[0] == pytest.approx(2 * images[3] - 1)
    for kernel, fits in zip(pictures[1:9], pictures[10:]):
        expected = signal.correlate2d(images[3], kernel, "valid").clip(0)
        assert fits == pytest.approx(expected / expected.max(), abs=1e-4)


def test_comparison_gives_means_and_ranges_and_bars_show_what_is_misread(shown):
    functions, outputs, run = shown
    for place, name in enumerate(NAMES):
        for one, accuracy in zip(functions.runs[name], (0.5, 0.6 + place / 20)):
            one.test_accuracy = accuracy
    run("comparison-table", "comparison-figure")
    assert "| CNN | 7,850 | 62.50% (50.00% to 75.00%) | 37.50% |" in outputs[0]
    (axis,) = outputs[1].axes
    assert axis.get_xlabel().startswith("test images misread, %") and axis.get_xscale() == "linear"
    assert [bar.get_width() for bar in axis.patches] == pytest.approx([45, 42.5, 40, 37.5])
    assert [one.get_text() for one in axis.get_yticklabels()] == [f"{NAMES[i]}, {i} s to train" for i in range(4)]
    assert [line.get_xdata() for line in axis.lines] == [pytest.approx([50, 40 - 5 * place]) for place in range(4)]
    assert "the CNN misreads the fewest" in outputs[1].get_suptitle()


def test_mcnemar_counts_what_only_one_reads_right(shown):
    functions, outputs, run = shown
    names = run("mcnemar-table")
    one, other = functions.runs["CNN"]
    assert names["compare"](one, other) == (1, 1, 1) and names["compare"](one, one) == (0, 0, 1)
    names["y_test"] = np.array([3, 3, 5, 8])
    assert names["compare"](one, other) == (0, 2, 0.5)
    assert "| Hidden layer or Flatten layer | 0 | 0 | 1.000 |" in outputs[0]
    assert "| two seeds of Hidden layer | 1 | 1 | 1.000 |" in outputs[0]


def test_mistakes_are_of_the_digits_and_models_that_they_are_said_to_be_of(shown):
    functions, figures, run = shown
    images = np.random.default_rng(0).random((14, 28, 28))
    for name, answers, sure in zip(NAMES, ([5, 5, 5, 5], [3, 5, 5, 5], [], [3, 3, 5, 5]), (0.6, 0.7, 0, 0.8)):
        functions.runs[name] = [made_up(0, np.r_[answers, range(10)].astype(int), sure)]
    names = run("confusion-figure", "rescued-figure", "confidence-figure", y_test=np.r_[TRUE, range(10)], x_test=images)
    tables, rescued, confidence = figures
    for axis, name, misread in zip(tables.axes, names["best_runs"], (3, 2, 1)):
        shares = axis.images[0].get_array()
        assert axis.get_title() == name and (axis.get_ylabel(), axis.get_xlabel()) == ("true digit", "read as")
        assert (shares[3, 5], shares[5, 3], shares[5, 5]) == (misread / 4, 0, 1)

    for i, row in enumerate(np.reshape(rescued.axes, (3, 7))):
        assert "1 images" in row[0].get_ylabel() and not row[1].images and row[0].get_title() == "is 3"
        np.testing.assert_array_equal(row[0].images[0].get_array(), images[i])
        read = [5, 3 if i == 0 else 5, 5 if i == 2 else 3]
        assert row[0].get_xlabel() == "No hidden: {}, 60%\nHidden: {}, 70%\nCNN: {}, 80%".format(*read)

    (axis,) = confidence.axes
    assert axis.get_xlabel() == "confidence" and [line.get_label() for line in axis.lines] == [
        "No hidden layer: 3 mistakes", "Hidden layer: 2 mistakes", "CNN: 1 mistakes"]
    assert [line.get_xdata().max() for line in axis.lines] == pytest.approx([0.6, 0.7, 0.8])


def test_techniques_are_compared_with_the_same_seed_of_the_right_model(shown):
    functions, outputs, run = shown
    functions.runs["CNN"][0].test_accuracy, functions.runs["CNN"][1].test_accuracy = 0.75, 1.0
    tried = {name: made_up(0, [3, 3, 5, 5]) for name in (
        "as tutorials do: CNN", "raw pixels", "constant rate of 0.001", "sigmoid outputs")}
    names = run("mcnemar-table", "techniques-table", tried=tried, recipes=tried, none=0.5, hidden=0.3)
    assert names["change"]["raw pixels"] == pytest.approx(25) and names["change"]["as tutorials do: CNN"] == 0
    assert "| raw pixels | 75.00% | +25.00 | 70.71 | within luck |" in outputs[1]  # 200 sqrt(2) / 4
    assert "| the CNN's seeds, voting | " in outputs[1]
