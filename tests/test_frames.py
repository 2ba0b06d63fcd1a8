"""What the tables promise, and the complaint about one that is none of them."""

import pandas as pd
import pyarrow as pa
import pytest

from harness.errors import SchemaError
from harness.frames import (
    CONDITION,
    IDENTITY,
    JOINED,
    RESPONSES,
    TRIALS,
    check_responses,
)

EMPTY = JOINED.empty_table().to_pandas()


def test_a_joined_table_passes_with_more_columns_and_in_any_order():
    check_responses(EMPTY[EMPTY.columns[::-1]].assign(note="mine"))


@pytest.mark.parametrize("column", JOINED.names)
def test_a_column_that_is_not_there_is_named(column):
    with pytest.raises(SchemaError, match=rf"lacks 1 columns, first \['{column}'\]"):
        check_responses(EMPTY.drop(columns=column))


def test_only_the_first_few_are_named_and_the_way_out_is_said():
    with pytest.raises(SchemaError, match=r"Store\.responses\(\)") as caught:
        check_responses(pd.DataFrame({"score": [1.0]}))

    assert caught.value.code == "missing-columns"
    assert f"lacks {len(JOINED)} columns" in str(caught.value)
    assert "item_index" not in str(caught.value)


@pytest.mark.parametrize("schema", [RESPONSES, TRIALS, JOINED])
def test_no_column_is_there_twice(schema):
    assert len(set(schema.names)) == len(schema)


def test_tables_join_on_columns_of_one_type():
    shared = set(RESPONSES.names) & set(TRIALS.names)

    assert shared == {"attempt_id", "trial_id", "status"}
    for name in shared:
        assert RESPONSES.field(name) == TRIALS.field(name)
        assert not RESPONSES.field(name).nullable


def test_a_joined_response_is_a_response_with_the_identity_of_its_trial():
    assert JOINED.names == [*RESPONSES.names, *IDENTITY]
    assert set(CONDITION) < set(IDENTITY) < set(TRIALS.names)
    assert not set(IDENTITY) & set(RESPONSES.names)


def test_a_number_that_may_be_missing_is_nullable_and_never_a_score_of_zero():
    for name in ("choice_logprobs", "target_logprob", "target_index", "metrics"):
        assert RESPONSES.field(name).nullable
    for name in ("train_seed", "step"):
        assert TRIALS.field(name) == pa.field(name, pa.int64())
