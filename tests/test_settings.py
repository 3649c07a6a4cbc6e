"""The notebook's settings: bad ones are refused, and a reader's own do no harm."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import load_functions, read_notebook, run_cell, without_magics


@pytest.mark.parametrize(
    "seeds, epochs",
    [("[7]", 5), ([1.0], 5), ([-1], 5), ([], 5), ([0], "5"), ([0], 0), ([0], None)],
)
def test_a_bad_setting_is_refused_with_its_value(seeds, epochs):
    with pytest.raises(ValueError) as caught:
        load_functions(SEEDS=seeds, EPOCHS=epochs)
    assert f"SEEDS = {seeds!r}, EPOCHS = {epochs!r}" in str(caught.value)


@pytest.mark.parametrize("seeds", [(0, 7), range(0, 8, 7), np.array([0, 7])])
def test_any_whole_numbers_will_do_and_can_be_saved(seeds):
    images = np.zeros((300, 28, 28))
    functions = load_functions(
        SEEDS=seeds, EPOCHS=np.int64(5), DATASET="MNIST", x_train=images
    )
    run_cell(functions, "learning-rate")
    assert json.dumps([functions.SEEDS, functions.epochs]) == "[[0, 7], 5]"


def test_the_readers_own_settings_of_keras_do_no_harm(tmp_path):
    readers_own = {"image_data_format": "channels_first", "floatx": "float16"}
    (tmp_path / "keras.json").write_text(json.dumps(readers_own | {"backend": "jax"}))
    cells = {cell.id: cell.source for cell in read_notebook().cells}
    lines = [
        *[cells[name] for name in ["imports", "parameters", "settings", "cnn-build"]],
        "import tensorflow.python.util._pywrap_util_port as port",
        "print(keras.config.backend(), cnn().dtype, cnn().layers[0].output.shape)",
        "print(tf.config.list_physical_devices('GPU'), port.IsMklEnabled())  # oneDNN",
    ]
    run = subprocess.run(
        [sys.executable, "-c", without_magics("\n".join(lines))],
        env=os.environ | {"KERAS_HOME": str(tmp_path), "TF_ENABLE_ONEDNN_OPTS": "0"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith("tensorflow float32 (None, 24, 24, 16)\n[] True\n")
