"""Is this machine ready? Versions, cores, GPUs, browser, caches."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import platformdirs

Level = Literal["ok", "note", "error"]

BASE = ("deltalake", "numpy", "pandas", "plotly", "pyarrow", "pydantic", "scipy")
RUN = ("lm-eval", "ray", "torch", "transformers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    level: Level
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def examine() -> list[Finding]:
    """Look at everything that a sweep or a report needs; changes nothing."""
    return [
        _python(),
        *(_package(name, needed=True) for name in BASE),
        *(_package(name, needed=False) for name in RUN),
        _cores(),
        _gpus(),
        _folder("working folder", Path.cwd()),
        _folder("cache", Path(platformdirs.user_cache_dir("evalvar"))),
        _browser(),
    ]


def _python() -> Finding:
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding(
        what="Python",
        level="ok" if supported else "error",
        text=platform.python_version() + ("" if supported else "; needs 3.11 to 3.13"),
    )


def _package(name: str, *, needed: bool) -> Finding:
    try:
        return Finding(what=name, level="ok", text=version(name))
    except PackageNotFoundError:
        extra = "" if needed else "[run]"
        return Finding(
            what=name,
            level="error" if needed else "note",
            text=f"not installed: pip install 'evalvar{extra}'",
        )


def _cores() -> Finding:
    n = len(os.sched_getaffinity(0))
    return Finding(what="cores", level="ok", text=str(n))


def _gpus() -> Finding:
    try:
        import torch
    except ModuleNotFoundError:
        return Finding(what="GPUs", level="note", text="unknown without torch")
    except (ImportError, OSError) as error:  # a library of it is not there, or wrong
        text = f"torch cannot be imported: {error}"
        return Finding(what="GPUs", level="error", text=text)
    n = torch.cuda.device_count()
    if not n:
        return Finding(what="GPUs", level="note", text="none: models run on the cores")
    names = sorted({torch.cuda.get_device_name(index) for index in range(n)})
    return Finding(what="GPUs", level="ok", text=f"{n}: {', '.join(names)}")


def _folder(what: str, folder: Path) -> Finding:
    there = folder
    while not os.path.lexists(there):
        there = there.parent
    if not os.access(there, os.W_OK):
        return Finding(what=what, level="error", text=f"{folder}: cannot be written")
    free = shutil.disk_usage(there).free / 2**30
    level: Level = "ok" if free >= 1 else "error"
    return Finding(what=what, level=level, text=f"{folder}: {free:.0f} GiB free")


def _browser() -> Finding:
    found = shutil.which("chromium")
    if found is None:
        return Finding(
            what="chromium",
            level="note",
            text="not there; only the report's own browser tests need it",
        )
    return Finding(what="chromium", level="ok", text=found)
