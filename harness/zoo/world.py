"""What is there to learn? A small world made from a seed: its text, its held-out items.

Every fact that an item asks for is told in the training text, in several wordings;
the question itself never is. Of sums, sequences and sentences the very instances
that items ask for are held out.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import InputError

N_OPTIONS = 4
LETTERS = "ABCD"
N_EXAMPLES = 60
"""Facts, and sums, from which few-shot examples are drawn."""

WEIGHTS = (1, 2, 4, 8)
"""How often one fact is told, against another: what makes items easy or hard."""

Item = dict[str, Any]
"""One line of JSONL: plain JSON types."""


@dataclass(frozen=True, slots=True)
class Relation:
    """What can be said of each person or each place."""

    name: str
    values: tuple[str, ...]
    """Empty where the values are names of the world: places, people, rivers."""

    statements: tuple[str, ...]
    question: str


PEOPLE = (
    Relation(
        "home",
        (),
        (
            "{s} lives in {v}.",
            "The home of {s} is {v}.",
            "{s} has a house in {v}.",
            "{v} is where {s} lives.",
        ),
        "Where does {s} live?",
    ),
    Relation(
        "job",
        (
            "baker", "sailor", "teacher", "doctor", "farmer", "painter",
            "singer", "tailor", "miller", "hunter", "writer", "smith",
        ),
        (
            "{s} works as a {v}.",
            "The job of {s} is {v}.",
            "{s} became a {v}.",
            "As a {v} you may meet {s}.",
        ),
        "What is the job of {s}?",
    ),
    Relation(
        "pet",
        (
            "dog", "cat", "goat", "horse", "parrot", "rabbit", "snake", "fox",
            "duck", "hen",
        ),
        (
            "{s} keeps a {v}.",
            "The pet of {s} is a {v}.",
            "{s} walks with a {v}.",
            "There is a {v} that belongs to {s}.",
        ),
        "Which pet does {s} keep?",
    ),
    Relation(
        "food",
        (
            "bread", "soup", "fish", "rice", "cheese", "cake", "honey", "beans",
            "apples", "eggs", "nuts", "plums",
        ),
        (
            "{s} likes to eat {v}.",
            "The favourite food of {s} is {v}.",
            "{s} always orders {v}.",
            "A plate of {v} was cooked for {s}.",
        ),
        "What does {s} like to eat?",
    ),
    Relation(
        "colour",
        ("red", "blue", "green", "yellow", "black", "white", "brown", "purple"),
        (
            "{s} wears a {v} coat.",
            "The coat of {s} is {v}.",
            "{s} loves the colour {v}.",
            "A {v} coat hangs at the door of {s}.",
        ),
        "Which colour does {s} wear?",
    ),
    Relation(
        "music",
        ("flute", "drum", "harp", "violin", "piano", "guitar", "horn", "bell"),
        (
            "{s} plays the {v}.",
            "The instrument of {s} is the {v}.",
            "{s} owns an old {v}.",
            "The sound of a {v} comes from {s}.",
        ),
        "Which instrument does {s} play?",
    ),
)  # fmt: skip

PLACES = (
    Relation(
        "goods",
        (
            "silk", "salt", "wine", "glass", "iron", "wool", "paper", "pottery",
            "oil", "gold",
        ),
        (
            "{s} is known for its {v}.",
            "The traders of {s} sell {v}.",
            "{s} is famous for {v}.",
            "The best {v} comes from {s}.",
        ),
        "What is {s} known for?",
    ),
    Relation(
        "region",
        ("north", "south", "east", "west", "hills", "valley", "desert", "coast"),
        (
            "{s} lies in the {v}.",
            "The region of {s} is the {v}.",
            "{s} is a town of the {v}.",
            "In the {v} you will find {s}.",
        ),
        "In which region does {s} lie?",
    ),
    Relation(
        "river",
        (),
        (
            "{s} stands on the {v}.",
            "The river of {s} is the {v}.",
            "{s} has a bridge over the {v}.",
            "The {v} flows through {s}.",
        ),
        "Which river flows through {s}?",
    ),
)  # fmt: skip

N_PEOPLE, N_PLACES, N_HOMES, N_RIVERS = 60, 24, 12, 10

NOUNS = (
    ("dog", "dogs"), ("cat", "cats"), ("farmer", "farmers"), ("baker", "bakers"),
    ("sailor", "sailors"), ("horse", "horses"), ("teacher", "teachers"),
    ("rabbit", "rabbits"), ("doctor", "doctors"), ("singer", "singers"),
    ("parrot", "parrots"), ("hunter", "hunters"), ("boy", "boys"), ("girl", "girls"),
    ("king", "kings"), ("goat", "goats"),
)  # fmt: skip
VERBS = (
    ("runs", "run"), ("sleeps", "sleep"), ("sings", "sing"), ("waits", "wait"),
    ("laughs", "laugh"), ("falls", "fall"), ("swims", "swim"), ("eats", "eat"),
    ("works", "work"), ("jumps", "jump"), ("dances", "dance"), ("walks", "walk"),
)  # fmt: skip
LINKS = ("near", "behind", "with", "above", "beside")
ADJECTIVES = ("old", "small", "tall", "happy", "quiet", "young")
WORDS = ("sun", "moon", "star", "tree", "stone", "cloud", "leaf", "wind", "sea", "fire")
SHOWN, LONG = 6, 14
"""Terms of a sequence that an item shows, and that the text tells at most."""

MAX_ADDEND = 20


@dataclass(frozen=True, slots=True)
class Fact:
    """A subject, a relation and its value; told ``weight`` times as often as a 1."""

    subject: str
    relation: Relation
    value: str
    weight: int
    pool: tuple[str, ...]
    """All values that the relation takes in this world; distractors come from here."""

    @property
    def question(self) -> str:
        """The question that the value answers."""
        return self.relation.question.format(s=self.subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The text to train on and the items to ask."""

    text: tuple[str, ...]
    """Documents, in training order."""

    fact_examples: tuple[Item, ...]
    """Facts for few-shot prompts; the text asks for these too."""

    facts: tuple[Item, ...]
    """``question``, ``choices`` (4), ``gold`` (index), ``relation``, ``weight``."""

    agreement: tuple[Item, ...]
    """``choices`` (2), ``gold`` (index): they differ in one word; ``kind``."""

    sequences: tuple[Item, ...]
    """``question``, ``choices`` (4), ``gold`` (index), ``kind``."""

    sums: tuple[Item, ...]
    """``question``, ``answer``."""

    sum_examples: tuple[Item, ...]
    """Sums for few-shot prompts; these do occur in the text."""


def make_world(world_seed: int, n_items: int, n_documents: int) -> World:
    """Return the world of `world_seed`, with `n_items` held-out items of each kind.

    The items do not depend on `n_documents`, the length of the text.

    Raises
    ------
    InputError
        ``zoo-spec``: `n_items` is below 4 or above what the world can hold out.
    """
    facts = _make_facts(_rng(world_seed, "facts"))
    limit = len(facts) * 3 // 4
    if not N_OPTIONS <= n_items <= limit:
        raise InputError(
            f"the zoo's world has from {N_OPTIONS} to {limit} items a task, "
            f"asked for {n_items}",
            code="zoo-spec",
        )
    asked, open_facts = facts[:n_items], facts[n_items:]
    sums = _all_sums(_rng(world_seed, "sums"))
    held_sums, open_sums = sums[:n_items], sums[n_items:]
    agreement = _distinct(n_items, _agreement, _rng(world_seed, "agreement"))
    sequences = _distinct(n_items, _sequence, _rng(world_seed, "sequences"))
    held = {_key(item) for item in agreement + sequences}
    about: dict[str, list[Fact]] = {}
    for fact in facts:
        about.setdefault(fact.subject, []).append(fact)
    subjects = list(about)
    ladder = [sum(fact.weight for fact in known) for known in about.values()]

    def sentences(rng: random.Random) -> str:
        subject = rng.choices(subjects, ladder)[0]
        known = about[subject]
        told = rng.choices(known, [fact.weight for fact in known], k=3)
        return " ".join(_say(fact, rng) for fact in told)

    def questions(rng: random.Random) -> str:
        return "\n".join(
            f"Question: {fact.question}\nAnswer: {fact.value}"
            for fact in rng.sample(open_facts, 2)
        )

    def letters(rng: random.Random) -> str:
        item = _fact_item(rng.choice(open_facts), rng)
        return f"{lettered(item)} {LETTERS[item['gold']]}"

    def agreements(rng: random.Random) -> str:
        return " ".join(_key(_free(_agreement, rng, held)) for _ in range(5))

    def counting(rng: random.Random) -> str:
        item = _free(_sequence, rng, held)
        more = "\nNext:" if rng.random() < 0.3 else ""
        return f"Sequence: {item['question']}{more} {item['rest']}"

    def adding(rng: random.Random) -> str:
        drawn = rng.choices(open_sums, k=4)
        return "\n".join(f"{item['question']} {item['answer']}" for item in drawn)

    kinds = {
        sentences: 0.52,
        questions: 0.07,
        letters: 0.04,
        agreements: 0.11,
        counting: 0.13,
        adding: 0.13,
    }
    rng = _rng(world_seed, "text")
    drawn = rng.choices(list(kinds), list(kinds.values()), k=n_documents)
    options = _rng(world_seed, "options")
    return World(
        text=tuple(kind(rng) for kind in drawn),
        facts=tuple(_fact_item(fact, options) for fact in asked),
        fact_examples=tuple(_fact_item(f, options) for f in open_facts[:N_EXAMPLES]),
        agreement=agreement,
        sequences=sequences,
        sums=tuple(held_sums),
        sum_examples=tuple(open_sums[:N_EXAMPLES]),
    )


def lettered(item: Item) -> str:
    """Return the question with its options under letters, up to ``Answer:``."""
    options = zip(LETTERS, item["choices"], strict=True)
    lines = "\n".join(f"{letter}. {choice}" for letter, choice in options)
    return f"Question: {item['question']}\n{lines}\nAnswer:"


def _rng(world_seed: int, name: str) -> random.Random:
    """Return the stream that belongs to `name`; a string seeds by its SHA-512."""
    return random.Random(f"{world_seed} {name}")


def _make_facts(rng: random.Random) -> list[Fact]:
    names = _names(rng, N_PEOPLE + N_PLACES + N_RIVERS)
    people, places = names[:N_PEOPLE], names[N_PEOPLE:-N_RIVERS]
    named = {"home": places[:N_HOMES], "river": names[-N_RIVERS:]}
    facts = []
    for subjects, relations in ((people, PEOPLE), (places, PLACES)):
        for relation in relations:
            pool = relation.values or tuple(named[relation.name])
            # Dealt evenly, so that no value is the better guess.
            values = list(pool) * (len(subjects) // len(pool) + 1)
            rng.shuffle(values)
            facts += [
                Fact(subject, relation, value, rng.choice(WEIGHTS), pool)
                for subject, value in zip(subjects, values, strict=False)
            ]
    rng.shuffle(facts)
    return facts


def _names(rng: random.Random, count: int) -> list[str]:
    """Return `count` invented names of two syllables, none the start of another."""
    starts = [a + b for a in "BDFGKLMNPRSTVZ" for b in "aeiou"]
    ends = [a + b for a in "lmnrst" for b in ("a", "o", "in", "ek", "us")]
    names: list[str] = []
    while len(names) < count:
        name = rng.choice(starts) + rng.choice(ends)
        if not any(name.startswith(n) or n.startswith(name) for n in names):
            names.append(name)
    return names


def _say(fact: Fact, rng: random.Random) -> str:
    wording = rng.choice(fact.relation.statements)
    return wording.format(s=fact.subject, v=fact.value)


def _fact_item(fact: Fact, rng: random.Random) -> Item:
    others = [value for value in fact.pool if value != fact.value]
    return {
        "question": fact.question,
        **_options(fact.value, rng.sample(others, N_OPTIONS - 1), rng),
        "relation": fact.relation.name,
        "weight": fact.weight,
    }


def _options(right: str, wrong: Sequence[str], rng: random.Random) -> Item:
    choices = [right, *wrong]
    rng.shuffle(choices)
    return {"choices": choices, "gold": choices.index(right)}


def _agreement(rng: random.Random) -> Item:
    """Return two sentences, one right; the words between may be of the other number."""
    plural, other = rng.randrange(2), rng.randrange(2)
    noun, near = rng.sample(NOUNS, 2)
    verb = rng.choice(VERBS)
    kind = rng.choice(("plain", "adjective", "link", "demonstrative"))
    subject = {
        "plain": f"The {noun[plural]}",
        "adjective": f"The {rng.choice(ADJECTIVES)} {noun[plural]}",
        "link": f"The {noun[plural]} {rng.choice(LINKS)} the {near[other]}",
        "demonstrative": f"{('This', 'These')[plural]} {noun[plural]}",
    }[kind]
    good = f"{subject} {verb[plural]}."
    if kind == "demonstrative":
        bad = f"{('This', 'These')[1 - plural]} {noun[plural]} {verb[plural]}."
    else:
        bad = f"{subject} {verb[1 - plural]}."
    return {**_options(good, [bad], rng), "kind": kind}


def _sequence(rng: random.Random) -> Item:
    """Return the start of a sequence, four ways to go on, and how it does go on."""
    kind = rng.choice(("count", "repeat"))
    if kind == "repeat":
        words = rng.sample(WORDS, rng.choice((2, 3)))
        terms = list(itertools.islice(itertools.cycle(words), LONG))
        wrong = [word for word in words if word != terms[SHOWN]]
        spare = [word for word in WORDS if word not in words]
        wrong += rng.sample(spare, N_OPTIONS - 1 - len(wrong))
    else:
        step = rng.choice((-3, -2, -1, 1, 2, 3))
        first = rng.randrange(30) + (LONG * -step if step < 0 else 0)
        terms = [str(first + i * step) for i in range(LONG)]
        right = int(terms[SHOWN])
        near = [n for n in range(right - 3, right + 4) if n >= 0 and n != right]
        wrong = [str(n) for n in rng.sample(near, N_OPTIONS - 1)]
    return {
        "question": " ".join(terms[:SHOWN]),
        **_options(terms[SHOWN], wrong, rng),
        "kind": kind,
        "rest": " ".join(terms[SHOWN:]),
    }


def _all_sums(rng: random.Random) -> list[Item]:
    numbers = range(MAX_ADDEND + 1)
    pairs = list(itertools.product(numbers, numbers))
    sums = [(f"{a} + {b} =", a + b) for a, b in pairs]
    sums += [(f"{a} - {b} =", a - b) for a, b in pairs if a >= b]
    rng.shuffle(sums)
    return [{"question": question, "answer": str(answer)} for question, answer in sums]


def _distinct(
    count: int, make: Callable[[random.Random], Item], rng: random.Random
) -> tuple[Item, ...]:
    found: dict[str, Item] = {}
    while len(found) < count:
        item = make(rng)
        found.setdefault(_key(item), item)
    return tuple(found.values())


def _free(
    make: Callable[[random.Random], Item], rng: random.Random, held: set[str]
) -> Item:
    """Return an instance that no item asks for."""
    while _key(item := make(rng)) in held:
        pass
    return item


def _key(item: Item) -> str:
    return str(item.get("question", item["choices"][item["gold"]]))
