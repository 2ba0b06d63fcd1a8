"""Does a suite say what it must, and does a wrong one say where, and what was meant?"""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from harness.errors import InputError, SuiteError
from harness.records import Template
from harness.suite import (
    ApiModel,
    FolderCheckpoint,
    HubCheckpoints,
    PatternCheckpoints,
    TaskEntry,
    load_suite,
    resolve_path,
    suite_schema,
)

SHIPPED = sorted((Path(__file__).parents[1] / "suites").glob("*.yaml"))

MINIMAL = """\
suite: s
checkpoints: [{folder: runs/a, model: m}]
tasks: [t]
"""

FULL = """\
suite: full
description: Every key there is.
entropy: 340282366920938463463374607431768211456
task_paths: [tasks, zoo://tasks]
checkpoints:
  - folder: runs/one
    model: m
    train_seed: -1
    step: 0
    gguf_file: m.gguf
    tokenizer: tokens
  - pattern: runs/{model}/seed{train_seed}/step{step}
    model: [m, n]
    train_seed: [0, 1]
    step: [10, 20]
  - hub: org/m-seed{train_seed}
    model: h
    revision: step{step}
    train_seed: [1]
    step: [1000]
  - api: https://example.org/v1/
    model: a
    train_seed: 1
    step: 10
    served_name: org/a
    version: June
    chat: false
    tokenizer: tokens
    concurrent: 4
    key_env: A_KEY
    timeout: 10
    max_tries: 2
tasks:
  - bare
  - task: t
    num_fewshot: 0
    formulation: cloze
    items: [7, 0, 5]
    items_digest: 0123456789abcdef
    generation: {temperature: 0.5, until: ["\\n"], do_sample: true}
    repeats: 2
    cluster: article
templates:
  - name: plain
  - name: polite
    system_prompt: Please.
    doc_to_text: "{{question}}"
    doc_to_target: "{{answer}}"
    doc_to_choice: "{{choices}}"
    target_delimiter: ""
    apply_chat_template: true
fewshot_seeds: [1, 2]
sample_seeds: [3, 4]
repeats: 5
max_tries: 1
resources:
  workers: 2
  cpus: 3
  gpus: 0.5
  device: cuda
  batch_size: 8
  dtype: bfloat16
  max_length: 512
allow_remote_code: [m]
allow_unsafe_code: [t]
"""


@pytest.fixture
def read(tmp_path: Path):
    """Write a suite file and load it."""

    def read(text: str | bytes):
        path = tmp_path / "suite.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_suite(path)

    return read


@pytest.fixture
def complaint(read, tmp_path: Path):
    """Load a suite that must be refused; returns what is said after the path."""

    def complaint(text: str | bytes, code: str = "suite-invalid") -> str:
        with pytest.raises(SuiteError) as caught:
            read(text)
        said = str(caught.value)
        assert caught.value.code == code
        assert said.startswith(f"{tmp_path / 'suite.yaml'}:")
        assert "\n" not in said
        return said.removeprefix(f"{tmp_path / 'suite.yaml'}:").strip()

    return complaint


def with_entry(section: str, entry: str) -> str:
    """Return the minimal suite with another `section`; `entry` is from line 4 on."""
    kept = [line for line in MINIMAL.splitlines() if not line.startswith(section)]
    return "\n".join([*kept, f"{section}:", entry, ""])


# ---- what is read ------------------------------------------------------------------


def test_every_key_is_read(read):
    suite = read(FULL)
    folder, pattern, hub, api = suite.checkpoints

    assert suite.entropy == 2**128
    assert suite.task_paths == ["tasks", "zoo://tasks"]
    assert folder == FolderCheckpoint(
        folder="runs/one",
        model="m",
        train_seed=-1,
        step=0,
        gguf_file="m.gguf",
        tokenizer="tokens",
    )
    assert pattern == PatternCheckpoints(
        pattern="runs/{model}/seed{train_seed}/step{step}",
        model=["m", "n"],
        train_seed=[0, 1],
        step=[10, 20],
    )
    assert hub == HubCheckpoints(
        hub="org/m-seed{train_seed}",
        model="h",
        revision="step{step}",
        train_seed=[1],
        step=[1000],
    )
    assert api == ApiModel(
        api="https://example.org/v1",
        model="a",
        train_seed=1,
        step=10,
        served_name="org/a",
        version="June",
        tokenizer="tokens",
        concurrent=4,
        key_env="A_KEY",
        timeout=10.0,
        max_tries=2,
    )
    assert suite.tasks == [
        TaskEntry(task="bare"),
        TaskEntry(
            task="t",
            num_fewshot=0,
            formulation="cloze",
            items=[7, 0, 5],
            items_digest="0123456789abcdef",
            generation={"temperature": 0.5, "until": ["\n"], "do_sample": True},
            repeats=2,
            cluster="article",
        ),
    ]
    assert suite.records() == (
        Template(name="plain"),
        Template(
            name="polite",
            system_prompt="Please.",
            doc_to_text="{{question}}",
            doc_to_target="{{answer}}",
            doc_to_choice="{{choices}}",
            target_delimiter="",
            apply_chat_template=True,
        ),
    )
    assert (suite.fewshot_seeds, suite.sample_seeds) == ([1, 2], [3, 4])
    assert (suite.repeats, suite.max_tries) == (5, 1)
    assert suite.resources.model_dump() == {
        "workers": 2,
        "cpus": 3,
        "gpus": 0.5,
        "device": "cuda",
        "batch_size": 8,
        "dtype": "bfloat16",
        "max_length": 512,
    }
    assert (suite.allow_remote_code, suite.allow_unsafe_code) == (["m"], ["t"])


def test_the_example_has_every_key_there_is():
    written = YAML(typ="safe").load(FULL)
    parts = {"Suite": [written], "Resources": [written["resources"]]}
    parts |= {"TaskEntry": written["tasks"][1:], "TemplateEntry": written["templates"]}
    kinds = ("FolderCheckpoint", "PatternCheckpoints", "HubCheckpoints", "ApiModel")
    parts |= {k: [c] for k, c in zip(kinds, written["checkpoints"], strict=True)}
    schema = suite_schema()

    known = {"Suite": schema, **schema["definitions"]}
    assert {name: set(part["properties"]) for name, part in known.items()} == {
        name: {key for part in some for key in part} for name, some in parts.items()
    }


def test_a_short_suite_gets_defaults(read):
    suite = read(MINIMAL)

    assert suite.records() == (Template(name="default"),)
    assert suite.tasks == [TaskEntry(task="t")]
    assert (suite.fewshot_seeds, suite.sample_seeds) == ([1234], [0])
    assert (suite.entropy, suite.repeats, suite.max_tries) == (0, None, 2)
    assert suite.resources.workers is None


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("tasks: [{task: é中文}]", "é中文"),
        ("tasks: [' x:y{z}[*]# ']", " x:y{z}[*]# "),
        (f"tasks: [{'n' * 200}]", "n" * 200),
        ("tasks: [&a {task: t}]\ntask_paths: [*b]".replace("*b", "x"), "t"),
        ("tasks: ['no', 'null', '1']", "no"),
    ],
)
def test_names_are_kept_as_they_are(read, text, task):
    assert read(MINIMAL.replace("tasks: [t]", text)).tasks[0].task == task


def test_anchors_and_merges_are_plain_yaml(read):
    entries = "  - &a {task: t, items: 3}\n  - {<<: *a, task: u}"

    assert read(with_entry("tasks", entries)).tasks == [
        TaskEntry(task="t", items=3),
        TaskEntry(task="u", items=3),
    ]


def test_a_byte_order_mark_is_no_key(read):
    assert read(b"\xef\xbb\xbf" + MINIMAL.encode()).suite == "s"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_suites_load(path):
    assert load_suite(path).suite == path.stem


# ---- what is refused ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            MINIMAL + "entropie: 3\n",
            "4: unknown key 'entropie'; did you mean 'entropy'",
        ),
        (MINIMAL + "zzz: 3\n", "4: unknown key 'zzz'; known keys: suite, description,"),
        (MINIMAL + "revision: main\n", "4: unknown key 'revision'; did you mean"),
        (MINIMAL + "1: 3\n", "4: unknown key '1'; known keys"),
        (MINIMAL + "'': 3\n", "4: unknown key ''; known keys"),
        (
            with_entry("checkpoints", "  - folder: a\n    model: m\n    train_sed: 1"),
            "6: unknown key 'checkpoints.0.train_sed'; did you mean 'train_seed'?",
        ),
        (
            with_entry("checkpoints", "  - pattern: a\n    modle: m"),
            "5: unknown key 'checkpoints.0.modle'; did you mean 'model'?",
        ),
        (
            with_entry("checkpoints", "  - hub: a\n    model: m\n    revison: main"),
            "6: unknown key 'checkpoints.0.revison'; did you mean 'revision'?",
        ),
        (
            with_entry("tasks", "  - a\n  - task: t\n    num_fewshots: 3"),
            "6: unknown key 'tasks.1.num_fewshots'; did you mean 'num_fewshot'?",
        ),
        (
            with_entry("templates", "  - name: a\n    system_promt: x"),
            "6: unknown key 'templates.0.system_promt'; did you mean 'system_prompt'?",
        ),
        (
            MINIMAL + "resources:\n  worker: 1\n",
            "5: unknown key 'resources.worker'; did you mean 'workers'?",
        ),
        (
            with_entry("checkpoints", "  - folder: a\n    modle: m"),
            "5: unknown key 'checkpoints.0.modle'; did you mean 'model'? (and 1 more)",
        ),
    ],
)
def test_an_unknown_key_names_its_line_and_the_nearest(complaint, text, says):
    assert complaint(text).startswith(says)


@pytest.mark.parametrize("kind", ["folder", "pattern"])
def test_a_local_checkpoint_has_no_revision(complaint, kind):
    entry = f"  - {kind}: a\n    model: m\n    revision: main"

    assert complaint(with_entry("checkpoints", entry)) == (
        "6: unknown key 'checkpoints.0.revision'; "
        "a local folder has no revisions; use hub: with revision:"
    )


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("{foldr: a, model: m}", "; did you mean 'folder' for 'foldr'?"),
        ("{hup: a, model: m}", "; did you mean 'hub' for 'hup'?"),
        ("{model: m}", ""),
        ("{folder: a, hub: b, model: m}", ""),
        ("runs/a", ""),
    ],
)
def test_a_checkpoint_is_of_exactly_one_kind(complaint, entry, hint):
    assert complaint(with_entry("checkpoints", f"  - {entry}")) == (
        "4: checkpoints.0: a checkpoint has exactly one of folder, pattern, hub and api"
        + hint
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("suite: s\n", "1: 'checkpoints' is missing (and 1 more)"),
        (with_entry("checkpoints", "  - folder: a"), "4: 'checkpoints.0.model' is mis"),
        (with_entry("tasks", "  - items: 3"), "4: 'tasks.0.task' is missing"),
        (with_entry("templates", "  - {}"), "5: 'templates.0.name' is missing"),
    ],
)
def test_a_missing_key_is_named(complaint, text, says):
    assert complaint(text).startswith(says)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("entropy: -1", "4: entropy: input should be greater than or equal to 0"),
        ("entropy: 1.0", "4: entropy: input should be a valid integer, got 1.0"),
        ("repeats: true", "4: repeats: input should be a valid integer, got True"),
        ("repeats: 0", "4: repeats: input should be greater than or equal to 1, got 0"),
        ("description: 2024-01-01", "4: description: input should be a valid string"),
        ("task_paths: tasks", "4: task_paths: input should be a valid list, got 't"),
        ("templates: []", "4: templates: list should have at least 1 item"),
        ("templates:", "4: templates: input should be a valid list, got nothing"),
        ("templates: [{name: ''}]", "4: templates.0.name: string should have at least"),
        ("resources: {gpus: .inf}", "4: resources.gpus: input should be a finite n"),
        ("resources: {gpus: .nan}", "4: resources.gpus: input should be a finite n"),
        ("resources: {gpus: '1'}", "4: resources.gpus: input should be a valid number"),
        ("resources: {gpus: 1.5}", "4: resources: gpus above 1 must be whole, got 1.5"),
        ("resources: {device: cuda}", "4: resources: device: cuda needs gpus: above 0"),
        ("resources: {dtype: int8}", "4: resources.dtype: input should be 'float32',"),
        ("allow_unsafe_code: t", "4: allow_unsafe_code: input should be a valid list"),
        ("resources: 3", "4: resources: input should be a valid dictionary"),
        ("sample_seeds: [9223372036854775808]", "4: sample_seeds.0: input should be "),
        ("sample_seeds: [1, 2, 1]", "4: sample_seeds: 1 is there twice"),
        ("fewshot_seeds: [0, 0]", "4: fewshot_seeds: 0 is there twice"),
        ("templates: [{name: a}, {name: a}]", "4: templates: a is there twice"),
        (
            "templates: [{name: a, apply_chat_template: maybe}]",
            "4: templates.0.apply_chat_template: is true, false or auto, got 'maybe'",
        ),
    ],
)  # fmt: skip
def test_a_wrong_value_is_shown_with_its_line(complaint, line, says):
    assert complaint(f"{MINIMAL}{line}\n").startswith(says)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("{task: t, formulation: letter}", "tasks.0.formulation: input should be 'cho"),
        ("{task: t, items: 0}", "tasks.0.items: input should be greater"),
        ("{task: t, items: [0, -1]}", "tasks.0.items.1: input should be greater"),
        ("{task: t, items: [2, 2]}", "tasks.0.items: item 2 is there twice"),
        ("{task: t, generation: {until: !x y}}", "tasks.0.generation.until: input was"),
        ("{task: t, generation: {x: 2024-01-01}}", "tasks.0.generation.x: input was n"),
        (
            "3",
            "tasks.0: input should be a valid dictionary or instance of TaskEntry, g",
        ),
    ],
)
def test_a_wrong_task_is_shown_with_its_line(complaint, entry, says):
    assert complaint(with_entry("tasks", f"  - {entry}")).startswith(f"4: {says}")


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:8000", "an api is an address such as http"),
        ("ftp://a/v1", "an api is an address such as http"),
        ("http://", "an api is an address such as http"),
        ("http://a:0/v1", "an api is an address such as http"),
        ("http://a:99999/v1", "an api is an address such as http"),
        ("http://a/v1\\r\\nX: y", "an api is an address such as http"),
        ("http://a/v1\\nx", "an api is an address such as http"),
        ("http://a a/v1", "an api is an address such as http"),
        (" http://a/v1", "an api is an address such as http"),
        ("http://me:word@a:x/v1", "an api is an address such as http"),
        ("http://a/v1?", "an api's address is stored with its answers"),
        ("http://a/v1#", "an api's address is stored with its answers"),
        ("https://me:word@a/v1", "an api's address is stored with its answers"),
        ("https://a/v1?key=word", "an api's address is stored with its answers"),
        ("https://a/v1#word", "an api's address is stored with its answers"),
    ],
)
def test_an_address_is_one_and_keeps_no_secret(complaint, address, says):
    entry = f'  - {{api: "{address}", model: m}}'
    told = complaint(with_entry("checkpoints", entry))

    assert told.startswith(f"4: checkpoints.0.api: {says}")
    assert "word" not in told


def test_a_key_in_place_of_its_variable_is_not_shown(complaint):
    entry = "  - {api: 'http://a/v1', model: m, key_env: sk-word}"
    told = complaint(with_entry("checkpoints", entry))

    assert told.startswith("4: checkpoints.0.key_env: string should match pattern")
    assert "word" not in told


def test_chat_has_no_use_for_a_tokenizer(complaint):
    entry = "  - {api: 'http://a/v1', model: m, chat: true, tokenizer: t}"

    assert "chat: true has no use for tokenizer:" in complaint(
        with_entry("checkpoints", entry)
    )


@pytest.mark.parametrize("key", ["train_seed", "step", "model"])
def test_an_empty_list_selects_nothing_and_is_refused(complaint, key):
    entry = f"  - {{pattern: '{{model}}/{{train_seed}}/{{step}}', {key}: []}}"

    assert "at least 1 item" in complaint(with_entry("checkpoints", entry))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ('"a\\nb"', "suite: a name must be printable and on one line, got 'a\\nb'"),
        ('"a\\e[31m"', "suite: a name must be printable"),
        ('"\\u202Eabc"', "suite: a name must be printable"),
        ("../results", "suite: a suite's name is a folder's"),
        ("..", "suite: a suite's name is a folder's"),
        ("a/b", "suite: a suite's name is a folder's"),
        ("a\\b", "suite: a suite's name is a folder's"),
        ("n" * 201, "suite: string should have at most 200 characters"),
    ],
)
def test_a_hostile_name_is_refused_in_one_short_line(complaint, name, says):
    said = complaint(MINIMAL.replace("suite: s", f"suite: {name}"))

    assert said.startswith(f"1: {says}")
    assert len(said) < 150


@pytest.mark.parametrize("key", ["tasks", "checkpoints"])
def test_a_list_of_one_is_a_list_all_the_same(complaint, key):
    kept = [line for line in MINIMAL.splitlines() if not line.startswith(key)]
    said = complaint("\n".join([*kept, f"{key}: arc"]))

    assert said == f"3: {key}: input should be a valid list, got 'arc'"


def test_all_problems_are_counted(complaint):
    text = MINIMAL + "repeats: 0\nmax_tries: 0\nentropy: -1\n"

    assert complaint(text).endswith("(and 2 more)")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("suite: s\nsuite: s\n", '2: not YAML: found duplicate key "suite"'),
        ("a: {b: 1,\n b: 2}\n", '2: not YAML: found duplicate key "b"'),
        ("suite: s\n\tx: 1\n", r"2: not YAML: found character '\t'"),
        ("suite: [s\n", "2: not YAML: expected ',' or ']'"),
        ("suite: *s\n", "1: not YAML: found undefined alias 's'"),
        ("suite: s\n---\nsuite: t\n", "2: not YAML: but found another document"),
        ("suite: \0\n", "not YAML: special characters are not allowed"),
        ("[" * 700 + "]" * 700, "nested too deeply"),
        ('suite: "\\ud800"\n', "not Unicode text: 'utf-8' codec can't encode"),
        (b"suite: \xff\n", "not UTF-8: 'utf-8' codec can't decode byte 0xff"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_not_yaml_is_unreadable(complaint, text, says):
    assert complaint(text, "suite-unreadable").startswith(says)


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("", "nothing"),
        ("# only\n", "nothing"),
        ("- a\n", "a list"),
        ("a\n", "one value"),
    ],
)
def test_a_suite_is_a_mapping(complaint, text, held):
    assert complaint(text) == (
        "a suite is a mapping with at least suite, checkpoints and tasks; "
        f"this file holds {held}"
    )


def test_no_file_and_no_file_but_a_folder(tmp_path):
    with pytest.raises(SuiteError, match="YAML file that names checkpoints") as missing:
        load_suite(tmp_path / "none.yaml")
    with pytest.raises(
        SuiteError, match=r": cannot be read: Is a directory$"
    ) as folder:
        load_suite(tmp_path)

    assert missing.value.code == "suite-missing"
    assert folder.value.code == "suite-unreadable"


# ---- identity ----------------------------------------------------------------------


def test_digest_does_not_depend_on_the_order_of_keys(read):
    lines = MINIMAL.splitlines()
    turned = MINIMAL.replace("{folder: runs/a, model: m}", "{model: m, folder: runs/a}")

    same = {
        read(text).digest
        for text in (MINIMAL, "\n".join(reversed(lines)), turned, f"# c\n{MINIMAL}")
    }
    assert len(same) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("suite: full", "suite: other"),
        ("step: 0", "step: 1"),
        ("0.5, until", "0.6, until"),
        ("[bare]", "[t]"),
        ("name: plain", "name: blunt"),
        ("fewshot_seeds: [1, 2]", "fewshot_seeds: [2, 1]"),
        ("batch_size: 8", "batch_size: 9"),
    ],
)
def test_digest_changes_with_content(read, old, new):
    full = FULL.replace("  - bare", "  - task: t2\n    generation: {x: [bare]}")
    assert old in full

    assert read(full).digest != read(full.replace(old, new)).digest


# ---- JSON Schema -------------------------------------------------------------------


@pytest.fixture(scope="module")
def schema():
    return jsonschema.Draft7Validator(suite_schema())


def test_schema_is_draft_7(schema):
    jsonschema.Draft7Validator.check_schema(schema.schema)

    assert schema.schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert "$defs" not in str(schema.schema)


@pytest.mark.parametrize(
    "text",
    [MINIMAL, FULL, *(path.read_text() for path in SHIPPED)],
    ids=["minimal", "full", *(path.stem for path in SHIPPED)],
)
def test_schema_takes_what_the_loader_takes(schema, text):
    schema.validate(YAML(typ="safe").load(text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("entropy:", "entropie:"),
        ("num_fewshot:", "num_fewshots:"),
        ("system_prompt:", "system_promt:"),
        ("gguf_file:", "gguf:"),
        ("workers: 2", "worker: 2"),
        ("formulation: cloze", "formulation: letter"),
        ("gpus: 0.5", "gpus: '0.5'"),
        ("- bare", "- 3"),
        ("suite: full\n", ""),
    ],
)
def test_schema_and_loader_refuse_the_same_typo(schema, read, old, new):
    assert old in FULL
    text = FULL.replace(old, new)

    assert not schema.is_valid(YAML(typ="safe").load(text))
    with pytest.raises(SuiteError):
        read(text)


# ---- paths -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("runs/a", "base/runs/a"),
        ("../a", "base/../a"),
        ("/abs", "/abs"),
        ("~/runs", "/home/me/runs"),
        ("~nobody-of-that-name/x", "base/~nobody-of-that-name/x"),
        ("zoo://tasks", "/zoo/tasks"),
        ("zoo://", "/zoo"),
    ],
)
def test_paths_start_from_the_suite(monkeypatch, text, path):
    monkeypatch.setenv("HOME", "/home/me")

    assert resolve_path(text, Path("base"), Path("/zoo")) == Path(path)


def test_no_zoo_no_path_into_it():
    with pytest.raises(InputError, match="evalvar zoo build") as caught:
        resolve_path("zoo://tasks", Path("base"), None)

    assert caught.value.code == "zoo-missing"


@given(st.text(alphabet="ab:-[]{}#&*!|>'\"%@`,? \n\t\\0.~<", max_size=60))
def test_any_text_is_read_or_refused_on_purpose(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(MINIMAL + text)

    try:
        load_suite(path)
    except SuiteError as error:
        said = str(error)
    else:
        said = f"{path}: fine"
    assert said.startswith(f"{path}:")
    assert "\n" not in said


def test_aliases_of_aliases_are_not_written_out_for_ever(tmp_path):
    """Nine lists of nine aliases each come to more than anybody has memory for."""
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(SuiteError, match="more than 200,000 values") as caught:
        load_suite(path)

    assert caught.value.code == "suite-unreadable"
