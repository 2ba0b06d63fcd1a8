"""What does a foreign file hold? Parts, scores without items, and problems."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from harness.errors import ErrorCode, InputError

BATCH_ROWS = 20_000
"""Largest number of rows in one batch of a part: what memory is bounded by."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """One model's answers to one task, in one foreign file or pair of files."""

    trial: Mapping[str, Any]
    """Columns of `frames.TRIALS` that are known, by name; the others are absent. Not
    ``attempt_id``, ``trial_id`` and ``status``, which are given on the way in."""

    rows: Callable[[], Iterator[pa.RecordBatch]]
    """Returns `frames.RESPONSES` without ``attempt_id`` and ``trial_id``, in batches of
    at most `BATCH_ROWS`; may be called more than once."""

    unknown: tuple[str, ...] = ()
    """What the file does not say: ``train_seed``, ``step``, ``dtype``, …"""

    files: tuple[Path, ...] = ()
    """The files that it was read from."""

    n_twice: Callable[[], int] = int
    """Returns how many rows were left out as copies, once all were read."""


class BrokenFile(InputError):
    """A foreign file does not hold what its format says; code ``results-broken``."""

    def __init__(self, reason: str, *, line: int | None = None) -> None:
        super().__init__(reason, code="results-broken")
        self.line = line


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What in a file could not be taken."""

    file: str
    line: int | None
    """From 1, where one line is to blame."""

    reason: str
    """One sentence."""

    code: ErrorCode
    is_left_out: bool = True
    """Whether the answers that it is about were left out; otherwise it is a warning."""

    model: str | None = field(default=None, compare=False)
    task: str | None = field(default=None, compare=False)
    """Whose answers to what it is about, where that is known."""

    @property
    def place(self) -> str:
        """The file, with its line if one is to blame."""
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """What one foreign file, or one folder that belongs together, holds."""

    format: str
    """``lm-eval``, ``inspect``, ``lighteval``, ``every-eval-ever``, ``csv``, …"""

    parts: tuple[Part, ...]
    aggregates: tuple[Mapping[str, Any], ...] = ()
    """Rows of `frames.AGGREGATES` without ``aggregate_id``: scores without items."""

    problems: tuple[Problem, ...] = ()


class Reader(Protocol):
    """Reads one foreign format."""

    format: str

    def claims(self, path: Path, head: bytes) -> bool:
        """Return whether `path` is of this format, by its name and first 4 KiB.

        It never raises.
        """

    def read(self, path: Path) -> Iterator[Found]:
        """Yield what is in a file that was claimed.

        Raises
        ------
        HarnessError
            The file is broken as a whole.
        """
