"""The notebook in JupyterLab, in a real browser: all of its cells, and the pad, on which the mouse draws a 7."""

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import numpy as np
import pytest
from common import NOTEBOOK, without_pictures
from conftest import without_mnist
from sklearn.datasets import load_digits

sync_api = pytest.importorskip("playwright.sync_api", reason="requirements-dev.txt is not installed")
expect = sync_api.expect
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]
SMALL_MODEL = 'models = {"Hidden layer": keras.saving.load_model("small.keras")}'


@contextlib.contextmanager
def jupyterlab(folder, monkeypatch):
    """Start JupyterLab in a folder: a function that gives the address under which a file there opens."""
    token = secrets.token_hex()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("config", "data", "runtime"):  # not the user's settings
        monkeypatch.setenv(f"JUPYTER_{name.upper()}_DIR", str(folder / name))
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"windowingMode": "none"}))  # so that cells out of sight are in the page as well
    monkeypatch.setenv("JUPYTERLAB_SETTINGS_DIR", str(folder / "settings"))
    with open(folder / "lab.log", "w") as log, subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}",
             "--ServerApp.port_retries=0", "--LabApp.extension_manager=readonly",
             *["--allow-root"] * (os.name == "posix" and os.geteuid() == 0)],
            cwd=folder, stdout=log, stderr=log, env=os.environ | {"JUPYTER_TOKEN": token}) as server:
        try:
            for _ in range(120):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status?token={token}", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.5)
            yield lambda name: f"http://127.0.0.1:{port}/lab/tree/{name}?token={token}"
        finally:
            server.terminate()


@contextlib.contextmanager
def all_cells_run(address):
    """Open a notebook in Chromium and choose Run All: the page, and the list of its errors."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(address)
        page.get_by_text("| Idle").wait_for(timeout=60_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator("[data-command='runmenu:run-all']").click()
        yield page, errors
        browser.close()


@pytest.fixture
def lab(functions, tmp_path, monkeypatch):
    """The address of JupyterLab with pad.ipynb, which holds the pad's cells, their functions and a small model."""
    digits = load_digits()
    x, y = np.stack([functions.prepare_digit(image) for image in digits.images]), digits.target
    model = functions.hidden_layer()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x.reshape(-1, 784), y, epochs=20, verbose=0)
    model.save(tmp_path / "small.keras")
    pad = nbformat.read(NOTEBOOK, as_version=4)
    pad.cells = [cell for cell in pad.cells if cell.id == "pad"
                 or {"parameters", "definitions"} & set(cell.metadata.get("tags", []))]
    pad.cells.insert(-1, nbformat.v4.new_code_cell(SMALL_MODEL))
    for cell in pad.cells:
        cell.source, cell.outputs, cell.execution_count = without_pictures(cell), [], None
    nbformat.write(pad, tmp_path / "pad.ipynb")

    with jupyterlab(tmp_path, monkeypatch) as address:
        yield address("pad.ipynb")


def test_draw_a_seven_in_jupyterlab(lab, tmp_path):
    with all_cells_run(lab) as (page, errors):
        canvas = page.locator("canvas[style*=crosshair]")
        canvas.wait_for(timeout=120_000)
        answer = page.get_by_text(re.compile(r"Hidden layer: \d, \d+%"))
        for _ in range(2):  # the second time on a pad that was cleared
            canvas.scroll_into_view_if_needed()
            box = canvas.bounding_box()
            for number, (x, y) in enumerate([(80, 70), (190, 65), (180, 110), (150, 170), (130, 230)]):
                page.mouse.move(box["x"] + x, box["y"] + y, steps=8)
                if number == 0:
                    page.mouse.down()
            page.mouse.up()
            expect(answer).to_have_text(re.compile("Hidden layer: 7"), timeout=30_000)
            page.get_by_role("button", name="Clear").click()
            expect(answer).to_have_count(0)
            expect(page.get_by_text("Draw a digit.", exact=True)).to_be_visible()
        assert not errors


def test_run_all_cells_in_jupyterlab(tmp_path, monkeypatch):
    without_mnist(monkeypatch, tmp_path)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source, cell.outputs, cell.execution_count = without_pictures(cell), [], None
    nbformat.write(notebook, tmp_path / "notebook.ipynb")
    with (jupyterlab(tmp_path, monkeypatch) as address,
          all_cells_run(address("notebook.ipynb")) as (page, errors)):
        page.get_by_text(re.compile(r"\d+ of \d+ statements hold")).wait_for(timeout=300_000)
        cells = page.locator(".jp-CodeCell")
        curves = cells.filter(has_text=re.compile(r"plot_history\(\"")).locator(".jp-OutputArea-output img")
        expect(curves).to_have_count(4)
        expect(page.locator("table", has_text="test accuracy").filter(has_text="No hidden layer").first).to_be_visible()
        expect(page.locator("canvas[style*=crosshair]")).to_be_visible()
        for kind in ("stderr", "error"):
            expect(page.locator(f"[data-mime-type='application/vnd.jupyter.{kind}']")).to_have_count(0)
        assert not errors
