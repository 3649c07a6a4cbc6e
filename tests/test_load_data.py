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
from conftest import without_mnist


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


def load(home, prelude="", **environment):
    """What load_data prints in a process of its own, with Keras' cache in home; and the seconds until its notice."""
    program = ("import time\n"
               "from conftest import load_functions\n"
               f"functions = load_functions()\n{prelude}\nstart = time.monotonic()\n"
               "dataset, train, test = functions.load_data()\n"
               "print(time.monotonic() - start)\n"
               "print(dataset, *train[0].shape, *test[0].shape, train[0].dtype, train[0].min(), train[0].max())\n"
               "import os; os._exit(0)\n")  # without waiting for what still waits for the network
    kept = {key: value for key, value in os.environ.items()
            if key != "MNIST_NPZ" and not key.lower().endswith("_proxy")}
    output = subprocess.run([sys.executable, "-u", "-c", program], cwd=Path(__file__).parent, check=True,
                            env=kept | {"KERAS_HOME": str(home)} | environment, capture_output=True, text=True).stdout
    return output, float(output.splitlines()[-2])


def assert_substitute(output):
    assert "THIS IS NOT MNIST" in output
    assert output.splitlines()[-1] == "scikit-learn's digits 1437 28 28 360 28 28 uint8 0 255"


REFUSED = "http://127.0.0.1:9"  # nothing listens there


@pytest.fixture
def silent():
    """The port of a server that takes a connection and never answers, and no second connection."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        yield server.getsockname()[1]


def test_refused_network_gives_the_substitute_and_a_notice(tmp_path):
    output, _ = load(tmp_path, https_proxy=REFUSED)
    assert_substitute(output)
    assert "Connection refused" in output


@pytest.mark.slow
def test_silent_network_gives_the_substitute_within_30_seconds(tmp_path, silent):
    output, seconds = load(tmp_path, https_proxy=f"http://127.0.0.1:{silent}")
    assert_substitute(output)
    assert seconds < 30


@pytest.mark.slow
def test_silent_name_server_gives_the_substitute_within_30_seconds(tmp_path):
    output, seconds = load(tmp_path, "import socket\nsocket.getaddrinfo = lambda *question, **more: time.sleep(100)")
    assert_substitute(output)
    assert seconds < 30


@pytest.mark.slow
def test_many_addresses_that_drop_everything_give_the_substitute_within_30_seconds(tmp_path, silent):
    addresses = [(int(socket.AF_INET), int(socket.SOCK_STREAM), 6, "", ("127.0.0.1", silent))] * 16
    fill = f"waiting = [socket.socket() for _ in range(3)]\nfor one in waiting:\n    one.setblocking(False)\n" \
           f"    one.connect_ex(('127.0.0.1', {silent}))\n"
    output, seconds = load(
        tmp_path, f"import socket\n{fill}socket.getaddrinfo = lambda *question, **more: {addresses}")
    assert_substitute(output)
    assert seconds < 30


@pytest.mark.parametrize("make", [make_text, make_truncated, make_single_array], ids=lambda make: make.__name__[5:])
def test_a_damaged_or_foreign_file_in_the_cache_is_not_deleted(functions, tmp_path, monkeypatch, capsys, make):
    cached = tmp_path / "keras" / "datasets" / "mnist.npz"
    cached.parent.mkdir(parents=True)
    make(cached)
    before = cached.read_bytes()
    without_mnist(monkeypatch, tmp_path)
    dataset, _, _ = functions.load_data()
    assert dataset == "scikit-learn's digits" and "THIS IS NOT MNIST" in capsys.readouterr().out
    assert [path.name for path in cached.parent.iterdir()] == ["mnist.npz"] and cached.read_bytes() == before


def test_download_into_the_cache(tmp_path):
    """From a server of ours, a file of ours; all else is real. What was there before is kept."""
    served, cached = tmp_path / "served" / "mnist.npz", tmp_path / "home" / "datasets" / "mnist.npz"
    for path in (served, cached):
        path.parent.mkdir(parents=True)
    np.savez_compressed(served, **arrays())
    make_text(cached)
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            super().do_GET()

    with http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Handler, directory=served.parent)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        output, _ = load(
            tmp_path / "home", f"functions.MNIST_URL = 'http://127.0.0.1:{server.server_port}/mnist.npz'\n"
            f"functions.MNIST_SHA256 = '{hashlib.sha256(served.read_bytes()).hexdigest()}'\n"
            "functions.load_data()")  # so that the time and the line below are those of a second call
        server.shutdown()
    assert output.splitlines()[-1] == "MNIST 4 28 28 3 28 28 uint8 0 255"
    assert requests == ["/mnist.npz"] * 2  # whether there is an answer, and the download: nothing at the second call
    assert sorted(path.name for path in cached.parent.iterdir()) == ["mnist.npz", "mnist.npz.old"]
    assert cached.read_bytes() == served.read_bytes()
    assert cached.with_name("mnist.npz.old").read_text().startswith("<html>")
