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
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from harness.errors import HarnessError
from harness.ingest.bounded import PIECE_BYTES, count_values
from harness.ingest.parts import BrokenFile

MAX_LINE = 64 * 2**20
"""Bytes of the longest line that is read: memory is bounded by it."""

MOST_REQUESTS = 256
"""A sample with more requests than that is read in full."""

CHUNK, BLOCK = 2**20, 2**17
"""Bytes read at once: of an array, and of lines, so that a core's cache holds them."""

NO_SAMPLE = "is no sample of lm-eval"

OWN_KEYS = frozenset(
    {
        "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter",
        "metrics", "doc_hash", "prompt_hash", "target_hash", "scores_per_repeat",
    }
)  # fmt: skip
"""What else a sample has are its metrics."""

SPACE = re.compile(r"[\s,]*")


class Sample(msgspec.Struct, kw_only=True, eq=False):
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


class Scores(msgspec.Struct, kw_only=True, eq=False):
    """The metrics of several samples that follow each other, in columns."""

    line: int
    """Of the first."""

    doc_ids: list[int]
    filters: list[str | None]
    metrics: dict[str, list[Any]]


def read_scores(path: Path) -> Iterator[Scores]:
    """Yield the metrics of all samples and nothing else of them.

    Raises
    ------
    BrokenFile
        As `read_samples`.
    """
    shape = None
    for number, lines in _blocks(path):
        if shape is None:
            head = lines[: lines.find(b"\n") + 1] or lines
            document = _parse(head, number)
            shape = _ScoreShape(document, sample_of(document, number))
        if (scores := shape.decode(lines, number)) is not None:
            yield scores
            continue
        for line, raw in enumerate(lines.splitlines(), number):
            if raw.strip():
                yield _score(sample_of(_parse(raw, line), line), line)


def _score(sample: Sample, line: int) -> Scores:
    return Scores(
        line=line,
        doc_ids=[sample.doc_id],
        filters=[sample.filter],
        metrics={name: [value] for name, value in sample.metrics.items()},
    )


def logged_samples(
    documents: Sequence[Any],
) -> Iterator[tuple[int | None, int, Sample]]:
    """Yield samples that are part of a document, as `read_samples` does a file's."""
    for document in documents:
        raw = json.dumps(document, sort_keys=True)
        yield None, hash(raw), sample_of(document, None)


def logged_scores(documents: Sequence[Any]) -> Iterator[Scores]:
    """Yield the metrics of samples that are part of a document."""
    for document in documents:
        yield _score(sample_of(document, None), 0)


def is_array(path: Path) -> bool:
    """Return whether a file is one array of samples, as until 0.4.2."""
    with path.open("rb") as file:
        return file.read(4096).removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"["


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
        name = _parse(tail[start + 1 :], 0)["filter"]
    except (HarnessError, KeyError, TypeError):
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
    if not requests:
        raise BrokenFile(f"it {NO_SAMPLE}: it has no request", line=line)
    resps = document["resps"]
    if not (isinstance(resps, list) and resps and isinstance(resps[0], list)):
        raise BrokenFile(f"it {NO_SAMPLE}: its resps are no list of lists", line=line)
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
    if isinstance(arguments, dict):
        return list(arguments.values())
    return arguments if isinstance(arguments, list) else []


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
        n = len(sample.continuations)
        requests = [f"gen_args_{i}" for i in range(n)]
        self.decoder: msgspec.json.Decoder[Any] | None = None
        if (
            isinstance(document["arguments"], dict)
            and list(document["arguments"]) == requests
            and n <= MOST_REQUESTS
            and not sample.has_many_prompts
        ):
            self.decoder = _decoder(
                self.names,
                document,
                doc=msgspec.Raw,
                target=Any,
                arguments=_arguments(requests),
                resps=list[Any],
                # Of choices these are the resps once more.
                **({"filtered_resps": Any} if writes(sample) else {}),
            )
        self._requests = _getter(requests)
        self._further = f"gen_args_{n}"
        self._metrics = _getter(_fields(self.names))
        self._writes = writes(sample)

    def decode(self, raw: bytes) -> Sample | None:
        """Return the sample of a line, or None where it is not like the first."""
        if self.decoder is None:
            return None
        try:
            line = self.decoder.decode(raw)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None
        arguments = line.arguments
        if getattr(arguments, self._further) is not None or line.scores_per_repeat:
            return None
        return Sample(
            doc_id=line.doc_id,
            doc=bytes(line.doc),
            target=line.target,
            prompt=arguments.gen_args_0.arg_0,
            continuations=[one.arg_1 for one in self._requests(arguments)],
            has_many_prompts=False,
            resps=line.resps,
            filtered=line.filtered_resps if self._writes else None,
            filter=line.filter,
            metrics=dict(zip(self.names, self._metrics(line), strict=True)),
            per_repeat={},
        )


class _ScoreShape:
    """What the metrics of one file look like; nothing else is decoded."""

    def __init__(self, document: Mapping[str, Any], sample: Sample) -> None:
        self.names = list(sample.metrics)
        self.decoder = _decoder(self.names, document)
        self._columns = _getter(["doc_id", "filter", *_fields(self.names)])

    def decode(self, lines: bytes, number: int) -> Scores | None:
        """Return the metrics of whole lines; None where one is not like the first."""
        if self.decoder is None:
            return None
        try:
            found = self.decoder.decode_lines(lines)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None
        doc_ids, filters, *metrics = map(
            list, zip(*map(self._columns, found), strict=True)
        )
        return Scores(
            line=number,
            doc_ids=doc_ids,
            filters=filters,
            metrics=dict(zip(self.names, metrics, strict=True)),
        )


def writes(sample: Sample) -> bool:
    """Return whether a sample is of text that the model wrote."""
    return isinstance(sample.continuations[0], dict)


def _fields(names: Sequence[str]) -> list[str]:
    return [f"metric_{i}" for i in range(len(names))]


def _getter(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what gets several attributes at once, always as a tuple."""
    if not names:
        return lambda _: ()
    if len(names) == 1:
        one = operator.attrgetter(names[0])
        return lambda thing: (one(thing),)
    return operator.attrgetter(*names)


def _decoder(
    names: Sequence[str], document: Mapping[str, Any], **more: Any
) -> msgspec.json.Decoder[Any] | None:
    """Return what decodes a line's metrics, and `more` of its fields; None if none can.

    Before 0.4.7 a line does not say which of its fields are metrics.
    """
    if not isinstance(document.get("metrics"), list) or OWN_KEYS & {*names}:
        return None
    fields = _fields(names)
    line: list[Any] = [
        ("doc_id", int),
        *more.items(),
        ("filter", str),
        # A line with other metrics is not of this type.
        ("metrics", tuple[tuple(Literal[name] for name in names)]),  # type: ignore[misc]
        *((field, Any) for field in fields),
        ("scores_per_repeat", Any, None),
    ]
    with contextlib.suppress(ValueError):  # a name that msgspec cannot look for
        kind = msgspec.defstruct(
            "Line", line, rename=dict(zip(fields, names, strict=True)), gc=False
        )
        return msgspec.json.Decoder(kind)
    return None


def _arguments(requests: Sequence[str]) -> type[Any]:
    """Return the type of a line's arguments: of prompts only the first is decoded."""
    first = msgspec.defstruct("First", [("arg_0", Any), ("arg_1", Any, None)])
    other = msgspec.defstruct("Other", [("arg_1", Any, None)])
    return msgspec.defstruct(
        "Arguments",
        [
            (requests[0], first),
            *((name, other) for name in requests[1:]),
            (f"gen_args_{len(requests)}", Any, None),  # more than there were at first
        ],
    )


def _blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines, many at a time, with the number of the first."""
    if is_array(path):
        yield from _documents(path)
        return
    number = 1
    with path.open("rb") as file:
        if file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        while block := file.read(BLOCK):
            rest = b"" if block.endswith(b"\n") else file.readline(MAX_LINE + 1)
            if len(rest) > MAX_LINE:
                line = number + block.count(b"\n")
                raise BrokenFile(f"it is longer than {MAX_LINE:,} bytes", line=line)
            block += rest
            if not block.isspace():
                yield number, block
            number += block.count(b"\n")


def _documents(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the number of the line on which each document begins, and its bytes."""
    with path.open("rb") as file:
        start = file.read(4)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise BrokenFile("it is UTF-16; make it UTF-8, as JSON must be", line=1)
        file.seek(3 if start.startswith(codecs.BOM_UTF8) else 0)
        begin = file.tell()
        begins_array = file.read(4096).lstrip()[:1] == b"["
        file.seek(begin)
        if begins_array:
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
            count_values(buffer, f"line {line}: ")
        else:
            yield line, json.dumps(document).encode()


def _parse(raw: bytes, line: int) -> Any:
    if len(raw) > PIECE_BYTES:
        count_values(raw, f"line {line}: ")
    try:
        return json.loads(raw)
    except RecursionError:
        reason = "it is nested too deep"
    except UnicodeDecodeError as error:
        reason = f"it is no UTF-8: {error.reason} at byte {error.start}"
    except ValueError as error:
        reason = f"it is no JSON: {error}"
    raise BrokenFile(reason, line=line)
