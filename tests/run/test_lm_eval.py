"""Our answers are lm-eval's, and its silent wrong answers are not ours.

Each trap is one that lm-eval 0.4.13 was seen to fall into; the first tests hold our
log-likelihoods, texts and metrics to its own `simple_evaluate`, on a real model.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("lm_eval")

from toy import make_checkpoint, make_tasks, make_world, run_suite

from harness.errors import SuiteError
from harness.records import Checkpoint, TaskRequest, Template
from harness.run import weights
from harness.run.backend import Placement
from harness.run.lm_eval import tasks
from harness.run.worker import run_here
from harness.sweep import LM_EVAL

pytestmark = [
    pytest.mark.lm_eval,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    path = make_world(root, seeds=(0,), steps=(10,))
    run_suite(path, root / "store")
    return root


@pytest.fixture(scope="module")
def stored(world):
    from harness.store import Store

    return Store(world / "store").responses()


def lm_evals_samples(world: Path, task, *, seed: int = 1234, **options):
    """What lm-eval itself answers, item by item."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    results = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(world / "runs/toy/seed0/step10")},
        tasks=[task],
        task_manager=TaskManager(
            include_path=str(world / "tasks"), include_defaults=False
        ),
        batch_size=16,
        device="cpu",
        fewshot_random_seed=seed,
        bootstrap_iters=0,
        **options,
    )
    (samples,) = results["samples"].values()
    return sorted(samples, key=lambda sample: sample["doc_id"])


@pytest.mark.parametrize("task", ["toy_cloze", "toy_cloze_shots"])
def test_choice_likelihoods_and_metrics_are_lm_evals(world, stored, task):
    ours = stored[(stored.task == task) & (stored.formulation == "cloze")]
    ours = ours.sort_values("item_index")
    theirs = lm_evals_samples(world, task)

    for (_, row), sample in zip(ours.iterrows(), theirs, strict=True):
        logprobs = [response[0][0] for response in sample["resps"]]
        assert row.choice_logprobs.tolist() == logprobs
        assert row.target_index == sample["target"]
        assert dict(row.metrics) == {
            "acc,none": sample["acc"],
            "acc_norm,none": sample["acc_norm"],
        }


def test_generated_text_and_exact_match_are_lm_evals(world, stored):
    ours = stored[stored.task == "toy_generate"].sort_values("item_index")
    theirs = lm_evals_samples(world, "toy_generate")

    assert ours.text.tolist() == [sample["resps"][0][0] for sample in theirs]
    assert ours.answer.tolist() == [sample["filtered_resps"][0] for sample in theirs]
    assert [dict(m)["exact_match,none"] for m in ours.metrics] == [
        sample["exact_match"] for sample in theirs
    ]


def test_likelihood_of_the_last_word_is_lm_evals(world, stored):
    ours = stored[stored.task == "toy_last_word"].sort_values("item_index")
    theirs = lm_evals_samples(world, "toy_last_word")

    assert list(zip(ours.target_logprob, ours.target_is_greedy, strict=True)) == [
        tuple(sample["resps"][0][0]) for sample in theirs
    ]


def test_reference_likelihood_is_that_of_the_answer_after_the_same_prompt(
    world, stored
):
    """lm-eval scores the same continuation when the task is one of log-likelihood."""
    body = json.loads((world / "tasks/toy_generate.yaml").read_text())
    body |= {"task": "toy_reference", "output_type": "loglikelihood"}
    body["doc_to_target"] = " {{options[gold]}}"
    # Its few-shot answers are delimited by the space that is now in the target.
    body["fewshot_config"] = {"doc_to_target": "{{options[gold]}}"}
    body["metric_list"] = [{"metric": "acc"}]
    del body["generation_kwargs"]
    folder = world / "reference"
    folder.mkdir()
    (folder / "toy_reference.yaml").write_text(json.dumps(body))
    ours = stored[stored.task == "toy_generate"].sort_values("item_index")

    import lm_eval
    from lm_eval.tasks import TaskManager

    results = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(world / "runs/toy/seed0/step10")},
        tasks=["toy_reference"],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        batch_size=16,
        device="cpu",
        bootstrap_iters=0,
    )
    theirs = results["samples"]["toy_reference"]

    assert ours.target_logprob.tolist() == pytest.approx(
        [sample["resps"][0][0][0] for sample in theirs], abs=1e-5
    )


def test_the_task_says_which_way_its_metrics_are_better(world, stored):
    body = json.loads((world / "tasks/toy_cloze.yaml").read_text())
    body["metric_list"][0]["higher_is_better"] = False
    body["task"] = "toy_backwards"
    (world / "tasks/toy_backwards.yaml").write_text(json.dumps(body))
    request = TaskRequest(task="toy_backwards", task_paths=(str(world / "tasks"),))
    info = tasks.TaskLibrary().describe(request)

    assert {*stored["lower_is_better"]} == {"[]"}
    assert json.loads(info.lower_is_better) == [body["metric_list"][0]["metric"]]


def test_letters_and_texts_are_put_over_the_same_items(stored):
    toy = stored[stored.task == "toy_cloze"].sort_values("item_id")
    choice, cloze = (toy[toy.formulation == f] for f in ("choice", "cloze"))

    assert choice.item_id.tolist() == cloze.item_id.tolist()
    assert choice.target_index.tolist() == cloze.target_index.tolist()
    assert set(choice.prompt_digest).isdisjoint(cloze.prompt_digest)
    assert all(chars == [1, 1, 1, 1] for chars in choice.choice_chars)


def test_metrics_derived_from_the_evidence_are_lm_evals(world, stored, tmp_path):
    """On every task: what `stats` makes of the evidence, and lm-eval's own value."""
    from harness.stats.scores import score_responses
    from harness.store import Store

    body = json.loads((world / "tasks/toy_cloze.yaml").read_text())
    body |= {"task": "toy_accents", "doc_to_choice": ["été", "ß", "naïveté", "de"]}
    body["metric_list"].append(
        {"metric": "acc_bytes", "aggregation": "mean", "higher_is_better": True}
    )
    (world / "tasks/toy_accents.yaml").write_text(json.dumps(body))
    path = world / "accents.yaml"
    head = (world / "suite.yaml").read_text().split("tasks:\n")[0]
    path.write_text(head + "tasks: [toy_accents]\n")
    run_suite(path, tmp_path / "store")
    accents = Store(tmp_path / "store").responses()
    compared = set()
    for frame in (stored, accents):
        for task, rows in score_responses(frame).groupby("task", observed=True):
            for name in ("acc", "acc_norm", "acc_bytes"):
                theirs = [dict(m).get(f"{name},none") for m in rows.metrics]
                if theirs[0] is not None:
                    assert rows[name].tolist() == theirs
                    compared.add((task, name))
    assert compared == {
        *((task, name) for task in ("toy_cloze", "toy_cloze_shots", "toy_accents")
          for name in ("acc", "acc_norm")),
        ("toy_accents", "acc_bytes"),
        ("toy_last_word", "acc"),
    }  # fmt: skip

    text = stored[stored.task == "toy_generate"]
    bare = text.assign(metrics=[[] for _ in range(len(text))])  # nothing to copy from
    derived = score_responses(bare).exact_match
    assert derived.tolist() == [dict(m)["exact_match,none"] for m in text.metrics]


# ---- few-shot prompts ------------------------------------------------------------


def test_a_subset_sees_the_prompts_of_the_full_run(world, stored, tmp_path):
    suite = (world / "suite.yaml").read_text().split("tasks:\n")[
        0
    ] + "tasks: [{task: toy_cloze_shots, items: 4}]\n"
    path = world / "subset.yaml"
    path.write_text(suite)
    run_suite(path, tmp_path / "store")
    from harness.store import Store

    part = Store(tmp_path / "store").responses().set_index("item_id")
    full = stored[stored.task == "toy_cloze_shots"].set_index("item_id")

    assert len(part) == 4
    assert (part.prompt_digest == full.prompt_digest[part.index]).all()
    for item_id, row in part.iterrows():
        assert row.choice_logprobs == pytest.approx(
            full.choice_logprobs[item_id], abs=1e-5
        )


def test_the_seed_of_lm_eval_gives_the_prompts_of_lm_eval(world, tmp_path):
    """Also for the second seed that one worker builds, and in either order."""
    suite = (world / "suite.yaml").read_text().split("tasks:\n")[
        0
    ] + "tasks: [toy_cloze_shots]\nfewshot_seeds: [7, 3]\n"
    path = world / "seeds.yaml"
    path.write_text(suite)
    run_suite(path, tmp_path / "store")
    from harness.store import Store

    rows = Store(tmp_path / "store").responses()
    for seed in (3, 7):
        ours = rows[rows.fewshot_seed == seed].sort_values("item_index")
        theirs = lm_evals_samples(world, "toy_cloze_shots", seed=seed)
        assert ours.choice_logprobs.tolist() == [
            [response[0][0] for response in sample["resps"]] for sample in theirs
        ]
    digests = rows.groupby("fewshot_seed").prompt_digest.agg(tuple)
    assert digests[3] != digests[7]


def loaded(root: Path, task: str, **changes):
    from harness.run.lm_eval import LMEvalBackend

    backend = LMEvalBackend()
    request = TaskRequest(task=task, task_paths=(str(root / "tasks"),), **changes)
    return backend, request


def test_an_overridden_few_shot_count_is_used_where_the_task_says_zero(world):
    backend, request = loaded(world, "toy_cloze", num_fewshot=2)
    (info,) = backend.describe([request])

    assert info.num_fewshot == 2
    assert info.draws_fewshot


def test_few_shot_indices_are_the_pool_that_is_drawn_from(world):
    body = json.loads((world / "tasks/toy_cloze_shots.yaml").read_text())
    body |= {"task": "toy_indices", "num_fewshot": 2}
    body["fewshot_config"] = {"fewshot_indices": [5, 6]}
    (world / "tasks/toy_indices.yaml").write_text(json.dumps(body))
    backend, request = loaded(world, "toy_indices")
    lines = (world / "tasks/train.jsonl").read_text().splitlines()
    train = [json.loads(line) for line in lines]

    assert list(backend.tasks.load(request).sampler.df) == [train[5], train[6]]


# ---- data and identity -----------------------------------------------------------


def test_edited_data_with_its_old_time_is_read_anew(tmp_path):
    make_tasks(tmp_path / "tasks")
    backend, request = loaded(tmp_path, "toy_cloze")
    (before,) = backend.describe([request])
    file = tmp_path / "tasks/test.jsonl"
    status = file.stat()
    file.write_text(file.read_text().replace("sat", "ran"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    backend, request = loaded(tmp_path, "toy_cloze")
    (after,) = backend.describe([request])

    assert before.task_digest != after.task_digest
    assert "ran" in backend.tasks.load(request).eval_docs[0]["question"]


def test_two_models_of_one_name_are_not_mixed_up(tmp_path):
    """Other weights under the old path and name are answered by themselves."""
    from harness.store import Store

    path = make_world(tmp_path, seeds=(0,), steps=(10,))
    path.write_text(path.read_text().split("tasks:\n")[0] + "tasks: [toy_cloze]\n")
    answers = []
    for seed in (1, 2):
        make_checkpoint(tmp_path / "runs/toy/seed0/step10", seed=seed)
        plan, _ = run_suite(path, tmp_path / "store")
        (trial,) = plan.trials
        rows = Store(tmp_path / "store").responses()
        rows = rows[rows.trial_id == trial.trial_id].sort_values("item_index")
        theirs = lm_evals_samples(tmp_path, "toy_cloze")
        answers.append(rows.choice_logprobs.tolist())
        assert answers[-1] == [[r[0][0] for r in one["resps"]] for one in theirs]
    assert answers[0] != answers[1]


def test_moved_tasks_are_the_same_tasks(tmp_path):
    make_tasks(tmp_path / "here/tasks")
    make_tasks(tmp_path / "there/tasks")
    infos = []
    for place in ("here", "there"):
        backend, request = loaded(tmp_path / place, "toy_cloze_shots")
        infos += backend.describe([request])

    assert infos[0] == infos[1]


WORDING = """
import functools
from toy_words import frame


def put(doc, ending):
    return frame(doc["question"]) + ending


text = functools.partial(put, ending=" Answer :")
"""

DIGEST = """
import sys
from harness.records import TaskRequest
from harness.run.lm_eval import LMEvalBackend

request = TaskRequest(task="toy_partial", task_paths=(sys.argv[1],))
print(LMEvalBackend().describe([request])[0].task_digest)
"""


def test_code_of_a_task_is_known_by_what_it_says(tmp_path):
    """In every process the same, a partial too; and another if a helper changes."""
    folder = make_tasks(tmp_path / "tasks")
    body = json.loads((folder / "toy_cloze.yaml").read_text())
    for key in ("task", "doc_to_text"):
        del body[key]
    (folder / "toy_partial.yaml").write_text(
        "task: toy_partial\ndoc_to_text: !function toy_wording.text\n"
        + "".join(f"{key}: {json.dumps(value)}\n" for key, value in body.items())
    )
    (folder / "toy_wording.py").write_text(WORDING)

    def told(frame: str) -> str:
        (folder / "toy_words.py").write_text(f"def frame(q):\n    return {frame}\n")
        done = subprocess.run(
            [sys.executable, "-c", DIGEST, folder],
            env={**os.environ, "PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    first, again, other = told("q"), told("q"), told("q.upper()")
    assert first == again != other


def test_a_nameless_object_in_a_task_is_refused(world):
    backend, request = loaded(world, "toy_cloze")
    task = backend.tasks.load(request)
    task.config.metadata = None
    task.config.process_results = [object()]
    with pytest.raises(SuiteError, match="another one in each process") as caught:
        tasks._task_digest(task, "toy_cloze")

    assert caught.value.code == "task-invalid"


def test_files_that_changed_after_the_plan_are_not_stored_as_planned(tmp_path):
    """Weights, and a task's data; the next plan is of what is there then."""
    from functools import partial

    from harness.store import Store

    path = make_world(tmp_path, seeds=(0,), steps=(10, 20))
    path.write_text(path.read_text().split("tasks:\n")[0] + "tasks: [toy_cloze]\n")

    def meddling(meddle):
        def execute(trials):
            meddle()
            options = {"backend": LM_EVAL, "placement": Placement(), "max_tries": 2}
            yield from partial(run_here, **options)(trials)

        return execute

    retrain = partial(make_checkpoint, tmp_path / "runs/toy/seed0/step20", seed=99)
    _, result = run_suite(path, tmp_path / "s", execute=meddling(retrain))
    assert (result.n_done, result.n_failed) == (1, 1)
    assert result.errors[0].endswith("[changed-since-plan]")
    assert run_suite(path, tmp_path / "s")[1].n_done == 1

    data = tmp_path / "tasks/test.jsonl"
    text = data.read_text()
    path.write_text(path.read_text() + "sample_seeds: [0]\nentropy: 3\n")
    data.write_text(text.replace("sat", "ran"))
    edit = partial(data.write_text, text.replace("sat", "flew"))
    _, result = run_suite(path, tmp_path / "s", execute=meddling(edit))
    assert (result.n_done, result.n_failed) == (0, 2)
    assert result.errors[0].endswith("[changed-since-plan]")
    assert len(Store(tmp_path / "s").responses()) == 2 * 12


def test_wording_is_part_of_the_task(world):
    backend, request = loaded(world, "toy_cloze")
    other = Template(name="default", doc_to_text="{{question}} :")
    _, reworded = loaded(world, "toy_cloze", template=other)
    one, two = backend.describe([request, reworded])

    assert one.task_digest != two.task_digest


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"task": "toy_clozee"}, "unknown-task", "did you mean 'toy_cloze'?"),
        (
            {"task": "toy_last_word", "formulation": "choice"},
            "no-formulation",
            "'choice' cannot be made of it",
        ),
        (
            {"task": "toy_sampled", "generation": (("temperature", 0.0),)},
            "task-invalid",
            "add temperature: to its generation:",
        ),
    ],
)
def test_a_task_that_cannot_be_is_refused(world, changes, code, says):
    backend, _ = loaded(world, "toy_cloze")
    request = TaskRequest(**{"task_paths": (str(world / "tasks"),), **changes})
    if code == "unknown-task":  # without indexing lm-eval's own 14,000 names
        backend.tasks._managers[request.task_paths, True] = backend.tasks._manager(
            request.task_paths, with_defaults=False
        )
    with pytest.raises(SuiteError) as caught:
        backend.describe([request])

    assert caught.value.code == code
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("gold", "target", "item"),
    [(-1, "gold", 3), (4, "gold", 3), (0, "{{options[gold]}} or so", 0)],
)
def test_an_item_without_a_right_answer_is_refused(tmp_path, gold, target, item):
    """lm-eval scores it 0, whatever the model says."""
    folder = make_tasks(tmp_path / "tasks")
    lines = (folder / "test.jsonl").read_text().splitlines()
    lines[3] = json.dumps({**json.loads(lines[3]), "gold": gold})
    (folder / "test.jsonl").write_text("\n".join(lines))
    body = json.loads((folder / "toy_cloze.yaml").read_text())
    body["doc_to_target"] = target
    (folder / "toy_cloze.yaml").write_text(json.dumps(body))
    backend, request = loaded(tmp_path, "toy_cloze")
    with pytest.raises(SuiteError) as caught:
        backend.describe([request])

    assert caught.value.code == "task-invalid"
    assert f"item {item} has the answer" in str(caught.value)
    assert "none of its 4 choices" in str(caught.value)


def test_a_task_without_items_is_refused(tmp_path):
    folder = make_tasks(tmp_path / "tasks")
    (folder / "test.jsonl").write_text("")
    backend, request = loaded(tmp_path, "toy_cloze")
    with pytest.raises(SuiteError) as caught:
        backend.describe([request])

    assert caught.value.code == "task-invalid"


def test_a_task_that_ends_the_process_is_refused(tmp_path):
    folder = make_tasks(tmp_path / "tasks")
    (folder / "toy_exit.py").write_text("import sys\n\nsys.exit(0)\n")
    (folder / "toy_cloze.yaml").write_text(
        (folder / "toy_cloze.yaml").read_text()[:-1]
        + ', "process_results": !function toy_exit.none}'
    )
    backend, request = loaded(tmp_path, "toy_cloze")
    with pytest.raises(SuiteError) as caught:
        backend.describe([request])

    assert caught.value.code == "task-invalid"


def test_a_task_file_that_is_no_yaml_is_named(tmp_path):
    folder = make_tasks(tmp_path / "tasks")
    (folder / "toy_broken.yaml").write_text("task: toy_broken\n  oops: [1\n")
    backend, request = loaded(tmp_path, "toy_broken")
    backend.tasks._managers[request.task_paths, True] = backend.tasks._manager(
        request.task_paths, with_defaults=False
    )
    with pytest.raises(SuiteError, match=r"toy_broken\.yaml cannot be read") as caught:
        backend.describe([request])

    assert caught.value.code == "task-invalid"


@pytest.mark.parametrize("function", ["majority_vote", "take_first_k"])
def test_filters_over_repeats_are_refused(world, function):
    """Each answer is scored by itself, so a vote among them would be none."""
    body = json.loads((world / "tasks/toy_sampled.yaml").read_text())
    body["task"] = f"toy_{function}"
    step = {"function": function} | ({"k": 2} if function == "take_first_k" else {})
    body["filter_list"] = [{"name": "several", "filter": [step]}]
    (world / f"tasks/toy_{function}.yaml").write_text(json.dumps(body))
    backend, request = loaded(world, f"toy_{function}")
    with pytest.raises(SuiteError) as caught:
        backend.describe([request])

    assert caught.value.code == "filter-over-repeats"
    assert function in str(caught.value)


@pytest.mark.parametrize("key", ["unsafe_code", "trust_remote_code"])
def test_code_that_a_task_brings_is_refused_unless_allowed_by_name(world, key):
    body = json.loads((world / "tasks/toy_cloze.yaml").read_text())
    body["task"] = f"toy_{key}"
    if key == "unsafe_code":
        body[key] = True
    else:
        body["dataset_kwargs"][key] = True
    (world / f"tasks/toy_{key}.yaml").write_text(json.dumps(body))
    backend, request = loaded(world, f"toy_{key}")
    with pytest.raises(SuiteError) as caught:
        backend.describe([request])
    assert caught.value.code == "unsafe-code"

    backend, request = loaded(world, f"toy_{key}", allow_unsafe_code=True)
    assert backend.describe([request])[0].n_items == 12


# ---- weights ---------------------------------------------------------------------


def checkpoint_at(folder: Path) -> Checkpoint:
    return Checkpoint(
        model="toy",
        train_seed=0,
        step=0,
        weights_digest="w",
        tokenizer_digest="t",
        location=str(folder),
        source=folder.name,
    )


def spoil(folder: Path, how: str) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    tensors = load_file(file)
    if how == "head":
        del tensors["lm_head.weight"]
    elif how == "nan":
        tensors["model.norm.weight"][3] = float("nan")
    if how == "truncated":
        file.write_bytes(file.read_bytes()[:-100])
    else:
        save_file(tensors, file, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("head", "weights-missing"),
        ("nan", "weights-not-finite"),
        ("truncated", "checkpoint-unreadable"),
    ],
)
def test_spoilt_weights_are_refused(tmp_path, how, code):
    from harness.errors import TrialError
    from harness.run.lm_eval import LMEvalBackend

    folder = make_checkpoint(tmp_path / "checkpoint")
    spoil(folder, how)
    backend = LMEvalBackend()
    backend.start(Placement())
    with pytest.raises(TrialError) as caught:
        backend.load(checkpoint_at(folder))

    assert caught.value.code == code
    assert str(folder) in str(caught.value)


def test_not_a_number_is_no_answer(world, tmp_path, monkeypatch):
    """One such log-likelihood spoils its item; nothing but such, the trial."""
    from harness.run.lm_eval.scorer import Scorer
    from harness.store import Store

    score = Scorer.score

    def spoilt(self, tokens):
        answers = score(self, tokens)
        return [(float("nan"), False), *answers[1:]]

    monkeypatch.setattr(Scorer, "score", spoilt)
    path = world / "one.yaml"
    head = (world / "suite.yaml").read_text().split("tasks:\n")[0]
    path.write_text(head + "tasks: [toy_cloze]\n")
    run_suite(path, tmp_path / "one")
    rows = Store(tmp_path / "one").responses().sort_values("item_index")
    assert rows.status.tolist() == ["nan-logprob"] + ["ok"] * 11
    assert rows.metrics.isna().tolist() == [True] + [False] * 11

    monkeypatch.setattr(
        Scorer, "score", lambda self, tokens: [(float("nan"), False)] * len(tokens)
    )
    _, result = run_suite(path, tmp_path / "all")
    assert result.n_failed == 1
    assert "logprobs-not-finite" in result.errors[0]


# ---- clusters --------------------------------------------------------------------


def clustered(world, tmp_path, field):
    from harness.store import Store

    path = world / "clustered.yaml"
    head = (world / "suite.yaml").read_text().split("tasks:\n")[0]
    path.write_text(
        f"{head}tasks: [{{task: toy_cloze, cluster: {field}}}]\n"
        "resources: {batch_size: 16}\n"
    )
    run_suite(path, tmp_path / "clustered")
    return Store(tmp_path / "clustered").responses(task="toy_cloze")


def test_items_are_stored_with_the_cluster_that_a_field_names(world, stored, tmp_path):
    """Which is no part of what was asked: the trial is the same."""
    rows = clustered(world, tmp_path, "gold")
    rows = rows.sort_values("item_index")

    assert rows.cluster.tolist() == [str(i * 5 % 4) for i in range(12)]
    assert set(rows.trial_id) < set(stored.trial_id)
    assert stored.cluster.isna().all()


def test_a_field_that_the_items_lack_is_refused(world, tmp_path):
    with pytest.raises(SuiteError, match=r"item 0 has no field 'passage'.*gold, opt"):
        clustered(world, tmp_path, "passage")


# ---- sampling --------------------------------------------------------------------


def sampled(world, tmp_path, name, tasks="[toy_sampled]", extra=""):
    from harness.store import Store

    path = world / f"{name}.yaml"
    head = (world / "suite.yaml").read_text().split("tasks:\n")[0]
    path.write_text(head + f"tasks: {tasks}\n{extra}\n")
    plan, _ = run_suite(path, tmp_path / name)
    keys = ["task", "sample_seed", "repeat", "item_index"]
    return plan, Store(tmp_path / name).responses().sort_values(keys)


@pytest.mark.parametrize("task", ["toy_cloze_shots", "toy_generate"])
def test_prompts_that_lose_their_beginning_are_counted(world, tmp_path, task):
    """A generation's prompt must leave room for what is generated."""
    from harness.store import Store

    lengths = []
    for max_length in (256, 20):
        path = world / f"short-{task}-{max_length}.yaml"
        head = (world / "suite.yaml").read_text().split("tasks:\n")[0]
        resources = f"resources: {{batch_size: 16, max_length: {max_length}}}\n"
        path.write_text(f"{head}tasks: [{task}]\n{resources}")
        run_suite(path, tmp_path / path.stem)
        (trial,) = Store(tmp_path / path.stem).trials().to_pylist()
        lengths.append(trial["n_truncated"])

    assert lengths == [0, 12]


def test_a_generation_alone_may_be_what_cuts_a_prompt(world):
    from lm_eval.api.instance import Instance

    from harness.run.lm_eval import LMEvalBackend

    backend = LMEvalBackend()
    backend.start(Placement(max_length=50))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "content_digests", lambda *_: ("w", "t"))
        backend.load(checkpoint_at(world / "runs/toy/seed0/step10"))
    model = backend._loaded()

    def cut(n_words: int, n_generated: int) -> bool:
        arguments = (" ".join(["the"] * n_words), {"max_gen_toks": n_generated})
        instance = Instance("generate_until", {}, arguments, 0)
        return model.cuts(instance, [])

    assert [cut(40, 10), cut(41, 10), cut(41, 9)] == [False, True, False]


def test_every_repeat_is_kept_and_differs(world, tmp_path):
    """lm-eval keeps the first of a task's repeats only."""
    _, rows = sampled(world, tmp_path, "repeats")

    assert sorted(rows.repeat.unique()) == [0, 1, 2]
    texts = rows.groupby("repeat").text.agg(tuple)
    assert len(set(texts)) == 3
    assert all(len(metrics) == 1 for metrics in rows.metrics)


def test_sampled_text_does_not_depend_on_what_ran_before(world, tmp_path):
    _, alone = sampled(world, tmp_path, "alone")
    _, after = sampled(
        world, tmp_path, "after", tasks="[toy_cloze, toy_generate, toy_sampled]"
    )
    after = after[after.task == "toy_sampled"]

    assert alone.text.tolist() == after.text.tolist()
    assert alone.trial_id.tolist() == after.trial_id.tolist()


def test_seeds_without_effect_are_run_once_and_said(world, tmp_path):
    plan, rows = sampled(
        world,
        tmp_path,
        "idle",
        tasks="[toy_cloze, toy_sampled]",
        extra="fewshot_seeds: [1, 2]\nsample_seeds: [0, 1]\nrepeats: 2",
    )
    per_task = rows.groupby(["task", "fewshot_seed", "sample_seed"], observed=True)

    assert per_task.ngroups == 1 + 4
    assert {caution.code for caution in plan.cautions} == {
        "seed-without-effect",
        "repeats-without-effect",
    }


def test_prompts_and_tokens_are_reused_between_checkpoints(tmp_path):
    """Two checkpoints that share a tokenizer: built and tokenised once."""
    from harness.run.lm_eval import backend
    from harness.run.lm_eval.scorer import Scorer
    from harness.store import Store

    path = make_world(tmp_path, seeds=(0, 1), steps=(5,))
    built, encoded = [], []
    build, encode = backend.build_prompts, Scorer.encode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            backend, "build_prompts", lambda *args: built.append(1) or build(*args)
        )
        patch.setattr(
            Scorer, "encode", lambda *args: encoded.append(1) or encode(*args)
        )
        plan, _ = run_suite(path, tmp_path / "store")
    trials = Store(tmp_path / "store").trials().to_pylist()

    assert len(plan.trials) == 10
    assert len(built) == len(encoded) == 5
    assert sum(trial["load_seconds"] > 0 for trial in trials) == 2
