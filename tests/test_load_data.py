"""Loading MNIST: a bad file is an error that helps, and no network is a notice that nobody can miss."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import without_mnist


def arrays(**changes):
    """A tiny dataset laid out like MNIST's file, with some of its arrays replaced."""
    images = np.arange(5 * 28 * 28).reshape(5, 28, 28).astype("uint8")
    return {"x_train": images[:4], "y_train": np.array([0, 9, 5, 5], "uint8"),
            "x_test": 255 - images, "y_test": np.array([7, 2, 1, 0, 4], "uint8")} | changes


@pytest.fixture
def cached(monkeypatch, tmp_path):
    """Where Keras would keep MNIST: no such file yet, no other one, and no network."""
    without_mnist(monkeypatch, tmp_path)
    path = tmp_path / "keras" / "datasets" / "mnist.npz"
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize("name", ["mine.npz", "keras/datasets/mnist.npz"])
def test_good_file_is_read_as_it_is(functions, cached, monkeypatch, tmp_path, name):
    cached.write_text("not looked at, if another is named")
    np.savez_compressed(tmp_path / name, **arrays())
    monkeypatch.setenv("MNIST_NPZ", str(tmp_path / name) if name == "mine.npz" else "")
    dataset, train, test = functions.load_data()
    assert dataset == "MNIST"
    for loaded, array in zip([*train, *test], arrays().values(), strict=True):
        np.testing.assert_array_equal(loaded, array)


BAD = {  # what is done to the file or its arrays, and what the error says
    "missing": (lambda path: None, "No such file"),
    "folder": (Path.mkdir, "directory|Permission"),
    "text": (lambda path: path.write_text("<html>404 Not Found</html>"), "pickled"),
    "truncated": (lambda path: np.savez(path, **arrays()) or os.truncate(path, 1000), "zip"),
    "images of another size": ({"x_train": np.zeros((4, 32, 32), "uint8")}, r"\(4, 32, 32\)"),
    "images normalised already": ({"x_train": np.zeros((4, 28, 28), "float32")}, "float32"),
    "fewer labels than images": ({"y_test": np.array([7, 2], "uint8")}, r"\(2,\)"),
    "label 10": ({"y_train": np.array([0, 1, 2, 10], "uint8")}, "from 0 to 10"),
    "Fashion-MNIST": ({"y_test": np.array([9, 2, 1, 1, 6], "uint8")}, "another dataset"),
    "pickled objects": ({"y_train": np.array([0, 1, 2, None], dtype=object)}, "allow_pickle"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_file_is_an_error_and_stays(functions, cached, monkeypatch, kind):
    spoil, said = BAD[kind]
    if callable(spoil):
        spoil(cached)
    else:
        np.savez(cached, **arrays(**spoil))
    before = cached.is_file() and cached.read_bytes()
    for name in (str(cached), "") if before else (str(cached),):  # named, or kept by Keras
        monkeypatch.setenv("MNIST_NPZ", name)
        with pytest.raises(ValueError, match=said) as caught:
            functions.load_data()
        assert str(cached) in str(caught.value) and "Set MNIST_NPZ to another file" in str(caught.value)
    assert before == (cached.is_file() and cached.read_bytes())


def hang(command, *, timeout, **options):
    raise subprocess.TimeoutExpired(command, timeout)


@pytest.mark.parametrize("network, reason", [
    pytest.param(subprocess.run, "Connection refused", marks=pytest.mark.slow), (hang, "after 100 seconds")])
def test_no_network_gives_a_notice_and_a_sample(functions, cached, monkeypatch, capsys, network, reason):
    monkeypatch.setattr(functions.subprocess, "run", network)
    dataset, train, test = functions.load_data()
    said = capsys.readouterr().out
    assert "ONLY 5,000 OF MNIST" in said and reason in said and "set MNIST_NPZ" in said
    assert dataset == "5,000 of MNIST"
    for (images, labels), n in ((train, 4000), (test, 1000)):
        assert images.shape == (n, 28, 28) and images.dtype == np.uint8
        assert (images.min(), images.max()) == (0, 255) and labels.shape == (n,) and set(labels) == set(range(10))


def test_what_was_downloaded_is_taken_from_where_keras_keeps_it(functions, cached, monkeypatch):
    commands, (x, y, *test) = [], arrays().values()
    monkeypatch.setattr(functions.subprocess, "run", lambda command, **options: commands.append(command))
    monkeypatch.setattr(functions.keras.datasets.mnist, "load_data", lambda: ((x, y), tuple(test)))
    dataset, train, _ = functions.load_data()
    assert dataset == "MNIST" and train[0] is x and ["mnist.load_data()" in one[-1] for one in commands] == [True]


@pytest.mark.skipif(not os.environ.get("MNIST_NPZ"), reason="needs MNIST as a file")
def test_the_sample_is_of_mnists_training_images(functions, monkeypatch, tmp_path):
    _, (images, labels), _ = functions.load_data()
    training = {image.tobytes(): label for image, label in zip(images, labels)}
    without_mnist(monkeypatch, tmp_path)
    monkeypatch.setattr(functions.subprocess, "run", hang)
    _, *parts = functions.load_data()
    sample = {image.tobytes(): label for part in parts for image, label in zip(*part)}
    assert len(sample) == 5000 and sample.items() <= training.items()
