"""What people said of checkpoints: what counts, what is refused, what is kept."""

import datetime as dt
import getpass

import pytest
from fakes import run_fake

from harness.errors import InputError
from harness.marks import Marks, Reference, read_marks, set_mark
from harness.store import Store

MOMENT = dt.datetime(2026, 11, 20, 3, 17, tzinfo=dt.UTC)
TODAY = MOMENT.date()
DAY = dt.timedelta(days=1)


@pytest.fixture
def store(tmp_path):
    """Two models of steps 0 and 10, two tasks."""
    run_fake(tmp_path / "store", models=("big", "toy"))
    return Store(tmp_path / "store")


# ---- tags ------------------------------------------------------------------------


def test_a_tag_is_a_checkpoint_and_the_last_one_set_counts(store):
    set_mark(store, "tag", name="release", model="toy", step=0)
    set_mark(store, "tag", name="older", model="big", step=0)
    set_mark(store, "tag", name="release", model="toy", step="last", reason="shipped")
    marks = read_marks(store)

    assert marks.tag("release") == Reference(model="toy", step=10)
    assert str(marks.tag("older")) == "big@0"
    assert list(marks.tags()) == ["older", "release"]
    assert [mark.name for mark in marks.log()] == ["release", "older", "release"]
    assert marks.log()[0].reason == "shipped"


def test_a_checkpoint_without_a_step_can_be_tagged(tmp_path):
    run_fake(tmp_path / "store", steps=(None,))
    store = Store(tmp_path / "store")
    set_mark(store, "tag", name="one", model="toy", step="last")
    set_mark(store, "tag", name="two", model="toy", step=None)
    marks = read_marks(store)

    assert marks.tag("one") == marks.tag("two") == Reference(model="toy", step=None)
    assert str(marks.tag("one")) == "toy"


def test_an_unknown_tag_is_told_with_those_that_there_are(store):
    with pytest.raises(InputError, match="no tag 'release'; there is none") as caught:
        read_marks(store).tag("release")
    set_mark(store, "tag", name="mine", model="toy")

    assert caught.value.code == "unknown-tag"
    with pytest.raises(InputError, match="known: mine"):
        read_marks(store).tag("release")


# ---- baselines -------------------------------------------------------------------


def test_the_last_word_on_a_baseline_counts_for_the_tasks_it_names(store):
    assert Marks().baseline() is None

    set_mark(store, "baseline", model="toy", step=0, reason="first")
    set_mark(store, "baseline", model="toy", step=10, task="t1", reason="t1 was broken")
    marks = read_marks(store)

    assert marks.baseline() == marks.baseline("t2") == Reference(model="toy", step=0)
    assert marks.baseline("t1") == Reference(model="toy", step=10)

    set_mark(store, "baseline", model="big", name="release", reason="all anew")
    marks = read_marks(store)

    assert marks.baseline("t1") == Reference(model="big", step=10)
    assert marks.baseline_mark().name == "release"


# ---- acknowledgements ------------------------------------------------------------


def acknowledge(store, **mark):
    known = {"reason": "known", "now": MOMENT} | mark
    return set_mark(store, "acknowledged", **known)


def test_a_regression_is_acknowledged_until_the_day_is_over(store):
    set_to = acknowledge(store, task="t1", model="toy", until=TODAY + DAY)
    marks = read_marks(store)

    assert marks.acknowledged("t1", "toy", on=TODAY) == set_to
    assert marks.acknowledged("t1", "toy", on=TODAY + DAY) == set_to
    assert marks.acknowledged("t1", "toy", on=TODAY + 2 * DAY) is None
    assert marks.acknowledged("t1", "big", on=TODAY) is None
    assert marks.acknowledged("t2", "toy", on=TODAY) is None


def test_a_later_date_stands_in_for_an_earlier_one_and_the_other_way_round(store):
    acknowledge(store, task="t1", model="toy", until=TODAY + 9 * DAY)
    acknowledge(store, task="t1", model="toy", until=TODAY)

    assert read_marks(store).acknowledged("t1", "toy", on=TODAY + DAY) is None

    acknowledge(store, task="t1", until=TODAY + 5 * DAY)
    marks = read_marks(store)

    assert marks.acknowledged("t1", "toy", on=TODAY + DAY).model is None
    assert marks.acknowledged("t1", "big", on=TODAY + DAY) is not None


def test_an_acknowledgement_may_be_for_good(store):
    acknowledge(store, task="t1")

    assert read_marks(store).acknowledged("t1", "toy", on=dt.date.max) is not None


# ---- who and when ----------------------------------------------------------------


def test_the_later_mark_counts_whatever_the_clocks_say(store):
    set_mark(store, "tag", name="release", model="toy", step=0, now=MOMENT)
    set_mark(store, "tag", name="release", model="toy", now=MOMENT - DAY)
    marks = read_marks(store)

    assert marks.tag("release").step == 10
    assert marks.marks[1].set_at - marks.marks[0].set_at == dt.timedelta(microseconds=1)


def test_the_author_is_told_where_the_machine_knows_it(store, monkeypatch):
    monkeypatch.setenv("GITLAB_USER_LOGIN", "jo\x1b[31m")
    mark = set_mark(store, "tag", name="a", model="toy", now=MOMENT)

    assert mark.author == "jo[31m"
    assert mark.to_dict()["set_at"] == "2026-11-20T03:17:00+00:00"
    assert mark.to_dict()["until"] is None

    monkeypatch.delenv("GITLAB_USER_LOGIN")
    monkeypatch.delenv("GITHUB_ACTOR", raising=False)
    monkeypatch.setattr(getpass, "getuser", lambda: "sam")

    assert set_mark(store, "tag", name="b", model="toy").author == "sam"

    def no_name():
        raise OSError("no username set in the environment")

    monkeypatch.setattr(getpass, "getuser", no_name)

    assert set_mark(store, "tag", name="c", model="toy").author is None
    assert [mark.author for mark in read_marks(store).marks] == ["jo[31m", "sam", None]


def test_dates_come_back_as_they_were_set(store):
    mark = acknowledge(store, task="t1", until=TODAY)

    assert read_marks(store).marks == (mark,)
    assert mark.to_dict()["until"] == "2026-11-20"


# ---- refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "mark", "says"),
    [
        ("tag", {"model": "toy"}, "needs a name"),
        ("tag", {"model": "toy", "name": "a\nb"}, "characters that print"),
        ("tag", {"model": "toy", "name": "a\x1b[31m"}, "characters that print"),
        ("tag", {"model": "toy", "name": " a"}, "spaces at its ends"),
        ("tag", {"model": "toy", "name": "a" * 101}, "101 characters; 100 are"),
        ("tag", {"name": "a"}, "name a model"),
        *(
            ("tag", {"model": "toy", "name": name}, "may mean something else")
            for name in ("toy@10", "toy#0", "tag:a", "baseline", "last", "latest")
        ),
        ("tag", {"model": "toy", "name": "big"}, "'big' is a model's"),
        ("baseline", {"model": "toy"}, "needs a reason"),
        ("baseline", {"model": "toy", "reason": " "}, "needs a reason"),
        ("baseline", {"reason": "why not"}, "name a model"),
        ("acknowledged", {"task": "t1"}, "^an acknowledgement needs a reason"),
        ("acknowledged", {"reason": "known"}, "of a task"),
        ("acknowledged", {"task": "t1", "reason": "x" * 1001}, "1001 characters"),
        (
            "acknowledged",
            {"task": "t1", "reason": "known", "until": TODAY - DAY, "now": MOMENT},
            "2026-11-19, which is over",
        ),
    ],
)
def test_a_mark_that_says_too_little_is_refused(store, kind, mark, says):
    with pytest.raises(InputError, match=says) as caught:
        set_mark(store, kind, **mark)

    assert caught.value.code == "bad-mark"
    assert not read_marks(store).marks


@pytest.mark.parametrize(
    ("mark", "says"),
    [
        ({"model": "small"}, "of small; it has big, toy"),
        ({"model": "toy", "step": 5}, "of toy at step 5; it has step 0, step 10"),
        ({"model": "toy", "step": None}, "of toy without a step; it has step 0"),
        ({"model": "toy", "task": "t3"}, "of t3; it has t1, t2"),
    ],
)
def test_a_mark_of_what_is_not_stored_is_refused(store, mark, says):
    with pytest.raises(InputError, match=says) as caught:
        set_mark(store, "tag", name="a", **mark)

    assert caught.value.code == "nothing-stored"
    assert not read_marks(store).marks


def test_of_many_steps_a_few_are_named(tmp_path):
    run_fake(tmp_path / "store", seeds=(0,), steps=range(9), tasks=("t1",))

    with pytest.raises(InputError, match=r"has step 0, .* step 4, …, step 8"):
        set_mark(Store(tmp_path / "store"), "tag", name="a", model="toy", step=9)


def test_an_empty_store_has_nothing_to_mark(tmp_path):
    store = Store.create(tmp_path / "store")

    with pytest.raises(InputError, match=r"no finished trial of toy$"):
        set_mark(store, "tag", name="a", model="toy")
