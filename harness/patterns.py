"""What do paths say? Patterns with fields such as {model}, {train_seed} and {step}."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.errors import CheckpointError

FIELD = re.compile(r"\{(\w*)\}")
FIELDS = {"model": "[^/]+", "train_seed": "[0-9]{1,18}", "step": "[0-9]{1,18}"}
"""What each may stand for; more digits would not fit a store's columns."""


def refuse_unknown_fields(text: str, fields: Mapping[str, str] = FIELDS) -> None:
    """Complain of a field that a pattern may not have.

    Raises
    ------
    CheckpointError
        ``pattern-field``.
    """
    unknown = sorted(set(FIELD.findall(text)) - set(fields))
    if unknown:
        *names, last = (f"{{{name}}}" for name in fields)
        raise CheckpointError(
            f"pattern {text!r} has {{{unknown[0]}}}; "
            f"it may have {', '.join(names)} and {last}",
            code="pattern-field",
        )


def path_matcher(path: str, fields: Mapping[str, str] = FIELDS) -> re.Pattern[str]:
    """Turn a path with fields into an expression; a field met twice must agree."""
    seen: set[str] = set()
    parts: list[str] = []
    for index, part in enumerate(FIELD.split(path)):
        if index % 2 == 0:
            parts.append(re.escape(part))
        elif part in seen:
            parts.append(f"(?P={part})")
        else:
            seen.add(part)
            parts.append(f"(?P<{part}>{fields[part]})")
    return re.compile("".join(parts))
