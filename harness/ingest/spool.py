"""How are the scores of several trials in one file told apart, in bounded memory?"""

from __future__ import annotations

import tempfile
import weakref
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import InputError
from harness.ingest.columns import ROWS
from harness.ingest.parts import BATCH_ROWS
from harness.ingest.rows import MOST_REPEAT

MADE = ("item_index", "status", "metrics")
"""Columns that follow from all scores of a trial."""

SCORES = pa.schema(
    [
        *(field for field in ROWS if field.name not in MADE),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("line", pa.int64(), nullable=False),
    ]
)
"""One score of one answer, and which row of the file it stands in, from 0."""

MOST_TRIALS = 10_000
"""Trials in one file; where there are more, a column is not what it is taken for."""

Key = tuple[Any, ...]


class Spool:
    """Scores of a file, set aside on disk by the trial that they belong to.

    What is held in memory is one batch on the way in, and one trial on the way out.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as this
        weakref.finalize(self, self._file.close)
        self._writer = pa.ipc.new_file(pa.PythonFile(self._file, "w"), SCORES)
        self._places: dict[Key, list[int]] = defaultdict(list)
        self._n_batches = 0

    @property
    def keys(self) -> list[Key]:
        """The trials, in the order in which they came."""
        return list(self._places)

    def add(self, key: Key, scores: pa.RecordBatch) -> None:
        """Set scores of one trial aside, as `SCORES`.

        Raises
        ------
        InputError
            ``results-too-large``: there are more than `MOST_TRIALS`.
        """
        self._writer.write_batch(scores)
        self._places[key].append(self._n_batches)
        self._n_batches += 1
        if len(self._places) > MOST_TRIALS:
            raise InputError(
                f"it has over {MOST_TRIALS:,} trials, each a model with its step, "
                "seeds and task; see that the columns are what they are called",
                code="results-too-large",
            )

    def close(self) -> None:
        """End writing, before anything is read."""
        self._writer.close()

    def trial(self, key: Key) -> SpooledTrial:
        """Return the scores of one trial."""
        reader = pa.ipc.open_file(pa.PythonFile(self._file, "r"))
        return SpooledTrial(
            pa.Table.from_batches(
                [reader.get_batch(place) for place in self._places[key]], SCORES
            ).combine_chunks()
        )


class SpooledTrial:
    """Scores of one trial, and which answer each belongs to."""

    def __init__(self, scores: pa.Table) -> None:
        self.scores = scores
        self._item = _codes(scores["item_id"])
        answers = self._item * (MOST_REPEAT + 1) + scores["repeat"].to_numpy()
        _, self._first, self._answer = np.unique(
            answers, return_index=True, return_inverse=True
        )

    @property
    def n_items(self) -> int:
        """Items that have an answer."""
        return int(self._item.max()) + 1

    @property
    def n_answers(self) -> int:
        """Answers, whatever they are scored by."""
        return len(self._first)

    @property
    def n_repeats(self) -> int:
        """Answers to the item that has most, by their numbers."""
        return int(pc.max(self.scores["repeat"]).as_py()) + 1

    def repeated_lines(self) -> list[int]:
        """Return the rows that give a score again which one before them gave."""
        metric = _codes(self.scores["metric"])
        score = self._answer * (metric.max() + 1) + metric
        _, first = np.unique(score, return_index=True)
        again = np.delete(np.arange(len(score)), first)
        lines: list[int] = self.scores["line"].to_numpy()[again].tolist()
        return sorted(lines)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the answers as `ROWS`, in the order in which they came."""
        in_order = np.argsort(self._first)
        rank = np.empty_like(in_order)
        rank[in_order] = np.arange(len(in_order))
        first = self._first[in_order]
        value = self.scores["value"].to_numpy()
        is_scored = ~np.isnan(value)
        owner = rank[self._answer]
        scored = np.flatnonzero(is_scored)
        scored = scored[np.argsort(owner[scored], kind="stable")]
        counts = np.bincount(owner[scored], minlength=len(first))
        metrics = pa.MapArray.from_arrays(
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
            self.scores["metric"].take(pa.array(scored)).combine_chunks(),
            pa.array(value[scored]),
        )
        answers = self.scores.take(pa.array(first))
        made = {
            "item_index": pa.array(self._item[first].astype(np.int32)),
            "status": pa.array(np.where(counts > 0, "ok", "unscored").tolist()),
            "metrics": metrics,
        }
        table = pa.Table.from_arrays(
            [
                made[name]
                if name in MADE
                else answers[name].cast(ROWS.field(name).type)
                for name in ROWS.names
            ],
            schema=ROWS,
        )
        yield from table.combine_chunks().to_batches(max_chunksize=BATCH_ROWS)


def _codes(names: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return the number of each name, in the order in which they came."""
    codes = pc.index_in(names, value_set=pc.unique(names)).combine_chunks()
    return np.asarray(codes.to_numpy(zero_copy_only=False), dtype=np.int64)
