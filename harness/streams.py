"""Which random numbers belong to a name? Streams that do not depend on who asks."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def words(name: str) -> list[int]:
    """Return eight 32-bit words that belong to `name`."""
    hashed = hashlib.sha256(name.encode()).digest()
    return [int.from_bytes(hashed[i : i + 4], "little") for i in range(0, 32, 4)]


def stream(entropy: int, name: str) -> np.random.Generator:
    """Return the stream that belongs to `name`, whoever asks and in what order.

    Two workers, twenty workers or a resumed run draw the same numbers for the
    same trial, because the key is the trial's identifier and not its turn.
    """
    import numpy as np

    return np.random.default_rng([entropy, *words(name)])


def choose_items(entropy: int, n_total: int, n_chosen: int) -> tuple[int, ...]:
    """Return `n_chosen` of `n_total` item indices, ascending.

    Drawn without replacement from a stream named by `n_total` alone, so that two
    tasks over the same items get the same ones, and a smaller choice is part of
    every larger one.
    """
    order = stream(entropy, f"items of {n_total}").permutation(n_total)
    return tuple(sorted(int(index) for index in order[:n_chosen]))
