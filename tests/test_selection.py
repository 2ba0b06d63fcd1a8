"""Chosen items: a file that is what it says, its exports, and plans that apply it."""

import json
import math
import subprocess
import sys

import jsonschema
import pytest
from toy import make_files, make_tasks

from harness.errors import InputError, SuiteError
from harness.plan import make_plan
from harness.run.backend import FakeBackend
from harness.selection import (
    ChosenOn,
    Selection,
    TaskSelection,
    items_digest,
    read_selection,
    selection_schema,
)
from harness.suite import Suite, load_suite

IDS = FakeBackend().item_ids

SUITE = """\
# What we ask each night.
suite: nightly
checkpoints:
  - {folder: m, model: m, train_seed: 0, step: 5}
tasks:
  - t      # facts
  - {task: t, formulation: choice}
  - {task: u, items: 7}
"""


class Named:
    """A request, by name."""

    def __init__(self, task):
        self.task = task


def chosen(task="t", items=(3, 5, 30), **changes):
    ids = IDS(Named(task))
    return TaskSelection(
        **{
            "task": task,
            "method": "stratified",
            "n_items": len(items),
            "n_items_total": 40,
            "items": tuple(items),
            "item_ids": tuple(ids[i] for i in items),
            "task_digest": None,
            "chosen_on": ChosenOn(
                models=("a", "b"),
                train_seeds=(0, None),
                steps=(10,),
                formulation="cloze",
                metric="acc",
            ),
            "fidelity": {"mae": {"value": 0.01, "low": None}},
            **changes,
        }
    )


def selection(*tasks):
    return Selection(kind="stable", entropy=0, tasks=tasks or (chosen(),))


@pytest.fixture
def plan(tmp_path):
    make_files(tmp_path / "m", weights="m")

    def plan(*, items=None, text=SUITE, backend=None):
        (tmp_path / "suite.yaml").write_text(text)
        return make_plan(
            load_suite(tmp_path / "suite.yaml"),
            backend or FakeBackend(),
            base=tmp_path,
            selection=items,
        )

    return plan


def codes(made):
    return [caution.code for caution in made.cautions]


# ---- the file ------------------------------------------------------------------------


def test_a_selection_is_read_as_it_was_written(tmp_path):
    made = selection(chosen(), chosen("u", (0, 39)))
    path = tmp_path / "items.json"
    path.write_text(made.to_json())

    assert read_selection(path) == made
    assert made.of("u").items == (0, 39)
    assert made.of("v") is None
    document = json.loads(path.read_text())
    assert document["schema"] == "evalvar.selection/1"
    assert document["tool"].startswith("evalvar ")
    assert '"items": [ 3, 5, 30 ]' in path.read_text()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("not json", "not JSON"),
        ({"t": [1, 2]}, "its schema is not evalvar.selection/1"),
        ([], "its schema is not"),
        ({"schema": "evalvar.selection/2"}, "its schema is not"),
        (lambda d: d.pop("entropy"), "entropy: field required"),
        (lambda d: d.update(tasks=[]), "tasks: "),
        (lambda d: d.update(tasks=d["tasks"] * 2), "tasks: task t is there twice"),
        (lambda d: d["tasks"][0].update(surplus=1), "surplus: extra inputs"),
        (lambda d: d["tasks"][0].update(items=[3, 3, 30]), "item 3 is there twice"),
        (lambda d: d["tasks"][0].update(items=[5, 3, 30]), "item 3 comes after 5"),
        (lambda d: d["tasks"][0].update(items=[-1, 3, 5]), "items go from -1 to 5"),
        (lambda d: d["tasks"][0].update(items=[3, 5, 40]), "places 0 to 39"),
        (lambda d: d["tasks"][0].update(items=[3, 5]), "there are 2 items and 3"),
        (lambda d: d["tasks"][0].update(items="all"), "(and "),
        (lambda d: d["tasks"][0].update(items=["3", 5, 30]), "valid integer"),
        (lambda d: d["tasks"][0].update(items=[3.0, 5, 30]), "valid integer"),
        (lambda d: d["tasks"][0].update(items=[True, 5, 30]), "valid integer"),
        (lambda d: d.update(entropy="0"), "entropy: input should be a valid integer"),
        (lambda d: d["tasks"][0].update(fidelity={"mae": math.nan}), "not JSON"),
        ('{"schema": "evalvar.selection/1", "entropy": 1e999}', "not JSON"),
        ('{"schema": "a", "schema": "b"}', "not JSON: key 'schema' is there twice"),
        ('{"entropy": ' + "1" * 5000 + "}", "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_selection_is_refused(tmp_path, change, says):
    path = tmp_path / "items.json"
    document = selection().to_dict()
    if callable(change):
        change(document)
    elif not isinstance(change, str):
        document = change
    path.write_text(change if isinstance(change, str) else json.dumps(document))
    if callable(change) and "(and" in says:
        document["tasks"][0]["n_items"] = "few"
        path.write_text(json.dumps(document))
    with pytest.raises(InputError) as caught:
        read_selection(path)

    assert caught.value.code == "selection-invalid"
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere.json", "."])
def test_a_selection_that_is_not_there(tmp_path, name):
    with pytest.raises(InputError) as caught:
        read_selection(tmp_path / name)

    assert caught.value.code == "selection-missing"


# ---- exports -------------------------------------------------------------------------


def test_samples_are_places_by_task():
    made = selection(chosen(), chosen("u", (0, 39)))

    assert json.loads(made.to_samples()) == {"t": [3, 5, 30], "u": [0, 39]}


def test_ids_are_lines():
    assert selection().to_ids().splitlines() == list(chosen().item_ids)


def test_a_suite_gets_the_items_and_keeps_all_else(tmp_path):
    made = selection().to_suite(SUITE)
    path = tmp_path / "short.yaml"
    path.write_text(made)
    suite = load_suite(path)

    assert "# What we ask each night." in made
    assert [entry.items for entry in suite.tasks] == [[3, 5, 30], [3, 5, 30], 7]
    assert suite.tasks[0].items_digest == items_digest(chosen().item_ids)
    assert suite.tasks[1].formulation == "choice"
    assert suite.tasks[2].items_digest is None


def test_bare_names_get_items_too():
    text = SUITE.partition("  - t ")[0] + "  - t\n  - u\n"
    made = selection(chosen("u", (0, 39))).to_suite(text)

    assert made.endswith(
        "  - t\n  - task: u\n    items: [0, 39]\n    items_digest: "
        f"{items_digest(chosen('u', (0, 39)).item_ids)}\n"
    )


def test_a_suite_of_other_tasks_gets_none():
    with pytest.raises(InputError) as caught:
        selection(chosen("v")).to_suite(SUITE)

    assert caught.value.code == "selection-unused"


# ---- plans ---------------------------------------------------------------------------


def test_a_plan_asks_the_chosen_items_and_says_what_is_not_chosen_of(plan):
    made = plan(items=selection())

    assert [(t.info.task, t.n_items) for t in made.trials] == [
        ("t", 3),
        ("t", 3),
        ("u", 7),
    ]
    assert made.trials[0].items == (3, 5, 30)
    assert codes(made) == ["not-in-selection"]


def test_the_exported_suite_plans_the_same_trials(plan):
    short = plan(text=selection().to_suite(SUITE))

    assert [t.trial_id for t in short.trials] == [
        t.trial_id for t in plan(items=selection()).trials
    ]


def test_all_items_are_the_whole_task(plan):
    made = plan(items=selection(chosen(items=range(40))))

    assert made.trials[0].items is None
    assert made.trials[0].trial_id == plan().trials[0].trial_id


def test_items_listed_in_a_suite_are_asked_in_their_order(plan):
    text = SUITE.replace("items: 7", "items: [9, 2, 4]")

    assert plan(text=text).trials[2].items == (2, 4, 9)


class Changed(FakeBackend):
    """A task whose item at place 5 is another one than it was."""

    def item_ids(self, request):
        return [name if i != 5 else "other" for i, name in enumerate(IDS(request))]


@pytest.mark.parametrize("by_suite", [False, True])
def test_other_questions_at_the_places_are_refused(plan, by_suite):
    asked = {"text": selection().to_suite(SUITE)} if by_suite else {}
    with pytest.raises(SuiteError) as caught:
        plan(items=None if by_suite else selection(), backend=Changed(), **asked)

    assert caught.value.code == "other-items"
    assert ("1 of 3, first [5]" in str(caught.value)) == (not by_suite)


def test_places_beyond_the_task_are_refused(plan):
    with pytest.raises(SuiteError) as caught:
        plan(items=selection(), backend=FakeBackend(n_items=20))

    assert caught.value.code == "too-many-items"


def test_a_task_of_another_length_is_refused(plan):
    with pytest.raises(SuiteError) as caught:
        plan(items=selection(), backend=FakeBackend(n_items=41))

    assert caught.value.code == "other-items"
    assert "has 41 items, and had 40" in str(caught.value)


def test_the_schema_takes_what_is_written():
    check = jsonschema.Draft202012Validator(selection_schema())
    check.check_schema(selection_schema())
    document = selection(chosen(), chosen("u", (0, 39))).to_dict()

    check.validate(document)
    assert not check.is_valid({**document, "schema": "evalvar.selection/2"})
    assert not check.is_valid({**document, "tasks": []})


def test_other_wording_is_told(plan):
    made = plan(items=selection(chosen(task_digest="other")))
    same = plan(items=selection(chosen(task_digest=made.trials[0].info.task_digest)))

    assert "chosen-on-other-wording" in codes(made)
    assert "chosen-on-other-wording" not in codes(same)


def test_a_selection_for_no_task_of_the_suite_is_refused(plan):
    with pytest.raises(InputError) as caught:
        plan(items=selection(chosen("v")))

    assert caught.value.code == "selection-unused"
    assert "chosen of v, and the suite asks t, u" in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"items": [1, 2, 1]}, "item 1 is there twice"),
        ({"items": []}, "items"),
        ({"items": [-1]}, "items"),
        ({"items": 3, "items_digest": "d"}, "items_digest is of a list"),
        ({"items_digest": "d"}, "items_digest is of a list"),
    ],
)
def test_lists_of_items_are_checked(entry, says):
    with pytest.raises(ValueError, match=says):
        Suite.model_validate(
            {
                "suite": "s",
                "checkpoints": [{"folder": "m", "model": "m"}],
                "tasks": [{"task": "t", **entry}],
            }
        )


# ---- lm-eval -------------------------------------------------------------------------


@pytest.mark.lm_eval
def test_lm_eval_takes_the_samples_and_asks_these_items_alone(tmp_path):
    """lm-eval's own evaluation, and the ids that we give its documents."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    from harness.records import TaskRequest, digest
    from harness.run.lm_eval import LMEvalBackend

    make_tasks(tmp_path / "tasks")
    ids = LMEvalBackend().item_ids(
        TaskRequest(task="toy_cloze", task_paths=(str(tmp_path / "tasks"),))
    )
    items = (1, 4, 11)
    made = selection(
        chosen(
            "toy_cloze",
            items=items,
            n_items_total=12,
            item_ids=tuple(ids[i] for i in items),
        )
    )
    found = lm_eval.simple_evaluate(
        model="dummy",
        tasks=["toy_cloze"],
        samples=json.loads(made.to_samples()),
        task_manager=TaskManager(
            include_path=str(tmp_path / "tasks"), include_defaults=False
        ),
        bootstrap_iters=0,
    )
    asked = found["samples"]["toy_cloze"]

    assert found["n-samples"]["toy_cloze"] == {"original": 12, "effective": 3}
    assert tuple(digest(one["doc"]) for one in asked) == made.of("toy_cloze").item_ids


def test_selections_are_read_without_the_statistics():
    """A plan needs neither pandas nor scipy to know its items."""
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import harness.selection, sys; heavy = 'numpy', 'scipy', 'harness.stats'; "
            "print([name for name in heavy if name in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert told.stdout == "[]\n"
