"""Is a plan the same on every machine, and is nothing in it that is there already?"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toy import make_files

from harness.errors import SuiteError
from harness.plan import make_plan, n_requests
from harness.records import Template
from harness.run.backend import FakeBackend
from harness.suite import Suite


class Backend(FakeBackend):
    """Describes tasks as the test says, by name."""

    def __init__(self, **tasks: dict) -> None:
        super().__init__()
        self.tasks = tasks

    def describe(self, requests):
        infos = super().describe(requests)
        return [dataclasses.replace(i, **self.tasks.get(i.task, {})) for i in infos]


SAMPLED = {"sampled": True, "repeats": 2}
DRAWN = {"draws_fewshot": True, "num_fewshot": 3}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder with two seeds of a model, each at two steps."""
    for seed in (0, 1):
        for step in (5, 10):
            name = f"m/seed{seed}/step{step}"
            make_files(tmp_path / name, weights=name)
    return tmp_path


@pytest.fixture
def plan(world: Path):
    """Plan a suite over `world` that is given by what it changes."""

    def plan(*, backend=None, base=world, zoo=None, status=None, rate=None, **changes):
        suite = {
            "suite": "s",
            "checkpoints": [{"pattern": "{model}/seed{train_seed}/step{step}"}],
            "tasks": ["t"],
            **changes,
        }
        return make_plan(
            Suite.model_validate(suite),
            backend or Backend(),
            base=base,
            zoo=zoo,
            status=status,
            seconds_per_request=rate,
        )

    return plan


def ids(plan) -> list[str]:
    return [trial.trial_id for trial in plan.trials]


def codes(plan) -> list[str]:
    return [caution.code for caution in plan.cautions]


ONE = [{"folder": "m/seed0/step5", "model": "m", "train_seed": 0, "step": 5}]
"""A suite's checkpoints, where one is enough."""


# ---- order -------------------------------------------------------------------------


def test_a_checkpoint_has_all_its_trials_in_a_row(plan):
    made = plan(
        backend=Backend(a={**SAMPLED, **DRAWN}),
        tasks=["a", "b"],
        templates=[{"name": "x"}, {"name": "y", "system_prompt": "Be brief."}],
        fewshot_seeds=[7, 3],
        sample_seeds=[1, 0],
    )
    seeds = [(7, 1), (7, 0), (3, 1), (3, 0)]

    assert [
        (
            *(t.checkpoint.train_seed, t.checkpoint.step, t.info.task),
            *(t.request.template.name, t.fewshot_seed, t.sample_seed),
        )
        for t in made.trials
    ] == [
        (train_seed, step, task, template, *pair)
        for train_seed in (0, 1)
        for step in (5, 10)
        for task, pairs in (("a", seeds), ("b", seeds[:1]))
        for template in ("x", "y")
        for pair in pairs
    ]
    assert made.n_checkpoints == 4
    assert len(set(ids(made))) == len(made.trials) == 40


def test_the_backend_is_asked_what_the_suite_says(plan, world):
    class Noting(Backend):
        def describe(self, requests):
            self.asked = requests
            return super().describe(requests)

    backend = Noting()
    plan(
        backend=backend,
        zoo=world / "zoo",
        task_paths=["tasks", "zoo://tasks"],
        tasks=[
            "plain",
            {
                "task": "full",
                "formulation": "choice",
                "num_fewshot": 2,
                "generation": {"until": ["\n"], "temperature": 0.5},
            },
        ],
        allow_unsafe_code=["full"],
    )
    plain, full = backend.asked

    assert plain.task_paths == (str(world / "tasks"), str(world / "zoo/tasks"))
    assert (plain.formulation, plain.num_fewshot, plain.generation) == ("", None, ())
    assert not plain.allow_unsafe_code
    assert (full.formulation, full.num_fewshot) == ("choice", 2)
    assert full.generation == (("temperature", 0.5), ("until", ["\n"]))
    assert full.template == Template(name="default")
    assert full.allow_unsafe_code


# ---- identity ----------------------------------------------------------------------


def test_trial_id_is_a_digest_of_what_its_documentation_says(plan):
    made = plan(
        backend=Backend(
            t={**SAMPLED, **DRAWN, "formulation": "", "lower_is_better": '["wer"]'}
        ),
        checkpoints=ONE,
        tasks=[{"task": "t", "items": 2, "generation": {"until": ["é"], "a": True}}],
        templates=[{"name": "n", "system_prompt": "Be brief."}],
        entropy=2**70,
        fewshot_seeds=[11],
        sample_seeds=[12],
        resources={"batch_size": 8, "dtype": "bfloat16", "max_length": 99},
    )

    def sha256(data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()

    def canonical(text: str) -> str:
        return sha256(text.encode())[:16]

    weights, config, words = b"m/seed0/step5", b'{"model_type": "llama"}', b"words"
    weights_digest = canonical(
        f'[["model.safetensors","{sha256(weights)}"],["config.json","{sha256(config)}"]]'
    )
    tokenizer_digest = canonical(
        f'[["tokenizer.json","{sha256(b"""{"model": "%s"}""" % words)}"]]'
    )
    template_digest = canonical(
        '{"apply_chat_template":false,"doc_to_choice":null,"doc_to_target":null,'
        '"doc_to_text":null,"system_prompt":"Be brief.","target_delimiter":null}'
    )
    items = list(made.trials[0].items)
    assert len(items) == 2
    assert made.trials[0].trial_id == canonical(
        '{"backend":"fake 1","batch_size":8,"drawn_by":"item and repeat",'
        '"dtype":"bfloat16",'
        '"entropy":1180591620717411303424,"fewshot_seed":11,"formulation":"",'
        '"generation":[["a",true],["until",["é"]]],"identity_version":1,'
        f'"items":[{items[0]},{items[1]}],"max_length":99,"model":"m",'
        '"num_fewshot":3,"repeats":2,"sample_seed":12,"step":5,"task":"t",'
        f'"task_digest":"{canonical("""["t",40,4]""")}",'
        f'"template":"{template_digest}","tokenizer":"{tokenizer_digest}",'
        f'"train_seed":0,"weights":"{weights_digest}"}}'
    )


PLANNER = """
import sys
from pathlib import Path
from harness.plan import make_plan
from harness.run.backend import FakeBackend
from harness.suite import load_suite

suite = Path(sys.argv[1])
for trial in make_plan(load_suite(suite), FakeBackend(), base=suite.parent).trials:
    print(trial.trial_id)
"""


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_other_processes_come_to_the_same_ids(plan, world, hash_seed):
    tasks = ["t", {"task": "u", "items": 7, "generation": {"b": 1, "a": [2]}}]
    text = {
        "suite": "s",
        "checkpoints": [{"pattern": "{model}/seed{train_seed}/step{step}"}],
        "tasks": tasks,
    }
    (world / "suite.yaml").write_text(json.dumps(text))
    done = subprocess.run(
        [sys.executable, "-c", PLANNER, "suite.yaml"],
        cwd=world,
        env={
            **os.environ,
            "PYTHONHASHSEED": hash_seed,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ids(plan(tasks=tasks))


@pytest.mark.parametrize(
    "change",
    [
        {"checkpoints": [{**ONE[0], "model": "n"}]},
        {"checkpoints": [{**ONE[0], "train_seed": 1}]},
        {"checkpoints": [{**ONE[0], "train_seed": None}]},
        {"checkpoints": [{**ONE[0], "step": 6}]},
        {"checkpoints": [{**ONE[0], "folder": "m/seed0/step10"}]},
        {"checkpoints": [{**ONE[0], "tokenizer": "words"}]},
        {"tasks": ["u"]},
        {"tasks": [{"task": "t", "items": 39}]},
        {"tasks": [{"task": "t", "num_fewshot": 2}]},
        {"tasks": [{"task": "t", "formulation": "choice"}]},
        {"tasks": [{"task": "t", "generation": {"temperature": 0.5}}]},
        {"tasks": [{"task": "t", "generation": {"temperature": 0.6}}]},
        {"tasks": [{"task": "t", "repeats": 3}]},
        {"repeats": 4},
        {"templates": [{"name": "default", "system_prompt": "Be brief."}]},
        {"templates": [{"name": "default", "doc_to_text": "{{q}}"}]},
        {"templates": [{"name": "default", "apply_chat_template": True}]},
        {"fewshot_seeds": [0]},
        {"sample_seeds": [1]},
        {"entropy": 1},
        {"resources": {"dtype": "float16"}},
        {"resources": {"batch_size": 63}},
        {"resources": {"max_length": 99}},
        {"task_digest": "other items"},
        {"backend_name": "fake 2"},
    ],
    ids=str,
)
def test_what_can_change_an_answer_changes_the_id(plan, world, change):
    make_files(world / "words", tokenizer="other words")
    for folder in (*world.glob("m/seed0/*"), world / "words"):
        (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    about = {**SAMPLED, "draws_fewshot": True}
    plain = plan(backend=Backend(t=about, u=about), checkpoints=ONE)
    if digest := change.pop("task_digest", None):
        about = {**about, "task_digest": digest}
    backend = Backend(t=about, u=about)
    backend.name = change.pop("backend_name", backend.name)
    changed = plan(backend=backend, **{"checkpoints": ONE, **change})

    assert len(changed.trials) == len(plain.trials) == 1
    assert ids(changed) != ids(plain)


@pytest.mark.parametrize(
    "change",
    [
        {"suite": "other", "description": "Another one."},
        {"task_paths": ["tasks"]},
        {"templates": [{"name": "renamed"}]},
        {"resources": {"workers": 2, "cpus": 3, "gpus": 0.5, "device": "cpu"}},
        {"max_tries": 9},
        {"allow_remote_code": ["m"], "allow_unsafe_code": ["t"]},
        {"checkpoints": [{**ONE[0], "folder": "moved/step5"}]},
        {"checkpoints": [{**ONE[0], "tokenizer": "m/seed1/step5"}]},
        {"tasks": [{"task": "t", "items": 40}]},
        {"tasks": [{"task": "t", "num_fewshot": 0, "generation": {}}]},
        {"fewshot_seeds": [5]},
        {"sample_seeds": [5]},
        {"repeats": 5},
        {"entropy": 5},
    ],
    ids=str,
)
def test_what_cannot_change_an_answer_does_not(plan, world, change):
    """Seeds and entropy are idle here: the task draws nothing at random."""
    make_files(world / "moved/step5", weights="m/seed0/step5")
    changed = plan(**{"checkpoints": ONE, **change})

    assert ids(changed) == ids(plan(checkpoints=ONE))


def test_a_moved_world_has_the_same_ids(plan, world):
    shutil.copytree(world / "m", world / "elsewhere/m")

    assert ids(plan(base=world / "elsewhere")) == ids(plan())


# ---- items -------------------------------------------------------------------------


def test_chosen_items_are_sorted_nested_and_drawn_by_entropy(plan):
    def chosen(n: int, entropy: int) -> tuple[int, ...]:
        made = plan(tasks=[{"task": "t", "items": n}], entropy=entropy)
        (items,) = {trial.items for trial in made.trials}
        assert {trial.n_items for trial in made.trials} == {n}
        return items

    few, some, other = chosen(5, 1), chosen(20, 1), chosen(20, 2)
    assert set(few) < set(some) < set(range(40))
    assert list(some) == sorted(some)
    assert set(some) != set(other)


def test_tasks_over_the_same_items_get_the_same_ones(plan):
    tasks = [{"task": t, "items": 9} for t in ("t", "u")]

    assert len({trial.items for trial in plan(tasks=tasks).trials}) == 1


def test_all_items_are_not_chosen_one_by_one(plan):
    (trial,) = plan(checkpoints=ONE, tasks=[{"task": "t", "items": 40}]).trials

    assert trial.items is None
    assert trial.n_items == 40
    assert str(trial) == "t on m seed 0 step 5"


def test_more_items_than_there_are_is_refused(plan):
    with pytest.raises(SuiteError, match="has 40 items, the suite asks for 41") as said:
        plan(tasks=[{"task": "t", "items": 41}])

    assert said.value.code == "too-many-items"


# ---- repeats and cautions ----------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "of_suite", "repeats"),
    [(None, None, 2), (None, 5, 5), (3, None, 3), (3, 5, 3)],
)
def test_repeats_are_the_entrys_then_the_suites_then_the_tasks(
    plan, entry, of_suite, repeats
):
    made = plan(
        backend=Backend(t=SAMPLED),
        checkpoints=ONE,
        tasks=[{"task": "t", "repeats": entry}],
        repeats=of_suite,
    )

    assert [t.repeats for t in made.trials] == [repeats]
    assert made.cautions == ()


def test_seeds_and_repeats_without_effect_are_run_once_and_said(plan):
    made = plan(
        backend=Backend(sampled=SAMPLED, drawn=DRAWN),
        checkpoints=ONE,
        tasks=["plain", "sampled", "drawn"],
        templates=[{"name": "a"}, {"name": "b", "system_prompt": "b"}],
        fewshot_seeds=[1, 2],
        sample_seeds=[3, 4, 5],
        repeats=6,
    )
    told = [
        (t.info.task, t.fewshot_seed, t.sample_seed, t.repeats) for t in made.trials
    ]
    texts = [f"{caution.code}: {caution.text}" for caution in made.cautions]

    assert sorted(set(told)) == [
        *[("drawn", seed, 3, 1) for seed in (1, 2)],
        ("plain", 1, 3, 1),
        *[("sampled", 1, seed, 6) for seed in (3, 4, 5)],
    ]
    assert texts == [
        "seed-without-effect: plain draws no few-shot examples: "
        "of 2 fewshot_seeds one is run",
        "seed-without-effect: plain samples no text: of 3 sample_seeds one is run",
        "repeats-without-effect: plain samples no text: of 6 repeats one is run",
        "seed-without-effect: sampled draws no few-shot examples: "
        "of 2 fewshot_seeds one is run",
        "seed-without-effect: drawn samples no text: of 3 sample_seeds one is run",
        "repeats-without-effect: drawn samples no text: of 6 repeats one is run",
    ]


def test_copies_of_weights_are_no_replicates(plan, world):
    assert plan().cautions == ()

    make_files(world / "n/seed0/step5", weights="m/seed0/step5")
    made = plan()
    (caution,) = made.cautions
    assert caution.code == "identical-weights"
    assert caution.text == (
        "2 checkpoints have the same weights, first m seed 0 step 5 and "
        "n seed 0 step 5: they are copies, not replicates"
    )
    assert len(set(ids(made))) == made.n_checkpoints == 5


@pytest.mark.parametrize(
    ("change", "templates"),
    [
        ({"tasks": ["t", "u", "t"]}, "'default'"),
        ({"tasks": ["t", {"task": "t", "num_fewshot": 0}]}, "'default'"),
        ({"tasks": ["t", {"task": "t", "formulation": "cloze"}]}, "'default'"),
        ({"templates": [{"name": "a"}, {"name": "b"}]}, "'a' and 'b'"),
    ],
)
def test_the_same_trial_twice_is_refused(plan, change, templates):
    with pytest.raises(SuiteError) as caught:
        plan(**change)

    assert caught.value.code == "duplicate-task"
    assert str(caught.value) == (
        f"the suite asks twice for t on m seed 0 step 5 (template {templates}); "
        "drop one of the two"
    )


# ---- what is left to do ------------------------------------------------------------


def test_done_trials_are_not_run_again_and_failed_ones_are(plan):
    done, failed, lost, fresh = ids(plan())
    status = {done: "done", failed: "failed", lost: "unheard of", "other": "failed"}
    made = plan(status=status, rate=0.5)

    assert [t.trial_id for t in made.remaining] == [failed, lost, fresh]
    assert made.n_failed == 1
    assert made.seconds == 0.5 * 3 * 160


def test_without_a_rate_nothing_is_known_of_the_time(plan):
    assert plan().seconds is None
    assert plan(status=dict.fromkeys(ids(plan()), "done"), rate=2.0).seconds == 0


@pytest.mark.parametrize(
    ("about", "items", "n"),
    [
        ({}, None, 160),
        ({}, 10, 40),
        (SAMPLED, None, 320),
        ({"n_requests": 101}, 10, 25),
        ({"n_items": 0, "n_requests": 0}, None, 0),
    ],
)
def test_requests_are_counted_for_the_items_and_repeats(plan, about, items, n):
    entry = {"task": "t", "items": items}
    (trial,) = plan(backend=Backend(t=about), checkpoints=ONE, tasks=[entry]).trials

    assert n_requests(trial) == n


def test_a_plan_is_json_with_one_entry_per_trial(plan):
    first, second = ids(plan(checkpoints=[*ONE, {**ONE[0], "train_seed": None}]))
    made = plan(
        checkpoints=[*ONE, {**ONE[0], "train_seed": None}],
        status={first: "done", second: "failed"},
        rate=0.25,
    )
    document = json.loads(json.dumps(made.to_dict(), allow_nan=False))

    assert document["suite_digest"] == made.suite.digest
    assert {k: v for k, v in document.items() if not isinstance(v, list)} == {
        "suite": "s",
        "suite_digest": made.suite.digest,
        "n_checkpoints": 2,
        "n_trials": 2,
        "n_done": 1,
        "n_failed": 1,
        "n_remaining": 1,
        "n_requests_remaining": 160,
        "worker_seconds_remaining": 40.0,
    }
    assert [c["code"] for c in document["cautions"]] == codes(made)
    assert document["trials"][1] == {
        "trial_id": second,
        "status": "failed",
        "model": "m",
        "train_seed": None,
        "step": 5,
        "task": "t",
        "formulation": "cloze",
        "num_fewshot": 0,
        "template": "default",
        "fewshot_seed": 1234,
        "sample_seed": 0,
        "repeats": 1,
        "n_items": 40,
        "n_answers": 40,
        "n_answers_stored": 0,
    }
    assert plan().to_dict()["worker_seconds_remaining"] is None
    assert plan().to_dict()["trials"][0]["status"] == "remaining"


# ---- chat templates and servers ----------------------------------------------------

SERVER = {"api": "http://127.0.0.1:8000/v1", "model": "served"}

WRITES = {"output_type": "generate_until", "n_requests": 80}
SCORES = {"output_type": "multiple_choice"}


def chat_of(trial) -> tuple[str, bool]:
    return trial.checkpoint.model, trial.request.template.apply_chat_template


def test_auto_applies_the_chat_template_where_there_is_one(plan, world):
    make_files(world / "chatty")
    (world / "chatty/chat_template.jinja").write_text("{{ messages }}")
    checkpoints = [*ONE, {"folder": "chatty", "model": "chatty"}]

    def planned(value, checkpoints=checkpoints):
        templates = [{"name": "t", "apply_chat_template": value}]
        return plan(checkpoints=checkpoints, templates=templates)

    auto = planned("auto")
    by_hand = [*planned(False).trials[:1], *planned(True, checkpoints[1:]).trials]

    assert [chat_of(t) for t in auto.trials] == [("m", False), ("chatty", True)]
    assert ids(auto) == [trial.trial_id for trial in by_hand]
    with pytest.raises(SuiteError, match=r"template 't' asks .* of m seed 0") as caught:
        planned(True)
    assert caught.value.code == "chat-template-missing"


def test_a_chat_server_puts_every_prompt_by_its_own_template(plan):
    made = plan(
        backend=Backend(t=WRITES),
        checkpoints=[*ONE, {**SERVER, "chat": True}],
    )

    assert [chat_of(t) for t in made.trials] == [("m", False), ("served", True)]
    assert codes(made) == ["weights-unknown"]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"chat": True}, "chat completions, which have none; take tasks that"),
        ({}, "text only; name its tokenizer: to have them"),
    ],
)
def test_a_server_that_scores_nothing_is_not_asked_to(plan, entry, says):
    with pytest.raises(SuiteError, match=says) as caught:
        plan(backend=Backend(t=SCORES), checkpoints=[{**SERVER, **entry}])

    assert caught.value.code == "no-likelihoods"
    assert "served at http://127.0.0.1:8000/v1" in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "n"), [({"chat": True}, 120), ({}, 120), ({"tokenizer": "words"}, 160)]
)
def test_requests_to_a_server_are_counted(plan, world, entry, n):
    """Of 40 items three answers each, and of the reference one likelihood."""
    make_files(world / "words")
    about = {**WRITES, **SAMPLED}
    (trial,) = plan(
        backend=Backend(t=about), checkpoints=[{**SERVER, **entry}], repeats=3
    ).trials

    assert n_requests(trial) == n


def test_what_a_server_is_called_is_identity_and_how_it_is_asked_is_not(plan):
    def made(**changes):
        (trial,) = plan(
            backend=Backend(t=WRITES), checkpoints=[{**SERVER, **changes}]
        ).trials
        return trial.trial_id

    same = [
        {"api": "https://elsewhere.example/v1"},
        {"served_name": "served"},
        {"concurrent": 99, "timeout": 3, "max_tries": 9, "key_env": "KEY"},
    ]
    others = [
        {"model": "other"},
        {"served_name": "other"},
        {"version": "June"},
        {"chat": True},
        {"step": 7},
    ]
    assert {made(**change) for change in same} == {made()}
    assert len({made(), *(made(**change) for change in others)}) == 1 + len(others)
    assert made() == plan(
        backend=Backend(t=WRITES),
        checkpoints=[SERVER],
        resources={"dtype": "bfloat16", "batch_size": 3},
    ).trials[0].trial_id  # fmt: skip


def test_what_is_drawn_does_not_depend_on_which_others_are(plan):
    def draws(**task):
        backend = Backend(t={**SAMPLED, **WRITES})
        (trial,) = plan(
            backend=backend, checkpoints=ONE, tasks=[{"task": "t", **task}]
        ).trials
        return trial.draws_id

    assert draws() == draws(items=7) == draws(repeats=9)
    assert draws() != draws(num_fewshot=9, generation={"temperature": 0.1})
