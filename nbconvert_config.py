"""How the README's commands run the notebook."""

c = get_config()  # noqa: F821 (nbconvert defines it)
c.HTMLExporter.template_name = "classic"  # keeps the descriptions of figures, and wraps long lines in print
c.Exporter.preprocessors = ["nbconvert.preprocessors.CoalesceStreamsPreprocessor"]  # or each square gets a line
c.ExecutePreprocessor.record_timing = False  # when a cell ran is of no interest, and would change with every run
