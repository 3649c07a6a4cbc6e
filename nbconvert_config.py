"""How the README's commands run the notebook."""

from nbconvert.preprocessors import CoalesceStreamsPreprocessor, Preprocessor


class RemoveStartMessages(Preprocessor):
    """Leave out what TensorFlow prints when it is imported: it differs by machine."""

    def preprocess_cell(self, cell, resources, index):
        if "remove-output" in cell.metadata.get("tags", []):
            cell.outputs = []
        return cell, resources


c = get_config()  # noqa: F821 (nbconvert defines it)
c.HTMLExporter.template_name = "classic"  # keeps descriptions of figures, wraps lines
c.Exporter.preprocessors = [RemoveStartMessages, CoalesceStreamsPreprocessor]
c.ExecutePreprocessor.record_timing = False  # would change with every run
