"""The notebook in JupyterLab, in a real browser: Run All Cells shows all of it."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time

import nbformat
import pytest
from helpers import quick_notebook, read_notebook, without_mnist

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="requirements-dev.txt is not installed"
)
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@contextlib.contextmanager
def jupyterlab(folder, monkeypatch):
    """Start JupyterLab in a folder, for this machine alone: its address."""
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    # All cells in the page, also those out of sight
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    monkeypatch.setenv("JUPYTERLAB_SETTINGS_DIR", str(folder / "settings"))
    for name in ["config", "data", "runtime"]:  # not the user's
        monkeypatch.setenv(f"JUPYTER_{name.upper()}_DIR", str(folder / name))
    options = ["--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root"]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options], cwd=folder
    )
    try:
        running = []
        while not running:
            assert server.poll() is None, "JupyterLab has ended"
            time.sleep(0.5)
            running = list(folder.glob("runtime/jpserver-*.json"))
        address = json.loads(running[0].read_text())
        yield f"{address['url']}lab/tree/notebook.ipynb?token={address['token']}"
    finally:
        server.terminate()
        server.wait()


def test_run_all_cells(tmp_path, monkeypatch):
    without_mnist(monkeypatch, tmp_path)
    n_figures = str(read_notebook()).count("'image/png': 'iVBOR")
    notebook = quick_notebook("SEEDS = [0]\nEPOCHS = 1")
    nbformat.write(notebook, tmp_path / "notebook.ipynb")
    errors = []
    with (
        jupyterlab(tmp_path, monkeypatch) as address,
        sync_api.sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.get_by_text("| Idle").wait_for(timeout=60_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator("[data-command='runmenu:run-all']").click()
        held = re.compile(r"\d+ of \d+ statements hold, and none fails")
        page.get_by_text(held).wait_for(timeout=300_000)
        figures = page.locator(".jp-OutputArea-output img")
        sync_api.expect(figures).to_have_count(n_figures)
        failures = page.locator("[data-mime-type='application/vnd.jupyter.error']")
        sync_api.expect(failures).to_have_count(0)
        assert not errors
        browser.close()
