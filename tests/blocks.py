"""What a page of the docs holds: fenced blocks, each with the comment before it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
)

FENCE = re.compile(
    r"(?:<!-- (?P<note>[^>]*) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block; its note is the HTML comment right above it."""

    language: str
    text: str
    note: str

    @property
    def is_run(self) -> bool:
        return not self.note.startswith("not run: ")

    @property
    def file(self) -> str | None:
        """The file that a reader is told to write it to."""
        return (
            self.note.removeprefix("file: ") if self.note.startswith("file: ") else None
        )


def blocks(page: Path) -> list[Block]:
    return [
        Block(language=m["language"], text=m["text"], note=(m["note"] or "").strip())
        for m in FENCE.finditer(page.read_text())
    ]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def run_console(text: str, folder: Path) -> None:
    """Run the commands of a console block; what it shows of their output must agree.

    Widths and trailing blanks do not count, and ``…`` stands for anything.
    """
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "NO_COLOR": "1",
    }
    for step in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = step.partition("\n")
        assert shlex.split(command, comments=True)[0] == "evalvar", command
        done = subprocess.run(
            ["bash", "-ec", command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if expected.strip():
            shown = [" ".join(line.split()) for line in done.stdout.splitlines()]
            wanted = [" ".join(line.split()) for line in expected.splitlines()]
            assert len(shown) == len(wanted), f"{command}\n{done.stdout}"
            for line, pattern in zip(shown, wanted, strict=True):
                assert re.fullmatch(
                    ".*".join(map(re.escape, pattern.split("…"))), line
                ), f"{command}\n{line}\nis not\n{pattern}"
