"""The scripts of benchmarks/ still fit the notebook: their functions, on few images."""

import gzip
import json
import subprocess

import common
import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import without_mnist

pytest.importorskip("distributed", reason="requirements-dev.txt is not installed")

import answers
import best_cnn
import false_alarms
import other_handwriting
import own_digits
import speed
import sprint

pytestmark = pytest.mark.slow
N_IMAGES = 100


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """The notebook's functions, with a few images, and one epoch of training."""
    with pytest.MonkeyPatch.context() as patch:
        without_mnist(patch, tmp_path_factory.mktemp("data"))
        cells = ["load", "check", "prepare-code", "learning-rate"]
        notebook = common.load_functions(*cells, EPOCHS=1)
    notebook.DATASET = "MNIST"  # else it would train for more epochs
    for kind in ["train", "valid", "test"]:
        for letter in ["x", "y"]:
            name = f"{letter}_{kind}"
            setattr(notebook, name, getattr(notebook, name)[:N_IMAGES])
    notebook.images_train = notebook.images_train[:N_IMAGES]
    notebook.labels_train = notebook.labels_train[:N_IMAGES]
    common.run_cells(notebook, "learning-rate", "train")
    return notebook


@pytest.fixture(autouse=True)
def quick(notebook, monkeypatch):
    """Let the scripts have those images, for one epoch, and compile no steps."""
    data = dict(vars(notebook))

    def load_functions(*cells, **settings):
        vars(notebook).update(data)
        return notebook

    def fit_shortly(model, *data, **options):
        return fit(model, *data, **options | {"epochs": 1})

    fit = keras.Sequential.fit
    monkeypatch.setattr(keras.Sequential, "fit", fit_shortly)
    for script in [answers, best_cnn, other_handwriting, speed, sprint]:
        monkeypatch.setattr(script, "load_functions", load_functions)
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
    vars(notebook).update(data)


def test_speed_measures():
    figures = speed.our_recipe(0, "no_hidden_layer", n_images=50)
    assert 0 < figures["accuracy"] < 100
    assert figures["seconds"] > 0
    speed.our_recipe(0, "simple_convnet")
    for figures in [speed.keras_defaults(0, "flatten_layer"), speed.keras_example(0)]:
        assert len(figures["accuracy_after"]) == len(figures["seconds_after"]) == 1
        assert figures["seconds"] >= figures["seconds_after"][-1] > 0
    assert len(speed.tutorials(0)["accuracy"]) == 4
    assert speed.scikit_learn(0, batch_size=50)["epochs"] > 1


def measured(accuracy, seconds):
    """A repeat in which all took as long, but for Keras' defaults: twice as long."""
    repeat = {}
    for name in [*speed.MEASUREMENTS, speed.PYTORCH]:
        n_seconds = 2 * seconds if "defaults" in name else seconds
        repeat[name] = {
            "accuracy": accuracy,
            "seconds": n_seconds,
            "accuracy_after": [98, accuracy, accuracy],
            "seconds_after": [1, n_seconds / 2, n_seconds],
            "ours": {},
        }
    repeat[speed.TUTORIALS]["accuracy"] = [92, 97, 97, accuracy]
    return repeat


@pytest.fixture
def record():
    """Accuracies of 98.9 and 99.3 %, in 10 and 30 seconds."""
    repeats = [measured(98.9, 10), measured(99.3, 30)]
    return {"provenance": {"processor": "A", "recipe": "?"}, "repeats": repeats}


def test_tables_have_means_medians_and_ratios_within_a_repeat(record):
    slower = {"provenance": {"processor": "B"}, "repeats": [measured(99, 400)]}
    accuracy = "99.10 (98.90 to 99.30)"
    table = speed.recipe_table([record, slower])
    assert (
        f"| **CNN, our recipe**: 5 epochs | {accuracy} | 20.0 (10.0 to 30.0) "
        "| 1.0 (1.0 to 1.0) | 400.0 (400.0 to 400.0) | 1.0 (1.0 to 1.0) |"
    ) in table
    assert (
        f"best weights | {accuracy} | 40.0 (20.0 to 60.0) | 2.0 (2.0 to 2.0) "
        "| 800.0 (800.0 to 800.0) | 2.0 (2.0 to 2.0) |"
    ) in table
    table = speed.others_table([record])
    models = ["92.00 (92.00 to 92.00)", *2 * ["97.00 (97.00 to 97.00)"], accuracy]
    four = "; ".join(models)
    assert f"| {four} | 20.0 (10.0 to 30.0) | 0.2 (0.2 to 0.2) |" in table
    table = speed.race_table([record])  # it ends where the mean over the seeds is 99
    ours = "| **CNN, our recipe, epochs: 1** |"
    assert f"{ours} {accuracy} | 20.0 (10.0 to 30.0) | 1.0 (1.0 to 1.0) |" in table
    example = f"| {speed.EXAMPLE}; after epoch 2 |"
    assert f"{example} {accuracy} | 10.0 (5.0 to 15.0) | 0.5 (0.5 to 0.5) |" in table


def test_speed_goes_on_where_it_stopped_and_mixes_no_recipes(tmp_path, monkeypatch):
    programs = []

    def run(program, **options):
        programs.append(program[2:])
        if len(programs) == 3:
            raise KeyboardInterrupt
        figures = {"seconds": len(programs)}
        return subprocess.CompletedProcess(program, 0, f"■\n{json.dumps(figures)}", "")

    made = dict.fromkeys(["recipe", "versions", "processor", "threads"], "one")
    monkeypatch.setattr(speed, "MEASUREMENTS", {"a": None, "b": None})
    monkeypatch.setattr(speed, "AGAIN", {"b": ["a"]})
    monkeypatch.setattr(speed.subprocess, "run", run)
    monkeypatch.setattr(speed, "provenance", lambda notebook: made)
    path = tmp_path / "speed.json"
    with pytest.raises(KeyboardInterrupt):
        speed.measure_all(path, repeats=2)
    speed.measure_all(path, repeats=2)
    order = ["a 0", "b 0", "a 0", "b 0", "a 0", "a 1", "b 1", "a 1"]
    assert programs == [["--measure", *each.split()] for each in order]
    repeats = json.loads(path.read_text())["repeats"]
    assert repeats[0]["b"] == {"seconds": 4, "ours": {"a": [5]}}
    assert [speed.seconds_in(repeat, "a") for repeat in repeats] == [3, 7]
    for key in reversed(made):
        monkeypatch.setitem(made, key, "two")
        with pytest.raises(SystemExit, match=f"is of another {key}"):
            speed.measure_all(path, repeats=2)


def test_answers_measures(monkeypatch):
    monkeypatch.setattr(answers, "PEAKS", [0.01])
    figures = answers.measure_answers()
    assert 0 < figures["no relu"] < 1


def test_other_handwriting_reads(notebook, tmp_path, monkeypatch):
    (tmp_path / "benchmarks").mkdir()
    folder = tmp_path / "artifacts"
    folder.mkdir()
    results = {"dataset": "MNIST", "models": {"Hidden layer": {}}, "recipe": "?"}
    (folder / "results.json").write_text(json.dumps(results))
    notebook.hidden_layer().save(folder / "Hidden layer.keras")
    pixels = np.full((3, 256), -1.0)
    pixels[:, 100:110] = 1
    with gzip.open(tmp_path / "zip.test.gz", "wt") as file:
        np.savetxt(file, np.column_stack([[1, 2, 3], pixels]))
    monkeypatch.setattr(other_handwriting, "PROJECT", tmp_path)
    with pytest.raises(SystemExit, match="not of this notebook"):
        other_handwriting.main(tmp_path / "zip.test.gz")
    monkeypatch.setattr(common, "recipe", lambda notebook: "?")
    other_handwriting.main(tmp_path / "zip.test.gz")
    record = json.loads((tmp_path / "benchmarks/other_handwriting.json").read_text())
    assert len(record["read right"]["Hidden layer"]) == 4
    path = own_digits.save_page(np.uint8([[0, 100, 255]]), tmp_path / "page.png")
    assert keras.utils.load_img(path).getpixel((96, 96))[0] == pytest.approx(155, abs=9)
    keras.utils.save_img(tmp_path / "clear.png", np.zeros((2, 2, 4)), scale=False)
    path = own_digits.save_page(tmp_path / "clear.png", tmp_path / "page.png")
    assert keras.utils.load_img(path).getextrema()[0] == (255, 255)


def test_best_cnn_measures():
    figures = best_cnn.measure("averaged", [0, 1], "valid")
    assert len(figures["accuracy"]) == len(figures["seconds"]) == 2
    assert 0 <= figures["together"] <= 1


def test_sprint_measures(notebook, monkeypatch):
    monkeypatch.setattr(sprint, "SEEDS", [0, 1])
    monkeypatch.setattr(sprint, "BATCH_SIZE", 32)
    figures = sprint.measure(notebook, notebook.x_valid, notebook.y_valid)
    assert len(figures["accuracy"]) == len(figures["seconds"]) == 2


def test_false_alarms_counts_what_holds_and_names_what_fails():
    checks = {"a": True, "b": False, "c": "skipped", "d": True}
    outcome = {"results": {"checks": checks}, "error": "AssertionError"}
    assert false_alarms.count_statements(outcome) == "| 2 | b |"
    outcome = {"results": None, "error": "OSError: disk full"}
    assert false_alarms.count_statements(outcome) == "| 0 | OSError: disk full |"
    # Ranges are three standard deviations to each side, rounded outwards.
    accuracies = {"CNN": {"test_accuracy": [0.9915, 0.9935, 0.9955]}}
    found = false_alarms.ranges({"models": accuracies, "techniques": {}})
    assert found == {"CNN": (98.7, 100.0)}
