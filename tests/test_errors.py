"""Does an error keep its code and its words, and say by its class whose fault it is?"""

from __future__ import annotations

import copy
import pickle
import re

import pytest

from harness import errors
from harness.errors import (
    CheckpointError,
    DesignError,
    HarnessError,
    InputError,
    RunError,
    SchemaError,
    StoreError,
    SuiteError,
    TrialError,
)

INPUT = (InputError, SuiteError, SchemaError, DesignError, CheckpointError)
RUN = (RunError, TrialError, StoreError)


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = re.findall(r"^(?: [x+]|   \+)? ?(\w+Error)\b", errors.__doc__, re.MULTILINE)
    defined = {n for n, kind in vars(errors).items() if isinstance(kind, type)}

    assert set(drawn) == {
        n for n in defined if issubclass(getattr(errors, n), Exception)
    }
    assert {kind.__name__ for kind in (HarnessError, *INPUT, *RUN)} == set(drawn)


@pytest.mark.parametrize("kind", INPUT)
def test_bad_input_is_a_value_error_and_no_failed_run(kind):
    assert issubclass(kind, InputError)
    assert issubclass(kind, ValueError)
    assert not issubclass(kind, RunError)


@pytest.mark.parametrize("kind", RUN)
def test_a_failed_run_is_a_runtime_error_and_no_bad_input(kind):
    assert issubclass(kind, RunError)
    assert issubclass(kind, RuntimeError)
    assert not issubclass(kind, InputError)


@pytest.mark.parametrize("kind", [*INPUT, *RUN])
@pytest.mark.parametrize(
    "passed_on", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))]
)
def test_class_words_and_code_survive_the_way_from_a_worker(kind, passed_on):
    error = passed_on(kind("what is the\nmatter: é", code="suite-invalid"))

    assert type(error) is kind
    assert str(error) == "what is the\nmatter: é"
    assert error.args == ("what is the\nmatter: é",)
    assert error.code == "suite-invalid"


def test_a_code_is_never_left_out():
    with pytest.raises(TypeError, match="code"):
        SuiteError("no code")
