"""Are the nouns equal when what they name is, and do digests hold on all machines?"""

from __future__ import annotations

import dataclasses
import hashlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records import Caution, Checkpoint, TaskRequest, Template, digest

CHECKPOINT = Checkpoint(
    model="m",
    train_seed=1,
    step=20,
    weights_digest="w",
    tokenizer_digest="t",
    location="/here/step20",
    source="step20",
)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
contents = st.recursive(
    scalars, lambda c: st.lists(c) | st.dictionaries(st.text(), c), max_leaves=5
)


# ---- digest ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "canonical"),
    [
        ({"b": 1, "a": [True, None, 0.5]}, '{"a":[true,null,0.5],"b":1}'),
        ({"é": "中\n"}, '{"é":"中\\n"}'),
        ((1, (2,)), "[1,[2]]"),
        ("", '""'),
    ],
)
def test_digest_is_that_of_canonical_json(content, canonical):
    assert digest(content) == hashlib.sha256(canonical.encode()).hexdigest()[:16]


def test_half_a_surrogate_pair_has_a_digest_too():
    assert digest("\ud800") != digest("\udfff")


@given(st.dictionaries(st.text(), contents, min_size=2, max_size=5), st.randoms())
def test_order_of_keys_does_not_matter(content, random):
    items = list(content.items())
    random.shuffle(items)

    assert digest(dict(items)) == digest(content)


@given(contents)
def test_a_list_around_it_is_another_content(content):
    assert digest([content]) != digest(content)


@pytest.mark.parametrize(
    ("one", "other"), [(1, "1"), (1, True), (None, "null"), ([1, 2], [2, 1]), ("", [])]
)
def test_kinds_and_order_are_content(one, other):
    assert digest(one) != digest(other)


# ---- nouns -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"location": "/there"},
        {"source": "~/step20"},
        {"tokenizer": "/words"},
        {"revision": "org/m@abc"},
    ],
)
def test_where_a_checkpoint_lies_is_not_what_it_is(change):
    moved = dataclasses.replace(CHECKPOINT, **change)

    assert moved == CHECKPOINT
    assert hash(moved) == hash(CHECKPOINT)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"train_seed": 2},
        {"step": None},
        {"weights_digest": "x"},
        {"tokenizer_digest": "x"},
        {"gguf_file": "q4.gguf"},
    ],
)
def test_what_a_checkpoint_is(change):
    assert dataclasses.replace(CHECKPOINT, **change) != CHECKPOINT


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "m seed 1 step 20"),
        ({"train_seed": 0, "step": 0}, "m seed 0 step 0"),
        ({"train_seed": None}, "m step 20"),
        ({"train_seed": None, "step": None}, "m"),
    ],
)
def test_a_checkpoint_is_called_by_what_is_known(change, text):
    assert str(dataclasses.replace(CHECKPOINT, **change)) == text


def test_a_template_is_known_by_what_the_model_sees():
    plain = Template(name="plain")
    seen = [f.name for f in dataclasses.fields(Template) if f.name != "name"]
    others = [
        dataclasses.replace(plain, **{key: True if key.startswith("apply") else "x"})
        for key in seen
    ]

    assert Template(name="other").digest == plain.digest
    assert len({t.digest for t in (plain, *others)}) == len(seen) + 1 == 7
    assert Template(name="a", system_prompt="").digest != plain.digest


def test_where_tasks_lie_is_not_what_is_asked():
    here = TaskRequest(task="t", task_paths=("/here",))

    assert here == TaskRequest(task="t", task_paths=("/there",))
    assert here != TaskRequest(task="t", num_fewshot=0)


@pytest.mark.parametrize("noun", [CHECKPOINT, Caution("c", "text"), Template(name="a")])
def test_nouns_are_frozen_and_pickle(noun):
    field = dataclasses.fields(noun)[0].name

    assert pickle.loads(pickle.dumps(noun)) == noun
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(noun, field, "x")
