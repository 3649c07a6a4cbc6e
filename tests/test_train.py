"""How the notebook trains and tests a model, on a few images."""

import keras
import numpy as np
import pytest
from helpers import load_functions, run_cell

N_TRAIN = 300


class WatchedImages(np.ndarray):
    """Test images that take a note of each time that they are read."""

    def reshape(self, *shape):
        EVENTS.append("test images read")
        return np.asarray(self).reshape(*shape)


EVENTS = []


@pytest.fixture
def small(monkeypatch):
    """The functions, with a few images; EVENTS lists what happens to them."""

    def watch(name):
        method = getattr(keras.Sequential, name)

        def watched(model, *arguments, **options):
            EVENTS.append(name)
            if name == "fit":
                functions.trained = model
                functions.fitted = {"x": arguments[0], "y": arguments[1]} | options
            return method(model, *arguments, **options)

        monkeypatch.setattr(keras.Sequential, name, watched)

    EVENTS.clear()
    random = np.random.default_rng(0)
    x_test = random.random((50, 28, 28), "float32")
    functions = load_functions(
        DATASET="MNIST",
        EPOCHS=5,
        x_train=random.random((N_TRAIN, 28, 28), "float32"),
        y_train=np.arange(N_TRAIN) % 10,
        x_valid=random.random((40, 28, 28), "float32"),
        y_valid=np.arange(40) % 7,
        x_test=x_test.view(WatchedImages),
        y_test=np.arange(50) % 9,
    )
    run_cell(functions, "learning-rate")
    for name in ["fit", "evaluate", "predict"]:
        watch(name)
    return functions


def train(functions, build, seeds):
    return functions.train(build, seeds, functions.warm_up_and_decay)


def test_the_test_set_is_read_once_after_training(small):
    (run,) = train(small, small.flatten_layer, [0])
    # During fit, Keras calls evaluate with the validation images.
    reads = [event for event in EVENTS if event != "evaluate"]
    assert reads == ["fit", "test images read", "predict"]
    assert EVENTS[-3:] == ["test images read", "evaluate", "predict"]
    x_test = np.asarray(small.x_test)
    assert run["probabilities"] == pytest.approx(
        small.trained.predict(x_test, verbose=0), abs=1e-6
    )
    right = run["probabilities"].argmax(axis=1) == small.y_test
    assert run["test_accuracy"] == pytest.approx(right.mean())
    assert run["model"] is small.trained


def test_it_is_fitted_to_training_images_and_validated_on_the_others(small):
    (run,) = train(small, small.no_hidden_layer, [0])
    fitted = small.fitted
    np.testing.assert_array_equal(fitted["x"], small.x_train.reshape(-1, 784))
    np.testing.assert_array_equal(fitted["y"], small.y_train)
    assert (fitted["batch_size"], fitted["epochs"]) == (128, 5)
    assert fitted.get("shuffle", True)
    x, y = fitted["validation_data"]
    np.testing.assert_array_equal(x, small.x_valid.reshape(-1, 784))
    np.testing.assert_array_equal(y, small.y_valid)
    assert run["history"].keys() == {"accuracy", "loss", "val_accuracy", "val_loss"}


@pytest.mark.parametrize("dataset, n_steps", [("MNIST", 15), ("5,000 of MNIST", 30)])
def test_learning_rate_rises_for_a_fifth_of_all_steps_then_falls(
    small, dataset, n_steps
):
    small.DATASET = dataset
    run_cell(small, "learning-rate")
    train(small, small.no_hidden_layer, [0])
    optimizer = small.trained.optimizer
    assert int(optimizer.iterations) == n_steps
    rates = []
    for step in range(n_steps + 1):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    top = n_steps // 5
    assert np.diff(rates[: top + 1]) == pytest.approx([(0.01 - rates[0]) / top] * top)
    assert 0 < rates[0] < 0.001
    assert max(rates) == rates[top] == pytest.approx(0.01)
    assert (np.diff(rates[top:]) < 0).all()
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_the_optimiser_is_the_recipes(small):
    train(small, small.no_hidden_layer, [0])
    optimizer = small.trained.optimizer
    assert type(optimizer) is keras.optimizers.AdamW
    assert (optimizer.weight_decay, optimizer.beta_1, optimizer.beta_2) == (
        0.1,
        0.9,
        0.98,
    )
    small.train(small.no_hidden_layer, [0], learning_rate=0.001)
    assert float(small.trained.optimizer.learning_rate) == pytest.approx(0.001)


def test_a_seed_gives_the_same_alone_as_among_others(small):
    def build():  # with all that depends on chance or on earlier batches
        return keras.Sequential(
            [
                small.layers.Input((784,)),
                small.layers.Dense(20),
                small.layers.BatchNormalization(),
                small.layers.Dropout(0.4),
                small.layers.Dense(10, activation="softmax"),
            ]
        )

    first, second = train(small, build, [1, 2])
    (alone,) = train(small, build, [2])
    assert second["history"] == alone["history"]
    np.testing.assert_array_equal(second["probabilities"], alone["probabilities"])
    assert not np.array_equal(first["probabilities"], second["probabilities"])
    for run in [first, second]:  # each has kept a model of its own
        probabilities = run["model"].predict(np.asarray(small.x_test).reshape(-1, 784))
        np.testing.assert_array_equal(probabilities, run["probabilities"])


def test_a_flatten_layer_changes_nothing_to_the_last_bit(small):
    (hidden,) = train(small, small.hidden_layer, [3])
    (flatten,) = train(small, small.flatten_layer, [3])
    assert hidden["history"] == flatten["history"]
    np.testing.assert_array_equal(hidden["probabilities"], flatten["probabilities"])


def test_models_are_as_the_text_says(small):
    assert small.no_hidden_layer().count_params() == 7_850
    assert small.hidden_layer().count_params() == 79_510
    assert small.flatten_layer().count_params() == 79_510
    batch_normalisations = 0
    for layer in small.cnn().layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            batch_normalisations += 1
            assert layer.momentum == 0.9
    assert batch_normalisations == 2


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
    for image, moved in zip(
        images, np.array(shift(images, training=True)), strict=True
    ):
        row, column, _ = np.argwhere(moved == moved.max())[0] - [7, 8, 0]
        np.testing.assert_allclose(moved, np.roll(image, (row, column), axis=(0, 1)))
        moves.add((int(row), int(column)))
    assert moves == {(row, column) for row in [-1, 0, 1] for column in [-1, 0, 1]}
    np.testing.assert_array_equal(shift(images, training=False), images)
