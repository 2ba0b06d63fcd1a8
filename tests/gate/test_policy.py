"""Does a policy say what it must, and does a wrong one say where it is wrong?"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from harness.errors import InputError
from harness.gate.policy import Policy, load_policy, policy_schema

FULL = """\
baseline: release
candidate: m@1000
critical:
  tasks: [arc_easy, "mmlu_*"]
  missing: fail
supporting:
  tasks: "hella*"
  missing: inconclusive
  tolerate: 2
advisory:
  tasks: ["*"]
  missing: ignore
delta: 0.01
deltas: {gsm8k: 0.03, "mmlu_*": .02}
confidence_level: 0.9
correction: bh
min_items: 20
history: {last: 12, by: date, trend: linear}
noise: 0.005
looks: all
inconclusive: warn
allow: [chat template]
allow_partial: true
confirm: {seeds: 3}
"""


@pytest.fixture
def read(tmp_path: Path):
    """Write a policy file and load it."""

    def read(text: str | bytes) -> Policy:
        path = tmp_path / "policy.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_policy(path)

    return read


@pytest.fixture
def complaint(read, tmp_path: Path):
    """Load a policy that must be refused; returns what is said after the path."""

    def complaint(text: str | bytes, code: str = "policy-invalid") -> str:
        with pytest.raises(InputError) as caught:
            read(text)
        assert caught.value.code == code
        return str(caught.value).removeprefix(f"{tmp_path}/policy.yaml")

    return complaint


def test_the_example_has_every_key_there_is(read):
    policy = read(FULL)

    assert policy.model_fields_set == set(Policy.model_fields)
    for name in ("critical", "supporting", "advisory", "history", "confirm"):
        part = getattr(policy, name)
        assert part.model_fields_set == set(type(part).model_fields), name
    assert policy.digest == read(FULL).digest


def test_a_tier_may_be_a_list_of_tasks_or_one(read):
    policy = read("critical: ['a', 'b*']\nadvisory: c\n")

    assert policy.critical is not None
    assert policy.critical.tasks == ["a", "b*"]
    assert policy.critical.missing == "fail"
    assert policy.advisory is not None
    assert policy.advisory.tasks == ["c"]
    assert policy.supporting is None


def test_a_task_is_of_the_first_tier_that_names_it(read):
    policy = read(FULL)

    tiers = {t: policy.tier(t) for t in ("arc_easy", "mmlu_law", "hellaswag", "x")}

    assert tiers == {
        "arc_easy": "critical",
        "mmlu_law": "critical",
        "hellaswag": "supporting",
        "x": "advisory",
    }
    assert read("critical: a").tier("A") is None
    assert list(policy.named()) == [("critical", "arc_easy")]
    assert list(read("critical: a\nadvisory: [a, b]").named()) == [
        ("critical", "a"),
        ("advisory", "b"),
    ]


def test_a_name_with_brackets_is_its_own(read):
    policy = read("critical: ['t[1]']\n")

    assert policy.tier("t[1]") == policy.tier("t1") == "critical"


def test_deltas_are_of_the_first_pattern_that_matches(read):
    policy = read(FULL)

    assert policy.delta_of("gsm8k") == 0.03
    assert policy.delta_of("mmlu_law") == 0.02
    assert policy.delta_of("arc_easy") == 0.01


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("critcal: [a]\n", ":1: unknown key 'critcal'; did you mean 'critical'?"),
        (
            "critical: [a]\nhistory: {lst: 3}\n",
            ":2: unknown key 'history.lst'; did you mean 'last'?",
        ),
        (
            "critical:\n  tasks: [a]\n  tolerate: 1\n",
            ":3: unknown key 'critical.tolerate'; known keys: tasks, missing",
        ),
        (
            "critical:\n  missing: fail\n",
            ":1: 'critical.tasks' is missing",
        ),
        (
            "critical: [a]\nhistory: {last: 3}\n",
            ":2: history.last: input should be greater than or equal to 5, got 3",
        ),
        (
            "critical: [a]\nnoise: often\n",
            ":2: noise: is measured, or an SD from 0 to 1, got 'often' (and 1 more)",
        ),
        (
            "critical: [a]\nnoise: true\n",
            ":2: noise: is measured, or an SD from 0 to 1, got True (and 1 more)",
        ),
        ("critical: [a]\ndelta: true\n", ":2: delta: is a number, got True"),
        (
            "critical: [a]\ndelta: .nan\n",
            ":2: delta: input should be a finite number, got nan",
        ),
        (
            "critical: [a]\ndeltas: {b: 2}\n",
            ":2: deltas.b: input should be less than or equal to 1, got 2",
        ),
        ("critical: [a, b, a]\n", ":1: critical.tasks: a is there twice"),
        (
            "critical: []\n",
            ":1: critical.tasks: names no task; leave the tier out, or name some",
        ),
        (
            "critical: 3\n",
            ":1: critical: is a task, a list of tasks, or a mapping with tasks, got 3",
        ),
        (
            "critical: [a]\nhistory: 3\n",
            ":2: history: is a mapping with any of last, by and trend, got 3",
        ),
        (
            "critical: [a]\nconfirm: []\n",
            ":2: confirm: is a mapping with seeds, got []",
        ),
        (
            "critical: [a]\ndeltas: [b]\n",
            ":2: deltas: is a mapping of tasks to losses, got ['b']",
        ),
        (
            "delta: .1\n",
            ':1: the file: no task is in any tier; write critical: ["*"] to gate '
            "them all",
        ),
        (
            "critical: [a]\ninconclusive: no\n",
            ":2: inconclusive: input should be 'fail', 'warn' or 'pass', got 'no'",
        ),
        (
            'critical: ["a\\nb"]\n',
            ":1: critical.tasks.0: a name must be printable and on one line, "
            "got 'a\\nb'",
        ),
        ("- a\n", ": a policy is a mapping with at least one of critical, supporting"),
        ("", ": a policy is a mapping with at least one of critical, supporting and"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(complaint, text, says):
    assert complaint(text).startswith(says)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("critical: [a\n", ":2: not YAML: "),
        ("critical: a\ncritical: b\n", ":2: not YAML: found duplicate key"),
        (b"critical: \xff\n", ": not UTF-8: "),
        ('critical: "\\ud800"\n', ": not Unicode text: "),
        ("a: &a [1]\n" + "\n".join(f"k{i}: *a" for i in range(3)), ""),
    ],
)
def test_what_is_no_yaml_is_refused(complaint, text, says):
    code = "policy-unreadable" if says else "policy-invalid"
    assert complaint(text, code).startswith(says)


def test_a_missing_file_names_what_writes_one(tmp_path):
    with pytest.raises(InputError, match="`evalvar init`, which writes one") as caught:
        load_policy(tmp_path / "none.yaml")
    assert caught.value.code == "policy-missing"
    with pytest.raises(InputError, match="cannot be read") as caught:
        load_policy(tmp_path)
    assert caught.value.code == "policy-unreadable"


def test_the_schema_takes_what_the_reader_takes():
    schema = policy_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)

    for text in (FULL, "critical: a", "advisory: [a]", "critical: a\nnoise: measured"):
        assert validator.is_valid(YAML(typ="safe").load(text)), text
    for text in ("critcal: a", "critical: [1]", "critical: a\nnoise: often"):
        assert not validator.is_valid(YAML(typ="safe").load(text)), text


@given(st.text(max_size=30))
def test_no_text_is_read_as_anything_but_a_policy(text):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "policy.yaml"
        path.write_text(text, encoding="utf-8", errors="replace")
        with pytest.raises(InputError) as caught:
            load_policy(path)

    assert caught.value.code in {"policy-invalid", "policy-unreadable"}
