"""Which runs are in files of lm-eval? Reads its results and samples since 0.2.

A run since 0.4.3 is ``results_TIME.json`` with ``samples_TASK_TIME.jsonl`` beside it;
before, ``results.json`` with ``ARGUMENTS_TASK.jsonl``. Each file of samples is read
by itself, with what the results beside it say of its run; results without samples are
scores without items.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from harness.ingest.lm_eval_lines import (
    Sample,
    Scores,
    is_array,
    last_filter,
    logged_samples,
    logged_scores,
    read_samples,
    read_scores,
    sample_of,
)
from harness.ingest.lm_eval_rows import Documents, Rows
from harness.ingest.lm_eval_run import SAMPLES_NAME, Run, is_results
from harness.ingest.parts import BrokenFile, Found, Part, Problem

Samples = Callable[[], Iterator[tuple[int | None, int, Sample]]]

IS_SAMPLES = re.compile(rb'(?:\xef\xbb\xbf)?\s*\[?\s*\{\s*"doc_id"\s*:')


class LmEval:
    """Reads what ``lm_eval --output_path`` wrote, with ``--log_samples`` or without.

    Parameters
    ----------
    cluster_field : str, optional
        A field of lm-eval's ``doc`` that says which items belong together.
    """

    format = "lm-eval"

    def __init__(self, cluster_field: str | None = None) -> None:
        self._documents = Documents(cluster_field)

    def claims(self, path: Path, head: bytes) -> bool:
        """Return whether `path` holds results or samples."""
        if path.suffix not in (".json", ".jsonl"):
            return False
        return bool(
            SAMPLES_NAME.fullmatch(path.name)
            or is_results(path, head)
            or IS_SAMPLES.match(head)
        )

    def read(self, path: Path) -> Iterator[Found]:
        """Yield what is in a file: one task's answers, or a run's.

        Raises
        ------
        BrokenFile
            The file is neither.
        """
        with path.open("rb") as file:
            head = file.read(4096)
        if IS_SAMPLES.match(head) or SAMPLES_NAME.fullmatch(path.name):
            part, problems = self._of_samples(path)
            yield Found(format=self.format, parts=(part,), problems=problems)
        else:
            yield self._of_results(path)

    def _of_samples(self, path: Path) -> tuple[Part, tuple[Problem, ...]]:
        run = Run.beside(path)
        first = next((sample for _, _, sample in read_samples(path)), None)
        if first is None:
            raise BrokenFile("it holds no sample")
        is_single = (
            first.filter is not None
            and not is_array(path)
            and last_filter(path) == first.filter
        )
        return self._part(
            run,
            run.task_of(path),
            path,
            first,
            partial(read_samples, path),
            partial(read_scores, path),
            is_single,
        )

    def _of_results(self, path: Path) -> Found:
        run = Run.read(path)
        parts, problems = [], []
        with_items = set()
        for other in run.samples_beside(path):
            with_items.add(run.task_of(other))
            try:
                part, told = self._of_samples(other)
            except BrokenFile as error:
                problems.append(
                    Problem(
                        file=str(other),
                        line=error.line,
                        reason=str(error),
                        code=error.code,
                        model=run.model,
                        task=run.task_of(other),
                    )
                )
            else:
                parts.append(part)
                problems += told
        for task, samples in run.logged.items():
            first = sample_of(samples[0], None)
            source = partial(logged_samples, samples)
            scores = partial(logged_scores, samples)
            part, told = self._part(run, task, path, first, source, scores, False)
            with_items.add(task)
            parts.append(part)
            problems += told
        return Found(
            format=self.format if run.is_new else f"{self.format} 0.3",
            parts=tuple(parts),
            aggregates=tuple(run.aggregates(without=with_items)),
            problems=tuple(problems),
        )

    def _part(
        self,
        run: Run,
        task: str,
        path: Path,
        first: Sample,
        source: Samples,
        scores: Callable[[], Iterator[Scores]],
        is_single: bool,
    ) -> tuple[Part, tuple[Problem, ...]]:
        """Return one task's answers, and what is to be said of them."""
        asked = run.asked(task, first)
        rows = Rows(
            source=source,
            scores=scores,
            is_single=is_single,
            asked=asked,
            documents=self._documents,
        )
        trial, unknown = run.trial(task, asked, first)
        problems = []
        n = len(first.resps[0])
        if (
            asked.output_type == "generate_until"
            and n > 1
            and not rows.tells_repeats_apart(first)
        ):
            problems.append(
                Problem(
                    file=str(path),
                    line=None,
                    reason=f"it has {n} answers to an item and one score for all; the "
                    "first answer is kept, with that score",
                    code="results-broken",
                    is_left_out=False,
                )
            )
        files = (path,) if run.path is None else (path, run.path)
        part = Part(
            trial=trial,
            rows=rows,
            unknown=unknown,
            files=files,
            n_twice=lambda: rows.n_twice,
        )
        return part, tuple(problems)
