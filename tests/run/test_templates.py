"""Templates × items × repeats on one loaded model: what is asked, and that each answer
is drawn anew and only once."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("lm_eval")

from toy import make_checkpoint, make_tasks, run_suite

from harness.errors import SuiteError
from harness.run.lm_eval import backend
from harness.run.lm_eval.backend import LMEvalBackend
from harness.run.worker import run_here
from harness.store import Store
from harness.sweep import LM_EVAL

pytestmark = [
    pytest.mark.lm_eval,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

CHAT = (
    "{% for m in messages %}<{{ m.role }}> {{ m.content }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)

NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}"
    "{{ raise_exception('no system role') }}{% endif %}" + CHAT
)

SUITE = """
suite: worded
task_paths: [tasks]
checkpoints: [{folder: FOLDER, model: m}]
tasks: TASKS
templates:
  - {name: plain}
  - {name: curt, system_prompt: Say one word .}
  - {name: asked, doc_to_text: "{{question}} Which ?"}
  - {name: chat, system_prompt: Say one word ., apply_chat_template: APPLY}
repeats: 3
resources: {batch_size: 7}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("world")
    make_tasks(root / "tasks")
    for name, template in (("chat", CHAT), ("no-system", NO_SYSTEM), ("base", None)):
        make_checkpoint(root / name)
        if template is not None:
            (root / name / "chat_template.jinja").write_text(template)
    return root


def write(world: Path, *, folder="chat", tasks="[toy_sampled]", apply="true") -> Path:
    path = world / "suite.yaml"
    text = SUITE.replace("FOLDER", folder).replace("TASKS", tasks)
    path.write_text(text.replace("APPLY", apply))
    return path


@pytest.fixture
def prompts(monkeypatch) -> list[tuple[str, str]]:
    """Template and prompt of every item that is put into words."""
    seen: list[tuple[str, str]] = []
    build = backend.build_prompts

    def building(task, request, *others):
        made = build(task, request, *others)
        seen.extend((request.template.name, p.instances[0].args[0]) for p in made)
        return made

    monkeypatch.setattr(backend, "build_prompts", building)
    return seen


def test_a_chat_prompt_is_what_the_tokenizer_itself_makes_of_the_messages(
    world, tmp_path, prompts
):
    from transformers import AutoTokenizer

    run_suite(write(world, tasks="[toy_cloze, toy_generate]"), tmp_path / "store")
    chat = [prompt for name, prompt in prompts if name == "chat"]
    curt = [prompt for name, prompt in prompts if name == "curt"]
    question = curt[0].removeprefix("Say one word .")
    tokenizer = AutoTokenizer.from_pretrained(world / "chat")
    system = {"role": "system", "content": "Say one word ."}

    assert question.startswith("Question : the cat")
    assert chat[0] == tokenizer.apply_chat_template(
        [system, {"role": "user", "content": question}],
        tokenize=False,
        add_generation_prompt=True,
    )
    # With examples, each is a turn of its own, as with lm-eval's own command.
    with_shots = chat[-1]
    assert with_shots.startswith("<system> Say one word . <user> Question :")
    assert with_shots.count("<user>") == 3
    assert with_shots.count("<assistant>") == 3
    assert with_shots.endswith("<assistant>")


def test_all_templates_are_put_to_one_load_of_the_model(world, tmp_path):
    loads = []
    read = LMEvalBackend._read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            LMEvalBackend, "_read", lambda *args: loads.append(1) or read(*args)
        )
        plan, result = run_suite(write(world), tmp_path / "store")
    rows = Store(tmp_path / "store").responses()

    assert (len(plan.trials), result.n_failed, len(loads)) == (4, 0, 1)
    assert (
        rows.groupby(["template", "item_index", "repeat"], observed=True)
        .size()
        .eq(1)
        .all()
    )
    assert len(rows) == 4 * 12 * 3
    assert rows.groupby("item_index").prompt_digest.nunique().eq(4).all()
    by_repeat = rows.groupby(["template", "repeat"], observed=True).text.agg(tuple)
    assert by_repeat.nunique() == 4 * 3


def test_stopping_and_going_on_changes_nothing(world, tmp_path):
    run_suite(write(world), tmp_path / "whole")

    def stopped(trials):
        done = run_here(
            trials, backend=LM_EVAL, placement=backend.Placement(batch_size=7),
            max_tries=1,
        )  # fmt: skip
        yield next(done)
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_suite(write(world), tmp_path / "parts", execute=stopped)
    run_suite(write(world), tmp_path / "parts")
    infos = [Store(tmp_path / name).info() for name in ("whole", "parts")]

    assert infos[0].content_digest == infos[1].content_digest
    assert len(Store(tmp_path / "parts").attempts()) == 4


def test_auto_is_what_was_done_in_identity_too(world, tmp_path):
    run_suite(write(world, apply="auto"), tmp_path / "store")
    same, _ = run_suite(write(world, apply="true"), tmp_path / "store")

    assert same.remaining == ()


def test_no_chat_template_is_no_reason_to_leave_it_out_in_silence(world, tmp_path):
    with pytest.raises(SuiteError) as caught:
        run_suite(write(world, folder="base"), tmp_path / "store")

    assert caught.value.code == "chat-template-missing"


def test_a_template_that_takes_no_system_prompt_is_not_put_without_it(world, tmp_path):
    """lm-eval drops the system prompt there, and says so in a log."""
    run_suite(write(world, folder="no-system"), tmp_path / "store")
    rows = Store(tmp_path / "store").trials().to_pylist()

    assert {row["template"]: row["error_code"] for row in rows} == {
        "plain": None,
        "curt": None,
        "asked": None,
        "chat": "chat-template-unfit",
    }
