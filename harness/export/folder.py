"""Where does an export go? Into a folder that is whole or not there, and ours."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from harness.errors import InputError, RunError

MARK = "evalvar-export.json"
"""A file of this name tells a folder that may be replaced from one that may not."""

UNSAFE = re.compile(r'[\x00-\x1f\x7f"<>:/|\\?*\[\]]+')
"""What lm-eval replaces in a name of a file, and control characters."""

LONGEST_NAME = 120
"""Bytes; file systems take 255, and names get more around them."""


@contextlib.contextmanager
def export_folder(place: Path, to: str) -> Iterator[Path]:
    """Give a folder to write into, which appears at `place` when it is whole.

    An earlier export of the same kind is replaced as a whole.

    Raises
    ------
    InputError
        ``file-exists``: something else is there.
    RunError
        ``output-not-written``.
    """
    there = Path(os.path.realpath(place))
    partial = there.parent / f".{there.name}.{os.getpid()}.partial"
    old = there.parent / f".{there.name}.{os.getpid()}.old"
    _check_free(place, there, to)
    try:
        there.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        yield partial
        (partial / MARK).write_text(
            json.dumps({"schema": "evalvar.export/1", "to": to})
        )
        if there.exists():
            there.rename(old)
        partial.rename(there)
    except OSError as error:
        raise RunError(
            f"{place}: cannot be written: {error.strerror or error}",
            code="output-not-written",
        ) from None
    finally:
        for leftover in (partial, old):
            shutil.rmtree(leftover, ignore_errors=True)


def safe_name(name: str) -> str:
    """Return a name as that of a file: no path, no device, not too long.

    ``acme/toy`` becomes ``acme__toy``, as with lm-eval.
    """
    plain = UNSAFE.sub("__", name)
    if plain.strip(". ") == "" or plain.startswith((".", "~", "-")):
        plain = f"_{plain}"
    data = plain.encode("utf-8", "replace")
    if len(data) > LONGEST_NAME:
        tail = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        plain = f"{data[: LONGEST_NAME - 9].decode('utf-8', 'ignore')}-{tail}"
    return plain.rstrip(". ") or "_"


def _check_free(place: Path, there: Path, to: str) -> None:
    if not os.path.lexists(there) or (there.is_dir() and not any(there.iterdir())):
        return
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if json.loads((there / MARK).read_text())["to"] == to:
            return
    raise InputError(
        f"{place}: something is there that is no earlier export to {to}; name another "
        "folder, or take it away",
        code="file-exists",
    )
