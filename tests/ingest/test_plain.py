"""Tables that people type: what is meant is read, what is not is told with its line."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError, InputError
from harness.ingest import plain, spool
from harness.ingest.columns import ROWS
from harness.ingest.load import load_results
from harness.ingest.plain import Csv, Parquet
from harness.records import digest
from harness.stats.scores import (
    METRICS,
    default_metrics,
    metric_scores,
    score_responses,
)

FULL = """item,model,step,train_seed,task,repeat,metric,score,prompt,text,target,cluster
q1,toy,10,0,sums,0,acc,1,1 + 1,2,2,easy
q1,toy,10,0,sums,0,f1,0.5,1 + 1,2,2,easy
q1,toy,10,0,sums,1,acc,0,1 + 1,3,2,easy
q2,toy,10,0,sums,0,acc,,"2
+ 2",,4,
q1,toy,20,0,sums,0,acc,true,1 + 1,2,2,easy
q1,other,,,sums,0,acc,1e-3,1 + 1,2,2,easy
"""


def found(path, reader=None):
    reader = reader or (Parquet() if path.suffix == ".parquet" else Csv())
    [one] = reader.read(path)
    return one


def rows_of(part):
    table = pa.Table.from_batches(list(part.rows()), ROWS)
    table.validate(full=True)
    return [{**row, "metrics": dict(row["metrics"])} for row in table.to_pylist()]


@pytest.fixture
def write(tmp_path):
    def written(text, name="scores.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


def test_each_model_step_and_task_is_a_trial(write):
    parts = found(write(FULL)).parts

    assert [
        (p.trial["model"], p.trial.get("step"), p.trial["n_items"]) for p in parts
    ] == [("toy", 10, 2), ("toy", 20, 1), ("other", None, 1)]
    assert parts[0].trial["repeats"] == 2
    assert "step" in parts[2].unknown
    assert "step" not in parts[0].unknown


def test_metrics_of_one_answer_stand_in_one_row(write):
    first, again, empty = rows_of(found(write(FULL)).parts[0])

    assert first["metrics"] == {"acc": 1.0, "f1": 0.5}
    assert (first["item_index"], first["repeat"]) == (0, 0)
    assert (again["item_index"], again["repeat"]) == (0, 1)
    assert first["item_id"] == again["item_id"] == digest(["sums", "q1"])
    assert first["prompt_digest"] == digest("1 + 1")
    assert (first["text"], first["target"], first["cluster"]) == ("2", "2", "easy")
    assert empty["metrics"] == {}
    assert empty["status"] == "unscored"


def test_a_table_without_more_than_it_needs_says_what_is_unknown(write):
    one = found(write("item_id,model,score\na,m,1\nb,m,0\n", "arc.csv"))
    [part] = one.parts

    assert one.format == "csv"
    assert part.trial["task"] == "arc"
    assert part.trial["template"] == "default"
    assert set(part.unknown) == {
        *("train_seed", "step", "num_fewshot", "weights_digest", "dtype", "backend")
    }
    assert [row["metrics"] for row in rows_of(part)] == [{"score": 1}, {"score": 0}]


@pytest.mark.parametrize("metric", ["acc", "exact_match", "brier", "f1", "margin"])
def test_a_score_of_any_name_is_the_tools_own(write, metric):
    """Also where we derive one of that name from likelihoods, which are not there."""
    path = write(f"item,model,score,metric\na,m,1,{metric}\nb,m,0.5,{metric}\n")
    responses = load_results([path]).responses
    discrete, _ = default_metrics(responses)
    scored = score_responses(responses, METRICS)

    assert discrete.partition(",")[0] == metric
    assert metric_scores(scored, discrete).tolist() == [1.0, 0.5]


def test_ids_of_our_own_stay_what_they_are(write):
    own = digest({"question": "?"})
    [part] = found(write(f"item_id,model,score\n{own},m,1\nq,m,1\n", "t.csv")).parts

    assert [row["item_id"] for row in rows_of(part)] == [own, digest(["t", "q"])]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("item;model;score\na;m;0.5\n", "t.csv"),
        ("item\tmodel\tscore\na\tm\t0.5\n", "t.tsv"),
        ("item|model|score\na|m|0.5\n", "t.csv"),
        ("\ufeffitem,model,score\r\na,m,0.5\r\n", "t.csv"),
        ('"Item" , MODEL,"Score"\n"a",m,"0.5"\n', "t.csv"),
        ("\n\nitem,model,score\na,m, 0.5 \n", "t.csv"),
        ("score,extra,model,item\n.5,x,m,a\n", "t.csv"),
    ],
)
def test_delimiters_quotes_and_marks_are_found_out(write, text, name):
    path = write(text, name)
    [part] = found(path).parts

    assert Csv().claims(path, path.read_bytes())
    [row] = rows_of(part)
    assert row["item_id"] == digest(["t", "a"])
    assert row["metrics"] == {"score": 0.5}


@pytest.mark.parametrize("word", ["", "nan", "NaN", "null", "None", "NA", "n/a"])
def test_a_score_that_there_is_not_is_no_zero(write, word):
    [part] = found(write(f"item,model,score\na,m,{word}\nb,m,0\n")).parts
    unscored, zero = rows_of(part)

    assert (unscored["status"], unscored["metrics"]) == ("unscored", {})
    assert (zero["status"], zero["metrics"]) == ("ok", {"score": 0.0})


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ('a,m,"0,5",1', "line 4: score '0,5' is no number"),
        ("a,m,1.2.3,1", "line 4: score '1.2.3'"),
        ("a,m,inf,1", "line 4: score 'inf'"),
        ("a,m,1e999,1", "line 4: score '1e999'"),
        ("a,m,=1+1,1", "line 4: score '=1+1'"),
        ("a,m,0x10,1", "line 4: score '0x10'"),
        ("a,m,1,-1", "line 4: step '-1' is no whole number"),
        ("a,m,1,1.5", "line 4: step '1.5'"),
        ("a,m,1,9999999999999999999", "line 4: step"),
        ("a,m,1,10000000000000000000000", "line 4: step"),
        (",m,1,1", "line 4: item_id '' is no name"),
        ("a,,1,1", "line 4: model '' is no name"),
    ],
)
def test_a_bad_cell_is_told_with_its_line(write, row, told):
    path = write(f'item,model,score,step\n"x\ny",m,0,1.0\n{row}\nz,m,0,2\n')
    with pytest.raises(HarnessError) as caught:
        found(path)

    assert told in str(caught.value)
    assert caught.value.code == "results-broken"


def test_many_bad_cells_are_counted(write):
    rows = "".join(f'i{i},m,"0,{i}"\n' for i in range(50))
    with pytest.raises(HarnessError, match="lines 2, 3, 4 and 47 more"):
        found(write(f"item,model,score\n{rows}"))


@pytest.mark.parametrize("value", ["-1", "32768", "1e3"])
def test_absurd_repeats_are_refused(write, value):
    with pytest.raises(HarnessError, match="repeat"):
        found(write(f"item,model,score,repeat\na,m,1,{value}\n"))


def test_a_number_of_repeats_that_leaves_nearly_all_out_is_refused(write):
    rows = "".join(f"i{i},m,1,0\n" for i in range(99))
    with pytest.raises(HarnessError, match="last repeat is number 32000"):
        found(write(f"item,model,score,repeat\n{rows}x,m,1,32000\n"))


def test_a_score_given_twice_is_refused_with_its_lines(write):
    with pytest.raises(HarnessError, match="lines 4, 5") as caught:
        found(write("item,model,score\na,m,1\nb,m,1\na,m,1\na,m,0\n"))

    assert caught.value.code == "duplicate-response"
    assert "in a column repeat" in str(caught.value)


def test_lines_are_told_where_cells_hold_line_breaks_and_lines_are_empty(write):
    path = write('item,model,score\n"a\n\nb",m,1\n\nc,m,1\nc,m,1\n')
    with pytest.raises(HarnessError, match="line 7"):
        found(path)


def test_missing_columns_are_named_with_what_is_near(write):
    with pytest.raises(HarnessError) as caught:
        found(write("question_id,model,scores\na,m,1\n"))

    assert caught.value.code == "missing-columns"
    assert "item_id (near: question_id)" in str(caught.value)
    assert "score (near: scores)" in str(caught.value)


def test_a_column_that_was_perhaps_misspelt_is_told(write):
    one = found(write("item,model,score,steps,Notes\na,m,1,5,x\n"))
    [problem] = one.problems

    assert "'steps' (is it step?)" in problem.reason
    assert "Notes" not in problem.reason
    assert not problem.is_left_out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"item,model,score\n", "no rows"),
        (b"item,model,score\na,m\n", "no CSV"),
        (b"item,model,score\na,m,1,2\n", "no CSV"),
        (b"item,model,score\n\xe9,m,1\n", "no CSV in UTF-8"),
        ("item,model,score\na,m,1\n".encode("utf-16"), "UTF-16"),
        (b"\xe9,model,score\n", "not UTF-8"),
        (b"item,item_id,model,score\na,a,m,1\n", "two columns item_id"),
        (b'item,model,score\n"a,m,1\n', "no CSV|no rows"),
    ],
)
def test_what_is_no_table_is_told(write, content, told):
    with pytest.raises(HarnessError, match=told) as caught:
        found(write(content))

    assert caught.value.code == "results-broken"


def test_a_file_that_is_not_there_is_told(tmp_path):
    for reader in (Csv(), Parquet()):
        with pytest.raises(HarnessError):
            list(reader.read(tmp_path / "none"))


def test_a_cell_of_any_length_does_not_hide_the_line(write):
    long = "x" * 200_000
    with pytest.raises(HarnessError, match="line 3: score"):
        found(write(f"item,model,score,text\na,m,1,{long}\nb,m,?,x\n"))


def test_a_header_that_ends_within_quotes_is_told(write):
    with pytest.raises(HarnessError) as caught:
        found(write('"item,model,score\n'))

    assert caught.value.code in ("results-broken", "missing-columns")


def test_damaged_pages_are_told(tmp_path):
    path = tmp_path / "t.parquet"
    n = 5000
    items = pa.array([str(i * 7919 % 10007) for i in range(n)])
    table = pa.table({"item": items, "model": ["m"] * n, "score": [1.0] * n})
    pq.write_table(table, path, compression="zstd")
    data = bytearray(path.read_bytes())
    data[40:4000] = bytes(3960)
    path.write_bytes(bytes(data))
    with pytest.raises(HarnessError, match="damaged") as caught:
        found(path)

    assert caught.value.code == "results-broken"


def test_formulas_and_script_stay_text(write):
    text = "item,model,score,text\n=1+1,<script>,1,@SUM(A1)\n"
    [part] = found(write(text, "t.csv")).parts

    assert part.trial["model"] == "<script>"
    [row] = rows_of(part)
    assert row["text"] == "@SUM(A1)"
    assert row["item_id"] == digest(["t", "=1+1"])


def test_dates_tell_runs_apart(write):
    text = "item,model,score,finished_at\na,m,1,2026-01-01\na,m,0,2026-01-02T03:00Z\n"
    first, second = found(write(text)).parts

    assert first.trial["finished_at"].isoformat() == "2026-01-01T00:00:00+00:00"
    assert second.trial["finished_at"].hour == 3


# ---- Parquet -------------------------------------------------------------------------


def test_parquet_says_what_csv_says(write, tmp_path):
    path = write(FULL)
    table = pa.csv.read_csv(
        path, parse_options=pa.csv.ParseOptions(newlines_in_values=True)
    )
    pq.write_table(table, tmp_path / "scores.parquet")
    ours, theirs = found(path), found(tmp_path / "scores.parquet")

    assert theirs.format == "parquet"
    assert Parquet().claims(tmp_path / "scores.parquet", b"PAR1")
    for one, other in zip(ours.parts, theirs.parts, strict=True):
        skip = {"location"}
        assert {k: v for k, v in one.trial.items() if k not in skip} == {
            k: v for k, v in other.trial.items() if k not in skip
        }
        assert rows_of(one) == rows_of(other)


@pytest.mark.parametrize(
    "score",
    [
        pa.array([1, 0, None], pa.int8()),
        pa.array([True, False, None]),
        pa.array([1.0, 0.0, math.nan], pa.float32()),
        pa.array(["1", "0", None]),
    ],
)
def test_scores_of_every_type_are_read(tmp_path, score):
    table = pa.table({"item": [1, 2, 3], "model": ["m"] * 3, "score": score})
    pq.write_table(table, tmp_path / "t.parquet")
    [part] = found(tmp_path / "t.parquet").parts

    assert [row["metrics"] for row in rows_of(part)] == [
        {"score": 1.0},
        {"score": 0.0},
        {},
    ]


@pytest.mark.parametrize(
    "column",
    [
        {"model": pa.array([["m"]])},
        {"score": pa.array([{"a": 1}])},
        {"score": pa.array([math.inf])},
        {"step": pa.array([1.5])},
    ],
)
def test_columns_of_another_type_are_refused(tmp_path, column):
    table = {"item": ["a"], "model": ["m"], "score": [1.0], **column}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    with pytest.raises(HarnessError) as caught:
        found(tmp_path / "t.parquet")

    assert caught.value.code == "results-broken"


def test_a_parquet_that_is_cut_off_is_told(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"item": ["a"], "model": ["m"], "score": [1.0]})
    pq.write_table(table, path)
    data = path.read_bytes()
    for end in range(0, len(data), 29):
        path.write_bytes(data[:end])
        with pytest.raises(HarnessError) as caught:
            found(path)
        assert caught.value.code == "results-broken"
    assert Parquet().claims(path, b"PAR1")


def test_a_parquet_that_claims_more_than_it_can_hold_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(plain, "MOST_TIMES", 1)
    n = 30_000
    column = pa.DictionaryArray.from_arrays(pa.nulls(n, pa.int32()).fill_null(0), ["m"])
    table = pa.table(
        {"item": column, "model": column, "score": pa.nulls(n).cast("int8")}
    )
    pq.write_table(table, tmp_path / "t.parquet", store_schema=False)
    with pytest.raises(HarnessError, match="30,000 rows") as caught:
        found(tmp_path / "t.parquet")

    assert caught.value.code == "results-too-large"


def test_one_long_word_again_and_again_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(plain, "MOST_CHARS", 10_000)
    table = pa.table({"item": [*map(str, range(99))], "model": ["x" * 999] * 99})
    pq.write_table(
        table.append_column("score", pa.array([1.0] * 99)), tmp_path / "t.parquet"
    )
    with pytest.raises(HarnessError, match="of text") as caught:
        found(tmp_path / "t.parquet")

    assert caught.value.code == "results-too-large"


def test_what_no_file_or_only_one_says_is_absent_in_the_frame(write):
    plain_table = write("item,model,score\na,m,1\n")
    log = Path(__file__).parent / "data/inspect/animals.eval"
    loaded = load_results([plain_table, log])

    assert loaded.responses["weights_digest"].isna().sum() == 1
    assert loaded.responses["dtype"].isna().all()
    assert loaded.unknown["dtype"] == 2


# ---- memory, noise -------------------------------------------------------------------


def test_more_trials_than_anyone_has_are_refused(write, monkeypatch):
    monkeypatch.setattr(spool, "MOST_TRIALS", 20)
    rows = "".join(f"a,m{i},1\n" for i in range(30))
    with pytest.raises(HarnessError, match="over 20 trials") as caught:
        found(write(f"item,model,score\n{rows}"))

    assert caught.value.code == "results-too-large"


def test_batches_do_not_show(write, monkeypatch):
    """Rows of a trial may lie in many batches, between those of others."""
    rows = [
        f"i{i % 7},m{i % 3},{i % 2},{i // 21},{('a', 'b')[i % 2]}" for i in range(420)
    ]
    text = "\n".join(["item,model,score,repeat,metric", *rows])
    whole = [rows_of(part) for part in found(write(text)).parts]
    monkeypatch.setattr(plain, "BATCH_ROWS", 16)
    pieces = [rows_of(part) for part in found(write(text)).parts]

    assert pieces == whole
    assert sum(len(row["metrics"]) for part in whole for row in part) == 420


def test_a_part_may_be_read_again_and_beside_others(write):
    first, second, _ = found(write(FULL)).parts
    one, other = first.rows(), second.rows()
    together = [next(one).num_rows, next(other).num_rows]

    assert together == [3, 1]
    assert rows_of(first) == rows_of(first)


def test_tables_are_told_by_their_header(tmp_path):
    claims = Csv().claims

    assert claims(Path("a.csv"), b"item,model,value\n")
    assert claims(Path("a.TSV"), b"model\tscore\n")
    assert not claims(Path("a.csv"), b"x,y\n1,2\n")
    assert not claims(Path("a.csv"), b"")
    assert not claims(Path("a.csv"), b"\xff\xfei\x00")
    assert not claims(Path("a.json"), b"item,model,score\n")
    assert not Parquet().claims(Path("a.parquet"), b"PK")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    assert not Parquet().claims(tmp_path / "x.parquet", b"PAR1")


cells = st.one_of(
    st.sampled_from(
        ["a", "b", "", "1", "0.5", '"', "=1", "nan", "1e400", "\ud7ff", "\0"]
    ),
    st.text(max_size=4),
)


@settings(max_examples=80)
@given(
    st.lists(st.lists(cells, min_size=3, max_size=4), max_size=4),
    st.sampled_from(
        ["item,model,score", "item,model,score,repeat", "item;model;score"]
    ),
    st.booleans(),
)
def test_any_cells_are_read_or_refused(tmp_path_factory, rows, header, is_quoted):
    def cell(text):
        return '"' + text.replace('"', '""') + '"' if is_quoted else text

    lines = [header, *(",".join(map(cell, row)) for row in rows)]
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    with contextlib.suppress(HarnessError):
        for part in found(path).parts:
            rows_of(part)


ONE = b"item,model,score\n"


@settings(max_examples=40)
@given(st.binary(max_size=80))
def test_noise_is_refused(tmp_path_factory, noise):
    """No score comes of it, unless it reads as lines of one."""
    path = tmp_path_factory.mktemp("csv") / "t"
    Csv().claims(Path("a.csv"), noise)
    for reader, content in (
        (Csv(), noise),
        (Csv(), b"PAR1" + noise + b"PAR1"),
        (Parquet(), noise),
        (Parquet(), ONE + noise),
        (Parquet(), b"PAR1" + noise + b"PAR1"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            found(path, reader)

        assert caught.value.code in {"results-broken", "missing-columns"}


@settings(max_examples=40)
@given(st.binary(max_size=80))
def test_noise_below_a_header_is_refused_or_a_score(tmp_path_factory, noise):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(ONE + noise)
    try:
        rows = [row for part in found(path).parts for row in rows_of(part)]
    except HarnessError:
        return
    assert len(rows) <= noise.count(b",") / 2


def test_a_column_says_which_way_is_better(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(
        "item_id,model,task,metric,score,lower_is_better\n"
        "q,m,t,toxicity,1,True\nq,m,t,f1,1,\nq,m,t,wer,1,false\nq,m,u,toxicity,1,\n"
    )
    said = [part.trial.get("lower_is_better") for part in found(path).parts]

    assert said == ['["toxicity"]', None]


def test_a_direction_that_is_none_is_refused(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("item_id,model,score,lower_is_better\nq,m,1,up\n")
    with pytest.raises(HarnessError, match="line 2: lower_is_better 'up' is no"):
        found(path)
