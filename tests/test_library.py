"""The library as a notebook meets it: frames, figures, complaints."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from fakes import N_ITEMS, commit, fake_plan, run_fake

import harness
from harness import library
from harness.errors import DesignError, InputError
from harness.frames import AGGREGATES, JOINED, TRIALS
from harness.marks import set_mark
from harness.starter import write_starter
from harness.stats.compare.results import Choice
from harness.stats.compare.table import compare
from harness.stats.tables import score_tables
from harness.stats.variance import variance_frame, variance_table
from harness.store import Store

EXAMPLE = Path(__file__).parents[1] / "results/example"

needs_checkout = pytest.mark.skipif(
    not EXAMPLE.is_dir(), reason="only a checkout has the example"
)


@pytest.fixture(scope="module")
def example():
    return harness.load(EXAMPLE)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Two tasks put to two seeds of two steps."""
    store = tmp_path_factory.mktemp("store")
    run_fake(store)
    return harness.load(store)


def test_importing_it_loads_nothing_heavy():
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, harness; dir(harness); print(*sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    heavy = {"pandas", "numpy", "pyarrow", "plotly", "scipy", "ray", "torch", "lm_eval"}
    assert not heavy & set(told.stdout.split())


def test_what_it_exports_is_there_and_nothing_else():
    assert dir(harness) == sorted(harness.__all__)
    assert harness.Results is library.Results
    with pytest.raises(AttributeError, match="no attribute 'WHO'"):
        _ = harness.WHO


@needs_checkout
def test_names_are_those_of_the_store(example):
    assert example.models == ("zoo-small", "zoo-tiny")
    assert len(example.tasks) == 6
    assert repr(example).endswith("144,000 answers of 2 models to 6 tasks>")
    assert example.problems == ()


@needs_checkout
def test_frames_have_the_columns_of_the_tables(example):
    assert list(example.responses().columns) == JOINED.names
    assert list(example.trials().columns) == TRIALS.names
    assert list(example.aggregates().columns) == AGGREGATES.names
    assert len(example.responses(model="zoo-tiny", task="zoo_agreement")) == 12_000


@needs_checkout
def test_what_is_not_there_is_told_with_what_is(example):
    with pytest.raises(DesignError, match="'zoo-small', 'zoo-tiny'") as told:
        example.responses(model="zoo")
    assert told.value.code == "nothing-stored"
    with pytest.raises(DesignError, match="there is ''"):
        example.responses(task="zoo_arithmetic", formulation="cloze")


@needs_checkout
def test_scores_are_each_tasks_own_unless_one_is_named(example):
    own = example.scores(model="zoo-tiny", task="zoo_arithmetic")
    named = example.scores("prob_correct", model="zoo-tiny", task="zoo_agreement")

    assert list(own.columns) == [*library.WHO, "metric", "score"]
    assert set(own["metric"]) == {"exact_match"}
    assert set(named["metric"]) == {"prob_correct"}
    assert len(named) == 12_000
    by_seed = own[own["step"] == 640].groupby("train_seed")["score"].mean()
    row = example.variance(task="zoo_arithmetic", model="zoo-tiny").iloc[0]
    assert np.isclose(by_seed.mean(), row["mean"])


@needs_checkout
def test_scores_of_several_tasks_stand_below_each_other(example):
    scores = example.scores(model="zoo-tiny")

    assert scores["metric"].unique().tolist() == ["acc", "exact_match"]
    assert len(scores) == 72_000


@needs_checkout
def test_variance_is_the_table_of_the_statistics(example):
    found = example.variance(task="zoo_facts_cloze", metric="acc_norm", ddof=0)

    tables = score_tables(
        Store(EXAMPLE).responses(), task="zoo_facts_cloze", discrete="acc_norm"
    )
    pd.testing.assert_frame_equal(found, variance_frame(variance_table(tables, ddof=0)))


@needs_checkout
@pytest.mark.parametrize(
    ("word", "model", "step", "seeds"),
    [
        ("zoo-tiny", "zoo-tiny", 640, None),
        ("zoo-tiny@480", "zoo-tiny", 480, None),
        ("zoo-tiny#2", "zoo-tiny", 640, (2,)),
        ("zoo-tiny@480#2", "zoo-tiny", 480, (2,)),
        (Choice(name="early", model="zoo-tiny", step=20), "zoo-tiny", 20, None),
    ],
)
def test_who_is_compared_is_named_in_words(example, word, model, step, seeds):
    found = example.compare("zoo-small", word, task="zoo_facts_cloze").choices[1]

    assert (found.model, found.step, found.train_seeds) == (model, step, seeds)


@needs_checkout
def test_a_comparison_is_that_of_the_statistics(example):
    found = example.compare(
        task="zoo_facts_cloze", delta=0.02, baseline="zoo-tiny", sequential="cs"
    )

    choices = [Choice(name=name, model=name) for name in ("zoo-tiny", "zoo-small")]
    responses = Store(EXAMPLE).responses()
    wanted = compare(
        responses, choices, task="zoo_facts_cloze", delta=0.02, sequential="cs"
    )
    assert found.to_dict() == wanted.to_dict()


@needs_checkout
def test_who_is_not_there_cannot_be_compared(example):
    with pytest.raises(DesignError, match="no model 'zoo'") as told:
        example.compare("zoo-tiny", "zoo@1")
    assert told.value.code == "unknown-model"
    for words in (("zoo-tiny", "zoo@none"), ("zoo-tiny", "zoo-small#x")):
        with pytest.raises(InputError, match=f"'{words[1]}' is not MODEL, ") as asked:
            example.compare(*words)
        assert asked.value.code == "unknown-model"


def test_tags_and_the_baseline_can_be_compared(tmp_path):
    run_fake(tmp_path, models=("a", "b"), tasks=("t1",))
    store = Store(tmp_path)
    set_mark(store, "tag", name="old", model="a")
    set_mark(store, "baseline", model="b", reason="why")
    found = harness.load(tmp_path).compare("baseline", "tag:old")

    assert [choice.model for choice in found.choices] == ["b", "a"]
    assert found.names == ("baseline", "tag:old")
    with pytest.raises(InputError) as told:
        harness.load(tmp_path).compare("a", "tag:new")
    assert told.value.code == "unknown-tag"


@needs_checkout
def test_who_names_no_step_has_the_one_that_is_given(example):
    found = example.compare("zoo-tiny", "zoo-small@640", step=480, task="zoo_agreement")

    assert [choice.step for choice in found.choices] == [480, 640]


def test_a_model_may_have_an_at_sign_in_its_name(tmp_path):
    run_fake(tmp_path, models=("a@1", "b#2"), tasks=("t1",))
    found = harness.load(tmp_path).compare()

    assert [choice.model for choice in found.choices] == ["a@1", "b#2"]
    assert [choice.step for choice in found.choices] == [10, 10]


@needs_checkout
def test_history_has_a_row_for_each_checkpoint(example):
    history = example.history(model="zoo-tiny", task="zoo_facts_cloze", last=3)

    assert history["step"].tolist() == [320, 480, 640]
    row = example.variance(model="zoo-tiny", task="zoo_facts_cloze").iloc[0]
    assert np.isclose(history["score"].iloc[-1], row["mean"])
    with pytest.raises(DesignError, match="no answer of task 'none'"):
        example.history(task="none")


def test_a_history_that_cannot_be_says_why(tmp_path):
    (tmp_path / "t.csv").write_text("item_id,model,task,score,step\na,m,t,1,5\n")
    loaded = harness.load(tmp_path / "t.csv")
    for words, code in (
        ({"by": "date"}, "no-responses"),
        ({"by": "week"}, "unknown-method"),
        ({"kind": "continuous"}, "unknown-metric"),
    ):
        with pytest.raises(DesignError) as caught:
            loaded.history(**words)
        assert caught.value.code == code


def test_what_is_no_comparison_is_refused_by_name(toy):
    for call, code in (
        (lambda: toy.compare(3, "b"), "unknown-model"),
        (lambda: toy.compare("toy@0", "toy@10", delta="x"), "bad-option"),
        (lambda: harness.figure(3, "forest"), "no-figure"),
    ):
        with pytest.raises(DesignError) as caught:
            call()
        assert caught.value.code == code


def test_every_figure_is_plotlys(toy):
    for name in ("trend", "trend-continuous", "spread", "snr", "monotonicity"):
        figure = toy.figure(name, task="t1")
        assert isinstance(figure, go.Figure)
        assert figure.data


@needs_checkout
def test_a_figure_is_of_what_was_asked(example):
    figure = example.figure("trend", task="zoo_facts_cloze", metric="acc_norm")

    assert figure.layout.yaxis.title.text == "acc_norm"
    curves = [trace.name for trace in figure.data if trace.mode == "lines+markers"]
    assert sorted(curves) == [
        "zoo_facts_cloze · zoo-small",
        "zoo_facts_cloze · zoo-tiny",
    ]


def test_a_figure_that_is_none_is_refused(toy):
    with pytest.raises(DesignError, match="no figure 'forrest'; choose") as told:
        toy.figure("forrest")
    assert told.value.code == "no-figure"
    with pytest.raises(DesignError, match="2 figures trend, of t1; t2: ") as told:
        toy.figure("trend")
    assert told.value.code == "no-figure"


def test_a_figure_that_shows_nothing_says_why(tmp_path):
    run_fake(tmp_path, seeds=(0,), steps=(10,), tasks=("t1",))
    results = harness.load(tmp_path)

    with pytest.raises(DesignError, match="needs two steps") as told:
        results.figure("trend")
    assert told.value.code == "no-figure"
    with pytest.raises(DesignError, match="monotonicity shows nothing here") as told:
        results.figure("monotonicity")
    assert told.value.code == "no-figure"


def test_answers_of_replaced_weights_are_left_out_of_scores(tmp_path):
    store = Store.create(tmp_path)
    (trial,) = fake_plan(seeds=(0,), steps=(0,), tasks=("t1",)).trials
    commit(store, trial, "old")
    newer = replace(
        trial, checkpoint=replace(trial.checkpoint, weights_digest="others")
    )
    commit(store, newer, "new", minute=9)
    results = harness.load(tmp_path)

    assert len(results.responses()) == 2 * N_ITEMS
    assert len(results.scores()) == N_ITEMS


def test_several_stores_are_read_as_one(tmp_path):
    run_fake(tmp_path / "one", models=("a",), tasks=("t1",))
    run_fake(tmp_path / "two", models=("b",), tasks=("t2",))
    results = harness.load(tmp_path / "one", str(tmp_path / "two"))

    assert results.models == ("a", "b")
    assert results.tasks == ("t1", "t2")
    assert len(results.trials()) == 8
    assert set(results.variance()["task"]) == {"t1", "t2"}


def test_a_model_of_several_sources_is_told_apart_by_its_source(tmp_path):
    run_fake(tmp_path / "before", models=("a", "b"), tasks=("t1",))
    run_fake(tmp_path / "after", models=("a",), tasks=("t1",))
    results = harness.load(tmp_path / "before", tmp_path / "after")

    assert results.models == ("before/a", "b", "after/a")
    assert set(results.trials()["model"]) == {*results.models}
    assert results.compare("before/a", "after/a").names == ("before/a", "after/a")


def test_a_store_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError) as told:
        harness.load(tmp_path / "nothing")
    assert told.value.code == "store-missing"


def test_what_lm_eval_wrote_is_read_without_a_store(tmp_path):
    write_starter(tmp_path, demo=True)
    results = harness.load(tmp_path / "demo")
    found = results.compare("zoo-tiny", "zoo-small")

    assert repr(results).endswith("2,400 answers of 2 models to 4 tasks>")
    assert {row.task: row.verdict for row in found.differences} == {
        "zoo_arithmetic": "worse",
        "zoo_facts_choice": "unclear",
        "zoo_facts_cloze": "better",
        "zoo_sequences_cloze": "better",
    }


def test_a_store_and_foreign_results_are_read_as_one(tmp_path):
    run_fake(tmp_path / "store", tasks=("t1",))
    write_starter(tmp_path, demo=True)
    results = harness.load(tmp_path / "store", tmp_path / "demo/zoo-tiny")

    assert results.models == ("toy", "zoo-tiny")
    assert len(results.trials()) == 8
    assert len(results.scores()) == len(results.responses())


def test_what_is_no_result_of_any_tool_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(InputError) as told:
        harness.load(tmp_path)
    assert told.value.code == "results-missing"


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    write_starter(folder, demo=True)
    return harness.load(folder / "demo").compare("zoo-tiny", "zoo-small", delta=0.02)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three made-up models at two tasks."""
    store = tmp_path_factory.mktemp("store")
    run_fake(store, models=("a", "b", "c"), seeds=(0,), steps=(0,))
    return harness.load(store).compare(min_items=1_000)


def test_a_forest_has_a_row_for_each_task_and_the_average(compared):
    figure = harness.figure(compared)

    rows = [*compared.differences, *compared.average.differences]
    drawn = {
        label: value
        for trace in figure.data[2:]  # after the band and the outer intervals
        for label, value in zip(trace.y, trace.x, strict=True)
    }
    values = [row.difference.value for row in rows]
    np.testing.assert_allclose(sorted(drawn.values()), sorted(values), atol=1e-4)
    assert figure.layout.yaxis.categoryarray[-1] == "average of 4 tasks"
    assert set(figure.layout.yaxis.categoryarray) == {*drawn}
    assert not figure.layout.annotations


def test_flips_are_those_of_the_comparison(compared):
    lost, gained = harness.figure(compared, "flips").data

    counts = {row.task: row.flips for row in compared.differences}
    assert dict(zip(lost.y, lost.x, strict=True)) == {
        task: -flips.n_lost for task, flips in counts.items()
    }
    assert dict(zip(gained.y, gained.x, strict=True)) == {
        task: flips.n_gained for task, flips in counts.items()
    }


def test_where_no_item_is_shared_none_is_said_to_be_unchanged(tmp_path):
    lines = [f"{m}{i},{m},t,{i % 2}" for m in "ab" for i in range(40)]
    path = tmp_path / "apart.csv"
    path.write_text("\n".join(["item_id,model,task,score", *lines]), "utf-8")

    with pytest.raises(DesignError, match="too little can be compared"):
        harness.figure(harness.load(path).compare(), "flips")


def test_a_figure_without_a_row_is_refused_with_the_reason(three):
    with pytest.raises(DesignError, match="too little can be compared"):
        harness.figure(three, candidate="c")


def test_pairs_are_of_one_task(three):
    average = harness.figure(three, "pairs")
    one = harness.figure(three, "pairs", task="t2")

    assert average.data[0].z != one.data[0].z
    assert [*one.layout.xaxis.categoryarray] == ["a", "b", "c"]
    assert [*one.layout.yaxis.categoryarray] == ["a", "b", "c"]


def test_a_figure_of_a_comparison_that_is_none_is_refused(compared, three):
    for comparison, options, code in (
        (compared, {"name": "forrest"}, "no-figure"),
        (compared, {"name": "pairs"}, "no-figure"),
        (compared, {"candidate": "zoo-tiny"}, "unknown-model"),
        (three, {"name": "pairs", "task": "t3"}, "unknown-task"),
    ):
        with pytest.raises(DesignError) as told:
            harness.figure(comparison, **options)
        assert told.value.code == code
