"""What is in a file of lm-eval's samples? Its lines, of all versions since 0.4.0.

Until 0.4.2 a file held one array, its arguments were lists and its log-likelihoods
numbers; since 0.4.3 it has a sample in each line, with arguments by name and numbers
as text; since 0.4.7 a sample names its filter and its metrics. A task with several
filters has each document once for each of them.

Most of a line is never made into objects: what a first line looks like fixes what is
read of the others, and a line that is not like it is read in full.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from harness.ingest.parts import BrokenFile

MAX_LINE = 64 * 2**20
"""Bytes of the longest line that is read: memory is bounded by it."""

MOST_REQUESTS = 256
"""A sample with more requests than that is read in full."""

CHUNK = 2**20

NO_SAMPLE = "is no sample of lm-eval"

OWN_KEYS = frozenset(
    {
        "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter",
        "metrics", "doc_hash", "prompt_hash", "target_hash", "scores_per_repeat",
    }
)  # fmt: skip
"""What else a sample has are its metrics."""

SPACE = re.compile(r"[\s,]*")


@dataclass(slots=True, kw_only=True, eq=False)
class Sample:
    """One document under one filter, as lm-eval logged it."""

    doc_id: int
    doc: bytes
    """As JSON."""

    target: Any
    prompt: Any
    """Of the first request."""

    continuations: list[Any]
    """Of each request: a text, or the generation arguments; None if there is none."""

    has_many_prompts: bool
    """Whether the requests differ in what comes before, as in Winogrande."""

    resps: list[Any]
    """Of each request, the answers of each repeat."""

    filtered: Any
    filter: str | None
    metrics: dict[str, Any]
    per_repeat: Mapping[str, Sequence[Any]]
    """Metric values of each repeat, which 0.5 tells apart."""


def read_samples(path: Path) -> Iterator[tuple[int, int, Sample]]:
    """Yield the number of a line, a hash of it, and its sample.

    Raises
    ------
    BrokenFile
        With the line that is no sample, or no JSON.
    """
    shape = None
    for number, raw in _documents(path):
        if shape is not None and (sample := shape.decode(raw)) is not None:
            yield number, hash(raw), sample
            continue
        document = _parse(raw, number)
        sample = sample_of(document, number)
        if shape is None:
            shape = _Shape(document, sample)
        yield number, hash(raw), sample


def logged_samples(
    documents: Sequence[Any],
) -> Iterator[tuple[int | None, int, Sample]]:
    """Yield samples that are part of a document, as `read_samples` does a file's."""
    for document in documents:
        raw = json.dumps(document, sort_keys=True)
        yield None, hash(raw), sample_of(document, None)


def is_array(path: Path) -> bool:
    """Return whether a file is one array of samples, as until 0.4.2."""
    with path.open("rb") as file:
        return file.read(CHUNK).removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"["


def last_filter(path: Path) -> str | None:
    """Return the filter of the last line; None where that cannot be told."""
    with path.open("rb") as file:
        file.seek(0, 2)
        size = file.tell()
        file.seek(max(0, size - MAX_LINE))
        # Backwards in growing steps: the last line is usually short.
        span = 2**16
        while True:
            file.seek(max(0, size - span))
            tail = file.read(span).rstrip()
            start = tail.rfind(b"\n")
            if start >= 0 or span >= min(size, MAX_LINE):
                break
            span *= 8
    try:
        document = json.loads(tail[start + 1 :])
        name = document["filter"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None


def sample_of(document: Any, line: int | None) -> Sample:
    """Return one sample, of whatever version.

    Raises
    ------
    BrokenFile
        It lacks what every sample has, or has it of another kind.
    """
    if not isinstance(document, dict):
        raise BrokenFile(f"it {NO_SAMPLE}: it is no object", line=line)
    missing = [n for n in ("doc_id", "arguments", "resps") if n not in document]
    if missing:
        raise BrokenFile(f"it {NO_SAMPLE}: it has no {missing[0]!r}", line=line)
    doc_id = document["doc_id"]
    if not isinstance(doc_id, int) or isinstance(doc_id, bool):
        raise BrokenFile(f"its doc_id {str(doc_id)[:40]!r} is no number", line=line)
    requests = [_request(one) for one in _requests(document["arguments"])]
    resps = document["resps"]
    if not requests or not isinstance(resps, list):
        raise BrokenFile(f"it {NO_SAMPLE}: it has no request", line=line)
    metrics = document.get("metrics")
    if not isinstance(metrics, list):
        metrics = [name for name in document if name not in OWN_KEYS]
    per_repeat = document.get("scores_per_repeat")
    name = document.get("filter")
    return Sample(
        doc_id=doc_id,
        doc=json.dumps(document.get("doc")).encode(),
        target=document.get("target"),
        prompt=requests[0][0],
        continuations=[continuation for _, continuation in requests],
        has_many_prompts=any(prompt != requests[0][0] for prompt, _ in requests),
        resps=resps,
        filtered=document.get("filtered_resps"),
        filter=name if isinstance(name, str) else None,
        metrics={
            n: document[n] for n in metrics if isinstance(n, str) and n in document
        },
        per_repeat=per_repeat if isinstance(per_repeat, dict) else {},
    )


def _requests(arguments: Any) -> list[Any]:
    """Return the arguments of each request: a list once, named since 0.4.3."""
    return (
        list(arguments.values())
        if isinstance(arguments, dict)
        else list(arguments or ())
    )


def _request(arguments: Any) -> tuple[Any, Any]:
    """Return what comes before, and the continuation."""
    if isinstance(arguments, dict):
        return arguments.get("arg_0"), arguments.get("arg_1")
    if isinstance(arguments, list) and arguments:
        return arguments[0], arguments[1] if len(arguments) > 1 else None
    return None, None


class _Shape:
    """What the lines of one file look like, so that little of them is decoded."""

    def __init__(self, document: Mapping[str, Any], sample: Sample) -> None:
        self.names = list(sample.metrics)
        self.n = len(sample.continuations)
        self.metric_fields = [f"metric_{i}" for i in range(len(self.names))]
        self.decoder = None
        if (
            isinstance(document["arguments"], dict)
            and list(document["arguments"]) == [f"gen_args_{i}" for i in range(self.n)]
            and self.n <= MOST_REQUESTS
            and not sample.has_many_prompts
            and isinstance(document.get("metrics"), list)
            and not OWN_KEYS & {*self.names}
        ):
            with contextlib.suppress(ValueError):  # a name that msgspec cannot seek
                self.decoder = msgspec.json.Decoder(self._line(sample))

    def _line(self, sample: Sample) -> type[Any]:
        first = msgspec.defstruct("First", [("arg_0", Any), ("arg_1", Any, None)])
        other = msgspec.defstruct("Other", [("arg_1", Any, None)])
        arguments = msgspec.defstruct(
            "Arguments",
            [
                ("gen_args_0", first),
                *((f"gen_args_{i}", other) for i in range(1, self.n)),
                (f"gen_args_{self.n}", Any, None),  # more than there were at first
            ],
        )
        writes = isinstance(sample.continuations[0], dict)
        return msgspec.defstruct(
            "Line",
            [
                ("doc_id", int),
                ("doc", msgspec.Raw),
                ("target", Any),
                ("arguments", arguments),
                ("resps", list[Any]),
                *([("filtered_resps", Any)] if writes else []),
                ("filter", str),
                ("metrics", list[str]),
                *((field, Any) for field in self.metric_fields),
                ("scores_per_repeat", Any, None),
            ],
            rename=dict(zip(self.metric_fields, self.names, strict=True)),
        )

    def decode(self, raw: bytes) -> Sample | None:
        """Return the sample of a line, or None where it is not like the first."""
        if self.decoder is None:
            return None
        try:
            line: Any = self.decoder.decode(raw)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None
        arguments = line.arguments
        if (
            line.metrics != self.names
            or getattr(arguments, f"gen_args_{self.n}") is not None
            or line.scores_per_repeat
        ):
            return None
        continuations = [
            getattr(arguments, f"gen_args_{i}").arg_1 for i in range(self.n)
        ]
        return Sample(
            doc_id=line.doc_id,
            doc=bytes(line.doc),
            target=line.target,
            prompt=arguments.gen_args_0.arg_0,
            continuations=continuations,
            has_many_prompts=False,
            resps=line.resps,
            filtered=getattr(line, "filtered_resps", None),
            filter=line.filter,
            metrics={
                name: getattr(line, field)
                for name, field in zip(self.names, self.metric_fields, strict=True)
            },
            per_repeat={},
        )


def _documents(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the number of the line on which each document begins, and its bytes."""
    with path.open("rb") as file:
        start = file.read(4)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise BrokenFile("it is UTF-16; make it UTF-8, as JSON must be", line=1)
        file.seek(3 if start.startswith(codecs.BOM_UTF8) else 0)
        begin = file.tell()
        is_array = file.read(CHUNK).lstrip()[:1] == b"["
        file.seek(begin)
        if is_array:
            yield from _of_array(file)
            return
        number = 0
        while raw := file.readline(MAX_LINE + 1):
            number += 1
            if len(raw) > MAX_LINE:
                raise BrokenFile(f"it is longer than {MAX_LINE:,} bytes", line=number)
            if raw.strip():
                yield number, raw


def _of_array(file: Any) -> Iterator[tuple[int, bytes]]:
    """Yield what an array holds, one after the other, without reading it whole."""
    decoder = json.JSONDecoder()
    text_of = codecs.getincrementaldecoder("utf-8")()
    buffer, line, wanted = "", 1, CHUNK

    def more(n: int) -> bool:
        nonlocal buffer
        raw = file.read(n)
        try:
            buffer += text_of.decode(raw, not raw)
        except UnicodeDecodeError as error:
            raise BrokenFile(f"it is no UTF-8: {error.reason}", line=line) from None
        return bool(raw)

    more(wanted)
    place = counted = buffer.index("[") + 1
    line += buffer.count("\n", 0, place)
    while True:
        place = SPACE.match(buffer, place).end()  # type: ignore[union-attr]
        line += buffer.count("\n", counted, place)
        counted = place
        if buffer[place : place + 1] == "]":
            return
        try:
            document, place = decoder.raw_decode(buffer, place)
        except RecursionError:
            raise BrokenFile("it is nested too deep", line=line) from None
        except ValueError as error:
            buffer, place, counted = buffer[place:], 0, 0
            # Twice as much each time, so that a long one is not parsed often.
            wanted = max(CHUNK, len(buffer))
            if wanted > MAX_LINE or not more(wanted):
                raise BrokenFile(f"it is no JSON: {error}", line=line) from None
        else:
            yield line, json.dumps(document).encode()


def _parse(raw: bytes, line: int) -> Any:
    try:
        return json.loads(raw)
    except RecursionError:
        reason = "it is nested too deep"
    except UnicodeDecodeError as error:
        reason = f"it is no UTF-8: {error.reason} at byte {error.start}"
    except ValueError as error:
        reason = f"it is no JSON: {error}"
    raise BrokenFile(reason, line=line)
