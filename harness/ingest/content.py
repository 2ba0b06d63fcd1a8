"""What is in a part, as a whole? Its identity, its size, and that no row is missing.

Answers pass through in batches; what is kept of them is which cells there were, and
a digest that does not depend on where one batch ended and the next began.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.ingest.columns import ROWS
from harness.ingest.parts import BATCH_ROWS, BrokenFile
from harness.records import digest

ABOUT = {"cluster"}
"""What is said of a response and is no part of it."""

MISSING = "missing"
"""Status of an answer that a file does not have, while it has others of the item."""

REPEATS = 2**15
"""More than a column of repeats holds: an item and a repeat are one number."""

Streams = defaultdict[str, Any]
"""Running digests, by name."""


class Content:
    """Watches the batches of a part as they pass.

    Attributes
    ----------
    n_items, repeats, n_rows : int
        After the last batch; as many rows as items times repeats.
    """

    def __init__(self) -> None:
        self.n_items = self.repeats = self.n_rows = 0
        self._streams: Streams = defaultdict(hashlib.sha256)
        self._cells = [np.zeros(0, np.int64)]
        self._ids: list[pa.Array] = []

    def through(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the batches, then one of what is missing among them.

        Raises
        ------
        BrokenFile
            One repeat of one item stands there twice.
        """
        for batch in batches:
            cells = np.asarray(batch["item_index"]).astype(np.int64) * REPEATS
            self._cells.append(cells + np.asarray(batch["repeat"]))
            self._ids.append(batch["item_id"])
            for name in ROWS.names:
                if name not in ABOUT:
                    _feed(self._streams, name, batch[name])
            yield batch
        cells = np.concatenate(self._cells)
        there, first, counts = np.unique(cells, return_index=True, return_counts=True)
        if len(there) < len(cells):
            place = int(there[counts > 1][0])
            raise BrokenFile(
                f"{len(cells) - len(there)} answers stand there twice, first repeat "
                f"{place % REPEATS} of item {place // REPEATS}"
            )
        items, of_item = np.unique(there // REPEATS, return_index=True)
        self.n_items = len(items)
        self.repeats = int((there % REPEATS).max(initial=-1)) + 1
        self.n_rows = self.n_items * self.repeats
        if self.n_rows > len(there):
            grid = items[:, None] * REPEATS + np.arange(self.repeats)
            lacking = np.setdiff1d(grid, there)
            places = first[of_item][np.searchsorted(items, lacking // REPEATS)]
            yield from _missing(lacking, pa.chunked_array(self._ids).take(places))

    @property
    def digest(self) -> str:
        """Sixteen hex digits of all rows in their order."""
        return digest({n: hash_.hexdigest() for n, hash_ in self._streams.items()})


def _missing(
    cells: npt.NDArray[np.int64], ids: pa.ChunkedArray
) -> Iterator[pa.RecordBatch]:
    """Yield rows for answers that are not there."""
    known = {
        "item_id": ids,
        "item_index": pa.array(cells // REPEATS, pa.int32()),
        "repeat": pa.array(cells % REPEATS, pa.int16()),
        "status": pa.array([MISSING] * len(cells), pa.string()),
    }
    columns = [known.get(f.name, pa.nulls(len(cells), f.type)) for f in ROWS]
    table = pa.Table.from_arrays(columns, schema=ROWS).combine_chunks()
    yield from table.to_batches(max_chunksize=BATCH_ROWS)


def _feed(streams: Streams, name: str, column: pa.Array) -> None:
    """Add a column's values to its digests; where a batch ends makes no difference.

    So what is there, how long it is and what it is have a digest each, lengths stand
    for offsets, and of a null nothing counts but that it is one.
    """
    streams[f"{name} valid"].update(np.asarray(column.is_valid().cast(pa.uint8())))
    there = column.drop_null()
    if not len(there):
        return
    values = streams[f"{name} values"]
    if pa.types.is_boolean(there.type):
        values.update(np.asarray(there.cast(pa.uint8())))
    elif not (pa.types.is_nested(there.type) or pa.types.is_string(there.type)):
        values.update(np.asarray(there))
    else:
        buffers = there.buffers()
        ends = np.frombuffer(buffers[1], np.int32)[there.offset :][: len(there) + 1]
        streams[f"{name} lengths"].update(np.diff(ends))
        start, n = int(ends[0]), int(ends[-1] - ends[0])
        if pa.types.is_string(there.type):
            values.update(buffers[2][start : start + n] if n else b"")
        elif pa.types.is_map(there.type):
            _feed(streams, f"{name} key", there.keys.slice(start, n))
            _feed(streams, f"{name} item", there.items.slice(start, n))
        else:
            _feed(streams, f"{name} element", there.values.slice(start, n))
