"""Is just what is red measured again, once, with fresh seeds on both sides?"""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fakes import fake_plan, no_ray

from harness.errors import InputError
from harness.gate.confirm import confirmed, rerun
from harness.gate.judge import judge
from harness.report.sheets.gate import other_sentences
from harness.sweep import SweepResult, nothing_to_do

NO_TRIALS = pd.DataFrame(
    {
        name: pd.Series(dtype=kind)
        for name, kind in {
            "status": str,
            "model": str,
            "step": "Int64",
            "task": str,
            "formulation": str,
            "num_fewshot": "Int64",
            "template": str,
            "generation": str,
            "fewshot_seed": "Int64",
            "sample_seed": "Int64",
        }.items()
    }
)


def plan_of(tasks="ab", *, draws=True, sampled=False, steps=(1, 2, 8)):
    """Return a plan of a model m whose tasks draw examples, or nothing."""
    made = fake_plan(models=("m",), seeds=(1,), steps=steps, tasks=tuple(tasks))
    return replace(
        made,
        trials=tuple(
            replace(t, info=replace(t.info, draws_fewshot=draws, sampled=sampled))
            for t in made.trials
        ),
    )


@pytest.fixture
def verdict(nights, policy, marks):
    """Return a judge of eight nights, task b spoiled on the last by `loss`."""

    def verdict(loss=0.9, **said):
        rng = np.random.default_rng(5)
        levels = {task: rng.normal(0.5, 0.02, 8) for task in "ab"}
        levels["b"][-1] -= loss
        return judge(nights(levels), policy=policy(**said), marks=marks())

    return verdict


def test_red_cells_alone_are_asked_again_of_both_sides(verdict):
    asked = rerun(verdict(), plan_of(), NO_TRIALS, seeds=2)

    assert asked.tasks == ("b",)
    trials = asked.plan.trials
    assert [(t.info.task, t.checkpoint.step, t.fewshot_seed) for t in trials] == [
        ("b", 8, 1235),
        ("b", 8, 1236),
        ("b", 1, 1235),
        ("b", 1, 1236),
    ]
    assert {t.sample_seed for t in trials} == {0}
    assert asked.plan.remaining == trials


def test_the_seed_of_sampled_text_changes_where_text_is_sampled(verdict):
    asked = rerun(verdict(), plan_of(draws=False, sampled=True), NO_TRIALS)

    assert {(t.fewshot_seed, t.sample_seed) for t in asked.plan.trials} == {
        (1234, 1235)
    }


def test_what_no_seed_changes_is_not_asked_again(verdict):
    before = verdict()
    asked = rerun(before, plan_of(draws=False), NO_TRIALS)

    assert asked.plan.trials == ()
    assert asked.unchangeable == ("b",)
    result = confirmed(before, before, asked, nothing_to_do())
    assert result.status == "failed"
    assert result.confirmation is not None
    assert result.confirmation.n_trials == 0


def test_nothing_is_confirmed_twice(verdict):
    plan = plan_of()
    again = next(t for t in plan.trials if (t.info.task, t.checkpoint.step) == ("b", 8))
    rows = [
        {
            "status": "done",
            "model": "m",
            "step": 8,
            "task": "b",
            "formulation": "cloze",
            "num_fewshot": 0,
            "template": "default",
            "generation": "",
            "fewshot_seed": seed,
            "sample_seed": 0,
        }
        for seed in (again.fewshot_seed, 1235)
    ]

    asked = rerun(verdict(), plan, pd.DataFrame(rows))

    assert asked.plan.trials == ()
    assert asked.already == ("b",)


def test_a_suite_that_does_not_ask_it_is_refused(verdict):
    for plan in (plan_of("a"), plan_of(steps=(1, 2))):
        with pytest.raises(InputError) as caught:
            rerun(verdict(), plan, NO_TRIALS)
        assert caught.value.code == "suite-unrelated"


def test_a_baseline_that_the_suite_has_no_more_stands_as_it_is(verdict):
    asked = rerun(verdict(), plan_of(steps=(8,)), NO_TRIALS)

    assert [t.checkpoint.step for t in asked.plan.trials] == [8]
    assert asked.one_sided == ("b",)
    assert rerun(verdict(), plan_of(), NO_TRIALS).one_sided == ()


def test_fresh_examples_for_one_side_are_said(verdict):
    before = verdict()
    asked = rerun(before, plan_of(steps=(8,)), NO_TRIALS)
    ran = SweepResult(
        n_done=1, n_failed=0, errors=(), n_errors=0, seconds=1, forward_seconds=1
    )

    told = other_sentences(confirmed(before, before, asked, ran))

    assert any("b: the suite does not ask the baseline" in line for line in told)


def test_the_verdict_is_that_on_all_answers(verdict):
    before, after = verdict(), verdict(0.0)
    asked = rerun(before, plan_of(), NO_TRIALS)
    ran = SweepResult(
        n_done=1, n_failed=1, errors=(), n_errors=0, seconds=1, forward_seconds=1
    )

    result = confirmed(before, after, asked, ran)

    assert result.status == "passed"
    assert result.confirmation.cleared == ("b",)
    assert (result.confirmation.n_trials, result.confirmation.n_failed) == (2, 1)
    assert {c.task: c.is_confirmed for c in result.cells} == {"a": False, "b": True}


def test_other_examples_are_not_held_against_history(nights, policy, marks):
    """Examples that suit every checkpoint less make no drop: both sides have them."""
    rng = np.random.default_rng(5)
    levels = rng.normal(0.5, 0.02, 8)
    usual = nights({"a": levels})
    fresh = nights({"a": levels - 1.5}).assign(fewshot_seed=9)
    fresh["attempt_id"] += " fresh"
    fresh["prompt_digest"] += " fresh"
    fresh = fresh[fresh["step"].isin([1, 8]).to_numpy(dtype=bool)]

    (cell,) = judge(
        pd.concat([usual, fresh], ignore_index=True), policy=policy(), marks=marks()
    ).cells

    assert cell.against_history is not None
    assert not cell.against_history.is_below
    assert cell.state in {"passed", "no worse"}
    assert cell.against_baseline.candidate.score.value < 0.5


@pytest.mark.lm_eval
@pytest.mark.slow
def test_red_cells_of_the_zoo_are_measured_again(tmp_path, capfd):
    """A late checkpoint goes on as an early one; arithmetic draws its examples."""
    from harness.cli.run import zoo_root

    root = zoo_root()
    if root is None:
        pytest.skip("the zoo of the quickstart is not built: evalvar zoo build")
    for step, source in ((1, 640), (2, 20)):
        folder = tmp_path / f"runs/m/step{step}"
        shutil.copytree(root / f"zoo-tiny/seed0/step{source}", folder)
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "suite: confirmed\ntask_paths: [zoo://tasks]\n"
        'checkpoints: [{pattern: "runs/m/step{step}", model: m}]\n'
        "tasks: [{task: zoo_arithmetic, items: 60}, {task: zoo_agreement, items: 30}]\n"
    )
    rules = tmp_path / "gate.yaml"
    rules.write_text('baseline: m@1\ncritical: ["*"]\nnoise: 0\n')
    store = str(tmp_path / "store")
    command = ["gate", store, "--policy", str(rules), "--confirm", str(suite)]

    with no_ray():
        assert evalvar("run", str(suite), "--store", store, "--workers", "1") == 0
        assert evalvar(*command, "--workers", "1") == 3
        first = capfd.readouterr().out
        assert evalvar(*command) == 3
        second = capfd.readouterr().out

    assert "Measured again with fresh seeds (2 trials): zoo_arithmetic;" in first
    assert "zoo_agreement: no seed changes an answer" in first
    assert "zoo_arithmetic: measured again before" in second


def evalvar(*words: str) -> int | str | None:
    """Run a command in this process; returns its status."""
    from harness.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["evalvar", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    return ended.value.code
