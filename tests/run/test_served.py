"""A model behind a server is asked as one in memory is, and a failing server loses
nothing: the server is a real one, on a port of this machine."""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lm_eval")

from server import serving
from toy import make_checkpoint, make_tasks, run_suite

from harness.run.lm_eval import served
from harness.stats.scores import score_responses
from harness.store import Store

pytestmark = [
    pytest.mark.lm_eval,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    # A connection that the test drops is closed by the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

TEMPLATES = """
templates:
  - {name: plain}
  - {name: curt, system_prompt: Say one word.}
"""

WRITING = """
suite: written
task_paths: [tasks]
checkpoints:
  - {api: "ADDRESS", model: m, chat: true, concurrent: 4, max_tries: 3, timeout: 20}
tasks: [toy_sampled]
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A checkpoint whose tokenizer begins texts with a token of its own, and tasks."""
    from tokenizers import Tokenizer, processors

    root = tmp_path_factory.mktemp("world")
    folder = make_checkpoint(root / "model", seed=3)
    file = folder / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<eos> $A", special_tokens=[("<eos>", 1)]
    )
    tokenizer.save(str(file))
    chat = "{% for m in messages %}{{ m.role }} : {{ m.content }} . {% endfor %}"
    (folder / "chat_template.jinja").write_text(chat)
    make_tasks(root / "tasks")
    return root


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(served, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(served, "LONGEST_WAIT_SECONDS", 0.02)


@pytest.fixture
def server():
    with serving() as server:
        yield server


@pytest.fixture
def ask(world, server, tmp_path):
    """Run a suite against the server; returns the store's path."""

    def ask(name="store", text=WRITING, address=None, **changes):
        path = world / "suite.yaml"
        path.write_text(text.replace("ADDRESS", address or server.address))
        plan, result = run_suite(path, tmp_path / name, **changes)
        assert result.n_done + result.n_failed == len(plan.remaining)
        return tmp_path / name

    return ask


def answers(store) -> dict:
    rows = Store(store).responses()
    columns = ["template", "sample_seed", "item_index", "repeat"]
    return rows.set_index(columns).text.sort_index().to_dict()


def attempts(store) -> list[dict]:
    return Store(store).attempts().to_pylist()


# ---- the same answers ----------------------------------------------------------------


def test_a_served_model_scores_and_writes_as_the_same_in_memory(world, tmp_path):
    path = world / "both.yaml"
    with serving(world / "model") as server:
        path.write_text(f"""
suite: both
task_paths: [tasks]
checkpoints:
  - {{folder: model, model: here}}
  - {{api: "{server.address}", model: there, tokenizer: model}}
tasks:
  - toy_cloze_shots
  - {{task: toy_cloze, formulation: choice}}
  - toy_last_word
  - toy_generate
templates:
  - {{name: plain}}
  - {{name: curt, system_prompt: the dog sat on, apply_chat_template: auto}}
""")
        run_suite(path, tmp_path / "store")
    rows = Store(tmp_path / "store").responses()
    key = ["task", "formulation", "template", "item_index"]
    here, there = (
        rows[rows.model == model].sort_values(key) for model in ("here", "there")
    )

    assert len(here) == len(there) == 4 * 2 * 12
    for name in ("item_id", "prompt_digest", "target_index", "target_tokens", "text"):
        assert here[name].equals(there[name].set_axis(here.index)), name
    assert here.target_is_greedy.equals(there.target_is_greedy.set_axis(here.index))
    assert [dict(m) for m in here.metrics] == [dict(m) for m in there.metrics]
    np.testing.assert_allclose(here.target_logprob, there.target_logprob, rtol=1e-5)
    for ours, theirs in zip(
        here.choice_logprobs.dropna(), there.choice_logprobs.dropna(), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_a_prompt_that_is_too_long_loses_its_beginning_and_is_counted(world, tmp_path):
    path = world / "long.yaml"
    with serving(world / "model") as server:
        path.write_text(f"""
suite: long
task_paths: [tasks]
checkpoints: [{{api: "{server.address}", model: m, tokenizer: model}}]
tasks: [toy_cloze_shots, toy_generate]
templates: [{{name: chat, apply_chat_template: true}}]
resources: {{max_length: 40}}
""")
        run_suite(path, tmp_path / "store")
    lengths = [len(p["prompt"][0]) + p["max_tokens"] for p in server.asked]

    assert max(lengths) == 40
    assert [a["n_truncated"] for a in attempts(tmp_path / "store")] == [12, 12]


def test_a_server_without_echo_gives_texts_and_no_likelihood_of_zero(world, tmp_path):
    path = world / "deaf.yaml"
    with serving(world / "model") as server:
        server.echo = False
        path.write_text(f"""
suite: deaf
task_paths: [tasks]
checkpoints: [{{api: "{server.address}", model: m, tokenizer: model}}]
tasks: [toy_cloze, toy_generate]
""")
        run_suite(path, tmp_path / "store")
    rows = Store(tmp_path / "store").responses()
    failed = [a for a in attempts(tmp_path / "store") if a["status"] == "failed"]

    assert set(rows.task) == {"toy_generate"}
    assert rows.target_logprob.isna().all()
    assert rows.text.notna().all()
    assert [a["error_code"] for a in failed] == ["no-likelihoods"]


# ---- repeats -------------------------------------------------------------------------


def test_each_answer_has_a_seed_of_its_own_which_nothing_else_changes(ask, server):
    suite = WRITING + TEMPLATES + "repeats: 5\nsample_seeds: [0, 1]\n"
    first = ask("first", suite)
    seeds = [payload["seed"] for payload in server.asked]
    again = ask("again", suite)
    fewer = ask("fewer", suite.replace("repeats: 5", "repeats: 2"))

    assert len(seeds) == len(set(seeds)) == 2 * 2 * 12 * 5
    assert {payload["temperature"] for payload in server.asked} == {1.0}
    assert answers(first) == answers(again)
    assert answers(fewer).items() <= answers(first).items()
    digests = [Store(store).info().content_digest for store in (first, again)]
    assert digests[0] == digests[1]


def test_prompts_go_as_messages_and_several_at_once(ask, server):
    server.latency = 0.02
    ask(text=WRITING + TEMPLATES)
    said = [payload["messages"] for payload in server.asked]

    assert server.most_under_way == 4
    assert {tuple(m["role"] for m in messages) for messages in said} == {
        ("user", "assistant", "user", "assistant", "user"),
        ("system", "user", "assistant", "user", "assistant", "user"),
    }
    assert {m[0]["content"] for m in said if len(m) == 6} == {"Say one word."}
    assert all(m[-1]["content"].startswith("Question : the") for m in said)


def test_stops_are_kept_to_whether_or_not_the_server_does(ask, server):
    store = ask(text=WRITING.replace(
        "[toy_sampled]",
        "[{task: toy_sampled, generation: {until: [a, b, c, d, e]}}]",
    ))  # fmt: skip

    assert all(len(payload["stop"]) == 4 for payload in server.asked)
    assert not any(set(text) & set("abcde") for text in answers(store).values())


def test_no_stops_are_none_and_not_an_empty_list(ask, server):
    """Which is left out, as some servers refuse it."""
    ask(text=WRITING.replace(
        "[toy_sampled]", "[{task: toy_sampled, generation: {until: []}}]"
    ))  # fmt: skip

    assert len(server.asked) == 36
    assert not any("stop" in payload for payload in server.asked)


# ---- failures ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [500, 429, "hang", "drop", "garbage", "{}", '{"choices": []}', "[]",
              '{"choices": [{"index": 0, "message": {}}]}']
)  # fmt: skip
def test_a_failing_server_is_told_and_the_same_command_mends_it(ask, server, fault):
    suite = WRITING.replace("timeout: 20", "timeout: 0.2")
    undisturbed = ask("undisturbed", suite)
    asked_before = len(server.asked)
    server.fault = lambda *_: fault
    store = ask(text=suite)
    (failed,) = attempts(store)
    n_asked = len(server.asked) - asked_before
    server.fault = lambda *_: None
    ask(text=suite)

    assert (failed["status"], failed["error_code"]) == ("failed", "server-failed")
    assert "left 36 of 36 requests unanswered, first: " in failed["error"]
    # Those of two rounds at most; the trial's second try asks once if it still is so.
    assert n_asked <= 2 * 4 * 3 + 1
    assert answers(store) == answers(undisturbed)
    digests = [Store(s).info().content_digest for s in (store, undisturbed)]
    assert digests[0] == digests[1]


def test_a_server_that_fails_every_other_time_is_asked_again_at_once(ask, server):
    undisturbed = ask("undisturbed")
    server.fault = lambda _, n: 503 if n % 2 else None  # of what came before
    store = ask()

    assert [a["status"] for a in attempts(store)] == ["done"]
    assert answers(store) == answers(undisturbed)
    assert len(server.asked) == 36 + 2 * 36


def test_a_server_that_dies_midway_loses_nothing(ask, server):
    suite = WRITING + TEMPLATES
    undisturbed = ask("undisturbed", suite)
    server.n_answered = 0
    server.fault = lambda *_: "drop" if server.n_answered >= 50 else None
    store = ask(text=suite)
    n_answered = server.n_answered
    rows = attempts(store)
    n_kept = len(Store(store).responses())
    with serving() as another:  # elsewhere: where it listens is no identity
        ask(text=suite, address=another.address)
        n_asked_again = len(another.asked)

    assert n_kept == n_answered >= 50
    assert n_kept + n_asked_again == 72
    assert {r["error_code"] for r in rows if r["status"] == "failed"} == {
        "server-failed"
    }
    assert Store(store).info().n_trials_failed == 0
    assert answers(store) == answers(undisturbed)


def test_what_will_be_refused_again_ends_at_once(ask, server, monkeypatch):
    monkeypatch.setenv("M_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    server.fault = lambda *_: 401
    suite = WRITING.replace("timeout: 20", "timeout: 20, key_env: M_KEY")
    store = ask(text=suite)
    (failed,) = attempts(store)
    files = b"".join(f.read_bytes() for f in store.rglob("*") if f.is_file())

    assert (failed["error_code"], failed["tries"]) == ("server-refused", 1)
    assert "HTTP 401" in failed["error"]
    assert "no Bearer …" in failed["error"]
    assert b"sk-" not in files
    assert len(server.asked) <= 4
    assert {h["Authorization"] for h in server.headers} == {"Bearer sk-secret"}


@pytest.mark.parametrize(
    ("concurrent", "repeats", "place"), [(1, 9, 0), (4, 3, 0), (1, 3, -1), (4, 9, -1)]
)
def test_an_item_that_is_refused_alone_stands_without_a_score(
    ask, server, concurrent, repeats, place
):
    suite = WRITING.replace("concurrent: 4", f"concurrent: {concurrent}")
    suite += f"repeats: {repeats}\n"
    undisturbed = answers(ask("undisturbed", suite))
    one = server.asked[place]["messages"]
    n_before = len(server.asked)
    server.fault = lambda payload, _: 400 if payload["messages"] == one else None
    store = ask(text=suite)
    n_asked = len(server.asked) - n_before
    (done,) = attempts(store)
    rows = Store(store).responses().sort_values(["item_index", "repeat"])
    refused = rows[rows.status == "refused"]
    rest = {key: text for key, text in answers(store).items() if isinstance(text, str)}

    assert n_asked == 12 * repeats
    assert done["status"] == "done"
    assert "HTTP 400" in dict(done["versions"])["server refusal"]
    assert list(refused.repeat) == list(range(repeats))
    assert refused.item_index.nunique() == 1
    assert refused.text.isna().all()
    assert refused.metrics.isna().all()
    assert score_responses(refused).exact_match.isna().all()
    assert len(rest) == 11 * repeats
    assert rest.items() <= undisturbed.items()
    assert Store(store).verify() == []
    ask(text=suite)
    assert len(server.asked) == n_before + n_asked


@pytest.mark.parametrize(("task", "n_refused"), [("toy_cloze", 1), ("toy_generate", 0)])
def test_a_refused_choice_takes_its_item_and_a_reference_only_its_likelihood(
    world, tmp_path, task, n_refused
):
    path = world / "choices.yaml"
    with serving(world / "model") as server:
        path.write_text(f"""
suite: choices
task_paths: [tasks]
checkpoints: [{{api: "{server.address}", model: m, tokenizer: model}}]
tasks: [{task}]
""")
        run_suite(path, tmp_path / "undisturbed")
        first = next(p["prompt"] for p in server.asked if p.get("echo"))
        server.fault = lambda payload, _: (
            400 if payload.get("echo") and payload["prompt"] == first else None
        )
        run_suite(path, tmp_path / "store")
    rows = Store(tmp_path / "store").responses()
    is_ok = rows.status == "ok"

    assert [a["status"] for a in attempts(tmp_path / "store")] == ["done"]
    assert (len(rows), (rows.status == "refused").sum()) == (12, n_refused)
    assert is_ok.sum() == 12 - n_refused
    assert rows.target_logprob[is_ok].isna().sum() == (11 if n_refused else 1)
    assert rows.choice_logprobs[is_ok].notna().all() == bool(n_refused)
    assert rows.metrics[is_ok].notna().all()


def test_many_refusals_in_a_row_are_not_for_the_prompts(ask, server):
    server.fault = lambda *_: 400
    store = ask()
    (failed,) = attempts(store)

    assert (failed["error_code"], failed["tries"]) == ("server-refused", 1)
    assert re.search(r"refuses \d+ requests in a row, first: HTTP 400", failed["error"])
    # Of eight prompts, with three answers to each; four requests are under way.
    assert 8 <= len(server.asked) <= 8 * 3 + 3


def test_neighbours_that_are_refused_do_not_end_a_trial(ask, server):
    """The last eight of twelve items, which is many in a row."""
    suite = WRITING.replace("[toy_sampled]", "[toy_generate]")
    undisturbed = ask("undisturbed", suite)
    said = {json.dumps(payload["messages"]) for payload in server.asked}
    refused = sorted(said)[4:]
    server.fault = lambda p, _: 400 if json.dumps(p["messages"]) in refused else None
    store = ask(text=suite)

    assert len(answers(undisturbed)) == len(said) == 12
    assert [a["status"] for a in attempts(store)] == ["done"]
    assert (Store(store).responses().status == "refused").sum() == 8


def test_a_trial_without_any_answer_fails_however_small_it_is(ask, server):
    suite = WRITING.replace("[toy_sampled]", "[{task: toy_sampled, items: 2}]")
    server.fault = lambda *_: 400
    store = ask(text=suite)
    (failed,) = attempts(store)
    server.fault = lambda *_: None
    ask(text=suite)

    assert failed["error_code"] == "server-refused"
    assert len(answers(store)) == 2 * 3
    assert Store(store).info().n_trials_failed == 0


@pytest.mark.parametrize("concurrent", [4, 40])
def test_what_was_refused_before_the_server_died_is_asked_again(
    ask, server, concurrent
):
    """Nothing that it answered says that it would have answered others."""
    suite = WRITING.replace("concurrent: 4", f"concurrent: {concurrent}")
    server.fault = lambda *_: "drop" if server.asked else 400
    store = ask(text=suite)
    assert [a["error_code"] for a in attempts(store)] == ["server-failed"]
    server.fault = lambda *_: None
    ask(text=suite)

    assert set(Store(store).responses().status) == {"ok"}
    assert len(answers(store)) == 36


def test_nobody_gets_a_key_that_the_suite_does_not_name(ask, server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    ask()

    assert not any("Authorization" in headers for headers in server.headers)


def test_a_key_that_is_not_there_is_said_before_anything_is_sent(ask, server):
    store = ask(text=WRITING.replace("timeout: 20", "key_env: NO_SUCH_KEY"))

    assert [a["error_code"] for a in attempts(store)] == ["key-missing"]
    assert server.asked == []


def test_packages_that_are_not_there_are_named(ask, server, monkeypatch):
    monkeypatch.setattr("lm_eval.models.api_models.find_spec", lambda _: None)
    (failed,) = attempts(ask())

    assert failed["error_code"] == "extra-missing"
    assert "pip install 'evalvar[run]'" in failed["error"]


def test_a_loop_that_runs_already_is_no_hindrance(ask, server):
    """As in a notebook, and in these tests after those in a browser."""

    async def inside():
        return ask("inside")

    with ThreadPoolExecutor(1) as thread:  # of which no other test has a loop
        store = thread.submit(lambda: asyncio.run(inside())).result()

    assert answers(store) == answers(ask("outside"))


def test_text_that_is_no_unicode_is_marked(ask, server):
    said = json.dumps({"choices": [{"index": 0, "message": {"content": "cat\ud800"}}]})
    server.fault = lambda *_: said
    store = ask()

    assert {a["status"] for a in attempts(store)} == {"done"}
    assert set(answers(store).values()) == {"cat\ufffd"}


def test_no_text_is_an_answer_that_is_wrong(ask, server):
    message = {"role": "assistant", "content": None}
    said = json.dumps({"choices": [{"index": 0, "message": message}]})
    server.fault = lambda *_: said
    store = ask()

    assert set(answers(store).values()) == {""}
    assert [a["status"] for a in attempts(store)] == ["done"]


def test_a_row_says_which_server_answered_and_what_it_called_itself(ask, server):
    store = ask()
    (row,) = attempts(store)
    versions = dict(row["versions"])

    assert row["location"] == server.address
    assert versions["server model"] == "m-0613"
    assert versions["server fingerprint"] == "fp_1"
    assert (row["device"], row["dtype"], row["batch_size"]) == ("server", "unknown", 1)
    assert row["n_requests"] == len(server.asked) == 36
    assert row["tokenizer_digest"] == ""
    assert 0 < row["forward_seconds"] <= row["seconds"]


def test_a_server_asks_for_time_and_gets_some(monkeypatch):
    assert served._seconds("3") == 3.0
    assert served._seconds("Wed, 25 Nov 2026 22:00:00 GMT") == 0.0
    assert served._seconds(None) == 0.0


def test_the_suite_of_the_how_to_runs(world, server, tmp_path, monkeypatch):
    """On a task of ours, and without the model in memory beside it."""
    from blocks import ROOT, blocks
    from ruamel.yaml import YAML

    text = blocks(ROOT / "docs/how-to/api-models.md")[0].text
    suite = YAML(typ="safe").load(text)
    suite["checkpoints"] = [{**suite["checkpoints"][0], "api": server.address}]
    suite["task_paths"] = ["tasks"]
    suite["tasks"][0]["task"] = "toy_sampled"
    monkeypatch.setenv("SERVER_KEY", "sk-secret")
    path = world / "how-to.yaml"
    path.write_text(json.dumps(suite))
    run_suite(path, tmp_path / "store")

    assert len(answers(tmp_path / "store")) == 2 * 12 * 8
    assert {p["model"] for p in server.asked} == {"EleutherAI/pythia-160m"}
