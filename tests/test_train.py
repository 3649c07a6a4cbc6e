"""How the notebook trains a model, on a few images: in which order, at which learning rate, tested on what."""

import numpy as np
import pytest


@pytest.fixture
def small(functions, monkeypatch):
    """The functions, with 300 training images, told apart by their brightness; events lists what happens to them."""
    class TestImages(np.ndarray):
        def reshape(self, *shape):
            events.append("test images read")
            return np.asarray(self).reshape(*shape)

    def fit(model, batches, **options):
        events.append("trained")
        functions.trained, functions.batches, functions.validation = model, batches, options["validation_data"]
        return keras_fit(model, batches, **options)

    events, keras_fit = [], functions.keras.Sequential.fit
    images = np.ones((300, 28, 28), "float16") * np.arange(300).reshape(-1, 1, 1).astype("float16") / 512
    for name, value in {"DATASET": "MNIST", "EPOCHS": 5, "x_train": images, "y_train": np.arange(300) % 10,
                        "x_valid": images[:40] / 2, "y_valid": np.arange(40) % 7, "events": events,
                        "x_test": (images[:50] / 3).view(TestImages), "y_test": np.arange(50) % 9}.items():
        monkeypatch.setattr(functions, name, value, raising=False)
    monkeypatch.setattr(functions.keras.Sequential, "fit", fit)
    return functions


def test_validation_images_are_held_back_and_test_images_read_once_after_training(small):
    (run,) = small.train(small.flatten_layer, [0])
    assert small.events == ["trained", "test images read"]
    x, y = small.validation
    assert np.array_equal(x, small.x_valid) and np.array_equal(y, small.y_valid)
    loss, accuracy = small.trained.evaluate(x, y, verbose=0)
    assert (loss, accuracy) == pytest.approx((run.history["val_loss"][-1], run.history["val_accuracy"][-1]), rel=1e-3)
    assert run.probabilities == pytest.approx(run.model.predict(np.asarray(small.x_test), verbose=0), abs=1e-5)
    assert run.test_accuracy == np.mean(run.probabilities.argmax(axis=1) == small.y_test)


def test_an_epoch_goes_through_every_image_once_in_an_order_of_its_own(small):
    small.train(small.no_hidden_layer, [0])
    orders = []
    for _ in range(2):
        epoch = [(x.numpy(), y.numpy()) for x, y in small.batches]
        assert [x.shape for x, _ in epoch] == [(128, 784), (128, 784), (44, 784)]
        orders.append([round(512 * float(image[0])) for x, _ in epoch for image in x])
        assert sorted(orders[-1]) == list(range(300))
        assert [label for _, y in epoch for label in y] == [i % 10 for i in orders[-1]]  # they stay with their images
    assert orders[0] != orders[1] != list(range(300))


@pytest.mark.parametrize("dataset, options, n_steps", [
    ("MNIST", {}, 15), ("MNIST", {"batch_size": 32, "epochs": 2}, 20), ("5,000 of MNIST", {}, 30)])
def test_learning_rate_rises_for_a_fifth_of_all_steps_and_falls_to_zero(small, monkeypatch, dataset, options, n_steps):
    monkeypatch.setattr(small, "DATASET", dataset)
    small.train(small.no_hidden_layer, [0], **options)
    optimizer, rates, top = small.trained.optimizer, [], n_steps // 5
    assert int(optimizer.iterations) == n_steps
    for step in range(n_steps + 1):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    assert rates[top] == max(rates) == pytest.approx(0.01) and rates[-1] == pytest.approx(0, abs=1e-9)
    assert 0 < rates[0] < 0.001 and (np.diff(rates[:top + 1]) > 0).all() and (np.diff(rates[top:]) < 0).all()
    assert type(optimizer) is small.keras.optimizers.AdamW and optimizer.weight_decay == 0.1


def test_changes_and_augment_arrive(small):
    small.train(small.flatten_layer, [0], optimizer="sgd", loss=small.one_hot_loss, augment=lambda x, y: (-x, y + 0))
    assert small.trained.optimizer.name.lower() == "sgd" and small.trained.loss is small.one_hot_loss
    assert all(x.numpy().max() <= 0 for x, _ in small.batches)


def test_seeds_that_share_a_model_train_as_if_alone_to_the_last_bit(small):
    def build():  # all that training changes: weights, running averages, and dropout's state
        layers = small.layers
        return small.network((784,), layers.Dense(20), layers.BatchNormalization(), layers.Dropout(0.4))

    one, two = small.train(build, [1, 2])
    (alone,) = small.train(build, [2])
    assert two.history == alone.history and np.array_equal(two.probabilities, alone.probabilities)
    assert not np.array_equal(one.probabilities, two.probabilities)
    for run in (one, two):  # each run has kept a model of its own
        assert np.array_equal(small.predict_proba(run.model, np.asarray(small.x_test)), run.probabilities)


def test_shifts_move_by_up_to_one_pixel_and_keep_labels(functions):
    images, places = np.zeros((2, 28, 28), "float32"), set()
    images[0, 14, 14], images[1, 7, 7] = 0.5, 1
    functions.keras.utils.set_random_seed(0)
    for _ in range(100):  # each batch moves as a whole: enough of them for all nine places
        moved, labels = functions.shift(images, [3, 5])
        (down, right) = np.argwhere(moved[0])[0] - 14
        assert np.array_equal(moved, np.roll(images, (down, right), axis=(1, 2))) and labels == [3, 5]
        places.add((down, right))
    assert places == {(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)}
