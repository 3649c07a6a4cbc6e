"""What the figures and tables show, on made-up runs whose right picture is known."""

import re

import numpy as np
import pytest


@pytest.fixture
def shown(functions, monkeypatch):
    """The functions, with two made-up runs of two epochs, and the list of the figures that they show."""
    def run(shift, logits):
        history = {"accuracy": [0.5 + shift, 0.7 + shift], "val_accuracy": [0.6 + shift, 0.8 + shift],
                   "loss": [1.5 - shift, 1.2 - shift], "val_loss": [1.4 - shift, 1.1 - shift]}
        return functions.Run(0, history, 1, [], logits, 1 + shift, 0.9 - shift)

    figures = []
    monkeypatch.setattr(functions, "show", figures.append)
    monkeypatch.setattr(functions, "DATASET", "MNIST", raising=False)
    monkeypatch.setattr(functions, "epochs", 2, raising=False)
    monkeypatch.setattr(functions, "y_test", np.array([3, 3, 3, 5]), raising=False)
    logits = [np.log(np.full((4, 10), 0.2 / 9) + np.eye(10)[answers] * (0.8 - 0.2 / 9))
              for answers in ([3, 5, 5, 5], [3, 3, 5, 8])]
    monkeypatch.setattr(functions, "runs", functions.Trained({"CNN": [run(0, logits[0]), run(0.1, logits[1])]}))
    return functions, figures


def test_curves_show_what_their_labels_say(shown):
    functions, figures = shown
    functions.plot_history("CNN")
    (figure,) = figures
    curves = {(axis.get_ylabel(), line.get_label()): list(line.get_ydata())
              for axis in figure.axes for line in axis.lines}
    assert curves == {
        ("accuracy", "training"): pytest.approx([0.55, 0.75]), ("accuracy", "validation"): pytest.approx([0.65, 0.85]),
        ("loss", "training"): pytest.approx([1.45, 1.15]), ("loss", "validation"): pytest.approx([1.35, 1.05])}
    assert all(list(line.get_xdata()) == [1, 2] for axis in figure.axes for line in axis.lines)
    assert [axis.get_title().split(":")[0] for axis in figure.axes] == ["Accuracy", "Loss"]
    assert figure.get_suptitle() == "CNN on MNIST: training accuracy stays below validation accuracy"
    lowest, highest = figure.axes[0].collections[0].get_datalim(figure.axes[0].transData).intervaly
    assert (lowest, highest) == pytest.approx((0.5, 0.8))  # the band reaches from one seed to the other


def test_title_says_when_training_overtakes(shown):
    functions, figures = shown
    for run in functions.runs["CNN"]:
        run.history["accuracy"][1] = 0.95
    functions.plot_history("CNN")
    assert figures[0].get_suptitle().endswith("training accuracy overtakes validation accuracy")


def test_the_best_run_is_chosen_by_validation_loss(shown):
    functions, _ = shown
    worse_on_the_test_set = functions.runs["CNN"][1]
    assert functions.best("CNN") is worse_on_the_test_set


def test_spread(shown):
    functions, _ = shown
    assert functions.spread([0.9712], ".1%") == "97.1%"
    assert functions.spread([0.97, 0.99, 0.98], ".1%") == "98.0% (97.0% to 99.0%)"


def test_spread_of_ten_seeds_or_more_is_a_confidence_interval(shown):
    """Of the intervals for the means of 2,000 samples, 95 in 100 hold the true mean."""
    functions, _ = shown
    assert functions.spread([5.0] * 12, ".2f") == "5.00 (5.00 to 5.00)"
    held = 0
    for sample in np.random.default_rng(0).normal(7, 2, (2000, 10)):
        low, high = re.search(r"\((.*) to (.*)\)", functions.spread(list(sample), ".9f")).groups()
        held += float(low) < 7 < float(high)
    assert 0.93 < held / 2000 < 0.97


@pytest.mark.filterwarnings("ignore:invalid value")  # for the digits that were not shown
def test_rows_of_the_table_of_mistakes_are_true_digits(shown):
    functions, _ = shown
    mistakes = functions.confusion(functions.runs["CNN"][0].logits)
    assert mistakes[3, 5] == pytest.approx(2 / 3) and mistakes[3, 3] == pytest.approx(1 / 3)
    assert mistakes[5, 5] == 1 and mistakes[5, 3] == 0


def test_mcnemar_counts_what_only_one_reads_right(shown):
    functions, _ = shown
    one, other = functions.runs["CNN"]
    assert functions.mcnemar(one, other) == (1, 1, 1)
    assert functions.mcnemar(one, one) == (0, 0, 1)
    functions.y_test = np.array([3, 3, 5, 8])
    assert functions.mcnemar(one, other) == (0, 2, 0.5)


def test_calibration_compares_confidence_with_right_answers(shown, monkeypatch):
    functions, _ = shown
    chances = np.eye(10)[[3, 3, 5, 5]] * np.array([[0.95], [0.95], [0.95], [0.65]])
    monkeypatch.setattr(functions, "chances", {"CNN": chances}, raising=False)
    confidence, right, counts = functions.calibration("CNN")
    assert list(counts) == [0] * 6 + [1, 0, 0, 3]
    assert (confidence[9], right[9]) == pytest.approx((0.95, 2 / 3))
    assert (confidence[6], right[6]) == pytest.approx((0.65, 1))


def test_a_model_that_is_not_trained_yet_is_named(shown):
    functions, _ = shown
    with pytest.raises(RuntimeError, match="Nothing was trained as .Hidden layer. yet. Run the cells of its"):
        functions.plot_history("Hidden layer")


def test_one_cycle_rises_for_a_fifth_and_falls_to_zero(functions):
    schedule = functions.one_cycle(100)
    rates = [float(schedule(step)) for step in range(101)]
    assert np.argmax(rates) == 20 and rates[20] == pytest.approx(functions.LEARNING_RATE)
    assert rates[0] == pytest.approx(functions.LEARNING_RATE / 25) and rates[100] == pytest.approx(0, abs=1e-9)
    assert (np.diff(rates[:21]) > 0).all() and (np.diff(rates[20:]) < 0).all()


def test_an_epoch_goes_through_every_image_once_in_an_order_of_its_own(functions):
    images = np.arange(300, dtype="float32").reshape(300, 1)
    batches = functions.shuffled_batches(images, np.arange(300), batch_size=128)
    epochs = [[(x.numpy().ravel(), y.numpy()) for x, y in batches] for _ in range(2)]
    orders = []
    for epoch in epochs:
        assert [len(y) for _, y in epoch] == [128, 128, 44]
        for x, y in epoch:
            np.testing.assert_array_equal(x, y)  # a label stays with its image
        orders.append(np.concatenate([y for _, y in epoch]))
        assert sorted(orders[-1]) == list(range(300))
    assert list(orders[0]) != list(orders[1]) != list(range(300))
