"""Loading MNIST: a bad file gives an error that helps, no network a loud notice."""

import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from helpers import load_functions, run_cell, without_mnist

needs_mnist = pytest.mark.skipif(
    not os.environ.get("MNIST_NPZ"), reason="needs MNIST as a file, in MNIST_NPZ"
)


def made_up_arrays():
    """A dataset laid out like MNIST's file."""
    return {
        "x_train": np.full((60000, 28, 28), 7, "uint8"),
        "y_train": np.arange(60000).astype("uint8") % 10,
        "x_test": np.full((5, 28, 28), 8, "uint8"),
        "y_test": np.array([7, 2, 1, 0, 4], "uint8"),
    }


@pytest.fixture
def mnist_file():
    """MNIST's file. (Ask for it before the fixture cached, which hides it.)"""
    return Path(os.environ["MNIST_NPZ"])


@pytest.fixture
def cached(monkeypatch, tmp_path):
    """Where Keras keeps MNIST: no such file yet, no other one, and no network."""
    without_mnist(monkeypatch, tmp_path)
    # Keras reads KERAS_HOME when it is imported, which has been done here.
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path / "keras"))
    timeout = socket.getdefaulttimeout()
    path = tmp_path / "keras" / "datasets" / "mnist.npz"
    path.parent.mkdir(parents=True)
    yield path
    socket.setdefaulttimeout(timeout)  # the notebook sets it


def test_a_good_file_is_read_as_it_is(cached, monkeypatch, tmp_path):
    np.savez(tmp_path / "mine.npz", **made_up_arrays())
    monkeypatch.setenv("MNIST_NPZ", str(tmp_path / "mine.npz"))
    train, test = load_functions().load_mnist()
    for loaded, array in zip([*train, *test], made_up_arrays().values(), strict=True):
        np.testing.assert_array_equal(loaded, array)


def write_nothing(path):
    pass


def write_text(path):
    path.write_text("<html>404 Not Found</html>")


def write_truncated(path):
    np.savez(path, **made_up_arrays())
    os.truncate(path, 1_000_000)


def write_without_labels(path):
    arrays = made_up_arrays()
    del arrays["y_train"]
    np.savez(path, **arrays)


def write_large_images(path):
    arrays = made_up_arrays()
    arrays["x_train"] = np.zeros((60000, 32, 32), "uint8")
    np.savez(path, **arrays)


def write_labels_of_fashion_mnist(path):
    arrays = made_up_arrays()
    arrays["y_test"] = np.array([9, 2, 1, 1, 6], "uint8")
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    "write, reason",
    [
        (write_nothing, "No such file"),
        (Path.mkdir, "directory|Permission"),
        (write_text, "pickle"),
        (write_truncated, "zip"),
        (write_without_labels, "y_train"),
        (write_large_images, "another dataset"),
        (write_labels_of_fashion_mnist, "another dataset"),
    ],
)
def test_a_bad_file_is_named_with_what_to_do(
    cached, tmp_path, monkeypatch, write, reason
):
    path = tmp_path / "mine.npz"
    write(path)
    monkeypatch.setenv("MNIST_NPZ", str(path))
    with pytest.raises(ValueError, match=reason) as caught:
        run_cell(load_functions(), "load")  # no other images in its place
    assert str(path) in str(caught.value)
    assert "Set MNIST_NPZ to a file like Keras' mnist.npz" in str(caught.value)


def test_no_network_gives_a_loud_notice_and_a_sample(cached, capsys):
    cached.write_bytes(b"PK half a file")  # what an older program may have left
    functions = load_functions()
    run_cell(functions, "load")
    notice = capsys.readouterr().out
    assert "!!! ONLY 5,000 IMAGES." in notice
    assert "Connection refused" in notice
    assert notice.endswith("5,000 of MNIST: 4,000 training and 1,000 test images\n")
    assert functions.DATASET == "5,000 of MNIST"
    assert functions.images_train.shape == (4000, 28, 28)
    assert functions.images_test.shape == (1000, 28, 28)
    assert (functions.images_test.min(), functions.images_test.max()) == (0, 255)
    assert np.bincount(functions.labels_train).tolist() == [400] * 10
    assert np.bincount(functions.labels_test).tolist() == [100] * 10
    assert not cached.exists()


def break_off(origin, path, *progress):
    with open(path, "wb") as file:
        file.write(b"PK half a file")
    raise TimeoutError("timed out")


def test_a_download_that_breaks_off_leaves_nothing(cached, monkeypatch, capsys):
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", break_off)
    functions = load_functions()
    run_cell(functions, "load")
    assert "ONLY 5,000 IMAGES" in capsys.readouterr().out
    assert not cached.exists()
    assert (
        0 < (socket.getdefaulttimeout() or 0) <= 30
    )  # or a silent server is waited for


@needs_mnist
def test_a_half_file_in_the_cache_is_downloaded_again(mnist_file, cached, monkeypatch):
    def download(origin, path, *progress):
        shutil.copy(mnist_file, path)

    def is_as_published(path, *checksum, **algorithm):  # a copy may be packed anew
        return Path(path).read_bytes() == mnist_file.read_bytes()

    cached.write_bytes(mnist_file.read_bytes()[:1_000_000])
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", download)
    monkeypatch.setattr("keras.src.utils.file_utils.validate_file", is_as_published)
    functions = load_functions()
    run_cell(functions, "load")
    assert functions.DATASET == "MNIST"
    assert functions.images_train.shape == (60000, 28, 28)


@needs_mnist
def test_the_sample_is_of_mnists_training_images(mnist_file, cached):
    functions = load_functions()
    run_cell(functions, "load")
    sample = np.concatenate([functions.images_train, functions.images_test])
    labels = np.concatenate([functions.labels_train, functions.labels_test])
    with np.load(mnist_file) as file:
        images_and_labels = zip(file["x_train"], file["y_train"], strict=True)
        training = {image.tobytes(): label for image, label in images_and_labels}
    for image, label in zip(sample, labels, strict=True):
        assert training[image.astype("uint8").tobytes()] == label


def test_validation_images_are_a_stratified_sample():
    random = np.random.default_rng(0)
    functions = load_functions(
        images_train=random.integers(0, 256, (1200, 28, 28)).astype("uint8"),
        labels_train=np.repeat(range(10), 120),
        images_test=random.integers(0, 256, (50, 28, 28)).astype("uint8"),
        labels_test=np.arange(50) % 10,
    )
    statements = {}
    functions.check = lambda statement, holds: statements.update({statement: holds})
    run_cell(functions, "prepare-code")
    assert np.bincount(functions.y_valid).tolist() == [10] * 10
    assert np.bincount(functions.y_train).tolist() == [110] * 10
    parts = np.concatenate([functions.x_train, functions.x_valid])
    assert parts.dtype == functions.x_test.dtype == np.float32
    labels = np.concatenate([functions.y_train, functions.y_valid])
    originals = functions.images_train.reshape(1200, -1)
    places = []
    for image, label in zip(
        np.round(255 * parts).reshape(1200, -1), labels, strict=True
    ):
        (place,) = np.flatnonzero((originals == image).all(axis=1))
        assert functions.labels_train[place] == label
        places.append(place)
    assert sorted(places) == list(range(1200))
    assert places[:1100] != sorted(places[:1100])
    assert statements.keys() and all(statements.values())
    np.testing.assert_array_equal(
        np.round(255 * functions.x_test), functions.images_test
    )
