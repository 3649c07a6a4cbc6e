"""The notebook's settings: bad ones are refused, and a reader's own do no harm."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import load_functions, read_notebook, run_cell


def run_settings(seeds, epochs):
    functions = load_functions(SEEDS=seeds, EPOCHS=epochs)
    run_cell(functions, "settings")
    return functions


@pytest.mark.parametrize(
    "seeds, epochs",
    [
        ("[7]", 5),
        ([0, 1], "5"),
        ([0, 1], 2.5),
        ([0, 1], 0),
        ([0, 1], -1),
        ([0, 1], None),
        (["0"], 5),
        ([1.0], 5),
        ([-1], 5),
        ([], 5),
    ],
)
def test_a_bad_setting_is_refused_with_its_value(seeds, epochs):
    with pytest.raises(ValueError) as caught:
        run_settings(seeds, epochs)
    assert f"SEEDS = {seeds!r}, EPOCHS = {epochs!r}" in str(caught.value)


@pytest.mark.parametrize(
    "seeds, epochs",
    [([0, 7], 5), ((0, 7), 5), (range(0, 8, 7), 5), (np.array([0, 7]), np.int64(5))],
)
def test_any_whole_numbers_will_do_and_can_be_saved(seeds, epochs):
    functions = run_settings(seeds, epochs)
    functions.DATASET = "MNIST"
    functions.x_train = np.zeros((300, 28, 28))
    run_cell(functions, "learning-rate")
    assert json.dumps([functions.SEEDS, functions.epochs]) == "[[0, 7], 5]"


def test_the_readers_own_settings_of_keras_do_no_harm(tmp_path):
    readers_own = {"image_data_format": "channels_first", "floatx": "float16"}
    (tmp_path / "keras.json").write_text(json.dumps(readers_own | {"backend": "jax"}))
    cells = {cell.id: cell.source for cell in read_notebook().cells}
    needed = ["imports", "parameters", "settings", "cnn-build"]
    program = "\n".join(cells[cell_id] for cell_id in needed)
    program = program.replace("%matplotlib inline\n", "")
    program += "\nprint(cnn().layers[0].output.shape, cnn().layers[0].kernel.dtype)"
    program += (
        "\nprint(keras.backend.backend(), tf.config.list_physical_devices('GPU'))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith("(None, 24, 24, 16) float32\ntensorflow []\n")
