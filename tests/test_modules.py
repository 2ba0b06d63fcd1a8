"""What the base install must bring: each module but those of the extras."""

import importlib
import pkgutil

import pytest

import harness

EXTRAS = (
    "harness.run.lm_eval",
    "harness.run.pool",
    "harness.run.weights",
    "harness.zoo.train",
    "harness.export.mlflow",
    "harness.__main__",  # runs the command
)

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(harness.__path__, "harness.")
    if not module.name.startswith(EXTRAS)
)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_needs_the_base_install_alone(name):
    assert importlib.import_module(name).__doc__


@pytest.mark.parametrize("name", ["scipy.stats", "statsmodels.api", "girth"])
def test_what_modules_import_when_they_are_called_is_there(name):
    assert importlib.import_module(name)
