"""Tables of a whole store, simulated: what a real run would have left behind."""

import datetime
import math
import os
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from report.browsing import READY, Seen

from harness.frames import JOINED, TRIALS

STARTED = datetime.datetime(2026, 11, 20, 3, 17, tzinfo=datetime.UTC)

TRIAL = {
    "status": "done",
    "template": "default",
    "formulation": "",
    "num_fewshot": 0,
    "generation": "",
    "fewshot_seed": 0,
    "sample_seed": 0,
    "repeats": 1,
    "weights_digest": "0123456789abcdef",
    "tokenizer_digest": "aaaa",
    "task_digest": "bbbb",
    "template_digest": "cccc",
    "task_version": "1.0",
    "output_type": "multiple_choice",
    "sampled": False,
    "n_requests": 400,
    "n_truncated": 0,
    "dtype": "float32",
    "batch_size": 64,
    "max_length": 256,
    "backend": "lm-eval 0.4.13",
    "suite": "simulated",
    "suite_digest": "dddd",
    "entropy": "7",
    "device": "cpu",
    "host": "worker-1",
    "versions": [("torch", "2.13.0"), ("lm-eval", "0.4.13")],
    "location": "/nowhere/else",
    "tries": 1,
    "load_seconds": 0.1,
    "build_seconds": 0.2,
    "forward_seconds": 2.0,
    "seconds": 3.0,
}


class Simulated:
    """A store's two tables, built up task by task."""

    def __init__(self):
        self.rows = []
        self.trials = []

    def task(
        self,
        task,
        *,
        model="zoo-small",
        seeds=range(5),
        steps=(0, 10, 20, 50, 100, 200, 400, 800),
        n_items=60,
        n_items_total=None,
        n_choices=4,
        learns=True,
        items=None,
        generates=False,
        has_likelihood=True,
        status="done",
        **columns,
    ):
        """Add a task that is learnt over steps, or that stays at chance."""
        total = n_items_total or n_items
        stream = np.random.default_rng([len(self.trials), n_items])
        difficulty = np.random.default_rng(n_items).normal(0, 1.2, n_items)
        for seed in seeds:
            offset = stream.normal(0, 0.35)
            for step in steps:
                attempt = f"attempt-{len(self.trials):04d}"
                trial = {
                    **TRIAL,
                    "attempt_id": attempt,
                    "trial_id": f"trial-{len(self.trials):04d}",
                    "status": status,
                    "model": model,
                    "train_seed": seed,
                    "step": step,
                    "task": task,
                    "output_type": "generate_until" if generates else "multiple_choice",
                    "n_items": n_items,
                    "n_items_total": total,
                    "started_at": STARTED,
                    "finished_at": STARTED
                    + datetime.timedelta(seconds=len(self.trials)),
                    **columns,
                }
                self.trials.append(trial)
                if status != "done":
                    continue
                ability = (math.log1p(step or 0) - 2.5 + offset) if learns else -9
                for item in range(n_items):
                    gap = ability - difficulty[item] + stream.normal(0, 0.8)
                    row = {
                        "attempt_id": attempt,
                        "trial_id": trial["trial_id"],
                        "item_id": f"{items or task}-{item}",
                        "item_index": item,
                        "repeat": 0,
                        "status": "ok",
                        **{
                            key: trial[key]
                            for key in JOINED.names
                            if key in trial and key != "status"
                        },
                    }
                    if generates:
                        row |= {
                            "text": "yes" if gap > 1 else "no",
                            "target": "yes",
                            "metrics": [],
                        }
                        if has_likelihood:
                            row |= {
                                "target_logprob": float(min(-0.01, gap - 4)),
                                "target_bytes": 3,
                                "target_tokens": 1,
                                "target_is_greedy": bool(gap > 1),
                            }
                    else:
                        right = int(stream.integers(n_choices))
                        logprobs = stream.normal(0, 0.7, n_choices)
                        logprobs[right] += gap if learns else 0
                        row |= {
                            "choice_logprobs": (logprobs - 4).tolist(),
                            "choice_chars": [4] * n_choices,
                            "choice_bytes": [4] * n_choices,
                            "choice_tokens": [1] * n_choices,
                            "target_index": right,
                        }
                    self.rows.append(row)
        return self

    def fail(self, task, *, error="no space left", error_code="disk-full", **columns):
        """Add failed trials: no responses, but a row with the error."""
        return self.task(
            task, status="failed", error=error, error_code=error_code, **columns
        )

    @property
    def responses(self) -> pd.DataFrame:
        """The joined table, with the types that a store gives it."""
        nullable = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype()}
        table = pa.Table.from_pylist(self.rows, schema=JOINED)
        return table.to_pandas(types_mapper=nullable.get)

    @property
    def attempts(self) -> pd.DataFrame:
        """The table of trials, as a store gives it."""
        return pa.Table.from_pylist(self.trials, schema=TRIALS).to_pandas()

    def data(self, title="Simulated zoo"):
        """Gather both into what a report shows."""
        from harness.report.gather import gather

        return gather(self.responses, self.attempts, title=title)


HOSTILE = "<b>evil</b></script><script>alert(1)</script><img src=http://x.test/y>"


def make_zoo():
    """Two models, both formulations, generation, a partial and a failed task."""
    zoo = Simulated()
    for model in ("zoo-small", "zoo-large"):
        for formulation in ("cloze", "choice"):
            zoo.task(
                f"zoo_facts_{formulation}",
                model=model,
                formulation=formulation,
                learns=formulation == "cloze",
                items="facts",
            )
        zoo.task("zoo_pairs", model=model, n_choices=2, n_items=80)
        zoo.task("zoo_sums", model=model, generates=True, n_items=40, num_fewshot=3)
        zoo.task("zoo_plain", model=model, generates=True, has_likelihood=False)
    zoo.task("zoo_part", n_items=30, n_items_total=900)
    zoo.fail("zoo_broken", seeds=(0, 1), steps=(10, 20))
    return zoo


def make_hostile():
    """Names that try to become markup, in every place that shows a name."""
    zoo = Simulated()
    for formulation in ("cloze", "choice"):
        zoo.task(
            HOSTILE,
            model=f"{HOSTILE} model",
            formulation=formulation,
            template=f"{HOSTILE} template",
            generation=HOSTILE,
            backend=HOSTILE,
            learns=formulation == "cloze",
            steps=(0, 10, 100),
            seeds=(0, 1, 2),
            n_items=20,
            items="i",
            host=HOSTILE,
            versions=[(HOSTILE, HOSTILE)],
        )
    zoo.task("plain & <i>simple</i>", model="{{ 7 * 7 }}", n_items=20, steps=(0, 10))
    zoo.fail(f"{HOSTILE} failed", error=HOSTILE, error_code=HOSTILE, steps=(1,))
    return zoo


def make_little():
    """One seed and one checkpoint."""
    return Simulated().task(
        "zoo_facts", seeds=(0,), steps=(800,), n_items=25, has_likelihood=False
    )


@pytest.fixture
def simulated():
    """Return an empty simulated store."""
    return Simulated()


@pytest.fixture(scope="session")
def simulated_store():
    """Return the maker of empty simulated stores."""
    return Simulated


@pytest.fixture(scope="session")
def zoo():
    """Return what a report of the whole zoo shows."""
    return make_zoo().data()


@pytest.fixture(scope="session")
def hostile():
    """Return what a report with hostile names shows."""
    return make_hostile().data(title=HOSTILE)


@pytest.fixture(scope="session")
def little():
    """Return what a report of one checkpoint shows."""
    return make_little().data()


@pytest.fixture(scope="session")
def nothing():
    """Return what a report shows of a store where every trial failed."""
    return Simulated().fail("zoo_broken", steps=(10, 20)).data()


def _lacking(reason):
    if os.environ.get("HARNESS_REQUIRE_ALL") == "1":
        pytest.fail(f"{reason}, and HARNESS_REQUIRE_ALL is set")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        _lacking("playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        _lacking("there is no chromium on the path; apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Return an opener of pages by file://, without a network, watched."""
    contexts = []

    def open_page(html, *, ready=True, query="", **options):
        path = tmp_path / "report.html"
        path.write_text(html, encoding="utf-8")
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        page, seen = context.new_page(), Seen()
        page.on("console", lambda message: seen.console.append(message.text))
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("requestfailed", lambda request: seen.failures.append(request.url))
        page.goto(path.as_uri() + query)
        if ready:
            page.wait_for_selector(READY, timeout=20_000)
        return page, seen

    yield open_page
    for context in contexts:
        context.close()
