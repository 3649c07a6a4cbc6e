"""Loading MNIST: a bad file gives an error that helps, no network a loud notice."""

import os
import socket

import numpy as np
import pytest
from helpers import load_functions, run_cell, without_mnist


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


@pytest.fixture
def mine(cached, monkeypatch, tmp_path):
    """The file that MNIST_NPZ names: there is none yet."""
    path = tmp_path / "mine.npz"
    monkeypatch.setenv("MNIST_NPZ", str(path))
    return path


def write(path, first_label=7):
    """Write a dataset laid out like MNIST's file."""
    np.savez(
        path,
        x_train=np.full((60000, 28, 28), 7, "uint8"),
        y_train=np.arange(60000).astype("uint8") % 10,
        x_test=np.full((5, 28, 28), 8, "uint8"),
        y_test=np.array([first_label, 2, 1, 0, 4], "uint8"),
    )


@pytest.mark.parametrize("reason", ["No such file", "pickle", "zip", "another dataset"])
def test_a_bad_file_is_named_with_what_to_do(mine, reason):
    if reason == "pickle":
        mine.write_text("<html>404 Not Found</html>")
    elif reason == "zip":  # half of the file
        write(mine)
        os.truncate(mine, 1_000_000)
    elif reason == "another dataset":
        write(mine, first_label=9)  # that of Fashion MNIST, of the same shape
    with pytest.raises(ValueError, match=reason) as caught:
        run_cell(load_functions(), "load")  # no other images in its place
    assert str(mine) in str(caught.value)
    assert "Set MNIST_NPZ to a file like Keras' mnist.npz" in str(caught.value)


def test_no_network_gives_a_loud_notice_and_a_sample(cached, capsys):
    cached.write_bytes(b"PK half a file")  # what an older program may have left
    functions = load_functions()
    run_cell(functions, "load")
    notice = capsys.readouterr().out
    assert "!!! ONLY 5,000 IMAGES." in notice
    assert "Connection refused" in notice
    assert notice.endswith("5,000 of MNIST: 4,000 training and 1,000 test images\n")
    assert functions.images_train.shape == (4000, 28, 28)
    assert np.bincount(functions.labels_train).tolist() == [400] * 10
    assert not cached.exists()


def test_a_download_that_breaks_off_leaves_nothing(cached, monkeypatch, capsys):
    def break_off(origin, path, *progress):
        timeouts.append(socket.getdefaulttimeout())
        with open(path, "wb") as file:
            file.write(b"PK half a file")
        raise TimeoutError("timed out")

    timeouts = []
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", break_off)
    run_cell(load_functions(), "load")
    assert "ONLY 5,000 IMAGES" in capsys.readouterr().out
    assert not cached.exists()
    assert timeouts == [10]  # without one, a silent server is waited for


def test_validation_images_are_a_stratified_sample():
    images = np.arange(1200).reshape(1200, 1, 1)  # each says where it comes from
    functions = load_functions(
        images_train=images,
        labels_train=np.repeat(range(10), 120),
        images_test=images,
        labels_test=np.arange(1200) % 10,
    )
    functions.check = lambda statement, holds: None
    run_cell(functions, "prepare-code")
    assert np.bincount(functions.y_valid).tolist() == [10] * 10
    parts = np.concatenate([functions.x_train, functions.x_valid])
    labels = np.concatenate([functions.y_train, functions.y_valid])
    places = np.round(255 * parts).ravel().astype(int)
    assert sorted(places) == list(range(1200))  # each image once
    np.testing.assert_array_equal(labels, functions.labels_train[places])
    assert 255 * functions.x_test == pytest.approx(images)
