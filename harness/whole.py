"""How does a file appear? Whole, or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from harness.errors import RunError


@contextlib.contextmanager
def whole_file(place: str | Path) -> Iterator[Path]:
    """Yield where to write what is to appear at `place` once the block has ended.

    If it fails, what was there stays. A link stays one, and a device or a pipe is
    written to at once.

    Raises
    ------
    RunError
        ``output-not-written``.
    """
    there = Path(os.path.realpath(place))
    # A name of its own: another command may be writing the same file.
    partial = there.parent / f".{there.name}.{os.getpid()}.partial"
    try:
        there.parent.mkdir(parents=True, exist_ok=True)
        if there.is_dir():
            raise IsADirectoryError(21, "is a folder")
        if there.exists() and not there.is_file():
            yield there
            return
        yield partial
        partial.replace(there)
    except OSError as error:
        raise RunError(
            f"{place}: cannot be written: {error.strerror or error}",
            code="output-not-written",
        ) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
