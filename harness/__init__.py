"""Measure model checkpoints, and say which differences are real."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("evalvar")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
