"""Does the check notice? Plants faults in the notebook, one at a time, and looks at how the check fails.

Faults in what a run does have to be noticed by nbval, as pytest runs it: by a claim, an error, or another output. One
kernel runs the whole notebook on 5,000 of MNIST; then, for one fault after the other, everything from the
faulty cell on. They come from the last cell to the first, so that whatever lies before a fault is as it should be.
Faults in a function that this cannot notice have to be noticed by the function's tests.

Takes about nine minutes. At the end stands a table. Command: pytest -m slow tests/test_mutations.py
"""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass

import nbformat
import pytest
from common import NOTEBOOK, PROJECT
from conftest import without_mnist
from nbval.plugin import IPyNbFile, NbCellError, coalesce_streams

pytestmark = pytest.mark.slow
UNCONCERNED = {  # half of a run's time, and figures on which nothing else depends
    "first-model", "first-predict", "first-again", "look-figure", "techniques-fit", "cnn-filters"}


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


STATED = r"do not hold: [^\n]+|FAILS: [^\n]+"  # whichever comes first
FAULTS = [
    # the data
    Fault("pixels not normalised", "prepare-code", {" / np.float32(255)": ""}, "FAILS: pixels run from 0 to 1"),
    Fault("pixels divided by 256", "prepare-code", {"np.float32(255)": "np.float32(256)"}, "FAILS: pixels run"),
    Fault("pixels divided twice", "prepare-code", {"np.float32(255)": "np.float32(255 * 255)"}, "FAILS: pixels run"),
    Fault("test pixels divided by 256", "prepare-code", {"images_test / np.float32(255)": "images_test / 256"},
          "FAILS: pixels run from 0 to 1"),
    Fault("labels shuffled", "prepare-code",
          {"np.split(labels_train,": "np.split(np.random.default_rng(0).permutation(labels_train),"}, STATED),
    Fault("test images leak into training", "prepare-code",
          {"(images_train /": "(np.concatenate([images_test[:50], images_train]) /",
           "split(labels_train,": "split(np.concatenate([labels_test[:50], labels_train]),"},
          "FAILS: no image is there twice"),
    Fault("validation overlaps training", "prepare-code",
          {"y_train, y_valid": "x_valid[:50] = x_train[:50]\ny_train, y_valid"}, "FAILS: no image is there twice"),
    Fault("a bad file is passed over", "read-mnist", {"assert set(y) <= set(range(10)),": "assert True,"},
          "test_bad_file", "tests/test_load_data.py -k bad_file"),
    Fault("Fashion-MNIST taken for MNIST", "read-mnist", {"== [7, 2, 1, 0, 4],": "!= [],"},
          "test_", "tests/test_load_data.py"),
    Fault("the fall-back is taken silently", "load-data", {'print("!" * 80,': '(lambda *said, sep: None)("!" * 80,'},
          "ONLY 5,000 OF MNIST", "tests/test_load_data.py -k refused"),
    # the recipe
    Fault("one epoch", "train", {'epochs or (EPOCHS if DATASET == "MNIST" else 2 * EPOCHS)': "1"}, STATED),
    Fault("learning rate times 100", "compile-model",
          {"0.0004,": "0.04,", "warmup_target=0.01": "warmup_target=1.0"}, STATED),
    Fault("learning rate divided by 1000", "compile-model",
          {"0.0004,": "0.0000004,", "warmup_target=0.01": "warmup_target=0.00001"}, STATED),
    Fault("learning rate never falls", "compile-model", {"steps - steps // 5, ": "100 * steps, "},
          "test_", "tests/test_train.py"),
    Fault("images without their labels", "tools", {"tf.gather(y, some)": "y[:tf.size(some)]"},
          "test_", "tests/test_train.py"),
    Fault("never shuffled", "tools", {".shuffle(len(x))": ""}, "test_", "tests/test_train.py"),
    Fault("tested on training images", "train",
          {"predict_proba(run.model, x_test)": "predict_proba(run.model, x_train[:len(y_test)])",
           "== y_test))": "== y_train[:len(y_test)]))"}, STATED),
    Fault("validated on test images", "train",
          {"x_valid.reshape(shape), y_valid)": "x_test.reshape(shape), y_test)"}, "test_", "tests/test_train.py"),
    Fault("a seed goes on where another ended", "tools", {"now.assign(then)": "pass"},
          "test_seeds_that_share", "tests/test_train.py -k seeds"),
    Fault("the optimiser goes on where another seed ended", "tools",
          {"new.variables + model.fresh": "new.variables"},
          "test_seeds_that_share", "tests/test_train.py -k seeds"),
    Fault("every seed is 0", "train", {"set_random_seed(seed)": "set_random_seed(0)"},
          "do not hold: .*seeds disagree"),
    Fault("Flatten model with other seeds", "flatten-fit", {", SEEDS)": ", SEEDS[::-1])"},
          "FAILS: with the same seed, a Flatten layer changes no answer"),
    Fault("best run chosen on the test set", "plot-history", {'run.history["val_loss"][-1]': "-run.test_accuracy"},
          "test_the_best_run", "tests/test_figures.py -k best"),
    # the models
    Fault("no softmax", "no-hidden-build", {', activation="softmax"': ""}, STATED),
    Fault("hidden layer of 90", "hidden-build", {"Dense(100": "Dense(90"}, "hidden-build: .*?70,650"),
    Fault("sigmoid hidden units", "hidden-build", {'"relu"': '"sigmoid"'},
          "test_hidden_units", "tests/test_train.py -k hidden_units"),
    Fault("no relu", "hidden-build", {'100, activation="relu"': "100"},
          "test_hidden_units", "tests/test_train.py -k hidden_units"),
    Fault("no relu behind Flatten", "flatten-build", {'100, activation="relu"': "100"},
          "FAILS: with the same seed, a Flatten layer changes no answer"),
    Fault("no pooling", "cnn-build", {'        layers.MaxPooling2D(3, name="first_pooling"),\n': ""},
          "cnn-build: .*?first_pooling"),
    Fault("no relu in the CNN", "cnn-build", {'        layers.ReLU(name="first_maps"),\n': ""},
          "cnn-build: .*?first_maps"),
    # what is shown
    Fault("a figure lost", "cnn-curves", {'plot_history("CNN")': ""}, "cnn-curves: .*Missing output"),
    Fault("a warning appears", "cnn-curves",
          {"plot_history": "import warnings\nwarnings.warn('careful')\nplot_history"},
          "cnn-curves: .*Unexpected output"),
    Fault("accuracy and loss swapped", "plot-history", {'("accuracy", "loss")': '("loss", "accuracy")'},
          "test_curves", "tests/test_figures.py -k curves"),
    Fault("training drawn as validation", "plot-history", {'("val_", "validation"': '("", "validation"'},
          "test_curves", "tests/test_figures.py -k curves"),
    Fault("another model's curves", "hidden-curves", {'plot_history("Hidden': 'plot_history("Flatten'},
          "test_curves", "tests/test_figures.py -k curves"),
    Fault("another model's curves under the right title", "plot-history", {"in runs[name]])\n": 'in runs["CNN"]])\n'},
          "test_curves", "tests/test_figures.py -k curves"),
    Fault("bars in shares, not in %", "comparison-figure", {"[100 * (1 -": "[(1 -"},
          "test_comparison", "tests/test_figures.py -k comparison"),
    Fault("weights upside down", "no-hidden-weights", {"weights = ": "weights = -"},
          "FAILS: ink in the middle speaks against a 0"),
    Fault("table of mistakes transposed", "confusion-figure",
          {"y_test, run.probabilities.argmax(axis=1)": "run.probabilities.argmax(axis=1), y_test"},
          "test_mistakes", "tests/test_figures.py -k mistakes"),
    Fault("McNemar's counts swapped", "mcnemar-table", {"counts[0, 1], counts[1, 0]": "counts[1, 0], counts[0, 1]"},
          "test_mcnemar", "tests/test_figures.py -k mcnemar"),
    # your own digits
    Fault("prepare_digit without centring", "prepare-digit",
          {"ndimage.center_of_mass(page)": "np.array(page.shape) / 2 - 0.5"},
          "test_prepared_as_mnist_was", "tests/test_own_digits.py -k mnist_was"),
    Fault("prepare_digit stretches", "prepare-digit",
          {"[max(1, round(longest * side / max(values.shape))) for side in values.shape[::-1]]": "[longest, longest]"},
          "test_prepared_as_mnist_was", "tests/test_own_digits.py -k mnist_was"),
    Fault("a blank picture is read", "cut-out", {"strongest < 0.12 or ": "", "max(strongest, 0.12)": "strongest"},
          "test_bad_input_is_named", "tests/test_own_digits.py -k bad"),
    # what is saved and claimed
    Fault("another model saved", "results", {"        model.save(": "        models['CNN'].save("},
          "FAILS: No hidden layer, reloaded"),
    Fault("another model reloaded", "results",
          {'load_model(f"artifacts/{name}.keras")': 'load_model("artifacts/CNN.keras")'},
          "FAILS: No hidden layer, reloaded|results: .*No such file"),
    Fault("every statement holds", "check",
          {"unless or bool(holds)": "True", '"holds:" if holds else "FAILS:"': '"holds:"'},
          "test_check", "tests/test_notebook.py -k check"),
    Fault("a statement that fails is passed over", "verdict",
          {"assert not failed, f": "if failed: print(f", "(failed)}\"": "(failed)}\")"},
          "test_a_statement_that_fails", "tests/test_notebook.py -k fails"),
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
        [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", *shlex.split(fault.tests)],
        cwd=PROJECT, env=os.environ | {"NOTEBOOK": str(tmp_path / NOTEBOOK.name)}, capture_output=True, text=True)
    failed = re.findall(r"^FAILED (\S+)", said.stdout, re.MULTILINE)
    assert said.returncode == 1 and failed and re.search(fault.noticed, said.stdout), said.stdout[-3000:]
    record_property("noticed by", failed[0])
