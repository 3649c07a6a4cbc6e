"""Lets pytest run on the notebook from any folder."""


def pytest_configure(config):
    # nbval looks for this file in the folder that pytest was started in.
    config.option.nbval_sanitize_with = config.rootpath / "tests" / "sanitize.cfg"
