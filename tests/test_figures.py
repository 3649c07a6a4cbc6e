"""How a model is trained, on a few images; and what figures and tables show, on made-up runs with known answers."""

from types import SimpleNamespace

import numpy as np
import pytest

NAMES = ["No hidden layer", "Hidden layer", "Flatten layer", "CNN"]
TRUE = np.array([3, 3, 3, 5])  # the labels of the test images


def made_up(shift, answers):
    """A run of two epochs, which gives these answers with a probability of 0.8."""
    history = {"accuracy": [0.5 + shift, 0.7 + shift], "val_accuracy": [0.6 + shift, 0.8 + shift],
               "loss": [1.5 - shift, 1.2 - shift], "val_loss": [1.4 - shift, 1.1 - shift]}
    return SimpleNamespace(
        model=SimpleNamespace(count_params=lambda: 7850), history=history, seconds=1.0,
        probabilities=0.2 / 9 + np.eye(10)[answers] * (0.8 - 0.2 / 9), test_accuracy=0.5)


@pytest.fixture
def shown(functions, monkeypatch):
    """The functions, with two made-up runs of each model, and the list of what they show."""
    def show(figure, title):
        figure.suptitle(title)
        outputs.append(figure)

    outputs = []
    for name, value in {
            "DATASET": "MNIST", "show": show, "display": outputs.append, "Markdown": str, "y_test": TRUE,
            "check": lambda *statement: None, "other_settings": None, "not_mnist": None,
            "runs": {name: [made_up(0, [3, 5, 5, 5]), made_up(0.1, [3, 3, 5, 8])] for name in NAMES}}.items():
        monkeypatch.setattr(functions, name, value, raising=False)
    return functions, outputs


def run_cell(notebook, functions, name):
    """Run a cell of the notebook that is not tagged as a definition: the names that it knows in the end."""
    names = dict(vars(functions))
    exec(next(cell.source for cell in notebook.cells if cell.id == name), names)
    return names


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
    lowest, highest = figure.axes[0].collections[0].get_datalim(figure.axes[0].transData).intervaly
    assert (lowest, highest) == pytest.approx((0.5, 0.8))  # the band reaches from one seed to the other


@pytest.mark.parametrize("end, points", [(0.7, -0.1), (0.95, 0.1)])
def test_title_says_how_far_training_ends_ahead(shown, end, points):
    functions, figures = shown
    for run in functions.runs["CNN"]:
        run.history["accuracy"][1] = run.history["val_accuracy"][1] + points
    functions.plot_history("CNN")
    assert functions.lead("CNN") == pytest.approx(points)
    title = figures[0].get_suptitle()
    assert "CNN" in title and "MNIST" in title and f"10.0 points {'above' if points > 0 else 'below'}" in title


def test_the_best_run_is_chosen_by_validation_loss(shown):
    functions, _ = shown
    functions.runs["CNN"][0].test_accuracy = 1.0  # better on the test set, which does not count
    assert functions.best("CNN") is functions.runs["CNN"][1]


def test_comparison_gives_means_and_ranges(shown, notebook):
    functions, outputs = shown
    functions.runs["CNN"][1].test_accuracy = 0.75
    names = run_cell(notebook, functions, "comparison-table")
    assert "| CNN | 7,850 | 62.50% (50.00% to 75.00%) |" in outputs[0]
    assert names["accuracy"] == pytest.approx({name: 0.5 for name in NAMES[:3]} | {"CNN": 0.625})


def test_mcnemar_counts_what_only_one_reads_right(shown, notebook):
    functions, outputs = shown
    names = run_cell(notebook, functions, "mcnemar-table")
    one, other = functions.runs["CNN"]
    assert names["compare"](one, other) == (1, 1, 1)
    assert names["compare"](one, one) == (0, 0, 1)
    names["y_test"] = np.array([3, 3, 5, 8])
    assert names["compare"](one, other) == (0, 2, 0.5)
    assert "| Hidden layer or Flatten layer | 0 | 0 | 1.000 |" in outputs[0]
    assert "| two seeds of Hidden layer | 1 | 1 | 1.000 |" in outputs[0]


def test_rows_of_the_table_of_mistakes_are_true_digits(shown, notebook):
    functions, figures = shown
    functions.y_test = np.r_[TRUE, range(10)]
    functions.runs = {name: [made_up(0, np.r_[[3, 5, 5, 5], range(10)])] for name in NAMES}
    run_cell(notebook, functions, "confusion-figure")
    mistakes = figures[0].axes[0].images[0].get_array()
    assert mistakes[3, 5] == 2 / 4 and mistakes[5, 3] == 0 and mistakes[5, 5] == 1
    assert (figures[0].axes[0].get_ylabel(), figures[0].axes[0].get_xlabel()) == ("true digit", "read as")


@pytest.mark.parametrize("build", ["hidden_layer", "flatten_layer"])
def test_hidden_units_pass_on_what_is_positive(functions, build):
    hidden = getattr(functions, build)().get_layer("hidden")
    weights, biases = hidden.get_weights()
    images = np.random.default_rng(0).random((5, 784), "float32")
    assert hidden(images).numpy() == pytest.approx(np.maximum(images @ weights + biases, 0), abs=1e-4)


@pytest.fixture
def small(functions, monkeypatch):
    """The functions, with 300 training images, told apart by their brightness; and what Keras' fit was given."""
    class Watched(np.ndarray):
        def reshape(self, *shape):
            given.append("test images read")
            return np.asarray(self).reshape(*shape)

    def fit(model, *batches, **options):
        given.append((*batches, options))
        functions.trained = model
        return keras_fit(model, *batches, **options)

    given, keras_fit = [], functions.keras.Sequential.fit
    images = np.ones((300, 28, 28), "float16") * np.arange(300).reshape(-1, 1, 1).astype("float16") / 512
    for name, value in {"DATASET": "MNIST", "EPOCHS": 5, "x_train": images, "y_train": np.arange(300) % 10,
                        "x_valid": images[:40] / 2, "y_valid": np.arange(40) % 7,
                        "x_test": (images[:50] / 3).view(Watched), "y_test": np.arange(50) % 9}.items():
        monkeypatch.setattr(functions, name, value, raising=False)
    monkeypatch.setattr(functions.keras.Sequential, "fit", fit)
    return functions, given


def test_an_epoch_goes_through_every_image_once_in_an_order_of_its_own(small):
    functions, given = small
    functions.train(functions.no_hidden_layer, [0])
    orders = []
    for _ in range(2):
        epoch = [(x.numpy(), y.numpy()) for x, y in given[0][0]]
        assert [x.shape for x, _ in epoch] == [(128, 784), (128, 784), (44, 784)]
        orders.append([round(512 * float(image[0])) for x, _ in epoch for image in x])
        assert sorted(orders[-1]) == list(range(300))
        labels = np.concatenate([y for _, y in epoch])
        np.testing.assert_array_equal(labels, np.array(orders[-1]) % 10)  # a label stays with its image
    assert orders[0] != orders[1] != list(range(300))


@pytest.mark.parametrize("dataset, options, n_steps", [
    ("MNIST", {}, 15), ("MNIST", {"batch_size": 32}, 50), ("5,000 of MNIST", {}, 30), ("MNIST", {"epochs": 10}, 30)])
def test_learning_rate_rises_for_a_fifth_of_all_steps_and_falls_to_zero(small, monkeypatch, dataset, options, n_steps):
    functions, _ = small
    monkeypatch.setattr(functions, "DATASET", dataset)
    functions.train(functions.no_hidden_layer, [0], **options)
    optimizer = functions.trained.optimizer
    assert int(optimizer.iterations) == n_steps
    rates = []
    for step in range(n_steps + 1):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    top = n_steps // 5
    assert rates[top] == max(rates) == pytest.approx(0.01) and rates[-1] == pytest.approx(0, abs=1e-9)
    assert 0 < rates[0] < 0.001 and (np.diff(rates[:top + 1]) > 0).all() and (np.diff(rates[top:]) < 0).all()


def test_validation_images_are_held_back_and_test_images_read_once_after_training(small):
    functions, given = small
    (run,) = functions.train(functions.flatten_layer, [0])
    assert len(given) == 2 and given[1] == "test images read"
    x, y = given[0][1]["validation_data"]
    np.testing.assert_array_equal(x, functions.x_valid)
    np.testing.assert_array_equal(y, functions.y_valid)
    loss, accuracy = functions.trained.evaluate(x, y, verbose=0)
    assert (loss, accuracy) == pytest.approx((run.history["val_loss"][-1], run.history["val_accuracy"][-1]), rel=1e-3)
    assert run.probabilities == pytest.approx(run.model.predict(np.asarray(functions.x_test), verbose=0), abs=1e-5)
    assert run.test_accuracy == np.mean(run.probabilities.argmax(axis=1) == functions.y_test)


def test_changes_and_augment_arrive(small):
    functions, given = small
    functions.train(functions.flatten_layer, [0], optimizer="sgd", loss=functions.one_hot_loss,
                    augment=lambda x, y: (-x, y + 0))
    assert functions.trained.optimizer.name.lower() == "sgd" and functions.trained.loss is functions.one_hot_loss
    assert all(x.numpy().max() <= 0 for x, _ in given[0][0])


def test_seeds_that_share_a_model_train_as_if_alone_to_the_last_bit(small):
    functions, _ = small
    layers = functions.layers

    def build():  # all that training changes: weights, running averages, and dropout's state
        return functions.network((784,), layers.Dense(20), layers.BatchNormalization(), layers.Dropout(0.4))

    one, two = functions.train(build, [1, 2])
    (alone,) = functions.train(build, [2])
    np.testing.assert_array_equal(two.probabilities, alone.probabilities)
    assert two.history == alone.history
    assert not np.array_equal(one.probabilities, two.probabilities)
    for run in (one, two):  # each run has kept a model of its own
        answers = functions.predict_proba(run.model, np.asarray(functions.x_test))
        np.testing.assert_array_equal(run.probabilities, answers)


def test_shifts_move_by_up_to_one_pixel_and_keep_labels(functions):
    images = np.zeros((20, 28, 28), "float32")
    images[np.arange(20), 14, 14] = np.linspace(0.5, 1, 20)  # tells the images apart
    functions.keras.utils.set_random_seed(0)
    positions = set()
    for _ in range(100):  # each batch moves as a whole: enough of them for all nine positions
        moved, labels = functions.shift(images, np.arange(20))
        which, rows, columns = np.nonzero(moved.numpy())
        assert list(which) == list(labels) == list(range(20))  # one pixel of ink in each image, as before
        np.testing.assert_array_equal(moved.numpy().max(axis=(1, 2)), images.max(axis=(1, 2)))
        positions |= set(zip(rows - 14, columns - 14))
    assert positions == {(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)}
