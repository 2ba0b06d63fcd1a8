"""Docs that cannot lie: links lead somewhere, examples run, codes have sections."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import get_args

import pytest
from blocks import PAGES, ROOT, Block, blocks, name_of, run_console

from harness.errors import ErrorCode
from harness.gate.policy import load_policy
from harness.starter import write_starter
from harness.suite import load_suite

TUTORIAL = ROOT / "docs/tutorial/first-sweep.md"


@pytest.fixture
def folder(tmp_path):
    """Where a reader stands: beside results/, suites/ and the demo of init."""
    (tmp_path / "results").mkdir()
    for store in ("example", "prompts"):
        (tmp_path / "results" / store).symlink_to(ROOT / "results" / store)
    (tmp_path / "suites").symlink_to(ROOT / "suites")
    write_starter(tmp_path / "started", demo=True)
    (tmp_path / "demo").symlink_to(tmp_path / "started/demo")
    return tmp_path


def of_language(language: str) -> list[object]:
    return [
        pytest.param(page, block, id=f"{name_of(page)}-{number}")
        for page in PAGES
        for number, block in enumerate(blocks(page))
        if block.language == language and block.is_run and page != TUTORIAL
    ]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{name_of(page)}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            assert anchor in {h.lower().replace(" ", "-") for h in headings}, target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_page_is_linked_from_another(page: Path):
    if page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        return
    others = [other for other in PAGES if other != page]
    assert any(
        f"]({os.path.relpath(page, other.parent)}" in other.read_text()
        for other in others
    )


def test_every_error_has_its_section_and_no_other():
    text = (ROOT / "docs/reference/errors.md").read_text()
    sections = re.findall(r"^### (.*)$", text, re.MULTILINE)

    assert sorted(sections) == sorted(get_args(ErrorCode))


def test_cautions_that_the_docs_explain_can_be_told():
    reference = (ROOT / "docs/reference/cautions.md").read_text()
    told = set(re.findall(r"^\| `([\w-]+)` \|", reference, re.MULTILINE))
    explained: set[str] = set()
    for page in (ROOT / "docs/explanation").glob("*.md"):
        tables = re.findall(
            r"^\| code \| (?:meaning|when) \|\n(.*?)(?:\n\n|\Z)",
            page.read_text(),
            re.MULTILINE | re.DOTALL,
        )
        for line in "\n".join(tables).splitlines():
            explained |= set(re.findall(r"`([\w-]+)`", line.split("|")[1]))

    assert len(explained) > 50
    assert explained - told == set()


def test_every_test_that_the_docs_name_is_there():
    tests = "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    text = "".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"`(test_\w+)`", text))

    assert named
    assert {name for name in named if f"def {name}(" not in tests} == set()


@pytest.mark.parametrize(("page", "block"), of_language("yaml"))
def test_suites_in_the_docs_are_suites(page: Path, block: Block, tmp_path):
    if not re.search(r"^suite:", block.text, re.MULTILINE):
        pytest.skip("it is no suite")
    path = tmp_path / "suite.yaml"
    path.write_text(block.text)
    if "checkpoints:" in block.text:
        load_suite(path)


@pytest.mark.parametrize(("page", "block"), of_language("yaml"))
def test_policies_in_the_docs_are_policies(page: Path, block: Block, tmp_path):
    if not re.search(r"^critical:", block.text, re.MULTILINE):
        pytest.skip("it is no policy")
    path = tmp_path / "gate.yaml"
    path.write_text(block.text)
    load_policy(path)


@pytest.mark.parametrize(("page", "block"), of_language("console"))
def test_commands_in_the_docs_run(page: Path, block: Block, folder: Path):
    run_console(block.text, folder)


@pytest.mark.parametrize(
    "page",
    [p for p in PAGES if any(b.language == "python" and b.is_run for b in blocks(p))],
    ids=name_of,
)
def test_python_in_the_docs_runs(page: Path, folder: Path, monkeypatch, capsys):
    """Blocks of a page build on each other; a text block after one is its output."""
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    for block in blocks(page):
        if block.language == "python" and block.is_run:
            capsys.readouterr()
            exec(compile(block.text, name_of(page), "exec"), names)
        elif block.language == "text" and block.is_run:
            assert capsys.readouterr().out == block.text


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.lm_eval
def test_the_tutorial_works_from_top_to_bottom(tmp_path):
    for block in blocks(TUTORIAL):
        if block.file:
            (tmp_path / block.file).write_text(block.text)
        elif block.language == "console" and block.is_run:
            run_console(block.text, tmp_path)
    assert (tmp_path / "reports/first.html").stat().st_size > 1e6
