"""How the README's commands run the notebook."""

import json
import sys
from pathlib import Path

from nbconvert.preprocessors import CoalesceStreamsPreprocessor, Preprocessor

sys.path.append(str(Path(__file__).with_name("benchmarks")))
from provenance import recipe, versions  # noqa: E402 (found by the line above)


class RemoveStartMessages(Preprocessor):
    """Leave out what TensorFlow prints when it is imported: it differs by machine."""

    def preprocess_cell(self, cell, resources, index):
        if "remove-output" in cell.metadata.get("tags", []):
            cell.outputs = []
        return cell, resources


class StampRecipe(Preprocessor):
    """Note, after a run, whose code made the outputs: see benchmarks/provenance.py."""

    def preprocess(self, nb, resources):
        if self.config.ExecutePreprocessor.get("enabled"):
            nb.metadata["recipe"] = recipe(nb)
            nb.metadata["versions"] = versions()
            folder = Path(resources["metadata"]["path"])
            path = folder / "artifacts" / "results.json"
            results = json.loads(path.read_text())
            results["recipe"] = nb.metadata["recipe"]
            path.write_text(json.dumps(results, indent=2))
        return nb, resources


c = get_config()  # noqa: F821 (nbconvert defines it)
c.HTMLExporter.template_name = "page"
c.HTMLExporter.extra_template_basedirs = [str(Path(__file__).with_name("templates"))]
c.Exporter.preprocessors = [
    RemoveStartMessages,
    CoalesceStreamsPreprocessor,
    StampRecipe,
]
c.ExecutePreprocessor.record_timing = False  # would change with every run
