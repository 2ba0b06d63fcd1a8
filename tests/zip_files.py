"""Zip files written by hand, as zipfile knows no Zstandard before Python 3.14."""

from __future__ import annotations

import struct
import zlib

import pyarrow as pa


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def zip_of(members: dict[str, bytes], method: int = 93) -> bytes:
    """Return a zip file with these members, packed by one method."""
    body, directory = b"", b""
    for name, data in members.items():
        packed = {93: zstd, 0: bytes, 8: lambda d: zlib.compress(d)[2:-4]}[method](data)
        common = struct.pack(
            "<HHHHHIIIHH",
            *(63, 0, method, 0, 33),
            *(zlib.crc32(data), len(packed), len(data), len(name.encode()), 0),
        )
        directory += struct.pack("<IH", 0x02014B50, 63) + common
        directory += struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + name.encode()
        body += struct.pack("<I", 0x04034B50) + common + name.encode() + packed
    n = len(members)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, n, n, len(directory), len(body), 0)
    return body + directory + end
