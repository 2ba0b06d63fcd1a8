"""An export replaces nothing but an export, and is whole or not there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.export.folder import MARK, export_folder, safe_name


def test_an_earlier_export_is_replaced_as_a_whole(tmp_path):
    for name in ("first", "second"):
        with export_folder(tmp_path / "out", "eee") as folder:
            (folder / name).write_text(name)

    assert {path.name for path in (tmp_path / "out").iterdir()} == {"second", MARK}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("content", ["{}", "[]", "no JSON", '{"to": "lm-eval"}'])
def test_what_is_no_export_of_this_kind_stays(tmp_path, content):
    place = tmp_path / "out"
    place.mkdir()
    (place / MARK).write_text(content)
    with pytest.raises(HarnessError) as caught, export_folder(place, "eee"):
        raise AssertionError

    assert caught.value.code == "file-exists"
    assert (place / MARK).read_text() == content


def test_a_file_or_a_full_folder_stays(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")
    for name in ("file", "folder"):
        with pytest.raises(HarnessError), export_folder(tmp_path / name, "eee"):
            raise AssertionError

    assert (tmp_path / "file").read_text() == "mine"
    assert (tmp_path / "folder" / "thesis.txt").read_text() == "mine"


def test_an_empty_folder_and_a_link_to_one_are_taken(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with export_folder(tmp_path / "link", "eee") as folder:
        (folder / "x").write_text("x")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "x").read_text() == "x"


def test_what_fails_midway_leaves_what_was_there(tmp_path):
    with export_folder(tmp_path / "out", "eee") as folder:
        (folder / "old").write_text("old")

    def fail(folder):
        (folder / "new").write_text("new")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), export_folder(tmp_path / "out", "eee") as f:
        fail(f)

    assert {path.name for path in (tmp_path / "out").iterdir()} == {"old", MARK}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_place_that_cannot_be_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(HarnessError) as caught,
        export_folder(tmp_path / "file" / "out", "eee"),
    ):
        raise AssertionError

    assert caught.value.code == "output-not-written"


@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_no_name_leaves_its_folder(name):
    safe = safe_name(name)

    assert safe
    assert not set(safe) & set('/\\\0\n:*?"<>|')
    assert safe not in (".", "..")
    assert not safe.startswith((".", "~", "-"))
    assert len(safe.encode("utf-8", "surrogatepass")) <= 120


@pytest.mark.parametrize(
    ("name", "safe"),
    [("acme/toy", "acme__toy"), ("gsm8k", "gsm8k"), ("..", "_.."), ("", "_")],
)
def test_names_are_lm_evals_where_they_can_be(name, safe):
    assert safe_name(name).rstrip(".") == safe.rstrip(".")
