"""A suite grows in its numbers, and stays what it was in all else."""

from pathlib import Path

import pytest
from toy import make_files

from harness.errors import InputError
from harness.growth import Wish, grown_suite
from harness.suite import load_suite

SUITE = """\
# What we measure.
suite: s
checkpoints:
  - pattern: runs/{model}/seed{train_seed}/step{step}
    train_seed: [0, 1]   # two so far
tasks:
  - plain
  - {task: some, items: 20}  # drawn
  - {task: some, items: 30, formulation: choice}
  - task: chosen
    items: [1, 4, 5]
repeats: 2
"""


@pytest.fixture
def grow(tmp_path: Path):
    """Grow the suite; returns the text, and what is left to do."""
    for seed in range(4):
        make_files(tmp_path / f"runs/m/seed{seed}/step5", weights=str(seed))
    (tmp_path / "suite.yaml").write_text(SUITE)

    def grow(*wishes, into="suite.yaml"):
        target = tmp_path / into
        text, to_do = grown_suite(tmp_path / "suite.yaml", wishes, into=target)
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
        return text, to_do, load_suite(target)

    return grow


def wish(task="some", *, added, counts, formulation="cloze", **changes):
    return Wish(
        **{
            "model": "m",
            "task": task,
            "formulation": formulation,
            "num_fewshot": 0,
            "n_items_total": 100,
            "added": added,
            "counts": counts,
            **changes,
        }
    )


def test_only_what_is_wished_for_changes(grow):
    text, to_do, _ = grow(wish(added={"item": 25}, counts={"item": 45}))

    assert text.splitlines() == SUITE.replace("items: 20", "items: 45").splitlines()
    assert to_do == ()


def test_nothing_wished_for_is_the_same_file(grow):
    assert grow(wish(added={}, counts={"item": 20}))[0] == SUITE


@pytest.mark.parametrize(
    "text",
    [
        SUITE.replace("  - ", "- ").replace("    ", "  "),
        "suite: s\ncheckpoints: [{folder: runs, model: m}]\ntasks: [some, plain]\n",
    ],
    ids=["flush", "in one line"],
)
def test_other_hands_are_kept(grow, tmp_path, text):
    path = tmp_path / "suite.yaml"
    path.write_text(text)

    assert grown_suite(path, [wish(added={}, counts={})], into=path)[0] == text
    more, _ = grown_suite(
        path, [wish("plain", added={"repeat": 1}, counts={"repeat": 3})], into=path
    )
    assert "{task: plain, repeats: 3}" in more


def test_the_entry_that_says_most_is_grown(grow):
    _, _, suite = grow(
        wish(added={"item": 5}, counts={"item": 35}, formulation="choice")
    )

    assert [entry.items for entry in suite.tasks] == [None, 20, 35, [1, 4, 5]]


def test_all_items_need_no_number(grow):
    text, _, suite = grow(wish(added={"item": 80}, counts={"item": 100}))

    assert suite.tasks[1].items is None
    assert "{task: some} # drawn" in " ".join(text.split())


def test_a_bare_name_gets_a_mapping(grow):
    text, _, suite = grow(wish("plain", added={"repeat": 3}, counts={"repeat": 5}))

    assert "  - {task: plain, repeats: 5}\n" in text
    assert suite.tasks[0].repeats == 5


def test_two_wishes_for_one_task_get_the_larger(grow):
    _, _, suite = grow(
        wish(added={"item": 30}, counts={"item": 50}),
        wish(added={"item": 10}, counts={"item": 30}, model="n"),
    )

    assert suite.tasks[1].items == 50


def test_chosen_items_are_not_thrown_away(grow):
    text, to_do, _ = grow(wish("chosen", added={"item": 2}, counts={"item": 5}))

    assert text == SUITE
    assert to_do == (
        "the items of chosen are a list, which a larger number would throw away: "
        "add 2 to it",
    )


def test_fewshot_seeds_are_added_to_those_there_are(grow):
    _, _, suite = grow(wish(added={"fewshot_seed": 2}, counts={"fewshot_seed": 3}))
    assert suite.fewshot_seeds == [1234, 1235, 1236]

    _, _, suite = grow(wish(added={"fewshot_seed": 1}, counts={"fewshot_seed": 4}))
    assert suite.fewshot_seeds == [1234, 1235, 1236, 1237]


def test_a_template_cannot_be_made_up(grow):
    text, to_do, _ = grow(wish(added={"template": 3}, counts={"template": 4}))

    assert text == SUITE
    assert to_do == (
        "write 3 more under templates:, beside the 1 there are; a wording cannot be "
        "made up",
    )


def test_training_seeds_that_are_there_are_listed_and_others_are_to_be_trained(grow):
    wished = wish(added={"train_seed": 3}, counts={"train_seed": 5})
    text, to_do, suite = grow(wished)

    assert suite.checkpoints[0].train_seed == [0, 1, 2, 3]
    assert "[0, 1, 2, 3] # two so far" in text.replace("  ", " ").replace("  ", " ")
    assert to_do == (
        "train 1 more seed of m, and name the folders under checkpoints: where no "
        "pattern does",
    )

    _, to_do, _ = grow(wish(added={"train_seed": 2}, counts={}, model="other"))
    assert to_do[0].startswith("train 2 more seeds of other")


def test_a_suite_in_another_folder_finds_the_same_files(grow, tmp_path):
    _, _, suite = grow(wish(added={}, counts={}), into="elsewhere/suite.yaml")

    pattern = suite.checkpoints[0].pattern
    assert pattern == "../runs/{model}/seed{train_seed}/step{step}"
    (tmp_path / "suite.yaml").write_text(
        SUITE.replace("runs/", "zoo://")
        + "task_paths: [tasks, zoo://tasks, /absolute, ~/home]\n"
    )
    _, _, suite = grow(wish(added={}, counts={}), into="elsewhere/again.yaml")
    assert suite.task_paths == ["../tasks", "zoo://tasks", "/absolute", "~/home"]
    assert suite.checkpoints[0].pattern.startswith("zoo://")


@pytest.mark.parametrize("changes", [{"task": "none"}, {"num_fewshot": 3}])
def test_a_suite_without_the_task_is_refused(grow, tmp_path, changes):
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.replace("items: 20}", "items: 20, num_fewshot: 0}"))
    other = wish(**{"added": {}, "counts": {}, "formulation": "cloze", **changes})
    with pytest.raises(InputError, match="has no task") as caught:
        grown_suite(path, [other], into=path)

    assert caught.value.code == "suite-unrelated"
