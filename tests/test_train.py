"""How the notebook trains and tests a model, on a few images."""

import keras
import numpy as np
import pytest
from helpers import load_functions, run_cell

EVENTS = []


@pytest.fixture
def small(monkeypatch):
    """The functions, with a few images; EVENTS lists what is done, to how many."""

    def watch(name):
        method = getattr(keras.Sequential, name)

        def watched(model, x, y=None, **options):
            EVENTS.append((name, len(x)))
            if name == "fit":
                functions.trained = model
                functions.fitted = {"x": x, "y": y} | options
            if name != "predict":
                options["y"] = y
            return method(model, x, **options)

        monkeypatch.setattr(keras.Sequential, name, watched)

    EVENTS.clear()
    random = np.random.default_rng(0)
    functions = load_functions(
        DATASET="MNIST",
        EPOCHS=5,
        x_train=random.random((300, 28, 28), "float32"),
        y_train=np.arange(300) % 10,
        x_valid=random.random((40, 28, 28), "float32"),
        y_valid=np.arange(40) % 7,
        x_test=random.random((50, 28, 28), "float32"),
        y_test=np.arange(50) % 9,
    )
    run_cell(functions, "learning-rate")
    run_cell(functions, "train")
    for name in ["fit", "evaluate", "predict"]:
        watch(name)
    return functions


def test_the_test_set_is_read_once_after_training(small):
    (run,) = small.train(small.flatten_layer, [0])
    assert EVENTS[0] == ("fit", 300)
    assert EVENTS[-2:] == [("evaluate", 50), ("predict", 50)]
    assert [n_images for _, n_images in EVENTS].count(50) == 2
    answers = small.trained.predict(small.x_test, verbose=0)
    assert run["probabilities"] == pytest.approx(answers, abs=1e-6)
    right = answers.argmax(axis=1) == small.y_test
    assert run["test_accuracy"] == pytest.approx(right.mean())


def test_it_is_fitted_to_training_images_and_validated_on_the_others(small):
    (run,) = small.train(small.no_hidden_layer, [0])
    fitted = small.fitted
    np.testing.assert_array_equal(fitted["x"], small.x_train.reshape(-1, 784))
    np.testing.assert_array_equal(fitted["y"], small.y_train)
    assert (fitted["batch_size"], fitted["epochs"]) == (128, 5)
    assert fitted.get("shuffle", True)
    x, y = fitted["validation_data"]
    np.testing.assert_array_equal(x, small.x_valid.reshape(-1, 784))
    np.testing.assert_array_equal(y, small.y_valid)
    assert run["history"].keys() == {"accuracy", "loss", "val_accuracy", "val_loss"}


def test_learning_rate_rises_for_a_fifth_of_all_steps_then_falls(small):
    n_steps = 5 * 3  # 300 images are three batches
    small.train(small.no_hidden_layer, [0])
    optimizer = small.trained.optimizer
    assert int(optimizer.iterations) == n_steps
    rates = []
    for step in range(n_steps + 1):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    top = n_steps // 5
    assert np.diff(rates[: top + 1]) == pytest.approx([(0.01 - rates[0]) / top] * top)
    assert 0 < rates[0] < 0.001
    assert rates[top] == pytest.approx(0.01)
    assert (np.diff(rates[top:]) < 0).all()
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_a_seed_gives_the_same_alone_as_among_others(small):
    def build():  # with all that depends on chance or on earlier batches
        model = keras.Sequential()
        model.add(keras.layers.Input((784,)))
        model.add(keras.layers.BatchNormalization())
        model.add(keras.layers.Dropout(0.4))
        model.add(keras.layers.Dense(10, activation="softmax"))
        return model

    first, second = small.train(build, [1, 2])
    (alone,) = small.train(build, [2])
    assert second["history"] == alone["history"]
    np.testing.assert_array_equal(second["probabilities"], alone["probabilities"])
    assert not np.array_equal(first["probabilities"], second["probabilities"])
    for run in [first, second]:  # each has kept a model of its own
        answers = run["model"].predict(small.x_test.reshape(-1, 784), batch_size=1000)
        np.testing.assert_array_equal(answers, run["probabilities"])


def test_techniques_are_what_their_names_say(small):
    three = small.three_hidden_layers().layers
    assert [layer.units for layer in three] == [100, 100, 100, 10]
    x = small.x_train[:1].reshape(1, 784)
    raw = small.raw_pixels().layers[0]
    np.testing.assert_allclose(raw(x), 255 * x, rtol=1e-6)
    assert small.sigmoid_model().layers[-1].activation is keras.activations.sigmoid
    assert small.small_cnn().layers[-1].activation is keras.activations.softmax


def test_shifts_move_by_up_to_one_pixel_and_keep_the_rest(small):
    images = np.zeros((200, 28, 28, 1), "float32")
    images[:, 14, 14] = 0.5
    images[:, 7, 8] = 1
    keras.utils.set_random_seed(0)
    shift = small.random_shifts().layers[0]
    moves = set()
    for moved in np.array(shift(images, training=True)):
        row, column, _ = np.argwhere(moved == moved.max())[0] - [7, 8, 0]
        expected = np.roll(images[0], (row, column), axis=(0, 1))
        np.testing.assert_allclose(moved, expected)
        moves.add((int(row), int(column)))
    assert moves == {(row, column) for row in [-1, 0, 1] for column in [-1, 0, 1]}
    np.testing.assert_array_equal(shift(images, training=False), images)
