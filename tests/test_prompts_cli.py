"""What `evalvar prompts` prints of stores with templates, and of one without."""

import json
import re
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from fakes import fake_plan, outcome

from harness import cli
from harness.errors import DesignError
from harness.frames import TRIALS
from harness.records import Template
from harness.report.sheets.prompts import (
    facet_name,
    order_sheet,
    refusals,
    template_sentences,
    template_sheet,
    variance_sheet,
)
from harness.run.backend import EVIDENCE
from harness.run.worker import tables
from harness.stats.estimate import Interval
from harness.stats.facets import facet_scores
from harness.stats.prompt_table import prompt_table
from harness.stats.template_table import order_table, template_table
from harness.stats.templates.spread import template_spread
from harness.store import Store
from harness.sweep import _trial_row


def templated(path, *, n_templates=4, repeats=3, models=("toy", "other")):
    """Write a store of choice tasks whose templates help the models differently."""
    store, plan = Store.create(path), fake_plan(models=models, seeds=(0,), steps=(9,))
    trials = [trial for trial in plan.trials if trial.info.task == "t1"]
    for trial in trials:
        for t in range(n_templates):
            name = f"template {t:02}"
            template = Template(name=name, system_prompt=name)
            asked = replace(
                trial,
                request=replace(trial.request, template=template),
                info=replace(trial.info, sampled=True),
                repeats=repeats,
            )
            came = outcome(asked)
            rng = np.random.default_rng([t, len(trial.checkpoint.model)])
            rows = [
                {
                    **row,
                    "repeat": k,
                    "choice_logprobs": [
                        lp + 0.8 * rng.normal() + 0.3 * t * (c == row["target_index"])
                        for c, lp in enumerate(row["choice_logprobs"])
                    ],
                }
                for row in came.answers.rows.to_pylist()
                for k in range(repeats)
            ]
            answers = replace(
                came.answers, rows=pa.Table.from_pylist(rows, schema=EVIDENCE)
            )
            came = replace(came, answers=answers)
            attempt = f"{trial.checkpoint.model} {t}"
            row = _trial_row(plan, asked, came, 1, attempt)
            store.append(
                pa.Table.from_pylist([row], schema=TRIALS),
                [tables(came, asked.trial_id, attempt)],
            )
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return templated(tmp_path_factory.mktemp("templates") / "s")


@pytest.fixture
def evalvar(monkeypatch, capfd):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["evalvar", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capfd.readouterr()

    return run


def test_three_tables_and_what_they_say(evalvar, store):
    status, out, err = evalvar("prompts", store)

    assert (status, err) == (0, "")
    for heading in ("max −", "consistency", "reversed"):
        assert heading in out
    assert "toy seed 0 step 9, t1: template 02 and template 00 are" in out
    assert "two templates disagree on which of two models is ahead" in out


def test_json_has_all_that_was_found(evalvar, store):
    _, out, _ = evalvar("prompts", store, "--json")
    found = json.loads(out)

    assert found["schema"] == "evalvar.prompts/1"
    of_toy = found["templates"][1]
    assert of_toy["model"] == "toy"
    assert of_toy["template_spread"]["n_repeats"] == 3
    assert len(of_toy["means"]) == 4
    assert found["variances"][1]["variance"]["mode"] == "unbiased"
    assert found["orders"][0]["names"] == ["other", "toy"]


@pytest.mark.parametrize("format_", ["md", "csv"])
def test_formats(evalvar, store, format_):
    status, out, err = evalvar("prompts", store, "--format", format_)

    assert (status, err) == (0, "")
    assert out.startswith({"md": "| model |", "csv": "model,task,"}[format_])


def test_each_option_changes_a_number(evalvar, store):
    def found(*options):
        return json.loads(evalvar("prompts", store, "--json", *options)[1])

    plain = found()
    for option, keys in (
        (("--mode", "p1"), {"variances"}),
        (("--epsilon", "0.05"), {"templates"}),
        (("--delta", "0.4"), {"templates"}),
        (("--confidence", "0.5"), {"templates", "variances", "orders"}),
        (("--metric", "prob_correct"), {"templates", "variances", "orders"}),
        (("--model", "toy"), {"templates", "variances", "orders"}),
    ):
        other = found(*option)
        assert {key for key in keys if plain[key] != other[key]} == keys, option


def test_of_ten_templates_quantiles_are_judged(evalvar, tmp_path):
    path = templated(tmp_path / "s", n_templates=10, repeats=1, models=("toy",))
    status, out, _ = evalvar("prompts", path)

    assert status == 0
    assert re.search(r"0\.\d+ \(0\.\d+\)", out)
    assert "few-answers error" in out
    assert "reversed" not in out
    assert "2 or more responses" in out

    plain, other = (
        json.loads(evalvar("prompts", path, "--json", "--entropy", n)[1])["templates"]
        for n in (0, 1)
    )
    assert plain[0]["budget"]["error"] != other[0]["budget"]["error"]


def test_tasks_of_one_template_are_told_beside_others(evalvar, tmp_path):
    path = templated(tmp_path / "s", n_templates=1, models=("toy",))
    templated(path, n_templates=2, models=("other",))
    status, out, _ = evalvar("prompts", path)

    assert status == 0
    assert out.count("toy, t1: t1 was asked under 1 template") == 1


def test_many_rows_are_counted_and_not_told(evalvar, tmp_path):
    names = tuple("abcdefgh")
    path = templated(tmp_path / "s", n_templates=2, repeats=1, models=names)
    _, out, _ = evalvar("prompts", path)

    assert "2 rows more stand in the table." in out


def test_one_template_is_refused(evalvar, tmp_path):
    path = templated(tmp_path / "s", n_templates=1, models=("toy",))
    status, out, err = evalvar("prompts", path)

    assert (status, out) == (2, "")
    assert "add templates to the suite" in err
    assert "[too-few-replicates]" in err


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--epsilon", "0"), "bad-tolerance"),
        (("--confidence", "1"), "bad-confidence-level"),
        (("--model", "nobody"), "nothing-stored"),
        (("--steps", "last"), "bad-steps"),
        (("--steps", "8"), "no-responses"),
    ],
)
def test_what_is_no_question_is_refused(evalvar, store, options, code):
    status, _, err = evalvar("prompts", store, *options)

    assert status == 2
    assert f"[{code}]" in err


@pytest.fixture(scope="module")
def rows(store):
    """Return the rows of the three tables."""
    found = facet_scores(Store(store).responses())
    return template_table(found)[0], prompt_table(found)[0], order_table(found)[0]


def test_each_sheet_has_its_numbers_in_full(rows):
    templates, variances, orders = rows
    sheets = template_sheet(templates), variance_sheet(variances), order_sheet(orders)
    of_templates, of_variances, of_orders = (sheet.frame() for sheet in sheets)

    assert set(of_templates["quantity"]) == {
        e.quantity for e in templates[0].spread.estimates
    }
    assert {"observed", "consistency"} <= set(of_variances["quantity"])
    assert list(of_orders["first"]) == ["other"]
    assert "model" not in of_orders
    assert list(of_templates["step"].unique()) == [9]


def test_templates_that_hardly_differ_leave_no_sd(rows):
    (row, *_), *_ = rows
    flat = template_spread(np.stack([np.roll([1.0, 0.0] * 10, t) for t in (0, 1, 2)]))
    named = replace(row, spread=flat, templates=("a", "b", "c"), means=np.full(3, 0.5))
    close = replace(
        named,
        spread=replace(
            flat,
            corrected_sd=replace(
                row.spread.corrected_sd, value=np.nan, interval=Interval(0, 0.02)
            ),
        ),
    )

    assert template_sentences([named])[0].endswith("no SD between templates is left.")
    assert template_sentences([close])[0].endswith("is left; it may be up to 0.020.")


def test_a_task_is_named_with_what_it_was_asked_under(rows):
    who = rows[0][0].who
    asked = replace(who, num_fewshot=5, generation='{"temperature": 1}', settings="x")

    assert facet_name(who) == "t1"
    assert facet_name(asked) == "t1 5-shot (temperature 1) (x)"


def test_refusals_that_are_alike_are_counted(rows):
    who = rows[0][0].who
    error = DesignError("it has none", code="no-responses")

    assert refusals([(who, error)]) == ("other, t1: it has none [no-responses]",)
    assert refusals([(who, error)] * 3) == (
        "other, t1 (3 checkpoints): it has none [no-responses]",
    )
