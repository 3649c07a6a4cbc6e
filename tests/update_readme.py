"""Copy what was measured into the README: python tests/update_readme.py

The comparison table and figure come from the notebook's outputs, two more tables from tests/benchmark.md.
"""

import base64
import re

import nbformat
from conftest import NOTEBOOK

cells = {cell.id: cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells}
table = cells["comparison-table"].outputs[0].data["text/markdown"]
readme = NOTEBOOK.parent / "README.md"
text = readme.read_text(encoding="utf-8")
tables = {"comparison": table, "benchmark": (NOTEBOOK.parent / "tests" / "benchmark.md").read_text(encoding="utf-8")}
for name, copied in tables.items():
    place = re.compile(f"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    text = place.sub(lambda found: f"{found[1]}{copied.rstrip()}\n{found[2]}", text)
readme.write_text(text, encoding="utf-8")
picture = base64.b64decode(cells["comparison-figure"].outputs[0].data["image/png"])
(NOTEBOOK.parent / "images" / "comparison.png").write_bytes(picture)
