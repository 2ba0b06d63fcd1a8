"""Published figures: equal to the paper's tables, found by name, compared fairly."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from harness.stats import reference
from harness.stats.reference import (
    TASKS,
    compare_to_published,
    published,
    published_table,
)
from harness.stats.series import last_seed_sd, seed_sd

GOLDEN = Path(__file__).parents[1] / "golden" / "madaan_tables.csv"


def seeds_with_sd(sd, n):
    values = np.arange(n, dtype=float)
    return 0.7 + sd * (values - values.mean()) / values.std(ddof=1)


def test_table_1_is_the_paper_s():
    frame = published_table("madaan_table_1").set_index("benchmark")
    with GOLDEN.open() as lines:
        rows = list(csv.DictReader(lines))

    assert list(frame.index) == [row.pop("benchmark") for row in rows]
    for (_, ours), theirs in zip(frame.iterrows(), rows, strict=True):
        assert {k: ours[k] for k in theirs} == {k: float(v) for k, v in theirs.items()}


def test_table_2_agrees_with_itself():
    """Its ratios are of its means and SDs, to the rounding of an SD of 0.12."""
    frame = published_table("madaan_table_2")
    rounding = 0.005 / frame["seed_sd_last"]

    ratio = frame["mean"] / frame["seed_sd_last"]
    assert ((frame["snr"] / ratio - 1).abs() <= rounding + 2e-3).all()
    assert (frame["snr_continuous"] > frame["snr"]).all()


def test_tables_of_subsets_start_from_table_1():
    full = published_table("madaan_tables_3_4").query("estimator == 'full'")
    first = published_table("madaan_table_1").set_index("benchmark")

    for row in full.itertuples():
        assert row.seed_sd == first.loc[row.benchmark, "seed_sd"]


def test_bits_per_byte_are_less_noisy_in_heineman_et_al():
    frame = published_table("heineman_snr")

    assert (frame["snr_bits_per_byte"] > frame["snr"]).all()


def test_hellaswag_in_shares():
    found = published("hellaswag", "cloze")

    assert found.n_items == 10042
    assert found.chance == 0.25
    assert found.mean == pytest.approx(0.7008)
    assert found.seed_sd == pytest.approx(0.0021)
    assert found.seed_sd_last == pytest.approx(0.0012)
    assert found.snr == 608.23
    assert found.monotonicity == 0.99
    assert "2406.10229" in found.source


def test_formulations_of_mmlu_are_two_benchmarks():
    choice, cloze = published("mmlu", "choice"), published("mmlu", "cloze")

    assert (choice.benchmark, cloze.benchmark) == ("MMLU", "MMLU-Cloze")
    assert cloze.seed_sd < choice.seed_sd
    assert math.isnan(cloze.seed_sd_last)
    assert cloze.to_dict()["snr"] is None


@pytest.mark.parametrize(
    ("task", "formulation"),
    [
        ("hellaswag", "choice"),
        ("mmlu", ""),
        ("mmlu_anatomy", "choice"),
        ("arc_easy", "cloze"),
        ("agieval", "choice"),
        ("gsm8k_cot_zeroshot", ""),
        ("blimp", ""),
    ],
)
def test_what_is_not_certainly_the_paper_s_has_no_figure(task, formulation):
    assert published(task, formulation) is None
    sd = seed_sd(seeds_with_sd(0.01, 5)[:, None])
    assert (
        compare_to_published(sd, task=task, formulation=formulation, n_items=9) is None
    )


def test_every_task_finds_its_figure():
    found = {published(task, formulation).benchmark for task, formulation in TASKS}

    assert found == set(published_table("madaan_table_1")["benchmark"])


def test_three_times_the_published_sd():
    """An SD of .63 % over 5 seeds on HellaSwag; F(4, 9) is 4.718 and 1 / 8.905."""
    ours = seed_sd(seeds_with_sd(0.0063, 5)[:, None])
    found = compare_to_published(
        ours, task="hellaswag", formulation="cloze", n_items=10042
    )

    assert found.ratio.value == pytest.approx(3)
    assert found.ratio.interval == pytest.approx(
        (3 / math.sqrt(4.718), 3 * math.sqrt(8.905)), rel=1e-3
    )
    assert found.is_unlike
    assert found.published == pytest.approx(0.0021)
    assert found.ratio.cautions == ours.cautions
    json.dumps(found.to_dict(), allow_nan=False)


def test_ten_seeds_of_the_published_spread_are_not_unlike():
    ours = seed_sd(seeds_with_sd(0.0021, 10)[:, None])
    found = compare_to_published(
        ours, task="hellaswag", formulation="cloze", n_items=10042
    )
    low, high = found.ratio.interval

    assert not found.is_unlike
    assert low * high == pytest.approx(1)
    wide = compare_to_published(
        replace(ours, confidence_level=0.99),
        task="hellaswag",
        formulation="cloze",
        n_items=10042,
    )
    assert wide.ratio.interval.low < low


def test_much_less_spread_is_unlike():
    ours = seed_sd(seeds_with_sd(0.0001, 10)[:, None])

    assert compare_to_published(
        ours, task="hellaswag", formulation="cloze", n_items=10042
    ).is_unlike


def test_the_last_checkpoint_is_compared_with_table_2():
    ours = last_seed_sd(seeds_with_sd(0.0024, 4))
    found = compare_to_published(
        ours, task="hellaswag", formulation="cloze", n_items=10042
    )

    assert found.ratio.quantity == "seed_sd_last_ratio"
    assert found.ratio.value == pytest.approx(2)
    assert (
        compare_to_published(ours, task="piqa", formulation="cloze", n_items=1838)
        is None
    )


def test_another_statistic_has_no_published_sd():
    ours = replace(seed_sd(seeds_with_sd(0.01, 4)[:, None]), quantity="mean")

    assert (
        compare_to_published(ours, task="piqa", formulation="cloze", n_items=1838)
        is None
    )


def test_other_items_are_told(codes):
    ours = seed_sd(seeds_with_sd(0.01, 4)[:, None])

    def ratio(n_items):
        return compare_to_published(
            ours, task="arc_challenge", formulation="cloze", n_items=n_items
        ).ratio

    assert codes(ratio(1172)) == ["shape-of-seeds"]
    assert codes(ratio(200)) == ["shape-of-seeds", "other-items"]


def test_one_seed_has_no_ratio(codes):
    found = compare_to_published(
        seed_sd(np.array([[0.5]])), task="piqa", formulation="cloze", n_items=1838
    )

    assert math.isnan(found.ratio.value)
    assert codes(found.ratio) == ["one-seed"]
    assert not found.is_unlike
    assert found.to_dict()["ratio"]["value"] is None


def test_a_step_with_few_seeds_bounds_what_the_ratio_knows():
    """F with 1 and 9 degrees of freedom: 7.2093 and 963.28, from tables."""
    scores = np.random.default_rng(3).normal(0.5, 0.01, (10, 4))
    scores[2:, 1] = math.nan
    found = compare_to_published(
        seed_sd(scores), task="piqa", formulation="cloze", n_items=1838
    )

    assert found.ratio.n == 2
    assert found.ratio.interval == pytest.approx(
        (found.ratio.value / 7.2093**0.5, found.ratio.value * 963.28**0.5), rel=1e-4
    )


def test_the_interval_of_the_ratio_holds_its_level(monkeypatch):
    """Seeds of the paper's spread, and a paper whose SD is itself of ten seeds."""
    rng = np.random.default_rng(1)
    figure = published("hellaswag", "cloze")
    hits = []
    for _ in range(2000):
        theirs = replace(figure, seed_sd=rng.normal(0, 0.004, 10).std(ddof=1))
        monkeypatch.setattr(reference, "published", Mock(return_value=theirs))
        ours = seed_sd(rng.normal(0.7, 0.008, (3, 1)))
        low, high = compare_to_published(
            ours, task="hellaswag", formulation="cloze", n_items=10042
        ).ratio.interval
        hits.append(low <= 2 <= high)

    assert np.mean(hits) == pytest.approx(0.95, abs=0.015)
