"""Which foreign files are there? Folders are searched, in name order, once each."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError
from harness.ingest.parts import Problem, Reader

HEAD_BYTES = 4096
"""How much of a file its reader is told by."""

TABLES = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}
"""The format of a file that is named, whatever is in it."""

MAX_DEPTH = 64
MAX_FILES = 1_000_000
"""Folders that are deeper and trees that are larger are not results of one user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A file, and who reads it."""

    path: Path
    below: str
    """Its path below the folder that was named; its name, if it was itself."""

    reader: Reader
    n_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sniffed:
    """What was found below the paths that were named."""

    claimed: tuple[Claimed, ...]
    problems: tuple[Problem, ...]
    n_other: int
    """Files that are no results: logs, weights, pictures."""


SHORT = {"eee": "every-eval-ever"}
"""Other words for formats; `evalvar export` has them too."""


def sniff(
    paths: Sequence[str | Path],
    readers: Sequence[Reader],
    *,
    format: str | None = None,
) -> Sniffed:
    """Find the files that one of `readers` reads.

    Links are followed; a folder that was seen, by whatever path, is not entered
    again, nor is a store of ours, nor one whose name begins with a dot.

    Parameters
    ----------
    format : str, optional
        Only the reader of this format, which gets whatever files are named.

    Raises
    ------
    InputError
        ``results-missing``: a path is not there; ``unknown-format``.
    """
    format = SHORT.get(format or "", format)
    known = sorted({reader.format for reader in readers})
    if format is not None and format not in known:
        raise InputError(
            f"there is no format {format!r}; it is one of {', '.join(known)}",
            code="unknown-format",
        )
    asked = [r for r in readers if format is None or r.format == format]
    claimed: list[Claimed] = []
    problems: list[Problem] = []
    others = 0
    seen: set[tuple[int, int]] = set()
    for named in paths:
        root = Path(named)
        if not str(named):
            raise InputError(
                "the name of a source is empty; name a file or a folder",
                code="results-missing",
            )
        if not os.path.lexists(root):
            raise InputError(
                f"{named}: there is no such file or folder", code="results-missing"
            )
        for path in _files(root, seen, problems):
            is_named = path == root
            below = path.name if is_named else str(path.relative_to(root))
            one = _claim(path, below, asked, is_named and format is not None, problems)
            if one is None and is_named and path.is_file():
                # Its reader says what a table lacks that was meant.
                meant = [
                    r for r in asked if r.format == TABLES.get(path.suffix.lower())
                ]
                one = _claim(path, below, meant, True, problems)
            if one is not None:
                claimed.append(one)
            elif is_named and not any(p.file == str(path) for p in problems):
                problems.append(
                    Problem(
                        file=str(path),
                        line=None,
                        reason=f"it is none of {', '.join(known)}; if it is, say which "
                        "with --format",
                        code="unknown-format",
                    )
                )
            else:
                others += 1
    return Sniffed(claimed=tuple(claimed), problems=tuple(problems), n_other=others)


def is_store(folder: Path) -> bool:
    """Return whether a folder is a store of our own."""
    return (folder / "trials" / "_delta_log").is_dir()


def _files(
    root: Path, seen: set[tuple[int, int]], problems: list[Problem]
) -> Iterator[Path]:
    """Yield what is no folder, in name order, each once."""
    n_files = 0
    stack = [(root, 0)]
    while stack:
        path, depth = stack.pop()
        try:
            info = path.stat()
            key = (info.st_dev, info.st_ino)
            if key in seen:
                continue
            seen.add(key)
            if not stat.S_ISDIR(info.st_mode):
                n_files += 1
                if n_files > MAX_FILES:
                    problems.append(_left(root, f"it has over {MAX_FILES:,} files"))
                    return
                yield path
                continue
            if is_store(path):
                continue
            if depth > MAX_DEPTH:
                problems.append(_left(path, f"it lies over {MAX_DEPTH} folders deep"))
                continue
            inside = sorted(e.name for e in os.scandir(path) if e.name[0] != ".")
            stack.extend((path / name, depth + 1) for name in reversed(inside))
        except OSError as error:  # a link to nowhere or to itself, no permission
            problems.append(_left(path, error.strerror or type(error).__name__))


def _claim(
    path: Path,
    below: str,
    readers: Sequence[Reader],
    is_sure: bool,
    problems: list[Problem],
) -> Claimed | None:
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            problems.append(_left(path, "it is a pipe or a device, no file"))
            return None
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        problems.append(_left(path, error.strerror or type(error).__name__))
        return None
    for reader in readers:
        if is_sure or reader.claims(path, head):
            return Claimed(path=path, below=below, reader=reader, n_bytes=info.st_size)
    return None


def _left(path: Path, reason: str) -> Problem:
    return Problem(file=str(path), line=None, reason=reason, code="results-broken")
