"""Loading MNIST: a bad file is an error that helps, and no network is a notice that nobody can miss."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest


def arrays(**changes):
    """A tiny dataset laid out like MNIST's file, with some of its arrays replaced."""
    images = np.arange(4 * 28 * 28).reshape(4, 28, 28).astype("uint8")
    labels = np.array([0, 9, 5, 5], dtype="uint8")
    return {"x_train": images, "y_train": labels, "x_test": 255 - images[:3], "y_test": labels[:3]} | changes


def without(name):
    return {key: value for key, value in arrays().items() if key != name}


def test_good_file_is_read_as_it_is(functions, tmp_path, monkeypatch):
    path = tmp_path / "mnist.npz"
    np.savez_compressed(path, **arrays())
    monkeypatch.setenv("MNIST_NPZ", str(path))
    dataset, (images_train, labels_train), (images_test, labels_test) = functions.load_data()
    assert dataset == "MNIST"
    loaded = {"x_train": images_train, "y_train": labels_train, "x_test": images_test, "y_test": labels_test}
    for name, array in arrays().items():
        np.testing.assert_array_equal(loaded[name], array)


BAD_ARRAYS = {
    "array missing": (without("y_test"), "damaged or no MNIST file"),
    "images of another size": (arrays(x_train=np.zeros((4, 32, 32), "uint8")), r"\(4, 32, 32\)"),
    "colour images": (arrays(x_test=np.zeros((3, 28, 28, 3), "uint8")), r"\(3, 28, 28, 3\)"),
    "no images": (arrays(x_test=np.zeros((0, 28, 28), "uint8"), y_test=np.zeros(0, "uint8")), r"\(0, 28, 28\)"),
    "images normalised already": (arrays(x_train=np.zeros((4, 28, 28), "float32")), "float32"),
    "labels not whole": (arrays(y_train=np.array([0.0, 1.5, 2.0, 3.0])), "float64"),
    "fewer labels than images": (arrays(y_test=np.array([1, 2], "uint8")), r"\(2,\)"),
    "one-hot labels": (arrays(y_train=np.eye(4, 10, dtype="uint8")), r"\(4, 10\)"),
    "label 10": (arrays(y_train=np.array([0, 1, 2, 10], "uint8")), "from 0 to 10 instead"),
    "label -1": (arrays(y_test=np.array([0, 1, -1])), "from -1 to 1 instead"),
    "pickled objects": (arrays(y_train=np.array([0, 1, 2, None], dtype=object)), "damaged or no MNIST file"),
}


@pytest.mark.parametrize("fault", BAD_ARRAYS)
def test_bad_arrays_are_an_error(functions, tmp_path, monkeypatch, fault):
    content, named = BAD_ARRAYS[fault]
    path = tmp_path / "mnist.npz"
    np.savez(path, **content)
    monkeypatch.setenv("MNIST_NPZ", str(path))
    with pytest.raises(ValueError, match=named) as caught:
        functions.load_data()
    assert str(path) in str(caught.value) and "unset MNIST_NPZ" in str(caught.value)


def make_missing(path):
    pass


def make_folder(path):
    path.mkdir()


def make_empty(path):
    path.touch()


def make_text(path):
    path.write_text("<html>404 Not Found</html>")


def make_truncated(path):
    np.savez_compressed(path, **arrays())
    path.write_bytes(path.read_bytes()[:-200])


def make_damaged(path):
    np.savez(path, **arrays())
    content = bytearray(path.read_bytes())
    content[1000] ^= 255
    path.write_bytes(content)


def make_single_array(path):
    with path.open("wb") as file:
        np.save(file, arrays()["x_train"])


@pytest.mark.parametrize("make", [make_missing, make_folder, make_empty, make_text, make_truncated, make_damaged,
                                  make_single_array], ids=lambda make: make.__name__[5:])
def test_bad_file_is_an_error(functions, tmp_path, monkeypatch, make):
    path = tmp_path / "mnist.npz"
    make(path)
    monkeypatch.setenv("MNIST_NPZ", str(path))
    with pytest.raises(ValueError, match="no such file|damaged or no MNIST file") as caught:
        functions.load_data()
    assert str(path) in str(caught.value) and "unset MNIST_NPZ" in str(caught.value)


def load_behind(proxy, home):
    """What load_data prints in a process of its own, with an empty Keras cache, behind this proxy."""
    program = ("from conftest import load_functions\n"
               "dataset, train, test = load_functions().load_data()\n"
               "print(dataset, *train[0].shape, *test[0].shape, train[0].dtype, train[0].min(), train[0].max())\n")
    environment = {key: value for key, value in os.environ.items()
                   if key != "MNIST_NPZ" and not key.lower().endswith("_proxy")}
    environment |= {"https_proxy": proxy, "KERAS_HOME": str(home)}
    start = time.monotonic()
    output = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parent, env=environment,
                            check=True, capture_output=True, text=True).stdout
    return output, time.monotonic() - start


def assert_substitute(output):
    assert "THIS IS NOT MNIST" in output
    assert output.splitlines()[-1] == "scikit-learn's digits 1437 28 28 360 28 28 uint8 0 255"


def test_refused_network_gives_the_substitute_and_a_notice(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        output, _ = load_behind(f"http://127.0.0.1:{closed.getsockname()[1]}", tmp_path)
    assert_substitute(output)


def test_silent_network_gives_the_substitute_within_30_seconds(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # connections are taken and never answered
        output, seconds = load_behind(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path)
    assert_substitute(output)
    assert seconds < 30
