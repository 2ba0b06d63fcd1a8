"""More of a sampled task, on a real model: what was drawn stays, the rest is drawn."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from toy import make_world

from harness.answered import answered
from harness.plan import make_plan
from harness.run.worker import run_here
from harness.store import Store
from harness.suite import load_suite
from harness.sweep import LM_EVAL, placement_of, sweep

pytestmark = pytest.mark.lm_eval

SUITE = """
suite: toy
task_paths: [tasks]
checkpoints:
  - pattern: runs/{{model}}/seed{{train_seed}}/step{{step}}
tasks:
  - {{task: toy_sampled, items: {items}, repeats: {repeats}}}
  - {{task: toy_cloze, items: {items}}}
resources: {{batch_size: 16}}
"""

COLUMNS = ["task", "item_index", "repeat", "text", "choice_logprobs", "metrics"]


def run(world: Path, store: Path, *, items: int, repeats: int) -> list[tuple[int, int]]:
    """Run the suite with these numbers; returns items and repeats of what was run."""
    from harness.run.lm_eval import LMEvalBackend

    (world / "suite.yaml").write_text(SUITE.format(items=items, repeats=repeats))
    suite, there = load_suite(world / "suite.yaml"), Store.create(store)
    plan = make_plan(
        suite,
        LMEvalBackend(),
        base=world,
        status=there.status(),
        answered=partial(answered, there),
    )
    execute = partial(
        run_here, backend=LM_EVAL, placement=placement_of(plan), max_tries=1
    )
    assert sweep(plan, there, execute).errors == ()
    return sorted((trial.n_items, trial.repeats) for trial in plan.remaining)


def test_topping_up_gives_what_one_run_of_all_gives(tmp_path):
    make_world(tmp_path, seeds=(0,), steps=(10,))
    assert run(tmp_path, tmp_path / "parts", items=4, repeats=2) == [(4, 1), (4, 2)]
    assert run(tmp_path, tmp_path / "parts", items=9, repeats=3) == [
        *[(4, 1), (5, 1), (5, 3)],
    ]
    run(tmp_path, tmp_path / "whole", items=9, repeats=3)
    parts, whole = (
        Store(tmp_path / name)
        .responses(COLUMNS)
        .sort_values(COLUMNS[:3])
        .reset_index(drop=True)
        for name in ("parts", "whole")
    )

    assert len(parts) == 9 * 3 + 9
    assert parts["text"].tolist() == whole["text"].tolist()
    assert parts["text"].nunique() > 3
    first, second = (
        [x for some in frame["choice_logprobs"].dropna() for x in some]
        for frame in (parts, whole)
    )
    assert first == pytest.approx(second, abs=1e-4)
