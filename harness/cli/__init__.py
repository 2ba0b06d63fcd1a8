"""The command line: parse, call, print, exit. No arithmetic, no file formats."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys

from typer.exceptions import TyperException

# The order of imports is that of the help.
# isort: off
from harness.cli import (  # noqa: F401
    init, run, import_, analyse, compare, gate, calibrate, power, prompts,
    select, share, export,
    history, keep,
)  # fmt: skip

# isort: on
from harness.cli.app import BAD_INPUT, INCOMPLETE, LEFT, OK, app
from harness.cli.streams import say
from harness.errors import HarnessError, InputError

__all__ = ["app", "main"]

PLAIN = {
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{ALMOST EQUAL TO}": "~",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MIDDLE DOT}": ",",
    "\N{GREEK SMALL LETTER MU}": "mean",
    "\N{MICRO SIGN}": "mean",
    **{raised: f"[{n}]" for n, raised in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
}
"""How signs of the tables are spelt where the locale lacks them."""


def main() -> None:
    """Run the command line; an error raised on purpose becomes one line and a code."""
    _make_streams_fit()
    try:
        try:
            status = _run()
        finally:
            sys.stdout.flush()
        sys.exit(status)
    except HarnessError as error:
        say(f"evalvar: {error} [{error.code}]")
        sys.exit(BAD_INPUT if isinstance(error, InputError) else INCOMPLETE)
    except BrokenPipeError:  # whoever read has left, as SIGPIPE tells other programs
        _leave_stdout()
        sys.exit(LEFT)
    except OSError as error:
        if error.filename or error.errno not in {errno.ENOSPC, errno.EBADF, errno.EIO}:
            raise
        _leave_stdout()
        say(
            f"evalvar: standard output cannot be written: {error.strerror} "
            "[output-not-written]"
        )
        sys.exit(INCOMPLETE)


def _run() -> int:
    """Return the exit status; say of options in one line what typer puts in a box."""
    try:
        return app(prog_name="evalvar", standalone_mode=False) or OK
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # to typer that is a 1
            raise ended.__context__ from None
        raise
    except TyperException as error:
        text = error.format_message().rstrip(".").replace("Value error, ", "")
        if not text:  # a group without a command has shown its help
            return BAD_INPUT
        given = "".join(
            f", not {one['input']!r}"
            for one in getattr(error.__cause__, "errors", list)()
            if repr(one["input"]) not in text
        )
        command = getattr(error, "ctx", None)
        path = command.command_path if command else "evalvar"
        raise InputError(
            f"{text[0].lower()}{text[1:]}{given} (see {path} --help)", code="bad-option"
        ) from None


def _make_streams_fit() -> None:
    """Spell what an old-fashioned locale cannot write; accept no stream."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    codecs.register_error("evalvar", _in_plain_letters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="evalvar")


def _in_plain_letters(error: UnicodeError) -> tuple[str, int]:
    """Spell what a stream cannot encode: a minus that is lost makes another number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(PLAIN.get(letter, "?") for letter in letters), error.end


def _leave_stdout() -> None:
    """Keep Python from writing once more, at its end, what nobody takes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
