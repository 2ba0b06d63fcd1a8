"""Is the world the same each time, and are its items held out and answerable?"""

import hashlib
import json
import re
from dataclasses import asdict

import pytest

from harness.errors import InputError
from harness.zoo.spec import ZOO_VERSION
from harness.zoo.world import (
    PEOPLE,
    PLACES,
    Item,
    World,
    make_world,
)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(0, n_items=300, n_documents=8_000)


@pytest.fixture(scope="module")
def lines(world: World) -> set[str]:
    return {line for document in world.text for line in document.splitlines()}


def right(item: Item) -> str:
    return item["choices"][item["gold"]]


def test_same_seed_same_world(world: World) -> None:
    assert make_world(0, n_items=300, n_documents=8_000) == world


def test_other_seed_other_people(world: World) -> None:
    other = make_world(1, n_items=300, n_documents=8_000)

    asked = {item["question"] for item in world.facts}
    assert len(asked & {item["question"] for item in other.facts}) < 30


def test_items_do_not_depend_on_the_length_of_the_text(world: World) -> None:
    short = make_world(0, n_items=300, n_documents=10)

    assert (short.facts, short.agreement) == (world.facts, world.agreement)
    assert (short.sequences, short.sums) == (world.sequences, world.sums)


def test_no_question_of_an_item_is_in_the_text(world: World) -> None:
    text = "\n".join(world.text)

    for item in world.facts:
        assert item["question"] not in text
    for item in world.sequences:
        assert f"Sequence: {item['question']}" not in text
    for item in world.agreement:
        assert right(item) not in text


def test_no_sum_of_an_item_is_in_the_text(world: World, lines: set[str]) -> None:
    """By line: ``16 + 2 =`` ends with ``6 + 2 =`` and is another sum."""
    told = {line.partition("=")[0] + "=" for line in lines if "=" in line}

    assert len(told) > 300
    assert not told & {item["question"] for item in world.sums}


def test_examples_are_no_items(world: World) -> None:
    for items, examples in (
        (world.facts, world.fact_examples),
        (world.sums, world.sum_examples),
    ):
        asked = {item["question"] for item in items}
        assert not asked & {item["question"] for item in examples}


def test_every_fact_that_is_asked_for_is_told(world: World) -> None:
    """And told in more than one wording, for nearly all of them."""
    text = "\n".join(world.text)
    relations = {relation.name: relation for relation in (*PEOPLE, *PLACES)}
    wordings = []
    for item in world.facts:
        relation = relations[item["relation"]]
        pattern = re.escape(relation.question).replace(r"\{s\}", r"(\w+)")
        match = re.fullmatch(pattern, item["question"])
        assert match is not None
        told = [
            statement.format(s=match[1], v=right(item)) in text
            for statement in relation.statements
        ]
        wordings.append(sum(told))

    assert min(wordings) >= 1
    assert sum(count >= 2 for count in wordings) >= 0.95 * len(wordings)


def test_nobody_is_told_two_values(world: World) -> None:
    """Else an item would have two right answers."""
    homes: dict[str, set[str]] = {}
    for name, place in re.findall(r"(\w+) lives in (\w+)\.", "\n".join(world.text)):
        homes.setdefault(name, set()).add(place)

    assert len(homes) > 40
    assert all(len(places) == 1 for places in homes.values())


def test_sums_and_sequences_have_the_answers_of_arithmetic(world: World) -> None:
    for item in (*world.sums, *world.sum_examples):
        a, sign, b = item["question"].removesuffix(" =").split()
        assert int(item["answer"]) == (
            int(a) + int(b) if sign == "+" else int(a) - int(b)
        )
    for item in world.sequences:
        shown = item["question"].split()
        if item["kind"] == "count":
            assert int(right(item)) == 2 * int(shown[-1]) - int(shown[-2])
        else:
            period = 2 if shown[0] == shown[2] else 3
            assert right(item) == shown[-period]


def test_choices_are_four_and_all_different(world: World) -> None:
    for item in (*world.facts, *world.sequences):
        assert len(set(item["choices"])) == 4
    for item in world.agreement:
        first, second = (sentence.split() for sentence in item["choices"])
        assert sum(a != b for a, b in zip(first, second, strict=True)) == 1


@pytest.mark.parametrize("kind", ["facts", "sequences", "agreement"])
def test_the_place_of_the_right_choice_tells_nothing(world: World, kind: str) -> None:
    """Each place holds the right one about equally often (within 4 sd)."""
    items = getattr(world, kind)
    places = len(items[0]["choices"])
    mean = len(items) / places
    for place in range(places):
        count = sum(item["gold"] == place for item in items)
        assert abs(count - mean) < 4 * (mean * (1 - 1 / places)) ** 0.5


@pytest.mark.parametrize("n_items", [3, 10_000])
def test_refuses_more_items_than_it_can_hold_out(n_items: int) -> None:
    with pytest.raises(InputError, match="asked for") as caught:
        make_world(0, n_items=n_items, n_documents=10)

    assert caught.value.code == "zoo-spec"


def test_unchanged_world() -> None:
    """Our own digest: whoever changes the world must raise `ZOO_VERSION` as well."""
    content = json.dumps(asdict(make_world(0, n_items=300, n_documents=1_000)))

    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    assert (ZOO_VERSION, digest) == (1, "9ab6f25c8aedec3f")
