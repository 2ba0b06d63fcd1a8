"""The command line as its users meet it: answers, complaints, exit statuses."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import types
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import typer
from deltalake import DeltaTable
from fakes import FAKE, N_ITEMS, commit, fake_plan, run_fake
from typer.testing import CliRunner

from harness import __version__, cli
from harness.frames import RESPONSES
from harness.records import TaskRequest
from harness.run.backend import FakeBackend
from harness.run.worker import run_here
from harness.selection import ChosenOn, Selection, TaskSelection
from harness.store import Store

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "results/example"
SESSIONS = sorted((Path(__file__).parent / "cli").glob("*.txt"))

needs_checkout = pytest.mark.skipif(
    not EXAMPLE.is_dir(), reason="only a checkout has the example"
)

SUITE = """
suite: toy
checkpoints:
  - pattern: runs/{model}/seed{train_seed}/step{step}
tasks: [t1, t2]
"""


@pytest.fixture
def evalvar(monkeypatch, capfd):
    """Run a command in this process; returns its exit status, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["evalvar", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capfd.readouterr()

    return run


@pytest.fixture
def store(tmp_path):
    """A small store, in a folder from which every relative path starts."""
    run_fake(tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A suite over four folders that look like checkpoints; returns its file."""
    for seed in (0, 1):
        for step in (0, 10):
            folder = tmp_path / f"runs/toy/seed{seed}/step{step}"
            folder.mkdir(parents=True)
            (folder / "model.safetensors").write_text(f"{seed} {step}")
            (folder / "config.json").write_text("{}")
            (folder / "tokenizer.json").write_text("{}")
    (tmp_path / "suite.yaml").write_text(SUITE)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "suite.yaml"


@pytest.fixture
def without_models(monkeypatch):
    """Put the stand-in for models where lm-eval would be, and no cluster for Ray's."""
    backend = types.ModuleType("harness.run.lm_eval")
    backend.LMEvalBackend = FakeBackend
    pool = types.ModuleType("harness.run.pool")
    pool.cluster = lambda address: contextlib.nullcontext()
    pool.used = []

    def run_on_ray(trials, *, backend, placement, workers, max_tries, idle):
        pool.used.append((backend, workers))
        yield from run_here(
            trials, backend=pool.backend, placement=placement, max_tries=max_tries
        )

    pool.run_on_ray, pool.backend = run_on_ray, FAKE
    monkeypatch.setitem(sys.modules, "harness.run.lm_eval", backend)
    monkeypatch.setitem(sys.modules, "harness.run.pool", pool)
    return pool


def process(*arguments, **options):
    """Run a command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "harness", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def files(folder):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def only_json(text):
    """Parse one JSON document, in which every number is one."""

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def assert_one_line(err, code):
    (line,) = err.splitlines()
    assert line.startswith("evalvar: ")
    assert line.endswith(f" [{code}]")
    assert line.isprintable()


# ---- help ------------------------------------------------------------------------


def commands(group=None, path=()):
    group = group or typer.main.get_command(cli.app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


def test_all_commands_are_met():
    assert {" ".join(path) for path in commands()} >= {
        "plan", "run", "quickstart", "status", "variance", "report", "doctor",
        "zoo build", "schema suite", "schema selection", "store info", "store verify",
        "store compact",
    }  # fmt: skip


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_help_has_an_example_of_that_command(path):
    shown = CliRunner().invoke(cli.app, [*path, "--help"])

    assert shown.exit_code == 0
    assert f"Example: evalvar {' '.join(path)}" in " ".join(shown.output.split())


def test_help_is_in_panels_and_explains_exit_statuses():
    shown = CliRunner().invoke(cli.app, ["--help"]).output

    panels = re.findall(r"^╭─ (\w+) ─", shown, re.MULTILINE)
    assert panels == ["Options", "Run", "Analyse", "Share", "Keep"]
    assert "130 interrupted" in " ".join(shown.split())


@pytest.mark.parametrize("group", [(), ("store",), ("zoo",), ("schema",)])
def test_a_group_without_a_command_shows_its_help(evalvar, group):
    status, out, err = evalvar(*group)

    assert "Usage: evalvar" in out + err
    assert status == 2


def test_help_loads_nothing_heavy_and_comes_at_once():
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from harness.cli import app\n"
            "app(['--help'], standalone_mode=False)\n"
            "print(*sys.modules, file=sys.stderr)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    began = time.monotonic()
    assert process("--help").returncode == 0
    seconds = time.monotonic() - began

    heavy = {
        "ray", "lm_eval", "torch", "transformers", "plotly", "pandas", "numpy",
        "scipy", "pyarrow", "deltalake",
    }  # fmt: skip
    assert not heavy & set(told.stderr.split())
    assert seconds < 2


def test_the_version_is_that_of_the_package(evalvar):
    assert evalvar("--version") == (0, f"evalvar {__version__}\n", "")


# ---- answers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "schema"),
    [
        (["status"], "evalvar.status/1"),
        (["variance"], "evalvar.variance/1"),
        (["variance", "--format", "json"], "evalvar.variance/1"),
        (["store", "info"], "evalvar.store/1"),
        (["store", "verify"], "evalvar.verify/1"),
    ],
)
def test_json_is_one_document(evalvar, tmp_path, command, schema):
    """Of one seed and step, where most statistics are not defined."""
    run_fake(tmp_path / "s", seeds=(None,), steps=(10,))
    as_json = [] if "json" in command else ["--json"]
    status, out, err = evalvar(*command, tmp_path / "s", *as_json)

    assert (status, err) == (0, "")
    assert only_json(out)["schema"] == schema


@pytest.mark.parametrize("name", ["suite", "selection"])
def test_a_schema_names_what_it_is_of(evalvar, name):
    status, out, err = evalvar("schema", name)

    assert (status, err) == (0, "")
    assert only_json(out)["title"] == f"evalvar {name}"


def test_doctor_as_json(evalvar):
    _, out, err = evalvar("doctor", "--json")

    assert err == ""
    assert only_json(out)["schema"] == "evalvar.doctor/1"


@pytest.mark.parametrize(
    ("format_", "first"),
    [("table", "toy"), ("md", "| model |"), ("csv", "model,task,"), ("json", "{")],
)
def test_formats_of_the_variance_table(evalvar, store, format_, first):
    status, out, err = evalvar("variance", store, "--format", format_)

    assert (status, err) == (0, "")
    assert out.startswith(first)


OPTIONS = [
    ("--ddof", "0"),
    ("--metric", "prob_correct"),
    ("--continuous", "margin"),
    ("--confidence", "0.5"),
    ("--monotonicity", "spearman"),
]


@pytest.fixture(scope="module")
def example_numbers():
    """Return the example's numbers under options, without the words beside them."""

    def numbers(*options):
        out = process("variance", EXAMPLE, "--json", *options).stdout
        rows = only_json(out)["rows"]
        parts = [part for row in rows for part in (row["discrete"], row["continuous"])]
        return [
            (name, one["value"], one["low"], one["high"])
            for part in parts
            for name, one in part.items()
            if "value" in one
        ]

    return numbers


@needs_checkout
@pytest.mark.parametrize("option", OPTIONS, ids=" ".join)
def test_each_option_changes_a_number(example_numbers, option):
    task = ("--task", "zoo_facts_cloze", "--model", "zoo-small")
    plain, other = example_numbers(*task), example_numbers(*task, *option)

    changed = {a[0] for a, b in zip(plain, other, strict=True) if a != b}
    assert (
        changed
        == {
            "--ddof": {"seed_sd", "seed_sd_last", "snr", "snr_above_chance"},
            "--metric": {name for name, *_ in plain},
            "--continuous": {name for name, *_ in plain},
            "--confidence": {name for name, *_ in plain},
            "--monotonicity": {"monotonicity"},
        }[option[0]]
    )


@pytest.mark.parametrize("option", OPTIONS, ids=" ".join)
def test_each_option_changes_the_page(evalvar, tmp_path, option):
    run_fake(tmp_path / "s", steps=(0, 10, 20, 30, 40))
    plain, other = (
        evalvar("report", tmp_path / "s", "-o", "-", *some)[1].partition("<main")[2]
        for some in ((), option)
    )
    numbers = re.compile(r'data-value="([^"]*)"|\[([^]]*)\]')

    assert numbers.findall(plain.partition("<script")[0]) != numbers.findall(
        other.partition("<script")[0]
    )


def test_one_task_s_own_metric_can_be_asked_for(evalvar, store):
    """The other tasks of the store need not have it."""
    status, _, err = evalvar("variance", store, "--task", "t1", "--metric", "acc,none")

    assert (status, err) == (0, "")


def test_a_task_is_judged_by_the_weights_of_all_tasks(evalvar, tmp_path):
    """Its only answers are of weights that were replaced since."""
    store = Store.create(tmp_path / "s")
    old, new = fake_plan().trials[0], fake_plan().trials[1]
    changed = replace(new.checkpoint, weights_digest="other")
    commit(store, old, "1")
    commit(store, replace(new, checkpoint=changed), "2", minute=5)
    assert (old.checkpoint.train_seed, old.checkpoint.step) == (
        changed.train_seed, changed.step,
    )  # fmt: skip

    _, out, _ = evalvar("variance", store.path, "--task", old.info.task, "--json")

    (row,) = only_json(out)["rows"]
    assert row["cautions"][0]["code"] == "replaced-weights"
    assert row["discrete"]["mean"]["value"] is None


def test_a_model_or_task_is_chosen(evalvar, store):
    chosen = ("--task", "t1", "--model", "toy")
    rows = only_json(evalvar("variance", store, *chosen, "--json")[1])["rows"]

    assert {(row["model"], row["task"]) for row in rows} == {("toy", "t1")}


def test_a_report_is_written_whole(evalvar, store, tmp_path):
    path = tmp_path / "new/page.html"
    status, out, err = evalvar("report", store, "-o", path, "--title", "A title")

    assert (status, err) == (0, "")
    assert out == f"report: {path}\n"
    assert "A title" in path.read_text()
    assert list(path.parent.iterdir()) == [path]
    assert evalvar("report", store, "-o", "-", "--title", "A title") == (
        0, path.read_text(), "",
    )  # fmt: skip


def test_a_report_of_an_empty_store_is_a_page(evalvar, tmp_path):
    Store.create(tmp_path / "s")
    status, _, err = evalvar("report", tmp_path / "s", "-o", tmp_path / "page.html")

    assert (status, err) == (0, "")
    assert (tmp_path / "page.html").read_text().rstrip().endswith("</html>")


def test_a_store_is_looked_after(evalvar, tmp_path):
    store = Store.create(tmp_path / "s")
    for number, trial in enumerate(fake_plan().trials):
        commit(store, trial, str(number))
    before = store.info().content_digest
    status, out, _ = evalvar("store", "compact", store.path, "--drop-replaced")

    assert status == 0
    assert out == "responses: 8 files, now 1\ntrials: 8 files, now 1\n"
    assert before in evalvar("store", "info", store.path)[1]
    assert evalvar("store", "verify", store.path)[:2] == (
        0, "every finished trial has all of its responses\n",
    )  # fmt: skip


def test_an_incomplete_store_does_not_verify(evalvar, store):
    DeltaTable(store / "responses").delete("item_index = 3 AND repeat = 0")
    status, out, err = evalvar("store", "verify", store)
    assert (status, err) == (5, "")
    assert out.count(f"has {N_ITEMS - 1} responses, {N_ITEMS} were written\n") == 8

    status, out, _ = evalvar("store", "verify", store, "--json")
    assert status == 5
    assert len(only_json(out)["problems"]) == 8


# ---- running ---------------------------------------------------------------------


def test_plan_run_and_run_again(evalvar, world, without_models):
    plan = only_json(evalvar("plan", world, "--json")[1])
    assert plan["schema"] == "evalvar.plan/1"
    assert (plan["n_trials"], plan["n_remaining"]) == (8, 8)
    assert not Path("results").exists(), "a plan makes nothing"

    status, out, err = evalvar("run", world, "--workers", "3")
    assert status == 0
    assert re.fullmatch(
        r"toy: 8 trials done, 0 failed, in \d+ s\n"
        r"store: results/toy\nnext: evalvar variance results/toy\n",
        out,
    )
    assert "evaluating: 100%  8/8 trials" in err
    assert without_models.used == [("harness.run.lm_eval:LMEvalBackend", 3)]

    status, out, err = evalvar("run", world, "--json")
    assert (status, err) == (0, "every trial is stored already\n")
    again = only_json(out)
    assert again["schema"] == "evalvar.run/1"
    assert (again["store"], again["n_done"]) == ("results/toy", 0)
    assert len(without_models.used) == 1
    assert "8 stored, 0 remain, 0 requests" in evalvar("plan", world)[1]


def test_after_several_templates_prompts_are_next(evalvar, world, without_models):
    world.write_text(f"{SUITE}templates: [{{name: a}}, {{name: b, system_prompt: x}}]")
    out = evalvar("run", world)[1]

    assert out.endswith("store: results/toy\nnext: evalvar prompts results/toy\n")


def test_chosen_items_are_asked_alone_and_the_others_later(
    evalvar, world, without_models
):
    ids = FakeBackend().item_ids(TaskRequest(task="t1"))
    task = TaskSelection(
        task="t1",
        method="stratified",
        n_items=3,
        n_items_total=N_ITEMS,
        items=(2, 7, 30),
        item_ids=tuple(ids[i] for i in (2, 7, 30)),
        task_digest=None,
        chosen_on=ChosenOn(
            models=(), train_seeds=(), steps=(), formulation="cloze", metric="acc"
        ),
        fidelity={},
    )
    chosen = Selection(kind="stable", entropy=0, tasks=(task,))
    Path("items.json").write_text(chosen.to_json())
    out, err = evalvar("plan", world, "--items", "items.json")[1:]
    assert f"3 of {N_ITEMS}" in out
    assert err == (
        "note: no items were chosen of t2: the suite's are asked [not-in-selection]\n"
    )

    assert evalvar("run", world, "--items", "items.json")[0] == 0
    responses = Store("results/toy").responses(task="t1")
    assert sorted(set(responses["item_index"])) == [2, 7, 30]
    assert (
        f"t1: a partial run, 3 of {N_ITEMS} items"
        in evalvar("status", "results/toy")[1]
    )

    assert evalvar("run", world)[0] == 0
    responses = Store("results/toy").responses(task="t1")
    assert len(responses) == 4 * N_ITEMS
    assert "partial" not in evalvar("variance", "results/toy", "--task", "t1")[1]


def test_failed_trials_are_told_and_exit_with_5(evalvar, world, without_models):
    world.write_text(SUITE.replace("t2", "bad"))
    without_models.backend = "fakes:RaisingBackend"
    status, out, err = evalvar("run", world, "--store", "s")

    assert status == 5
    assert out.startswith("toy: 4 trials done, 4 failed")
    told = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert len(told) == 4
    assert all("ZeroDivisionError: on bad (fakes.py:" in line for line in told)
    assert "4 × " not in evalvar("status", "s")[1]
    assert "1 × bad on toy seed 0 step 0" in evalvar("status", "s")[1]


def test_where_nothing_was_done_the_next_thing_is_why(evalvar, world, without_models):
    world.write_text(SUITE.replace("[t1, t2]", "[bad]"))
    without_models.backend = "fakes:RaisingBackend"
    status, out, _ = evalvar("run", world, "--store", "s")

    assert status == 5
    assert out.endswith("next: evalvar status s\n")


def test_an_interruption_exits_with_130_and_says_what_to_do(
    evalvar, world, without_models
):
    def interrupted(trials, **options):
        here = run_here(
            trials, backend=FAKE, placement=options["placement"], max_tries=1
        )
        yield next(here)
        raise KeyboardInterrupt

    whole = without_models.run_on_ray
    without_models.run_on_ray = interrupted
    status, out, err = evalvar("run", world)
    assert (status, out) == (130, "")
    assert err.splitlines()[-1] == (
        "evalvar: interrupted; what was finished is stored, "
        "the same command does the rest"
    )

    without_models.run_on_ray = whole
    assert evalvar("run", world)[1].startswith("toy: 7 trials done")


@pytest.mark.parametrize(("backend", "ended"), [(FAKE, 0), ("fakes:RaisingBackend", 5)])
def test_quickstart_shows_noise_and_writes_a_page(
    evalvar, world, without_models, monkeypatch, backend, ended
):
    without_models.backend = backend
    monkeypatch.setattr(cli.run, "build", lambda: None)
    monkeypatch.setattr(cli.run, "zoo_root", lambda: world.parent / "runs")
    status, out, err = evalvar("quickstart", "--into", "here/s")

    assert status == ended
    assert "zoo_facts_cloze" in out
    assert out.endswith("report: reports/quickstart.html\n")
    assert Path("reports/quickstart.html").stat().st_size > 10**6
    assert set(Store("here/s").trials()["suite"].to_pylist()) == {"quickstart"}
    assert ("failed: " in err) == (ended == 5)


def test_doctor_fails_only_where_something_needed_is_missing(evalvar, monkeypatch):
    assert evalvar("doctor")[0] == 0

    monkeypatch.setattr("harness.doctor.BASE", ("no-such-package",))
    status, out, _ = evalvar("doctor")
    assert status == 2
    assert "no-such-package" in out


def test_cautions_of_a_plan_are_notes_on_standard_error(evalvar, world, without_models):
    world.write_text(SUITE + "fewshot_seeds: [1, 2]\n")
    status, out, err = evalvar("plan", world, "--json")

    assert status == 0
    assert [line.split(":")[0] for line in err.splitlines()] == ["note", "note"]
    assert only_json(out)["cautions"][0]["code"] == "seed-without-effect"


def test_a_store_that_cannot_be_written_is_told_before_the_work(
    evalvar, world, without_models
):
    Path("file").write_text("keep me")
    status, _, err = evalvar("run", world, "--store", "file/store")

    assert status == 5
    assert_one_line(err, "store-not-written")
    assert without_models.used == []


# ---- complaints ------------------------------------------------------------------


@pytest.fixture
def places(store, world):
    """Everything that can be named by mistake, in the folder where we are."""
    here = world.parent
    (here / "empty").mkdir()
    (here / "else").mkdir()
    (here / "else/notes.txt").write_text("keep me")
    (here / "file").write_text("keep me")
    (here / "loop").symlink_to("loop")
    (here / "nothing.yaml").write_text("")
    (here / "binary.yaml").write_bytes(b"\xff\xfe\x00\x1b[31m" * 50)
    (here / "list.yaml").write_text("- a\n- b\n")
    (here / "bad\x1b[31m.yaml").write_text("suite: x\n")
    DeltaTable.create("newer/responses", RESPONSES, description="evalvar.store/2")
    DeltaTable.create("newer/trials", RESPONSES, description="evalvar.store/2")
    DeltaTable.create("sales/responses", RESPONSES)
    DeltaTable.create("sales/trials", RESPONSES)
    shutil.copytree(store, here / "log")
    (here / "log/trials/_delta_log/00000000000000000000.json").write_text("{\nbad")
    shutil.copytree(store, here / "parquet")
    for path in (here / "parquet").glob("*/*.parquet"):
        path.write_bytes(b"PAR1" + bytes(1000) + b"PAR1")
    return here


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        ("status nowhere", "store-missing", 2),
        ("status empty", "store-missing", 2),
        ("status else", "store-missing", 2),
        ("status file", "not-a-store", 2),
        ("variance file", "not-a-store", 2),
        ("store verify file", "not-a-store", 2),
        ("plan suite.yaml --store file", "not-a-store", 2),
        ("status loop", "store-missing", 2),
        ("status newer", "store-format", 2),
        ("status sales", "store-format", 2),
        ("status log", "store-not-read", 5),
        ("status parquet", "store-not-read", 5),
        ("variance nowhere", "store-missing", 2),
        ("variance log", "store-not-read", 5),
        ("variance parquet", "store-not-read", 5),
        ("variance store --model nobody", "nothing-stored", 2),
        ("variance store --task nothing", "nothing-stored", 2),
        ("variance store --metric nothing", "unknown-metric", 2),
        ("variance store --metric=", "unknown-metric", 2),
        ("variance store --continuous nothing", "unknown-metric", 2),
        ("variance store --confidence 95", "bad-confidence-level", 2),
        ("variance store --confidence nan", "bad-confidence-level", 2),
        ("variance store --monotonicity pearson", "unknown-method", 2),
        ("variance store --ledger --monotonicity tau-b", "unfit-method", 2),
        ("variance store --ledger --ddof 1", "unfit-method", 2),
        ("variance store --ledger --entropy 0", "unfit-method", 2),
        ("variance store --ledger --by task", "unfit-method", 2),
        ("variance store --ledger --continuous margin", "unfit-method", 2),
        ("snr store --continuous --metric acc", "unfit-method", 2),
        ("select stable store --size 5 --sizes 3,4", "bad-option", 2),
        ("select stable store --size 5 --to ids --json", "bad-option", 2),
        ("select stable store --size 5 -o - --format csv", "bad-option", 2),
        ("select discriminative store --to samples --json", "bad-option", 2),
        ("select discriminative store -o ", "bad-option", 2),
        ("select discriminative store --train-seed 99", "nothing-stored", 2),
        ("plan suite.yaml --items ", "bad-option", 2),
        ("report store -o page.html --metric nothing", "unknown-metric", 2),
        ("report store -o page.html --continuous nothing", "unknown-metric", 2),
        ("report store -o page.html --confidence 0", "bad-confidence-level", 2),
        ("report store -o page.html --monotonicity x", "unknown-method", 2),
        ("store info parquet", "store-not-read", 5),
        ("store verify parquet", "store-not-read", 5),
        ("store verify newer", "store-format", 2),
        ("store compact log", "store-not-read", 5),
        ("variance ", "not-a-store", 2),
        ("report nowhere -o page.html", "store-missing", 2),
        ("report parquet -o page.html", "store-not-read", 5),
        ("report parquet -o -", "store-not-read", 5),
        ("report store -o empty", "output-not-written", 5),
        ("report store -o .", "output-not-written", 5),
        ("report store -o file/page.html", "output-not-written", 5),
        ("report store -o loop/page.html", "output-not-written", 5),
        ("report store -o /proc/page.html", "output-not-written", 5),
        ("plan nowhere.yaml", "suite-missing", 2),
        ("plan empty", "suite-unreadable", 2),
        ("plan nothing.yaml", "suite-invalid", 2),
        ("plan list.yaml", "suite-invalid", 2),
        ("plan binary.yaml", "suite-unreadable", 2),
        ("plan bad\x1b[31m.yaml", "suite-invalid", 2),
        ("run suite.yaml --store newer", "store-format", 2),
        ("run suite.yaml --store log", "store-not-read", 5),
        ("run suite.yaml --store else", "not-a-store", 2),
        ("run suite.yaml --store file", "not-a-store", 2),
        ("run suite.yaml --store loop", "store-not-written", 5),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    evalvar, places, without_models, arguments, code, status
):
    before = files(places)
    ended, out, err = evalvar(*arguments.split(" "))

    assert (ended, out) == (status, "")
    assert_one_line(err, code)
    assert files(places) == before


def test_a_choice_is_told_once(evalvar, store):
    _, _, err = evalvar("variance", store, "--format", "xml")
    assert "'--format': 'xml' is not one of 'table', 'md', 'csv', 'json' (see" in err

    _, _, err = evalvar("variance", store, "--ddof", "2")
    assert "equal to 1, not '2' (see" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("variance store --model nobody", "of nobody; it has toy;"),
        ("variance store --task nothing", "of nothing; it has t1, t2;"),
        ("variance store --formulation letters", "of letters; it has cloze;"),
        ("variance store --task t1 --formulation choice", "t1 of choice; it has cloze"),
        (
            "select discriminative store --train-seed 99",
            "training seed 99; it has 0, 1;",
        ),
        ("variance store --steps 99:", "there are 0, 10 ["),
    ],
)
def test_what_there_is_is_named_where_something_else_is_asked(
    evalvar, world, store, arguments, says
):
    _, _, err = evalvar(*arguments.split())

    assert says in err


def test_one_step_is_a_range_of_itself(evalvar, store):
    one, both = (
        evalvar("variance", store, "--steps", steps) for steps in ("10", "10:10")
    )

    assert one == both
    assert one[0] == 0


def test_a_limit_is_of_each_row(evalvar, store):
    plain = evalvar("items", store)[1]
    limited = evalvar("items", store, "--limit", "2")[1]

    assert "to look at first" not in plain
    assert limited.count("the 2 items to look at first") == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("run suite.yaml --workers 0", "greater than or equal to 1"),
        ("run suite.yaml --workers many", "--workers"),
        ("variance store --ddof 2", "less than or equal to 1"),
        ("report store -o page.html --ddof 2", "less than or equal to 1"),
        ("variance store --confidence high", "--confidence"),
        ("variance store --format xml", "xml"),
        ("variance store --formt md", "--format"),
        ("report store", "--output"),
        ("variance", "store"),
        ("varance store", "variance"),
    ],
)
def test_wrong_options_are_told_with_the_way_to_help(evalvar, store, arguments, says):
    before = files(store)
    status, out, err = evalvar(*arguments.split())

    assert (status, out) == (2, "")
    assert says in err
    assert "Traceback" not in err
    assert files(store) == before


@pytest.mark.lm_eval
@pytest.mark.parametrize(
    ("file", "content", "code"),
    [
        ("suite.yaml", SUITE.replace("t1", "no_such_task"), "unknown-task"),
        ("runs/toy/seed1/step0/tokenizer.json", "{spoilt", "tokenizer-unreadable"),
        ("runs/toy/seed1/step0/config.json", None, "not-a-checkpoint"),
    ],
)
def test_what_only_a_plan_can_find_is_one_line_too(evalvar, world, file, content, code):
    path = world.parent / file
    path.write_text(content) if content else path.unlink()
    status, out, err = evalvar("plan", world)

    assert (status, out) == (2, "")
    assert_one_line(err, code)


BASE_INSTALL = """
import sys
for name in ("lm_eval", "torch", "ray", "transformers", "tokenizers", "datasets"):
    sys.modules[name] = None
from harness.cli import main
main()
"""


@pytest.mark.parametrize(
    "arguments", ["plan suite.yaml", "run suite.yaml", "quickstart", "zoo build"]
)
def test_the_base_install_says_what_running_needs(world, tmp_path, arguments):
    told = subprocess.run(
        [sys.executable, "-c", BASE_INSTALL, *arguments.split()],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        cwd=world.parent,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (told.returncode, told.stdout) == (2, "")
    *begun, line = told.stderr.splitlines()
    assert_one_line(line, "extra-missing")
    assert "pip install 'evalvar[run]'" in line
    assert begun in ([], ["training the zoo …"])


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("import", "."), "trials read to their end are stored, the same command does"),
        (("variance", "."), "the same command begins anew"),
    ],
)
def test_an_interruption_says_what_holds_for_the_command(
    evalvar, monkeypatch, command, says
):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.store.Store.__init__", interrupted)
    status, out, err = evalvar(*command)

    assert (status, out) == (130, "")
    assert f"evalvar: interrupted; {says}" in err


# ---- pipes and sessions ----------------------------------------------------------


@pytest.fixture(scope="session")
def shell(tmp_path_factory):
    """Run a line of shell in the checkout, where ``evalvar`` is this package."""
    folder = tmp_path_factory.mktemp("bin")
    command = folder / "evalvar"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m harness "$@"\n')
    command.chmod(0o755)
    return partial(
        subprocess.run,
        shell=True,
        cwd=ROOT,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        text=True,
        check=False,
    )


@needs_checkout
@pytest.mark.parametrize(
    "command",
    [
        "variance results/example",
        "variance results/example --json",
        "variance results/example --format csv",
        "status results/example",
        "store info results/example --json",
        "report results/example -o -",
        "export results/example --to csv -o -",
        "schema suite",
        "--help",
    ],
)
def test_a_reader_that_leaves_early_gets_no_traceback(shell, command):
    """As with programs that SIGPIPE ends: a verdict that nobody saw is no success."""
    line = f"{{ evalvar {command}; echo $? >&2; }} | {{ exec 0<&-; }}"
    told = shell(line, capture_output=True)

    assert (told.stdout, told.stderr) == ("", "141\n")


def steps(session):
    """Return each command of a session with the output that follows it."""
    _, *parts = re.split(r"^\$ (.*)\n", session.read_text(), flags=re.MULTILINE)
    return list(zip(parts[::2], parts[1::2], strict=True))


@needs_checkout
@pytest.mark.parametrize("session", SESSIONS, ids=lambda path: path.stem)
def test_a_session_goes_as_written(shell, session):
    for command, expected in steps(session):
        told = shell(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        lines = [line.rstrip() for line in told.stdout.splitlines()]
        if told.returncode:
            lines.append(f"(exit status {told.returncode})")

        assert lines == expected.rstrip().splitlines(), command


# ---- streams and files that are not what they seem -----------------------------------


@needs_checkout
@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 evalvar variance STORE", 0),
        ("PYTHONIOENCODING=ascii evalvar variance STORE", 0),
        ("PYTHONIOENCODING=ascii evalvar doctor", 0),
        ("evalvar status STORE >&-", 0),
        ("evalvar variance STORE >/dev/full", 5),
        ("evalvar status STORE --json >/dev/full", 5),
    ],
)
def test_any_locale_and_any_standard_output_will_do(shell, command, status):
    told = shell(command.replace("STORE", "results/example"), capture_output=True)

    assert told.returncode == status, told.stderr
    assert len(told.stderr.splitlines()) == (status > 0)
    if status:
        assert told.stderr.endswith("[output-not-written]\n")


@needs_checkout
def test_no_sign_is_lost_where_the_locale_lacks_it(shell):
    """A minus that became a question mark would be another number."""
    command = "evalvar variance results/example --model zoo-tiny"
    told = shell(f"PYTHONIOENCODING=ascii {command}", capture_output=True).stdout
    plain = shell(command, capture_output=True).stdout

    table = told.partition("discrete / continuous")[0]
    assert "?" not in table
    assert "-301" in table.split()
    assert table.count("-0.") == plain.partition("discrete /")[0].count(
        "\N{MINUS SIGN}0."
    )
    assert "[1] " in told


@needs_checkout
def test_two_reports_to_one_path_do_not_meet(evalvar, tmp_path, monkeypatch):
    """Another command's half-written file is neither taken nor removed."""
    other = tmp_path / ".page.html.1.partial"
    other.write_text("half")

    status, *_ = evalvar("report", "results/example", "-o", tmp_path / "page.html")

    assert status == 0
    assert other.read_text() == "half"
    assert sorted(p.name for p in tmp_path.iterdir()) == [other.name, "page.html"]


@needs_checkout
def test_a_refused_report_leaves_nothing_behind(evalvar, tmp_path):
    for option in (("--subsets", "abc"), ("--larger", "x"), ("--subsets", "")):
        page = tmp_path / "new" / "page.html"
        status, out, err = evalvar("report", "results/example", "-o", page, *option)

        assert (status, out, err.count("\n")) == (2, "", 1)
        assert not page.parent.exists()


@needs_checkout
def test_a_report_goes_through_links_and_into_pipes(shell, tmp_path):
    target, link, pipe = (tmp_path / name for name in ("target", "link", "pipe"))
    target.write_text("old")
    link.symlink_to(target)
    os.mkfifo(pipe)
    told = shell(
        f"evalvar report results/example -o {link} && "
        f"(wc -c <{pipe} & evalvar report results/example -o {pipe} && wait)",
        capture_output=True,
    )

    assert told.returncode == 0, told.stderr
    assert link.is_symlink()
    assert target.stat().st_size > 10**6
    assert pipe.is_fifo()
    assert max(int(word) for word in told.stdout.split() if word.isdigit()) > 10**6


def test_an_empty_store_option_is_a_mistake(tmp_path):
    told = process("plan", tmp_path / "suite.yaml", "--store", "")

    assert told.returncode == 2
    assert told.stderr == (
        "evalvar: --store is empty; name a folder or an address, or leave it out "
        "[not-a-store]\n"
    )


@pytest.fixture
def handled():
    """Ctrl-C as a terminal has it; a shell's background job would ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_an_interruption_that_got_lost_ends_the_sweep_all_the_same(handled):
    """As where the exception is raised in a callback of foreign code."""

    def execute(trials):
        for trial in trials:
            with contextlib.suppress(KeyboardInterrupt):
                if trial == 1:
                    signal.raise_signal(signal.SIGINT)
            yield trial

    with cli.run._Interruption() as interruption:
        came = interruption.watch(execute)([0, 1, 2])
        assert [next(came), next(came)] == [0, 1]
        with pytest.raises(KeyboardInterrupt):
            next(came)
    assert signal.getsignal(signal.SIGINT) is handled


def test_an_interruption_that_the_shell_ignores_is_ignored(handled):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with cli.run._Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)

    assert not interruption.caught
