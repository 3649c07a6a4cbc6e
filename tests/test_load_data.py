"""Loading MNIST: a bad file is an error that helps, and no network is a notice that nobody can miss."""

import functools
import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from common import PROJECT
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


@pytest.mark.parametrize("named", [True, False])
def test_good_file_is_read_as_it_is(functions, cached, monkeypatch, tmp_path, named):
    path = tmp_path / "mine.npz" if named else cached
    np.savez_compressed(path, **arrays())
    if named:
        monkeypatch.setenv("MNIST_NPZ", str(path))
        cached.write_text("not looked at")
    dataset, train, test = functions.load_data()
    assert dataset == "MNIST"
    for loaded, array in zip([*train, *test], arrays().values(), strict=True):
        np.testing.assert_array_equal(loaded, array)


BAD_ARRAYS = {
    "array missing": ({name: array for name, array in arrays().items() if name != "y_test"}, "y_test"),
    "images of another size": (arrays(x_train=np.zeros((4, 32, 32), "uint8")), r"\(4, 32, 32\)"),
    "colour images": (arrays(x_test=np.zeros((5, 28, 28, 3), "uint8")), r"\(5, 28, 28, 3\)"),
    "no images": (arrays(x_test=np.zeros((0, 28, 28), "uint8"), y_test=np.zeros(0, "uint8")), "labels"),
    "images normalised already": (arrays(x_train=np.zeros((4, 28, 28), "float32")), "float32"),
    "labels not whole": (arrays(y_train=np.array([0.0, 1.5, 2.0, 3.0])), "float64"),
    "fewer labels than images": (arrays(y_test=np.array([7, 2], "uint8")), r"\(2,\)"),
    "one-hot labels": (arrays(y_train=np.eye(4, 10, dtype="uint8")), r"\(4, 10\)"),
    "label 10": (arrays(y_train=np.array([0, 1, 2, 10], "uint8")), "from 0 to 10"),
    "label -1": (arrays(y_test=np.array([7, 2, 1, 0, -1])), "from -1 to 7"),
    "Fashion-MNIST": (arrays(y_test=np.array([9, 2, 1, 1, 6], "uint8")), "another dataset"),
    "pickled objects": (arrays(y_train=np.array([0, 1, 2, None], dtype=object)), "allow_pickle"),
}


@pytest.mark.parametrize("fault", BAD_ARRAYS)
def test_bad_arrays_are_an_error(functions, tmp_path, monkeypatch, fault):
    content, said = BAD_ARRAYS[fault]
    path = tmp_path / "mnist.npz"
    np.savez(path, **content)
    monkeypatch.setenv("MNIST_NPZ", str(path))
    with pytest.raises(ValueError, match=said) as caught:
        functions.load_data()
    assert str(path) in str(caught.value) and "MNIST_NPZ" in str(caught.value)


def saved(path, **content):
    np.savez(path, **content)
    return path.read_bytes()


BAD_FILES = {
    "missing": lambda path: None,
    "folder": Path.mkdir,
    "empty": Path.touch,
    "text": lambda path: path.write_text("<html>404 Not Found</html>"),
    "truncated": lambda path: path.write_bytes(saved(path, **arrays())[:-200]),
    "damaged": lambda path: path.write_bytes(saved(path, **arrays())[:1000] + saved(path, **arrays())[1001:]),
    "Fashion-MNIST": lambda path: saved(path, **arrays(y_test=np.array([9, 2, 1, 1, 6], "uint8"))),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_file_is_an_error_and_stays(functions, cached, monkeypatch, kind):
    BAD_FILES[kind](cached)
    before = cached.read_bytes() if cached.is_file() else None
    for name in [str(cached), ""] if before is not None else [str(cached)]:
        monkeypatch.setenv("MNIST_NPZ", name)
        with pytest.raises(ValueError) as caught:
            functions.load_data()
        assert str(cached) in str(caught.value) and "MNIST_NPZ" in str(caught.value)
    if before is not None:
        assert list(cached.parent.iterdir()) == [cached] and cached.read_bytes() == before


def assert_sample(functions, capsys, reason):
    """Without MNIST and its network, load_data returns 5,000 of MNIST's images and says so."""
    dataset, train, test = functions.load_data()
    said = capsys.readouterr().out
    assert "ONLY 5,000 OF MNIST" in said and reason in said and "set MNIST_NPZ" in said
    assert dataset == "5,000 of MNIST"
    for (images, labels), n in ((train, 4000), (test, 1000)):
        assert images.shape == (n, 28, 28) and images.dtype == np.uint8
        assert (images.min(), images.max()) == (0, 255)
        assert labels.shape == (n,) and set(labels) == set(range(10))


def test_a_refused_network_gives_a_notice_and_a_sample(functions, cached, capsys):
    assert_sample(functions, capsys, "Connection refused")


@pytest.mark.skipif(not os.environ.get("MNIST_NPZ"), reason="needs MNIST as a file")
def test_the_sample_is_of_mnists_training_images(functions, monkeypatch, tmp_path):
    _, (images, labels), (images_test, _) = functions.load_data()
    training = {image.tobytes(): label for image, label in zip(images, labels)}
    without_mnist(monkeypatch, tmp_path)
    _, *parts = functions.load_data()
    sample = {image.tobytes(): label for part in parts for image, label in zip(*part)}
    assert len(sample) == 5000 and sample.items() <= training.items()
    assert not sample.keys() & {image.tobytes() for image in images_test}


def test_only_a_missing_network_is_taken_for_one(functions, cached, monkeypatch):
    def load_data():
        raise OSError("our own")

    monkeypatch.setattr(functions.subprocess, "run", lambda *command, **options: None)
    monkeypatch.setattr(functions.keras.datasets.mnist, "load_data", load_data)
    with pytest.raises(OSError, match="our own"):
        functions.load_data()


@pytest.mark.slow
@pytest.mark.parametrize("silent", ["proxy", "name server"])
def test_a_silent_network_gives_the_sample(functions, cached, monkeypatch, capsys, silent):
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes a connection and never answers
        if silent == "proxy":
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.getsockname()[1]}")
        else:
            monkeypatch.delenv("https_proxy")
            wait = "import socket, time; socket.getaddrinfo = lambda *question, **more: time.sleep(1000)\n"
            monkeypatch.setattr(functions, "FETCH", wait + functions.FETCH)
        threads = threading.active_count()
        assert_sample(functions, capsys, "timed out")
    assert threading.active_count() == threads  # nothing goes on waiting


OURS = """
import keras.src.datasets.mnist as keras_mnist
get_file = keras_mnist.get_file
keras_mnist.get_file = lambda fname, origin, file_hash: get_file(fname, '{address}', file_hash='{checksum}')
"""
DOWNLOAD = """
from common import load_functions
functions = load_functions()
functions.FETCH = {ours!r} + functions.FETCH
exec({ours!r})
for _ in range(2):
    dataset, train, test = functions.load_data()
    print()
    print(dataset, *train[0].shape, *test[0].shape, train[0].dtype, train[0].min(), train[0].max())
"""


@pytest.mark.slow
def test_download_into_the_cache(tmp_path):
    """From a server of ours, a file of ours; all else is real. The second time, what was kept is read."""
    served, requests = tmp_path / "served" / "mnist.npz", []
    served.parent.mkdir()
    np.savez_compressed(served, **arrays())

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            super().do_GET()

    kept = {key: value for key, value in os.environ.items()
            if key != "MNIST_NPZ" and not key.lower().endswith("_proxy")}
    with http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Handler, directory=served.parent)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/mnist.npz"
        checksum = hashlib.sha256(served.read_bytes()).hexdigest()
        ours = OURS.format(address=address, checksum=checksum)
        run = subprocess.run([sys.executable, "-c", DOWNLOAD.format(ours=ours)], cwd=PROJECT / "benchmarks",
                             capture_output=True, text=True,
                             env=kept | {"KERAS_HOME": str(tmp_path / "home")})
        server.shutdown()
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines().count("MNIST 4 28 28 5 28 28 uint8 0 255") == 2
    assert requests == ["/mnist.npz"]
    assert (tmp_path / "home" / "datasets" / "mnist.npz").read_bytes() == served.read_bytes()
