"""Does the check notice? Plants faults in the notebook, one at a time, and looks at how the check fails.

Faults in what a run does have to be noticed by nbval, as pytest runs it: by a claim, an error, or another output. One
kernel runs the whole notebook on the substitute for MNIST; then, for one fault after the other, everything from the
faulty cell on. They come from the last cell to the first, so that whatever lies before a fault is as it should be.
Faults in a function that this cannot notice have to be noticed by the function's tests.

Takes about nine minutes. At the end stands a table. Command: pytest -m slow tests/test_mutations.py
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass

import nbformat
import pytest
from conftest import NOTEBOOK, PROJECT, without_mnist
from nbval.plugin import IPyNbFile, NbCellError, coalesce_streams

pytestmark = pytest.mark.slow
UNCONCERNED = {  # the techniques, half of a run's time, and figures on which nothing else depends
    "try-technique", "outputs-fit", "recipe-fit", "layers-fit", "shifts-fit", "usual-cnn-fit",
    "look-figure", "one-cycle-figure", "cnn-filters", "frequent-figure", "techniques-figure", "examples-figure", "pad"}


@dataclass
class Fault:
    name: str
    cells: str  # their ids
    edits: dict[str, str]  # what is replaced in each of them, and by what
    noticed: str  # a regular expression: what the failure has to say
    tests: str = ""  # arguments for pytest, if it is the tests of a function that have to notice

    def plant(self, source):
        for old, new in self.edits.items():
            assert old in source, f"there is no '{old}' in {self.cells} any more"
            source = source.replace(old, new)
        return source


RANGE = "do not hold: .*?reads [0-9]+ to [0-9]+ % of the test images right"
FAULTS = [
    # the data
    Fault("pixels not normalised", "prepare-code", {" / np.float32(255)": ""}, "pixels from 0 to 255"),
    Fault("pixels divided by 256", "prepare-code", {"np.float32(255)": "np.float32(256)"}, "pixels from 0 to 0.996"),
    Fault("pixels divided twice", "prepare-code", {"np.float32(255)": "np.float32(255 * 255)"},
          "pixels from 0 to 0.0039"),
    Fault("test pixels divided by 256", "prepare-code", {"images_test / np.float32(255)": "images_test / 256"},
          "test        pixels from 0 to 0.996"),
    Fault("labels shuffled", "prepare-code",
          {"np.split(labels_train,": "np.split(np.random.default_rng(0).permutation(labels_train),"}, RANGE),
    Fault("test images leak into training", "prepare-code",
          {"(images_train /": "(np.concatenate([images_test[:50], images_train]) /",
           "split(labels_train,": "split(np.concatenate([labels_test[:50], labels_train]),"},
          "images that are there twice: 50"),
    Fault("validation overlaps training", "prepare-code",
          {"x_train, x_valid = np.split((images_train / np.float32(255)).astype(\"float16\"), [-n_valid])":
           "x_train = (images_train / np.float32(255)).astype(\"float16\")\nx_valid = x_train[-n_valid:]",
           "y_train, y_valid = np.split(labels_train, [-n_valid])":
           "y_train, y_valid = labels_train, labels_train[-n_valid:]"},
          "images that are there twice: 118"),
    Fault("a bad file is passed over", "read-mnist", {'raise problem("there is no such file")': "return None"},
          "test_bad_file_is_an_error", "tests/test_load_data.py -k bad_file"),
    Fault("the fall-back is taken silently", "load-data", {"print(f\"{line}": "str(f\"{line}"},
          "THIS IS NOT MNIST", "tests/test_load_data.py -k refused"),
    # the recipe
    Fault("one epoch", "prepare-code", {'EPOCHS if DATASET == "MNIST" else 2 * EPOCHS': "1"}, RANGE),
    Fault("learning rate times 100", "one-cycle", {"=LEARNING_RATE": "=100 * LEARNING_RATE"}, RANGE),
    Fault("learning rate divided by 1000", "one-cycle", {"=LEARNING_RATE": "=0.001 * LEARNING_RATE"}, RANGE),
    Fault("learning rate never falls", "one-cycle", {"decay_steps=steps - warmup": "decay_steps=100 * steps"},
          "test_one_cycle", "tests/test_figures.py -k one_cycle"),
    Fault("images without their labels", "batches", {"tf.gather(labels, chosen)": "labels[:tf.size(chosen)]"},
          "test_an_epoch", "tests/test_figures.py -k epoch"),
    Fault("never shuffled", "batches", {".shuffle(len(images))": ""},
          "test_an_epoch", "tests/test_figures.py -k epoch"),
    Fault("the loss takes logits for probabilities", "train", {"from_logits=True": "from_logits=False"}, RANGE),
    Fault("tested on training images", "train",
          {"predict(model, x_test)": "predict(model, x_train[:len(y_test)])",
           "y=y_test": "y=y_train[:len(y_test)]", "== y_test": "== y_train[:len(y_test)]"},
          "every test accuracy is the share of right answers to the test images"),
    Fault("validated on test images", "train", {"shape_for(model, x_valid), y_valid)": "shape_for(model, x_test), "
          "y_test)"}, "validation accuracy is measured on the images held back"),
    Fault("every seed is 0", "train", {"set_random_seed(seed)": "set_random_seed(0)"},
          "two seeds of one model disagree on some images"),
    Fault("Flatten model with other seeds", "train-all",
          {"build, SEEDS": "build, [seed + len(runs) // 2 for seed in SEEDS]"}, "the same logits for every seed"),
    Fault("models in another order", "train-all", {"models = Trained()": "models = Trained({'CNN': None})"},
          "reload: .*mismatch"),
    Fault("best run chosen on the test set", "train-all", {'run.history["val_loss"][-1]': "run.test_loss"},
          "test_the_best_run", "tests/test_figures.py -k best"),
    Fault("another model saved", "train-all", {"models[name].save": "models['No hidden layer'].save"},
          "Hidden layer: DIFFERENT logits"),
    # the models
    Fault("softmax, then logits expected", "no-hidden-build", {"layers.Dense(10,": "layers.Dense(10, \"softmax\","},
          "the models give logits"),
    Fault("hidden layer of 90", "hidden-build", {"Dense(100": "Dense(90"}, r"hidden-build: .*?70,650"),
    Fault("sigmoid hidden units", "hidden-build flatten-build", {'"relu"': '"sigmoid"'},
          "hidden units pass on nothing negative"),
    Fault("no relu", "hidden-build flatten-build", {', activation="relu"': ""},
          "hidden units pass on nothing negative"),
    Fault("no relu behind Flatten", "flatten-build", {', activation="relu"': ""}, "the same logits for every seed"),
    Fault("no pooling", "cnn-build", {'        layers.MaxPooling2D(3, name="first_pooling"),\n': ""},
          "cnn-build: .*?first_pooling"),
    Fault("no relu in the CNN", "cnn-build", {'        layers.ReLU(name="first_maps"),\n': ""},
          "cnn-build: .*?first_maps"),
    # what is shown
    Fault("a figure lost", "cnn-curves", {'plot_history("CNN")': ""}, "cnn-curves: .*Missing output"),
    Fault("a warning appears", "cnn-curves", {"plot_history": "warnings.warn('careful')\nplot_history"},
          "cnn-curves: .*Unexpected output"),
    Fault("accuracy and loss swapped", "plot-history", {'("accuracy", "loss")': '("loss", "accuracy")'},
          "test_curves_show", "tests/test_figures.py -k curves"),
    Fault("training drawn as validation", "plot-history", {'(f"val_{metric}", "val': '(metric, "val'},
          "test_curves_show", "tests/test_figures.py -k curves"),
    Fault("weights upside down", "no-hidden-weights", {".get_weights()[0]": ".get_weights()[0] * -1"},
          "the weights of the 0 are negative in the middle"),
    Fault("table of mistakes transposed", "confusion", {"(y_test, logits.argmax(axis=1))": "(logits.argmax(axis=1), "
          "y_test)"}, "test_rows_of_the_table", "tests/test_figures.py -k table"),
    Fault("McNemar's counts swapped", "mcnemar", {"return first, second,": "return second, first,"},
          "test_mcnemar", "tests/test_figures.py -k mcnemar"),
    Fault("calibration without the last bin", "calibration", {"np.minimum((10 * confidence).astype(int), 9)":
          "np.minimum((10 * confidence).astype(int), 8)"}, "test_calibration", "tests/test_figures.py -k calibration"),
    # your own digits
    Fault("prepare_digit without centring", "prepare-digit",
          {"scipy.ndimage.center_of_mass(digit)": "np.array(digit.shape) / 2 - 0.5"},
          "test_prepared_as_mnist_was", "tests/test_own_digits.py -k mnist_was"),
    Fault("prepare_digit stretches", "even-strokes",
          {"[max(1, round(longest * length / max(values.shape))) for length in reversed(values.shape)]":
           "[longest, longest]"}, "test_prepared_as_mnist_was", "tests/test_own_digits.py -k mnist_was"),
    Fault("a blank picture is read", "find-ink", {"if contrast < 0.1:": "if contrast < 0:"},
          "test_bad_input_is_named", "tests/test_own_digits.py -k bad"),
    # what is saved and claimed
    Fault("a file saved half", "save-file", {"write(unfinished)": "write(ARTIFACTS / name)"},
          "test_half", "tests/test_faults.py -k half"),
    Fault("two runs save under one name", "save-file", {"{os.getpid()}-": ""},
          "test_two_processes", "tests/test_faults.py -k processes"),
    Fault("a file reloaded that another run saved", "reload", {"f\"{name}.keras\" not in saved": "False",
          "ARTIFACTS / f\"{name}.keras\"": "ARTIFACTS / 'CNN.keras'"}, "No hidden layer: DIFFERENT logits"),
    Fault("an exception swallowed", "verdict", {"assert not failed, f": "if failed: print(f", "{'; '.join(failed)}\"":
          "{'; '.join(failed)}\")"}, "test_a_claim_that_fails", "tests/test_notebook.py -k fails"),
]


@pytest.fixture(scope="module")
def cells(request, tmp_path_factory):
    """The notebook's code cells as nbval's tests, after a run in which all of them passed."""
    folder = tmp_path_factory.mktemp("mutants")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (settings,) = (cell for cell in notebook.cells if cell.id == "parameters")
    settings.source = settings.source.replace("SEEDS = [0, 1, 2]", "SEEDS = [0, 1]")  # takes two thirds of the time
    nbformat.write(notebook, folder / "mutant.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        without_mnist(patch, folder)
        file = IPyNbFile.from_parent(request.session, path=folder / "mutant.ipynb")
        cells = {item.cell.id: item for item in file.collect()}
        file.setup()
        for item in cells.values():
            item.cell.outputs = coalesce_streams(item.cell.outputs)  # or nbval adds to them at each run
            item.runtest()
        yield cells
        file.teardown()


def first_failure(cells, start):
    """Run the cells from one on: what the first to fail says, with its id."""
    names = list(cells)
    for name in names[names.index(start):]:
        if name not in UNCONCERNED:
            try:
                cells[name].runtest()
            except NbCellError as failure:
                return f"{name}: {failure}\n{failure.inner_traceback}"
    return "nothing failed"


def position(fault):
    ids = [cell.id for cell in nbformat.read(NOTEBOOK, as_version=4).cells]
    return ids.index(fault.cells.split()[0])


@pytest.mark.parametrize("fault", sorted([fault for fault in FAULTS if not fault.tests], key=position, reverse=True),
                         ids=lambda fault: fault.name)
def test_a_run_notices(fault, cells, record_property):
    record_property("fault", fault.name)
    faulty = fault.cells.split()
    sources = {name: cells[name].cell.source for name in faulty}
    try:
        for name in faulty:
            cells[name].cell.source = fault.plant(sources[name])
        said = re.sub(r"\x1b\[[\d;]*m", "", first_failure(cells, faulty[0]))
    finally:
        for name in faulty:
            cells[name].cell.source = sources[name]
    found = re.search(fault.noticed, said, re.DOTALL)
    assert found, said[-3000:]
    words = " ".join(re.sub(r"<.*?>|[─┼│├┤]+", " ", found[0]).split())
    record_property("noticed by", f"cell {said.split(':')[0]}: {words[-80:]}")


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.tests], ids=lambda fault: fault.name)
def test_a_test_notices(fault, tmp_path, record_property):
    record_property("fault", fault.name)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (cell,) = (cell for cell in notebook.cells if cell.id == fault.cells)
    cell.source = fault.plant(cell.source)
    nbformat.write(notebook, tmp_path / NOTEBOOK.name)
    said = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", *fault.tests.split()],
        cwd=PROJECT, env=os.environ | {"NOTEBOOK": str(tmp_path / NOTEBOOK.name)}, capture_output=True, text=True)
    failed = re.findall(r"^FAILED (\S+)", said.stdout, re.MULTILINE)
    assert said.returncode == 1 and failed and re.search(fault.noticed, said.stdout), said.stdout[-3000:]
    record_property("noticed by", failed[0])
