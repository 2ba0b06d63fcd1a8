"""Do random numbers belong to their name, whoever draws them, and in what order?"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.streams import choose_items, stream, words

entropies = st.integers(0, 2**128)
names = st.text(max_size=20)


def draw(entropy: int, name: str) -> list[int]:
    return stream(entropy, name).integers(2**63, size=4).tolist()


@given(names)
def test_words_are_the_digest_of_the_name(name):
    hashed = hashlib.sha256(name.encode()).digest()

    assert words(name) == np.frombuffer(hashed, dtype="<u4").tolist()


@given(entropies, st.lists(names, unique=True, min_size=2, max_size=5), st.randoms())
def test_order_of_asking_does_not_matter(entropy, some, random):
    before = {name: draw(entropy, name) for name in some}
    shuffled = random.sample(some, len(some))

    assert {name: draw(entropy, name) for name in shuffled} == before
    assert len({tuple(numbers) for numbers in before.values()}) == len(some)


@given(entropies, entropies, names)
def test_streams_differ_exactly_when_the_entropy_does(one, other, name):
    assert (draw(one, name) == draw(other, name)) == (one == other)


@given(entropies, st.integers(1, 300), st.data())
def test_a_smaller_choice_is_part_of_a_larger_one(entropy, n_total, data):
    small, large = sorted(
        data.draw(st.integers(0, n_total), label="n") for _ in range(2)
    )
    chosen, more = (choose_items(entropy, n_total, n) for n in (small, large))

    assert set(chosen) <= set(more)
    for n, items in ((small, chosen), (large, more)):
        assert len(items) == len(set(items)) == n
        assert list(items) == sorted(items)
        assert all(type(i) is int and 0 <= i < n_total for i in items)


def test_all_of_the_items_are_all():
    assert choose_items(7, 50, 50) == tuple(range(50))


@pytest.mark.parametrize("entropy", [1, 2**100])
def test_entropy_changes_the_choice(entropy):
    assert choose_items(entropy, 1000, 100) != choose_items(0, 1000, 100)


def test_every_item_is_chosen_equally_often():
    """Over 2000 suites each of 20 items is in about a quarter of the choices."""
    counts = np.zeros(20)
    for entropy in range(2000):
        counts[list(choose_items(entropy, 20, 5))] += 1

    # Binomial(2000, 1/4): five standard deviations.
    assert np.abs(counts - 500).max() < 5 * np.sqrt(2000 * 0.25 * 0.75)
