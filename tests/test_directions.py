"""Which way is better: as the tool says, else by the name."""

import json

import pytest

from harness.directions import is_lower_better, lower_of


def test_a_tool_that_says_nothing_is_unsaid():
    assert lower_of({}) is None
    assert lower_of({"acc": None, "wer": None}) is None


def test_what_is_said_is_kept_and_the_rest_goes_by_its_name():
    directions = {"toxicity": False, "acc": True, "wer": None, "f1": None, "mse": True}

    assert json.loads(lower_of(directions)) == ["toxicity", "wer"]
    assert lower_of({"acc": True}) == "[]"


@pytest.mark.parametrize(
    ("metric", "said", "expected"),
    [
        ("toxicity,none", None, False),
        ("wer", None, True),
        ("wer,strict", None, True),
        ("wer,strict", "[]", False),
        ("toxicity,none", '["toxicity"]', True),
        ("toxicity,strict", '["toxicity,none"]', False),
        ("toxicity", '["toxicity,none"]', True),
        ("toxicity_2", '["toxicity"]', False),
    ],
)
def test_a_name_is_meant_under_every_filter(metric, said, expected):
    assert is_lower_better(metric, said) is expected
