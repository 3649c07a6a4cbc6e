"""All of the notebook's cells in JupyterLab, in a real browser, and a 7 drawn on its pad with the mouse."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

import nbformat
import pytest
from conftest import without_mnist

sync_api = pytest.importorskip("playwright.sync_api", reason="requirements-dev.txt is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]


@contextlib.contextmanager
def jupyterlab(folder, monkeypatch):
    """Start JupyterLab in a folder, for this machine alone, with a random token: where notebook.ipynb opens."""
    settings = folder / "settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"windowingMode": "none"}')  # so that cells out of sight are in the page as well
    monkeypatch.setenv("JUPYTERLAB_SETTINGS_DIR", str(folder / "settings"))
    for name in ("config", "data", "runtime"):  # not the user's
        monkeypatch.setenv(f"JUPYTER_{name.upper()}_DIR", str(folder / name))
    root = ["--allow-root"] * (os.name == "posix" and os.geteuid() == 0)
    with open(folder / "lab.log", "w") as log, subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0", *root,
             "--LabApp.extension_manager=readonly"], cwd=folder, stdout=log, stderr=log) as server:
        try:
            while not (running := list(folder.glob("runtime/jpserver-*.json"))):
                assert server.poll() is None, (folder / "lab.log").read_text()
                time.sleep(0.5)
            yield "{url}lab/tree/notebook.ipynb?token={token}".format(**json.loads(running[0].read_text()))
        finally:
            server.terminate()


def test_run_all_cells_in_jupyterlab_and_draw_a_seven(notebook, tmp_path, monkeypatch):
    without_mnist(monkeypatch, tmp_path)
    bare = nbformat.from_dict(notebook)  # a copy
    for cell in bare.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(bare, tmp_path / "notebook.ipynb")
    expect, errors = sync_api.expect, []
    with jupyterlab(tmp_path, monkeypatch) as address, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(address)
        page.get_by_text("| Idle").wait_for(timeout=60_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator("[data-command='runmenu:run-all']").click()
        page.get_by_text(re.compile(r"\d+ of \d+ statements hold, and none fails")).wait_for(timeout=300_000)
        expect(page.locator(".jp-OutputArea-output img")).to_have_count(str(notebook).count("'image/png': '"))
        for kind in ("stderr", "error"):
            expect(page.locator(f"[data-mime-type='application/vnd.jupyter.{kind}']")).to_have_count(0)

        canvas, answer = page.locator("canvas[style*=crosshair]"), page.get_by_text(re.compile(r"CNN: \d, \d+%"))
        for _ in range(2):  # the second time on a pad that was cleared
            canvas.scroll_into_view_if_needed()
            box = canvas.bounding_box()
            for number, (x, y) in enumerate([(80, 70), (190, 65), (180, 110), (150, 170), (130, 230)]):
                page.mouse.move(box["x"] + x, box["y"] + y, steps=8)
                if number == 0:
                    page.mouse.down()
            page.mouse.up()
            expect(answer).to_have_text(re.compile("No hidden layer: .*CNN: 7", re.DOTALL), timeout=30_000)
            page.get_by_role("button", name="Clear").click()
            expect(answer).to_have_count(0)
            expect(page.get_by_text("Draw a digit.", exact=True)).to_be_visible()
        assert not errors
        browser.close()
