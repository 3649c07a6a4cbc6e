"""Does the check notice? Plants faults in the notebook, one by one, and says in a table at the end what noticed each.

One kernel runs the whole notebook on 5,000 of MNIST; then, for one fault after the other, everything from its cell on,
as nbval runs it, until a statement fails or an output differs. They come from the last cell to the first, so that all
before a fault is as it should be. What a run cannot notice, the tests have to. Run pytest -m slow tests/test_faults.py
"""

import os
import re
import subprocess
import sys

import nbformat
import pytest
from common import NOTEBOOK, PROJECT
from conftest import without_mnist
from nbval.plugin import IPyNbFile, NbCellError, coalesce_streams

pytestmark = pytest.mark.slow
UNCONCERNED = {  # half of a run's time, and figures on which nothing else depends
    "first-model", "first-predict", "first-again", "look-figure", "techniques-fit", "cnn-filters"}
WRAP = """
def wrap(name, change):  # until stopall: put change(f, ...) in the place of f(...), a function
    owner, _, name = name.rpartition(".")
    f = getattr(eval(owner), name)
    mock.patch.object(eval(owner), name, lambda *a, **k: change(f, *a, **k)).start()
"""
IN_A_RUN = [  # (the fault, its cell, and what is done: code that runs after the cell, or what is replaced in it)
    # the data
    ("pixels not normalised", "prepare-code", "x_train *= 255; x_valid *= 255; x_test *= 255"),
    ("test pixels divided by 256", "prepare-code", "x_test *= 255 / 256"),
    ("training images mirrored", "prepare-code", "x_train[:] = x_train[:, :, ::-1].copy()"),
    ("labels shuffled", "prepare-code", "y_train = np.random.default_rng(0).permutation(y_train)"),
    ("test labels off by one", "prepare-code", "y_test = (y_test + 1) % 10"),
    ("test images among the training images", "prepare-code", "x_train[:50] = x_test[:50]"),
    ("validation images among the training images", "prepare-code", "x_train[:50] = x_valid[:50]"),
    ("a tenth of the images", "prepare-code", "x_train, y_train = x_train[:400], y_train[:400]"),
    ("test images change later", "comparison-figure",
     "mock.patch.object(sys.modules['__main__'], 'x_test', 1 - x_test).start()"),
    # training
    ("one epoch", "check", "wrap('keras.Sequential.fit', lambda f, *a, **k: f(*a, **k | {'epochs': 1}))"),
    ("learning rate times 100", "check", "wrap('keras.optimizers.AdamW', lambda f, rate, **k: f(1.0, **k))"),
    ("another optimiser", "check", "wrap('keras.optimizers.AdamW', lambda f, rate, **k: keras.optimizers.SGD(rate))"),
    ("every seed is 0", "check", "wrap('keras.utils.set_random_seed', lambda f, seed: f(0))"),
    ("runs keep untrained weights", "check", "wrap('keras.Sequential.set_weights', lambda f, *a: None)"),
    ("90 hidden units", "check", "wrap('layers.Dense', lambda f, n, **k: f(min(n, 90), **k))"),
    ("no relu", "hidden-build", {', activation="relu"': ""}),
    ("Flatten turns the picture", "hidden-curves", "wrap('layers.Flatten.call', lambda f, self, x: f("
     "self, keras.ops.transpose(x, (0, 2, 1)) if len(x.shape) == 3 else x))"),
    ("dropout of 99 %", "flatten-curves", "wrap('layers.Dropout', lambda f, rate, **k: f(0.99, **k))"),
    # evaluation
    ("answers to other images", "train", "wrap('sys.modules[\"__main__\"].predict_proba', "
     "lambda f, *a: np.roll(f(*a), 1, axis=0))"),
    ("tested on training images", "train", {
        "predict_proba(run.model, x_test)": "predict_proba(run.model, x_train[:len(y_test)])",
        "== y_test))": "== y_train[:len(y_test)]))"}),
    ("Flatten model with other seeds", "flatten-fit", {", SEEDS)": ", SEEDS[::-1])"}),
    ("a hidden layer's results for the CNN's", "cnn-curves", "mock.patch.dict(runs, CNN=runs['Hidden layer']).start()"),
    ("another model saved", "results", {"        model.save(": "        models['CNN'].save("}),
    # what is shown
    ("a figure lost", "cnn-curves", {'plot_history("CNN")': ""}),
    ("a warning appears", "cnn-curves", "import warnings\nwarnings.warn('careful')"),
    ("masks with the wrong sign", "no-hidden-weights", {"weights = ": "weights = -"}),
]
IN_A_TEST = [  # (the fault, its cell, what is done, and the file of tests that has to notice)
    ("a bad file is passed over", "read-mnist", {"assert set(y) <= set(range(10)),": "assert True,"}, "load_data"),
    ("learning rate never falls", "compile-model", {"steps - steps // 5, ": "100 * steps, "}, "train"),
    ("weights do not fade", "compile-model", {"weight_decay=0.1": "weight_decay=0"}, "train"),
    ("images without their labels", "tools", {"tf.gather(y, some)": "y[:tf.size(some)]"}, "train"),
    ("never shuffled", "tools", {".shuffle(len(x))": ""}, "train"),
    ("validated on test images", "train", {"(x_valid.reshape(shape), y_valid)": "(x_test, y_test)"}, "train"),
    ("a seed goes on where another ended", "tools", {"now.assign(then)": "pass"}, "train"),
    ("best run by test accuracy", "plot-history", {'run.history["val_loss"][-1]': "-run.test_accuracy"}, "figures"),
    ("another model's curves", "plot-history", {"in runs[name]])\n": 'in runs["CNN"]])\n'}, "figures"),
    ("curves in other units", "plot-history",
     "wrap('plt.Axes.plot', lambda f, self, x, y, *a, **k: f(self, x, 100 * y, *a, **k))", "figures"),
    ("bars in shares, not in %", "comparison-figure", {"[100 * (1 -": "[(1 -"}, "figures"),
    ("the best seed for the mean", "comparison-table", {"= np.mean(each)": "= max(each)"}, "figures"),
    ("table of mistakes transposed", "confusion-figure",
     {"y_test, run.probabilities.argmax(axis=1)": "run.probabilities.argmax(axis=1), y_test"}, "figures"),
    ("McNemar's counts swapped", "mcnemar-table", {"counts[0, 1], counts[1, 0]": "*counts[[1, 0], [0, 1]]"}, "figures"),
    ("a digit is not centred", "prepare-digit", {"round(centre) for": "len(page) // 2 for"}, "own_digits"),
    ("a blank picture is read", "cut-out", {"strongest < 0.12 or ": "", "t, 0.12)": "t, 0)"}, "own_digits"),
    ("every statement holds", "check", {"unless or bool(holds)": "True", 'if holds else "FAILS:"': ""}, "notebook"),
    ("a statement that fails is passed over", "verdict", {"if not held]": "if held is None]"}, "notebook"),
    ("a result in the text changed", "comparison-seen", {"98.17": "98.37"}, "prose"),
]


def plant(source, change):
    """A cell's source with a fault: after it, or in it."""
    if isinstance(change, dict):
        for old, new in change.items():
            assert old in source, f"there is no '{old}' in the cell any more"
            source = source.replace(old, new)
        change = ""
    more = f"\n{WRAP}{change}\nNone" if change else ""  # None, lest something be shown
    return f"from unittest import mock\nmock.patch.stopall()\n{source}{more}"


@pytest.fixture(scope="module")
def cells(request, tmp_path_factory):
    """The notebook's code cells as nbval's tests, after a run in which all of them passed."""
    folder = tmp_path_factory.mktemp("faults")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (settings,) = (cell for cell in notebook.cells if cell.id == "parameters")
    settings.source = settings.source.replace("SEEDS = [0, 1, 2]", "SEEDS = [0, 1]")  # takes two thirds of the time
    nbformat.write(notebook, folder / "notebook.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        without_mnist(patch, folder)
        file = IPyNbFile.from_parent(request.session, path=folder / "notebook.ipynb")
        cells = {item.cell.id: item for item in file.collect()}
        file.setup()
        for item in cells.values():
            item.cell.outputs = coalesce_streams(item.cell.outputs)  # or nbval adds to them at each run
            item.runtest()
        yield cells
        file.teardown()


def first_failure(cells, start):
    """Run the cells from one on: which is the first to fail, and how, or what it says instead."""
    said = "nothing failed"
    for name in list(cells)[list(cells).index(start):]:
        if name not in UNCONCERNED:
            cells[name].test_outputs = None
            try:
                cells[name].runtest()
            except NbCellError as failure:
                said = re.sub(r"\x1b\[[\d;]*m", "", f"{failure}\n{failure.inner_traceback}")
            failed = re.findall(r"FAILS: (.+?)(?:\\n|\n|$)", f"{said}\n{cells[name].test_outputs}")
            if failed:  # here or, if nbval does not compare this cell, in the last one
                return f"cell {name}: FAILS: {'; '.join(dict.fromkeys(failed))}", said
            if said != "nothing failed":
                differs = re.search(r"(Missing|Unexpected) output.*|(mismatch|dissimilar) .*", said)
                wrong = re.search("^AssertionError: (.*do not hold: .+)", said, re.MULTILINE)
                how = wrong[1] if wrong else differs and f"shows something else than as committed: {differs[0]}"
                return how and f"cell {name}: {how}", said
    return None, said


ORDER = [cell.id for cell in nbformat.read(NOTEBOOK, as_version=4).cells][::-1]


@pytest.mark.parametrize("fault, cell, change", sorted(IN_A_RUN, key=lambda fault: ORDER.index(fault[1])), ids=str)
def test_a_run_notices(fault, cell, change, cells, record_property, monkeypatch):
    record_property("fault", fault)
    monkeypatch.setitem(cells[cell].cell, "source", plant(cells[cell].cell.source, change))
    noticed, said = first_failure(cells, cell)
    assert noticed, said[-3000:]  # not any error will do: that might be in what is planted
    record_property("noticed by", noticed)


@pytest.mark.parametrize("fault, cell, change, tests", IN_A_TEST)
def test_a_test_notices(fault, cell, change, tests, tmp_path, record_property):
    record_property("fault", fault)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (faulty,) = (one for one in notebook.cells if one.id == cell)
    faulty.source = plant(faulty.source, change)
    nbformat.write(notebook, tmp_path / NOTEBOOK.name)
    said = subprocess.run(
        [sys.executable, "-m", "pytest", "-qx", "--color=no", "-p", "no:cacheprovider", f"tests/test_{tests}.py"],
        cwd=PROJECT, env=os.environ | {"NOTEBOOK": str(tmp_path / NOTEBOOK.name), "COLUMNS": "300"},
        capture_output=True, text=True).stdout
    failed = re.search(r"^FAILED tests/test_\w+.py::test_(\w+).*? - (assert|AssertionError|Failed)", said, re.MULTILINE)
    assert failed, said[-3000:]
    record_property("noticed by", f"tests/test_{tests}.py: {failed[1].replace('_', ' ')}")
