"""How is a file read that anybody may have written? In pieces, up to a bound.

Nothing is unpacked to disk, and no name in a file is followed. What unpacks is counted
while it does: sizes that a file states of itself are not believed.
"""

from __future__ import annotations

import codecs
import json
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from harness.errors import InputError
from harness.ingest.parts import BrokenFile

PIECE_BYTES = 2**20
"""How much is read or unpacked at once."""

MOST_BYTES = 2**25
"""Largest JSON value, or member of an archive, that is taken: it is held whole."""

MOST_VALUES = 2**20
"""Most values within one JSON value; each takes 64 bytes and more, be it ``[]``."""

MOST_TOTAL, MOST_TIMES = 2**30, 1_000
"""An archive may unpack to the former, or to the latter times its own size."""

MOST_IN_ALL, MOST_PER_BYTE = 2**22, 16
"""An archive may hold as many values as the former, or the latter for each byte."""

MOST_DEPTH = 200
"""Deepest nesting of JSON that is taken; what walks it later calls itself."""

ENDS = frozenset(" \t\r\n,:]}")
"""Signs behind which a value is whole."""

STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
"""A string of JSON, or what is there of it: it never looks back."""

STRINGS = re.compile(STRING, re.DOTALL), re.compile(STRING.encode(), re.DOTALL)

ZSTANDARD = 93
"""The method of compression that Python's zipfile knows from 3.14 on."""


def read_json(path: Path) -> Any:
    """Return what a file of JSON holds, which must be small enough to be held.

    Raises
    ------
    InputError
        ``results-broken``, ``results-too-large``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BrokenFile(_reason(error)) from None
    if len(data) > MOST_BYTES:
        raise _too_large()
    return parse_json(data)


def count_values(data: bytes | str, name: str = "") -> int:
    """Return how many values a text of JSON has at most, without reading it.

    Raises
    ------
    InputError
        ``results-too-large``: more than `MOST_VALUES`.
    """
    n = _separators(data)
    if n > MOST_VALUES:  # by those in strings, perhaps
        if isinstance(data, str):
            n = _separators(STRINGS[0].sub("", data))
        else:
            n = _separators(STRINGS[1].sub(b"", data))
    if n > MOST_VALUES:
        raise InputError(
            f"{name}it holds more than {MOST_VALUES:,} values in one, and no file of "
            "results does",
            code="results-too-large",
        )
    return n + 1


def _separators(data: bytes | str) -> int:
    if isinstance(data, str):
        return sum(map(data.count, ",[{"))
    return sum(map(data.count, (b",", b"[", b"{")))


def parse_json(data: bytes, name: str = "") -> Any:
    """Return the value that `data` is the JSON of.

    Python's dialect: ``NaN`` and ``Infinity`` are numbers, as all tools here write
    them.

    `name` is that of a member of an archive, and a colon.

    Raises
    ------
    InputError
        ``results-broken``: no UTF-8, no JSON, nested too deeply, or with a number
        of thousands of digits; ``results-too-large``.
    """
    count_values(data, name)
    try:
        return _not_deep(json.loads(data.decode("utf-8-sig")), name)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BrokenFile(f"{name}is not UTF-8 text", line=line) from None
    except (ValueError, RecursionError) as error:
        raise _no_json(name, error) from None


def json_members(path: Path, streamed: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Yield the members of the one JSON object in a file, in pieces.

    Parameters
    ----------
    path : Path
        The file, which may be larger than memory.
    streamed : collection of str
        Names whose value is an array: its elements come one by one, each with the
        name.

    Raises
    ------
    InputError
        ``results-broken``, ``results-too-large``.
    """
    try:
        with path.open("rb") as file:
            text = _Text(file)
            text.expect("{")
            if text.peek() != "}":
                while True:
                    name = text.value()
                    text.expect(":")
                    if name in streamed and text.peek() == "[":
                        for element in _elements(text):
                            yield name, element
                    else:
                        yield name, text.value()
                    if text.peek() != ",":
                        break
                    text.expect(",")
            text.expect("}")
    except OSError as error:
        raise BrokenFile(_reason(error)) from None


class Archive:
    """A zip file, opened for reading its members by name.

    Members may be stored, deflated, or packed as Zstandard, which is what Inspect does
    and what ``zipfile`` reads from Python 3.14 on only. Arrow, which is here anyway,
    has a stream for it; a package that patches ``zipfile`` does so for the process, and
    unpacks a member before anything can count it.

    Raises
    ------
    InputError
        ``results-broken``: no zip file, or one that is cut off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise BrokenFile(_reason(error)) from None
        try:
            infos = zipfile.ZipFile(self._file).infolist()
        except Exception as error:  # of many kinds, see test_no_zip_file_is_refused
            self._file.close()
            raise BrokenFile(
                f"it is no zip file, or is cut off: {error or type(error).__name__}"
            ) from None
        self._members = {info.filename: info for info in infos}
        self.n_replaced = len(infos) - len(self._members)
        """Members of a name that a later one has too, which counts."""

        n_bytes = path.stat().st_size
        self._left = max(MOST_TOTAL, MOST_TIMES * n_bytes)
        self._values_left = max(MOST_IN_ALL, MOST_PER_BYTE * n_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def names(self) -> list[str]:
        """The names of the members, in their order. They are no paths to anything."""
        return list(self._members)

    def json(self, name: str) -> Any:
        """Return what a member of JSON holds.

        Raises
        ------
        InputError
            ``results-broken``, ``results-too-large``.
        """
        data = self._unpacked(name)
        self._values_left -= count_values(data, f"{name}: ")
        if self._values_left < 0:
            raise InputError(
                f"{name}: up to here the archive holds more than {MOST_PER_BYTE} "
                "values for each of its bytes; it is no file of results",
                code="results-too-large",
            )
        return parse_json(data, f"{name}: ")

    def _unpacked(self, name: str) -> bytes:
        info = self._members[name]
        try:
            self._file.seek(info.header_offset)
            head = self._file.read(30)
            if head[:4] != b"PK\x03\x04" or info.flag_bits & 1:
                raise BrokenFile(f"{name}: it is damaged or encrypted")
            lengths = (int.from_bytes(head[at : at + 2], "little") for at in (26, 28))
            self._file.seek(sum(lengths), 1)
            packed = self._file.read(info.compress_size)
            data = bytearray()
            for piece in _pieces(packed, info.compress_type):
                data += piece
                if len(data) > min(MOST_BYTES, self._left):
                    raise _too_large(f"{name}: ")
        except (OSError, OverflowError, zlib.error) as error:
            raise BrokenFile(f"{name}: it is damaged: {error}") from None
        except NotImplementedError as error:
            raise BrokenFile(f"{name}: {error}") from None
        self._left -= len(data)
        if zlib.crc32(data) != info.CRC:
            raise BrokenFile(f"{name}: it is damaged, its checksum is another one")
        return bytes(data)


class _Text:
    """Text of a file of JSON, of which no more is held than one value needs."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._json = json.JSONDecoder()
        self._text, self._at, self._line, self._is_whole = "", 0, 1, False

    def peek(self) -> str:
        """Return the next sign that is no space; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def expect(self, sign: str) -> None:
        """Go on behind `sign`, which must be next."""
        found = self.peek()
        if found != sign:
            raise self._wrong(
                f"{found!r} where {sign!r} should be" if found else "it is cut off"
            )
        self._at += 1

    def value(self) -> Any:
        """Return the next value, reading on until it is whole."""
        self.peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                # What is wrong far from the end will not be mended by more of it.
                is_cut = error.msg.startswith("Unterminated string") or (
                    error.pos > len(self._text) - 16
                )
                if not (is_cut and self._more()):
                    place = max(error.pos, self._at)
                    self._line += self._text.count("\n", self._at, place)
                    raise self._wrong(error.msg) from None
            except (ValueError, RecursionError) as error:
                raise _no_json("", error, line=self._line) from None
            else:
                # The number 1 may go on as 12, as 1.5 or as 1e-3.
                if self._text[end : end + 1] in ENDS or not self._more():
                    self._at = end
                    return _not_deep(value)

    def _more(self) -> bool:
        """Read as much again as is held; return whether there was any."""
        if self._is_whole:
            return False
        self._line += self._text.count("\n", 0, self._at)
        self._text, self._at = self._text[self._at :], 0
        if len(self._text) > MOST_BYTES:
            raise _too_large(f"line {self._line}: ")
        data = self._file.read(max(PIECE_BYTES, len(self._text)))
        self._is_whole = not data
        try:
            self._text += self._decode(data, self._is_whole)
        except UnicodeDecodeError:
            raise self._wrong("it is not UTF-8 text") from None
        if len(self._text) > PIECE_BYTES:
            count_values(self._text, f"line {self._line}: ")
        return bool(data)

    def _wrong(self, why: str) -> BrokenFile:
        return BrokenFile(why, line=self._line)


def _elements(text: _Text) -> Iterator[Any]:
    text.expect("[")
    if text.peek() != "]":
        while True:
            yield text.value()
            if text.peek() != ",":
                break
            text.expect(",")
    text.expect("]")


def _pieces(packed: bytes, method: int) -> Iterator[bytes]:
    if method == zipfile.ZIP_STORED:
        yield packed
    elif method == zipfile.ZIP_DEFLATED:
        unpack = zlib.decompressobj(-15)
        while packed and not unpack.eof:
            yield unpack.decompress(packed, PIECE_BYTES)
            packed = unpack.unconsumed_tail
        if not unpack.eof:
            raise zlib.error("it is cut off")
    elif method == ZSTANDARD:
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
            while piece := stream.read(PIECE_BYTES):
                yield piece
    else:
        raise NotImplementedError(f"it is packed by method {method}, which nobody uses")


def _not_deep(value: Any, name: str = "") -> Any:
    """Return `value`, unless it is nested deeper than can be walked."""
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return value
    raise BrokenFile(f"{name}it is nested more than {MOST_DEPTH} deep")


def _no_json(name: str, error: Exception, line: int | None = None) -> BrokenFile:
    if isinstance(error, RecursionError):
        return BrokenFile(f"{name}it is nested more than {MOST_DEPTH} deep", line=line)
    if isinstance(error, json.JSONDecodeError):
        return BrokenFile(f"{name}it is no JSON: {error.msg}", line=error.lineno)
    return BrokenFile(f"{name}it is no JSON: {error}", line=line)


def _reason(error: OSError) -> str:
    return f"it cannot be read: {error.strerror or error}"


def _too_large(name: str = "") -> InputError:
    return InputError(
        f"{name}it unpacks to more than {MOST_BYTES // 2**20} MiB, or all of the file "
        f"to more than {MOST_TIMES} times its size; it is no file of results",
        code="results-too-large",
    )
