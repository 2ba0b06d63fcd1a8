"""Measure model checkpoints, and say which differences are real.

In a notebook::

    import harness

    results = harness.load("results/quickstart")   # or a folder that lm-eval wrote
    results.variance()                             # a data frame

`harness.library` has the rest.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.library import Results, figure, load

try:
    __version__ = version("evalvar")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["Results", "__version__", "figure", "load"]


def __getattr__(name: str) -> Any:
    """Load the library when it is first used: the command line does without."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("harness.library"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
