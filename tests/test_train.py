"""How the notebook trains a model, on a few images: in which order, at which learning rate, on what it is tested."""

import numpy as np
import pytest


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
