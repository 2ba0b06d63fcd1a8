"""Files that are broken, or made to hurt: a clear problem, and the store as it was."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest.lm_eval_files import (
    TIME,
    as_of_040,
    as_of_043,
    choice_sample,
    results,
    text_sample,
    write_run,
    write_samples,
)

from harness.errors import HarnessError
from harness.ingest import lm_eval_lines, lm_eval_run
from harness.ingest.lm_eval import LmEval
from harness.ingest.load import import_results, load_results
from harness.ingest.parts import Problem
from harness.store import Store

LINE = json.dumps(choice_sample(1))


def problem_of(folder: Path, tmp_path: Path) -> Problem:
    """Import a good run beside what is in `folder`; return the only problem."""
    write_run(tmp_path / "good")
    store = Store.create(tmp_path / "store")
    imported = import_results(store, [folder, tmp_path / "good"])
    assert [trial.task for trial in imported.trials] == ["toy_mc"]
    assert Store(tmp_path / "store").verify() == []
    assert Store(tmp_path / "store").info().n_responses == 6
    (problem,) = imported.problems
    assert problem.is_left_out
    return problem


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (LINE[:400].encode(), "it is no JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
        (LINE.replace('"doc_id": 1', '"doc_id": 1.5').encode(), "is no number"),
        (LINE.replace('"doc_id": 1', '"doc_id": -1').encode(), "is no place"),
        (LINE.replace('"doc_id": 1', '"doc_id": 1e400').encode(), "is no number"),
        (LINE.replace('"doc_id": 1', f'"doc_id": {10**400}').encode(), "is no place"),
        (LINE.replace('"doc_id": 1', f'"doc_id": {"9" * 9_999}').encode(), "no JSON"),
        (LINE.replace('"doc_id": 1', '"doc_id": true').encode(), "is no number"),
        (LINE.replace('"doc_id": 1', '"doc_id": 0').encode(), "stands there twice"),
        (LINE.replace('"resps"', '"respons"').encode(), "it has no 'resps'"),
        (LINE.replace('[[["-3.0"', '[[["four"').encode(), "its resps are not those"),
        (b"null", "it is no object"),
        (b'"' + b"x" * 5_000 + b'"', "it is no object"),
        (LINE.replace("Question", "Gr\xf6\xdfe").encode("latin-1"), "it is no UTF-8"),
    ],
)
def test_a_broken_line_is_named_and_its_file_left_out(
    tmp_path: Path, second: bytes, reason: str
) -> None:
    path = tmp_path / "bad" / f"samples_toy_mc_{TIME}.jsonl"
    path.parent.mkdir()
    first = json.dumps(choice_sample(0)).encode()
    path.write_bytes(b"\n".join([first, second, json.dumps(choice_sample(2)).encode()]))

    problem = problem_of(path.parent, tmp_path)
    assert (problem.file, problem.line, problem.code) == (
        str(path),
        2,
        "results-broken",
    )
    assert reason in problem.reason


def test_a_line_without_end_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lm_eval_lines, "MAX_LINE", 10_000)
    long = choice_sample(1, few="x" * 10_000)
    path = write_samples(
        tmp_path / f"samples_toy_mc_{TIME}.jsonl", [choice_sample(0), long]
    )

    with pytest.raises(HarnessError, match="longer than 10,000 bytes"):
        load_results([path])


def test_an_array_without_end_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lm_eval_lines, "MAX_LINE", 10_000)
    monkeypatch.setattr(lm_eval_lines, "CHUNK", 1_000)
    path = tmp_path / f"samples_toy_mc_{TIME}.json"
    path.write_text(f"[{LINE},\n" + '{"doc_id": "' + "x" * 50_000)

    with pytest.raises(HarnessError, match=r"json:2: it is no JSON"):
        load_results([path])


def test_results_that_are_too_large_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lm_eval_run, "MAX_RESULTS", 100)
    (tmp_path / f"results_{TIME}.json").write_text(json.dumps(results()))

    with pytest.raises(HarnessError, match="larger than 100 bytes"):
        load_results([tmp_path])


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"results": 5}', b"\xff\xfe{\x00", b'{"results": {}', b"[" * 99_999],
)
def test_results_that_are_none_take_their_samples_with_them(
    tmp_path: Path, content: bytes
) -> None:
    """Whose samples they are is in the results: without, they are somebody's."""
    folder = write_run(tmp_path / "bad")
    (folder / f"results_{TIME}.json").write_bytes(content)

    imported = import_results(Store.create(tmp_path / "store"), [folder])
    assert imported.trials == ()
    assert [Path(p.file).name[:7] for p in imported.problems] == ["results", "samples"]
    assert "the results beside it" in imported.problems[1].reason


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig"])
def test_a_byte_order_mark_is_no_content(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / f"samples_toy_mc_{TIME}.jsonl"
    bom = b"\xfe\xff" if encoding == "utf-16-be" else b""
    path.write_bytes(bom + LINE.encode(encoding))

    if encoding == "utf-8-sig":
        assert len(load_results([path]).responses) == 1
    else:
        with pytest.raises(HarnessError, match="it is UTF-16; make it UTF-8"):
            load_results([path])


def test_halves_of_characters_are_marked(tmp_path: Path) -> None:
    sample = text_sample(0, ["\ud83d"], "\ud83d", filter_="\ud83d")
    path = tmp_path / f"samples_toy_{TIME}.jsonl"
    path.write_text(json.dumps(sample))

    (row,) = load_results([path]).responses.to_dict("records")
    assert row["text"] == row["answer"] == "�"
    assert dict(row["metrics"]) == {"exact_match,�": 0.0}


def test_names_are_no_paths(tmp_path: Path) -> None:
    """Nothing of a file's content names a place, whatever it looks like."""
    nasty = "../../etc/\0pass\nwd\x1b[31m"
    write_run(
        tmp_path / "in",
        {"toy_mc": [choice_sample(i) for i in range(3)]},
        config=results()["config"] | {"model_args": {"pretrained": nasty}},
        model_name=nasty,
    )
    before = {*tmp_path.iterdir()}

    imported = import_results(Store.create(tmp_path / "store"), [tmp_path / "in"])
    assert {*tmp_path.iterdir()} - before == {tmp_path / "store"}
    assert imported.n_new == 1
    assert Store(tmp_path / "store").verify() == []


def test_pipes_folders_and_links_are_named_or_passed_by(tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    (folder / f"results_{TIME}.json").mkdir(parents=True)
    (folder / f"samples_x_{TIME}.jsonl").symlink_to(folder / "nowhere")
    (folder / "self").symlink_to(folder)
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / f"samples_y_{TIME}.jsonl")

    write_run(folder / f"results_{TIME}.json")
    imported = import_results(Store.create(tmp_path / "store"), [folder])
    assert imported.n_new == 1
    reasons = {Path(p.file).name: p.reason for p in imported.problems}
    assert reasons == {
        "loop": "Too many levels of symbolic links",
        f"samples_x_{TIME}.jsonl": "No such file or directory",
        f"samples_y_{TIME}.jsonl": "it is a pipe or a device, no file",
    }


def test_a_document_may_be_deeper_than_python_goes(tmp_path: Path) -> None:
    line = LINE.replace('"passage": "p0"', '"passage": ' + "[" * 50_000 + "]" * 50_000)
    path = tmp_path / f"samples_toy_mc_{TIME}.jsonl"
    path.write_text(json.dumps(choice_sample(0)) + "\n" + line)

    with pytest.raises(HarnessError, match=r"jsonl:2: it is nested too deep"):
        load_results([path])


# ---- anything at all -----------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["nan", "1e999", "-0.5", "True", "[1, 2]", "9" * 400]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def taken(path: Path) -> None:
    """Read all that a file holds; only an error of ours may come of it."""
    try:
        for found in LmEval().read(path):
            for part in found.parts:
                for _ in part.rows():
                    pass
    except HarnessError:
        pass


def mutated(document: Any, rng: random.Random, value: Any) -> Any:
    """Put `value` somewhere into a document."""
    if isinstance(document, dict) and document and rng.random() < 0.9:
        key = rng.choice(list(document))
        return {**document, key: mutated(document[key], rng, value)}
    if isinstance(document, list) and document and rng.random() < 0.9:
        place = rng.randrange(len(document))
        return [
            *document[:place],
            mutated(document[place], rng, value),
            *document[place + 1 :],
        ]
    return value


FUZZ = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@FUZZ
@given(
    value=JSON,
    seed=st.integers(0, 2**32),
    what=st.sampled_from(["choice", "text", "results"]),
)
def test_whatever_a_value_is_nothing_but_an_error_of_ours_leaves(
    tmp_path: Path, value: Any, seed: int, what: str
) -> None:
    rng = random.Random(seed)
    samples = [
        choice_sample(i) if what != "text" else text_sample(i, ["a", "b"], "a")
        for i in range(3)
    ]
    made = results({"toy": {} if what != "text" else {"output_type": "generate_until"}})
    if what == "results":
        made = mutated(made, rng, value)
    else:
        place = rng.randrange(3)
        samples[place] = mutated(samples[place], rng, value)
    (tmp_path / f"results_{TIME}.json").write_text(json.dumps(made))
    path = tmp_path / f"samples_toy_{TIME}.jsonl"
    path.write_text("\n".join(map(json.dumps, samples)))

    taken(path)
    taken(tmp_path / f"results_{TIME}.json")
    if what != "results":
        path.write_text(json.dumps(samples, indent=2))
        taken(path)


OTHER_KINDS = ([], {}, None, 10**40, 0.5, "x", [{"a": {}}], {"a": []})
"""What may stand where a file has something of another kind."""


def changed(document: Any) -> Iterator[Any]:
    """Yield a document with each of its places taken by each of `OTHER_KINDS`."""
    yield from OTHER_KINDS
    if isinstance(document, dict):
        for key, value in document.items():
            yield {k: v for k, v in document.items() if k != key}
            yield from ({**document, key: other} for other in changed(value))
    elif isinstance(document, list):
        for place, value in enumerate(document):
            for other in changed(value):
                yield [*document[:place], other, *document[place + 1 :]]


@pytest.mark.parametrize(
    ("age", "place", "has_results"),
    [
        *((dict, place, True) for place in range(3)),
        *((age, 0, False) for age in (dict, as_of_043, as_of_040)),
    ],
)
def test_whatever_part_of_a_line_is_of_another_kind_an_error_of_ours_says_so(
    tmp_path: Path, age: Callable[[Any], Any], place: int, has_results: bool
) -> None:
    said = {
        "choice": (results({"toy": {}}), choice_sample),
        "text": (
            results({"toy": {"output_type": "generate_until"}}),
            lambda i: text_sample(i, ["a", "b"], "a"),
        ),
    }
    for kind, (of_run, sample) in said.items():
        path = tmp_path / kind / f"samples_toy_{TIME}.jsonl"
        path.parent.mkdir()
        if has_results:
            (path.parent / f"results_{TIME}.json").write_text(json.dumps(of_run))
        lines = [json.dumps(age(sample(i))) for i in range(3)]
        # What is in a document and in a hash is nobody's business but the task's.
        middle = {
            name: value
            for name, value in age(sample(place)).items()
            if name != "doc" and not name.endswith("_hash")
        }
        for other in changed(middle):
            lines[place] = json.dumps(other)
            path.write_text("\n".join(lines))
            taken(path)


def test_whatever_part_of_results_is_of_another_kind_an_error_of_ours_says_so(
    tmp_path: Path,
) -> None:
    path = write_samples(
        tmp_path / f"samples_toy_{TIME}.jsonl", [choice_sample(i) for i in range(2)]
    )
    beside = tmp_path / f"results_{TIME}.json"
    for other in changed(results({"toy": {}})):
        beside.write_text(json.dumps(other))
        taken(path)
    for other in changed({"inside": [text_sample(0, ["a"], "a")]}):
        beside.write_text(json.dumps(results({"toy": {}}, samples=other)))
        taken(beside)


@pytest.mark.parametrize(
    ("key", "value"), [("resps", []), ("resps", [1]), ("arguments", 10**40)]
)
def test_a_first_line_without_answers_is_named_as_any_other(
    tmp_path: Path, key: str, value: Any
) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    path = write_samples(
        folder / f"samples_toy_{TIME}.jsonl",
        [choice_sample(0, **{key: value}), choice_sample(1)],
    )

    problem = problem_of(folder, tmp_path)
    assert (problem.file, problem.line) == (str(path), 1)


@FUZZ
@given(data=st.binary(max_size=60), at=st.floats(0, 1), cut=st.floats(0, 1))
def test_whatever_bytes_stand_there_nothing_but_an_error_of_ours_leaves(
    tmp_path: Path, data: bytes, at: float, cut: float
) -> None:
    whole = "\n".join(json.dumps(choice_sample(i)) for i in range(2)).encode()
    place = int(at * len(whole))
    damaged = whole[:place] + data + whole[place + len(data) :][: int(cut * len(whole))]
    path = tmp_path / f"samples_toy_{TIME}.jsonl"
    path.write_bytes(damaged)
    results_path = tmp_path / f"results_{TIME}.json"
    results_path.write_bytes(
        json.dumps(results({"toy": {}})).encode()[: -place or None]
    )

    taken(path)
    taken(results_path)
    results_path.unlink()
    taken(path)


def test_a_pipe_beside_samples_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "results.json")
    os.mkfifo(tmp_path / f"results_{TIME}.json")
    (tmp_path / "answers.jsonl").write_text(LINE)

    imported = import_results(None, [tmp_path])
    assert [trial.task for trial in imported.trials] == ["answers"]
    assert len(imported.problems) == 2


@pytest.mark.parametrize("tail", [b"\xff\xff", b'{"doc_id": ' + b"[" * 99_999])
def test_an_array_that_breaks_off_is_told_with_its_line(tmp_path: Path, tail) -> None:
    path = tmp_path / f"samples_toy_{TIME}.json"
    path.write_bytes(f"[\n{LINE},\n".encode() + tail)

    with pytest.raises(HarnessError, match=r"json:\d+: it is n"):
        load_results([path])


def test_trees_without_end_are_left(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("harness.ingest.sniff.MAX_DEPTH", 3)
    write_run(tmp_path / "a/b/c/d")
    write_run(tmp_path / "a")
    imported = import_results(None, [tmp_path])
    assert imported.n_new == 1
    assert [p.reason for p in imported.problems] == ["it lies over 3 folders deep"]
    monkeypatch.setattr("harness.ingest.sniff.MAX_FILES", 1)
    imported = import_results(None, [tmp_path])
    assert [p.reason for p in imported.problems] == ["it has over 1 files"]
