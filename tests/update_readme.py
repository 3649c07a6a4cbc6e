"""Copy the comparison table and figure from the notebook's outputs into the README: python tests/update_readme.py"""

import base64
import re

import nbformat
from conftest import NOTEBOOK

cells = {cell.id: cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells}
table = cells["comparison-table"].outputs[0].data["text/markdown"]
readme = NOTEBOOK.parent / "README.md"
text = readme.read_text(encoding="utf-8")
readme.write_text(re.sub(r"(?m)^\| .*seeds \|(.*\n)+?(?=\n)", lambda _: table + "\n", text), encoding="utf-8")
picture = base64.b64decode(cells["comparison-figure"].outputs[0].data["image/png"])
(NOTEBOOK.parent / "images" / "comparison.png").write_bytes(picture)
