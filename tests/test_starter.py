"""What `evalvar init` writes: read by the package's own readers, and safe to repeat."""

import json
import re
import shlex
import sys
from pathlib import Path

import jsonschema
import pytest
import typer
from ruamel.yaml import YAML

from harness import cli
from harness.errors import InputError, RunError
from harness.gate.policy import load_policy
from harness.starter import STARTER, write_starter
from harness.suite import load_suite

SCHEMAS = {".evalvar/suite.schema.json", ".evalvar/policy.schema.json"}

YAML_IN_COMMENT = re.compile(
    r"^# (?=  - \{|  \w+: |#?  - |(?:baseline|deltas|templates):)", re.MULTILINE
)


@pytest.fixture
def project(tmp_path):
    write_starter(tmp_path)
    return tmp_path


def everything(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def plain(path):
    return YAML(typ="safe").load(path.read_text())


def uncommented(path):
    path.write_text(YAML_IN_COMMENT.sub("", path.read_text()))
    return path


def run_lines(project):
    """Every line of the workflow that a shell runs."""
    workflow = plain(project / ".github/workflows/nightly.yaml")
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            yield from step.get("run", "").splitlines()


def test_it_writes_what_it_names(tmp_path):
    names = write_starter(tmp_path / "new/project")

    assert {*names} == {*STARTER, *SCHEMAS, ".gitignore"}
    written = {
        p.relative_to(tmp_path / "new/project").as_posix()
        for p in everything(tmp_path / "new/project")
    }
    assert written == {*names}


def test_the_suite_is_a_suite_with_what_is_commented_out_too(project):
    suite = load_suite(project / "suites/nightly.yaml")
    whole = load_suite(uncommented(project / "suites/nightly.yaml"))

    assert len(suite.tasks) == 3
    assert len(whole.checkpoints) == 4
    assert len(whole.tasks) == 4
    assert whole.resources.gpus == 1
    assert len(whole.templates) == 2


def test_the_policy_is_a_policy_with_what_is_commented_out_too(project):
    policy = load_policy(project / "gate.yaml")
    whole = load_policy(uncommented(project / "gate.yaml"))

    assert policy.tier("arc_easy") == "critical"
    assert policy.baseline is None
    assert whole.baseline == "release-1.0"
    assert whole.delta_of("arc_easy") == 0.005


def test_the_policy_names_the_tasks_of_the_suite(project):
    policy = load_policy(project / "gate.yaml")
    tasks = {task.task for task in load_suite(project / "suites/nightly.yaml").tasks}

    assert {name for _, name in policy.named()} == tasks


@pytest.mark.parametrize(
    ("file", "schema"),
    [("suites/nightly.yaml", "suite"), ("gate.yaml", "policy")],
)
def test_editors_find_a_schema_that_holds(project, file, schema):
    path = project / file
    first = path.read_text().splitlines()[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(.*)", first)[1]
    there = (path.parent / named).resolve()

    assert there == (project / f".evalvar/{schema}.schema.json").resolve()
    jsonschema.Draft7Validator(json.loads(there.read_text())).validate(plain(path))


def test_the_workflow_is_as_scheduled_use_wants_it(project):
    workflow = plain(project / ".github/workflows/nightly.yaml")
    minute = int(workflow["on"]["schedule"][0]["cron"].split()[0])
    (job,) = workflow["jobs"].values()
    last = [step for step in job["steps"] if "always()" in step.get("if", "")]

    assert minute % 5
    assert "workflow_dispatch" in workflow["on"]
    assert workflow["concurrency"]["cancel-in-progress"] is False
    assert workflow["permissions"] == {"contents": "read"}
    assert len(last) == 3
    assert last[-1]["uses"].startswith("actions/upload-artifact")


def test_the_workflow_holds_no_secret_and_puts_no_expression_into_a_shell(project):
    text = (project / ".github/workflows/nightly.yaml").read_text()

    assert "${{ secrets" not in text
    assert not any("${{" in line for line in run_lines(project))


def test_every_command_of_the_workflow_is_one_of_ours(project):
    lines = [line for line in run_lines(project) if line.startswith("evalvar ")]
    for line in lines:
        _, *words = shlex.split(line)
        command = typer.main.get_command(cli.app)
        with command.make_context("evalvar", words) as context:
            name, verb, rest = command.resolve_command(context, words)
            verb.make_context(name, rest, parent=context)  # raises where it is unfit

    assert [line.split()[1] for line in lines] == ["run", "gate", "report"]


def test_files_of_the_workflow_are_those_of_the_project(project):
    words = {word for line in run_lines(project) for word in shlex.split(line)}

    assert {"suites/nightly.yaml", "gate.yaml"} <= words


def test_nothing_is_written_over(project):
    (project / "gate.yaml").write_text("mine")
    (project / "suites/nightly.yaml").unlink()
    before = everything(project)
    with pytest.raises(InputError, match=r"gate\.yaml and 3 more are there") as told:
        write_starter(project)

    assert told.value.code == "file-exists"
    assert everything(project) == before


def test_one_file_that_is_there_is_named_alone(tmp_path):
    (tmp_path / "gate.yaml").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"gate\.yaml is there already; name"):
        write_starter(tmp_path)


def test_the_demo_is_added_to_what_is_there(project):
    (project / "gate.yaml").write_text("mine")
    (project / ".gitignore").write_text("mine")
    before = everything(project)
    names = write_starter(project, demo=True)

    assert {name.split("/")[0] for name in names} == {"demo"}
    assert everything(project).items() >= before.items()
    with pytest.raises(InputError, match="there already"):
        write_starter(project, demo=True)


def test_force_writes_anew(project):
    before = everything(project)
    (project / "gate.yaml").write_text("mine")
    write_starter(project, force=True)

    assert everything(project) == before


def test_lines_of_gitignore_are_added_once(tmp_path):
    (tmp_path / ".gitignore").write_text("*.pyc\n/reports/")
    assert ".gitignore" in write_starter(tmp_path)
    assert (tmp_path / ".gitignore").read_text() == (
        "*.pyc\n/reports/\n# evalvar's results and pages\n/results/\n"
    )

    assert ".gitignore" not in write_starter(tmp_path, force=True)


@pytest.mark.parametrize("force", [False, True])
def test_all_is_written_or_nothing(tmp_path, force):
    (tmp_path / ".evalvar").write_text("in the way")
    before = everything(tmp_path)
    with pytest.raises(RunError) as told:
        write_starter(tmp_path, force=force)

    assert told.value.code == "output-not-written"
    assert everything(tmp_path) == before
    assert [*tmp_path.iterdir()] == [tmp_path / ".evalvar"]


def test_a_folder_in_a_files_place_is_left(project):
    (project / "gate.yaml").unlink()
    (project / "gate.yaml").mkdir()
    before = everything(project)
    with pytest.raises(RunError, match=r"gate\.yaml: cannot be written: is a folder"):
        write_starter(project, force=True)

    assert everything(project) == before


def test_the_demo_is_what_lm_eval_scored(tmp_path):
    """Log-likelihoods are rounded there; every answer is as lm-eval scored it."""
    write_starter(tmp_path, demo=True)
    n = 0
    for file in (tmp_path / "demo").glob("*/samples_*.jsonl"):
        for line in file.read_text().splitlines():
            sample = json.loads(line)
            if "acc" in sample:
                likelihoods = [float(pair[0]) for pair in sample["filtered_resps"]]
                best = likelihoods.index(max(likelihoods))
                assert sample["acc"] == (best == int(sample["target"]))
                n += 1

    assert n == 2 * 3 * 300
    assert "/root" not in "".join(
        f.read_text() for f in (tmp_path / "demo").rglob("*.json*")
    )


def test_the_command_says_what_comes_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for arguments in (["init"], ["init", "other", "--demo"]):
        monkeypatch.setattr(sys, "argv", ["evalvar", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
    told = capsys.readouterr().out.splitlines()

    assert told[0] == "suites/nightly.yaml"
    assert told[6].startswith("next: name your checkpoints in suites/nightly.yaml")
    assert told[-1] == "next: evalvar compare other/demo/zoo-tiny other/demo/zoo-small"


def test_the_package_holds_little(tmp_path):
    templates = Path(cli.__file__).parents[1] / "templates"

    assert sum(f.stat().st_size for f in templates.iterdir()) < 200_000
