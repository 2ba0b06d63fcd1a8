"""What do lm-eval's samples say? Rows of our own evidence."""

from __future__ import annotations

import ast
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

import pyarrow as pa

from harness.ingest.columns import Metrics
from harness.ingest.lm_eval_lines import Sample, Scores
from harness.ingest.own import own_rows
from harness.ingest.parts import BrokenFile
from harness.ingest.rows import batches, number
from harness.records import digest, unicode_of

MOST_ITEMS = 2**31
KNOWN_ITEMS = 500_000
"""Documents whose identity is remembered, so that it is worked out once a task."""

LONGEST_LITERAL = 2**16


class Documents:
    """Gives documents their identity: the digest of their content, and their cluster.

    Parameters
    ----------
    cluster_field : str, optional
        A document's field that says which items belong together.
    """

    def __init__(self, cluster_field: str | None = None) -> None:
        self.cluster_field = cluster_field
        self._known: dict[bytes, tuple[str, str | None]] = {}

    def identify(self, doc: bytes, line: int | None) -> tuple[str, str | None]:
        """Return the item's identifier, and its cluster."""
        key = hashlib.blake2b(doc, digest_size=16).digest()
        if key not in self._known:
            if len(self._known) >= KNOWN_ITEMS:
                self._known.clear()
            self._known[key] = self._identify(doc, line)
        return self._known[key]

    def _identify(self, doc: bytes, line: int | None) -> tuple[str, str | None]:
        try:
            content = json.loads(doc)
            item_id = digest(content)
        except (ValueError, RecursionError) as error:
            raise BrokenFile(f"its doc cannot be read: {error}", line=line) from None
        if self.cluster_field is None:
            return item_id, None
        value = content.get(self.cluster_field) if isinstance(content, dict) else None
        if value is None:
            names = ", ".join(sorted(content)) if isinstance(content, dict) else "none"
            raise BrokenFile(
                f"its doc has no field {self.cluster_field!r}; it has {names[:200]}",
                line=line,
            )
        return item_id, unicode_of(str(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What must be known of a task to understand its samples."""

    output_type: str
    delimiter: str = " "
    """What stands between question and choice, and is no part of the choice."""

    filters: tuple[str, ...] = ()
    """In their order, for samples that do not name theirs."""

    is_exact_match: bool = False
    """Whether an answer is right just if it equals the target, so that each repeat
    can be scored by itself."""


@dataclass(slots=True, kw_only=True, eq=False)
class Rows:
    """The responses of one task; called, it reads them."""

    source: Callable[[], Iterator[tuple[int | None, int, Sample]]]
    """Returns the samples, each with its line and a hash of it."""

    scores: Callable[[], Iterator[Scores]]
    """Returns their metrics alone."""

    is_single: bool
    """Whether they are known to be of one filter, so that one pass is enough."""

    asked: Asked
    documents: Documents
    n_twice: int = 0
    """Samples that stood there twice, the last time that they were read."""

    def __call__(self) -> Iterator[pa.RecordBatch]:
        """Return the rows, in batches.

        Raises
        ------
        BrokenFile
            With the line that is no sample, or that contradicts another.
        """
        return batches(self._all())

    def _all(self) -> Iterator[dict[str, Any]]:
        later = {} if self.is_single else self._later_filters()
        seen: dict[int, int] = {}
        first, self.n_twice = "", 0
        for line, mark, sample in self.source():
            first = first or sample.filter or next(iter(self.asked.filters), "none")
            if seen.get(sample.doc_id) == mark:
                self.n_twice += 1
                continue
            if sample.doc_id in seen or sample.filter not in (None, first):
                if self.is_single:
                    raise BrokenFile(
                        f"item {sample.doc_id} stands there twice, or a second filter "
                        "where there was to be one",
                        line=line,
                    )
                continue
            if not 0 <= sample.doc_id < MOST_ITEMS:
                raise BrokenFile(f"its doc_id {sample.doc_id} is no place", line=line)
            seen[sample.doc_id] = mark
            rows = self._rows(sample, first, later.get(sample.doc_id, ()), line)
            yield from own_rows(sample.doc, sample.filtered, rows)
        if not seen:
            raise BrokenFile("it holds no sample")

    def _later_filters(self) -> dict[int, list[tuple[str, float]]]:
        """Return each item's metrics under all filters but the first.

        Raises
        ------
        BrokenFile
            An item stands there twice under one filter, with other answers.
        """
        found: dict[int, list[tuple[str, float]]] = {}
        seen: dict[int, dict[str, Metrics]] = {}
        for scores in self.scores():
            for place, doc_id in enumerate(scores.doc_ids):
                filters = seen.setdefault(doc_id, {})
                name = scores.filters[place] or self._nth_filter(len(filters))
                metrics = {n: values[place] for n, values in scores.metrics.items()}
                of_filter = _metrics(metrics, name)
                if filters and name not in filters:
                    found.setdefault(doc_id, []).extend(of_filter)
                elif filters.get(name, of_filter) != of_filter:
                    raise BrokenFile(
                        f"item {doc_id} stands there twice under filter {name!r}, "
                        "with other scores",
                        line=scores.line + place,
                    )
                filters[name] = of_filter
        return found

    def _nth_filter(self, n: int) -> str:
        """Return whose sample the nth of a document is, where none names its filter."""
        names = self.asked.filters
        if n < len(names):
            return names[n]
        return f"filter {n + 1}" if n else "none"

    def _rows(
        self,
        sample: Sample,
        filter_: str,
        later: Metrics,
        line: int | None,
    ) -> list[dict[str, Any]]:
        """Return the rows of one item: one, or one for each repeat."""
        item_id, cluster = self.documents.identify(sample.doc, line)
        row: dict[str, Any] = {
            "item_id": item_id,
            "item_index": sample.doc_id,
            "repeat": 0,
            "status": "ok",
            "prompt_digest": text_digest(sample.prompt),
            "cluster": cluster,
        }
        metrics = [*_metrics(sample.metrics, filter_), *later]
        kind = self.asked.output_type
        try:
            if kind == "multiple_choice":
                self._add_choices(row, sample)
            elif kind == "loglikelihood":
                logprob, is_greedy = sample.resps[0][0]
                target = _words(sample.target)
                row["target"] = target
                row["target_logprob"] = float(logprob)
                row["target_is_greedy"] = str(is_greedy) == "True"
                row["target_bytes"] = len((target or "").encode())
            elif kind == "loglikelihood_rolling":
                row["target_logprob"] = float(sample.resps[0][0])
                row["target_bytes"] = _n_bytes(sample.metrics)
            else:
                return self._texts(row, sample, filter_, metrics)
        except (ValueError, TypeError, IndexError, KeyError, OverflowError):
            raise BrokenFile(
                f"its resps are not those of a task of output type {kind}", line=line
            ) from None
        row["metrics"] = metrics
        logprobs = row.get("choice_logprobs") or (row.get("target_logprob", 0.0),)
        if any(map(math.isnan, logprobs)):
            row |= {"status": "nan-logprob", "metrics": None}
        return [row]

    def _add_choices(self, row: dict[str, Any], sample: Sample) -> None:
        n = len(sample.resps)
        if "acc_mutual_info" in sample.metrics:
            n //= 2  # each choice is asked a second time without the question
        logprobs = [float(answers[0][0]) for answers in sample.resps[:n]]
        row["choice_logprobs"] = logprobs
        choices = self._choices(sample, n)
        if choices is not None:
            row["choice_chars"] = [len(choice) for choice in choices]
            row["choice_bytes"] = (
                row["choice_chars"]
                if "".join(choices).isascii()
                else [len(choice.encode()) for choice in choices]
            )
        place = _target_index(sample, logprobs, choices)
        row["target_index"] = place
        if place is None:
            row["status"] = "several-targets"

    def _choices(self, sample: Sample, n: int) -> list[str] | None:
        """Return the choices as lm-eval counts their length: without the delimiter."""
        texts = sample.continuations[:n]
        if not all(isinstance(text, str) for text in texts):
            return None
        if sample.has_many_prompts and len({*texts}) == 1 < n:
            return None  # the choices stand in the prompts
        if not "".join(texts).isascii():
            texts = [unicode_of(text) for text in texts]
        delimiter = self.asked.delimiter
        if all(text.startswith(delimiter) for text in texts):
            return [text[len(delimiter) :] for text in texts]
        return texts

    def _texts(
        self,
        row: dict[str, Any],
        sample: Sample,
        filter_: str,
        metrics: list[tuple[str, float]],
    ) -> list[dict[str, Any]]:
        texts = [unicode_of(str(text)) for text in sample.resps[0]]
        row |= {
            "text": texts[0],
            "answer": _words(_first(sample.filtered)),
            "target": _words(_first_reference(sample.target)),
        }
        if len(texts) == 1 or not self.tells_repeats_apart(sample):
            return [{**row, "metrics": metrics}]
        rows = []
        for repeat, text in enumerate(texts):
            own = {
                name: values[repeat]
                for name, values in sample.per_repeat.items()
                if isinstance(values, list) and repeat < len(values)
            }
            if not sample.per_repeat:
                own = {"exact_match": text == row["target"]}
            mine = dict(_metrics(own, filter_))
            if repeat == 0:  # what is of the item as a whole stands with its first
                mine = {**dict(metrics), **mine}
            rows.append(
                {
                    **row,
                    "repeat": repeat,
                    "text": text,
                    "answer": row["answer"] if repeat == 0 else None,
                    "metrics": [*mine.items()],
                }
            )
        return rows

    def tells_repeats_apart(self, sample: Sample) -> bool:
        """Return whether each of several answers to an item has a score of its own."""
        if sample.per_repeat:
            return True
        if not self.asked.is_exact_match or "exact_match" not in sample.metrics:
            return False
        target = _words(_first_reference(sample.target))
        is_right = unicode_of(str(sample.resps[0][0])) == target
        return bool(sample.metrics["exact_match"] == is_right)


def text_digest(words: Any) -> str | None:
    """Return `harness.records.digest` of a prompt; of a text, in half the time."""
    if not isinstance(words, str):
        return None if words is None else digest(words)
    quoted = encode_basestring(words).encode("utf-8", "surrogatepass")
    return hashlib.sha256(quoted).hexdigest()[:16]


def _metrics(values: Mapping[str, Any], filter_: str) -> list[tuple[str, float]]:
    """Return the metrics that are one finite number, as our own runs store them."""
    return [
        (_metric_name(name, filter_), score)
        for name, value in values.items()
        if (score := number(value)) is not None
    ]


@lru_cache(maxsize=1024)
def _metric_name(name: str, filter_: str) -> str:
    return unicode_of(f"{name},{filter_}")


def _target_index(
    sample: Sample, logprobs: Sequence[float], choices: Sequence[str] | None
) -> int | None:
    """Return the place of the right choice; None where several are, or none is known.

    A sample has it as a number or as the choice's text. A number may also be the text
    of a choice: then what lm-eval made of it decides, the metric ``acc``.
    """
    if not logprobs:
        return None
    best, acc = logprobs.index(max(logprobs)), sample.metrics.get("acc")

    def fits(place: int) -> bool:
        in_range = 0 <= place < len(logprobs)
        return in_range and acc in (None, float(place == best))

    words = str(sample.target).strip()
    if words.isdecimal() and fits(int(words)):
        return int(words)
    texts = enumerate(choices or ())
    places = (place for place, choice in texts if choice.strip() == words)
    return next(filter(fits, places), None)


def _n_bytes(metrics: Mapping[str, Any]) -> int | None:
    """Return the bytes of a text whose likelihood was asked, from a pair of metrics."""
    for name in ("bits_per_byte", "byte_perplexity"):
        pair = metrics.get(name)
        if isinstance(pair, list) and len(pair) == 2:
            return int(pair[1])
    return None


def _first(value: Any) -> Any:
    while isinstance(value, list) and value:
        value = value[0]
    return None if isinstance(value, list) else value


def _first_reference(target: Any) -> Any:
    """Return the first of several references, which are logged as a list's text."""
    if (
        isinstance(target, str)
        and target.startswith("[")
        and len(target) < LONGEST_LITERAL
    ):
        try:
            read = ast.literal_eval(target)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return target
        return _first(read) if str(read) == target else target
    return _first(target)


def _words(value: Any) -> str | None:
    return None if value is None else unicode_of(str(value))
