"""Files that were made to hurt: they are refused, and no more of them is held."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zip_files import zip_of

from harness.errors import InputError
from harness.ingest import bounded
from harness.ingest.bounded import (
    Archive,
    count_values,
    json_members,
    parse_json,
    read_json,
)
from harness.ingest.parts import BrokenFile


def archive(path, data: bytes) -> Archive:
    path.write_bytes(data)
    return Archive(path)


@pytest.mark.parametrize("method", [0, 8, 93])
def test_members_are_read_whichever_way_they_are_packed(tmp_path, method):
    content = {"a": ["é" * 1000, 1.5, None]}
    data = zip_of({"x.json": json.dumps(content).encode()}, method)
    with archive(tmp_path / "a.eval", data) as opened:
        assert opened.names == ["x.json"]
        assert opened.json("x.json") == content


def test_python_reads_the_zip_files_of_these_tests(tmp_path):
    (tmp_path / "a.zip").write_bytes(zip_of({"x": b"1", "y": b"22"}, 8))

    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        assert {name: file.read(name) for name in file.namelist()} == {
            "x": b"1",
            "y": b"22",
        }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"{}",
        zip_of({"x.json": b"{}"})[:-30],
        zip_of({"x.json": b"{}"})[10:],
        b"PK\x05\x06" + b"\xff" * 18,
    ],
)
def test_no_zip_file_is_refused(tmp_path, data):
    with (
        pytest.raises(InputError) as caught,
        archive(tmp_path / "a.eval", data) as opened,
    ):
        opened.json("x.json")

    assert caught.value.code == "results-broken"


@pytest.mark.parametrize(
    ("method", "told"), [(0, "by method 12"), (8, "cut off"), (93, "damaged")]
)
def test_members_that_cannot_be_unpacked_are_told(tmp_path, method, told):
    content = json.dumps(list(range(500))).encode()
    data = zip_of({"x.json": content}, method)
    if method == 0:
        data = data.replace(b"\0\0\0\0\x21\0", b"\x0c\0\0\0\x21\0")
    else:  # the stream ends before its end
        packed = data.index(b"x.json") + 6
        size = data.index(b"PK\x01\x02") - packed
        less = size - 40
        for at in (18, data.index(b"PK\x01\x02") + 20):
            data = data[:at] + less.to_bytes(4, "little") + data[at + 4 :]
    with (
        archive(tmp_path / "a.eval", data) as opened,
        pytest.raises(InputError, match=told) as caught,
    ):
        opened.json("x.json")

    assert caught.value.code == "results-broken"


def test_a_number_of_thousands_of_digits_is_told_in_a_stream_too(tmp_path):
    (tmp_path / "a.json").write_text('{"samples": [' + "1" * 5000 + "]}")
    with pytest.raises(InputError, match="no JSON"):
        list(json_members(tmp_path / "a.json", {"samples"}))


@pytest.mark.parametrize("method", [8, 93])
def test_bombs_are_stopped_while_they_unpack(tmp_path, method, monkeypatch):
    monkeypatch.setattr(bounded, "MOST_BYTES", 2**22)
    data = zip_of({"x.json": b'"' + b"0" * 2**26 + b'"'}, method)
    with archive(tmp_path / "a.eval", data) as opened:
        tracemalloc.start()
        with pytest.raises(InputError, match="unpacks to more than 4 MiB") as caught:
            opened.json("x.json")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert caught.value.code == "results-too-large"
    assert len(data) < 2**17
    assert peak < 2**24


def test_all_members_together_have_a_bound(tmp_path, monkeypatch):
    """One packed member that many entries point to is unpacked no more than that."""
    monkeypatch.setattr(bounded, "MOST_TOTAL", 2**20)
    monkeypatch.setattr(bounded, "MOST_TIMES", 1)
    members = {f"{i}.json": b'"' + b"0" * 2**18 + b'"' for i in range(8)}
    with archive(tmp_path / "a.eval", zip_of(members)) as opened:
        for name in opened.names[:3]:
            opened.json(name)
        with pytest.raises(InputError) as caught:
            opened.json("3.json")

    assert caught.value.code == "results-too-large"


@pytest.mark.parametrize("method", [8, 93])
@settings(max_examples=40)
@given(data=st.data())
def test_a_flipped_byte_never_goes_unseen(method, tmp_path_factory, data):
    good = zip_of({"x.json": json.dumps({"score": 0.25}).encode()}, method)
    at = data.draw(st.integers(0, len(good) - 1))
    bad = (
        good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    )
    path = tmp_path_factory.mktemp("zip") / "a.eval"
    try:
        with archive(path, bad) as opened:
            found = [opened.json(name) for name in opened.names]
    except InputError:
        return
    assert found in ([{"score": 0.25}], [])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\xff\xfe{\x00", "not UTF-8"),
        (b'{"a": "\xe9"}', "not UTF-8"),
        (b"{", "no JSON"),
        (b"[" * 100_000, "nested"),
        (b"[" * 300 + b"]" * 300, "nested"),
        (b"1" * 5000, "no JSON"),
        (b"", "no JSON"),
    ],
)
def test_what_is_no_json_is_told(tmp_path, data, told):
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match=told) as caught:
        read_json(path)
    with pytest.raises(InputError) as streamed:
        list(json_members(path, {"samples"}))

    assert caught.value.code == streamed.value.code == "results-broken"


def test_a_json_file_that_is_too_large_is_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr(bounded, "MOST_BYTES", 100)
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"a": "x" * 200}))
    with pytest.raises(InputError) as caught:
        read_json(path)

    assert caught.value.code == "results-too-large"


MANY = b"[" + b"[]," * 2**20 + b"[]]"


@pytest.mark.parametrize("method", [0, 8, 93])
def test_values_are_counted_before_they_are_made(tmp_path, method):
    """3 MiB of text would be 64 MiB of lists, and took a second to read."""
    with archive(tmp_path / "a.eval", zip_of({"x.json": MANY}, method)) as opened:
        tracemalloc.start()
        with pytest.raises(InputError, match=r"x\.json: .* 1,048,576 values") as caught:
            opened.json("x.json")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert caught.value.code == "results-too-large"
    assert peak < 2**24


def test_values_of_plain_files_are_counted_too(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'{"samples": [' + MANY + b"]}")
    for read in (read_json, lambda p: list(json_members(p, {"samples"}))):
        with pytest.raises(InputError, match="values") as caught:
            read(path)

        assert caught.value.code == "results-too-large"


def test_an_archive_of_many_full_members_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(bounded, "MOST_IN_ALL", 2_500)
    monkeypatch.setattr(bounded, "MOST_PER_BYTE", 1)
    members = {f"{i}.json": b"[" + b"0," * 999 + b"0]" for i in range(8)}
    with archive(tmp_path / "a.eval", zip_of(members, 8)) as opened:
        opened.json("0.json")
        opened.json("1.json")
        with pytest.raises(InputError, match=r"2\.json: .* values for each") as caught:
            opened.json("2.json")

    assert caught.value.code == "results-too-large"


@pytest.mark.parametrize("quote", ['"', '\\"', "\\\\", "é"])
def test_commas_in_texts_are_no_values(quote, monkeypatch):
    monkeypatch.setattr(bounded, "MOST_VALUES", 4)
    text = json.dumps([",[{" * 5 + quote, ["," * 9], quote])

    assert count_values(text) == count_values(text.encode()) == 5
    assert len(parse_json(text.encode())) == 3


def test_an_unended_string_is_read_over_once():
    """Quotes that may each begin a string do not have it read again from each."""
    text = b"," * 2**21 + b'"' + b'\\"' * 2**21

    with pytest.raises(InputError, match="values"):
        count_values(text)
    assert count_values(b'"' + text) == 1


def test_missing_files_are_told(tmp_path):
    for read in (read_json, Archive, lambda p: list(json_members(p, ()))):
        with pytest.raises(InputError, match="cannot be read"):
            read(tmp_path / "none")


def test_a_byte_order_mark_is_no_part_of_json():
    assert parse_json(b"\xef\xbb\xbf[NaN, 1]")[1] == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=40)
@given(
    st.dictionaries(st.text(), json_values, max_size=5),
    st.lists(json_values, max_size=5),
    st.integers(1, 40),
    st.sampled_from([None, 1, 4]),
)
def test_members_in_pieces_are_the_members(tmp_path_factory, rest, some, size, indent):
    path = tmp_path_factory.mktemp("json") / "a.json"
    whole = {**rest, "samples": some}
    path.write_text(json.dumps(whole, indent=indent, ensure_ascii=False), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounded, "PIECE_BYTES", size)
        found = list(json_members(path, {"samples"}))

    assert [value for name, value in found if name == "samples"] == some
    assert {name: value for name, value in found if name != "samples"} == {
        name: value for name, value in whole.items() if name != "samples"
    }


@settings(max_examples=50)
@given(st.binary(max_size=60) | st.text('{}[]":,samples0.e- ', max_size=40))
def test_noise_raises_nothing_but_our_errors(tmp_path_factory, noise):
    path = tmp_path_factory.mktemp("json") / "a.json"
    data = noise.encode() if isinstance(noise, str) else noise
    for content in (data, b'{"samples": [' + data):
        path.write_bytes(content)
        with contextlib.suppress(BrokenFile):
            list(json_members(path, {"samples"}))


def test_what_is_broken_far_from_the_end_is_told_with_its_line(tmp_path, monkeypatch):
    monkeypatch.setattr(bounded, "PIECE_BYTES", 64)
    path = tmp_path / "a.json"
    lines = ['{"samples": [', *['{"id": 1},'] * 50, "{'id': 2},", *['{"id": 3},'] * 500]
    path.write_text("\n".join(lines))
    with pytest.raises(InputError) as caught:
        list(json_members(path, {"samples"}))

    assert caught.value.line == 52


def test_only_one_element_is_held_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(bounded, "MOST_BYTES", 2**21)
    path = tmp_path / "a.json"
    with path.open("w") as file:
        file.write('{"samples": [')
        for i in range(64):
            file.write(("," if i else "") + json.dumps("x" * 2**18))
        file.write("]}")
    tracemalloc.start()
    n = sum(1 for _ in json_members(path, {"samples"}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert n == 64
    assert peak < 2**23


def test_one_element_without_end_is_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr(bounded, "MOST_BYTES", 2**16)
    monkeypatch.setattr(bounded, "PIECE_BYTES", 2**12)
    path = tmp_path / "a.json"
    path.write_text('{"samples": ["' + "x" * 2**20)
    with pytest.raises(InputError) as caught:
        list(json_members(path, {"samples"}))

    assert caught.value.code == "results-too-large"
