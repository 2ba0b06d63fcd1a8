"""The example page is the one that the example store makes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from report.reading import PACKED, unpacked

ROOT = Path(__file__).parents[2]

COMMAND = re.search(
    r"^\[testenv:example\].*?^commands = evalvar (.*?)$",
    (ROOT / "tox.ini").read_text(),
    re.MULTILINE | re.DOTALL,
)


def test_the_example_page_is_made_anew_from_its_store(tmp_path):
    """`tox run -e example` writes it; sums may differ in their last digits."""
    assert COMMAND is not None
    arguments = shlex.split(COMMAND[1])
    there = ROOT / arguments[-1]
    arguments[-1] = str(tmp_path / "page.html")
    subprocess.run([sys.executable, "-m", "harness", *arguments], cwd=ROOT, check=True)

    made, kept = (
        re.sub(r"-?\d+\.\d{9,}(?:e-?\d+)?", lambda m: f"{float(m[0]):.9g}", page)
        for page in map(_plain, (tmp_path / "page.html", there))
    )
    assert made.splitlines() == kept.splitlines()


def _plain(page: Path) -> str:
    """Return a page with its figures unpacked: other zips of the same are as good."""
    html = page.read_text()
    return PACKED.sub("", html) + unpacked(html)
