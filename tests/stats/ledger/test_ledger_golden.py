"""The ledger beside lme4, statsmodels, and dense matrices."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stats.ledger.designs import crossed_codes, normal_scores, some

from harness.stats.ledger.design import design, members
from harness.stats.ledger.ledger import variance_ledger
from harness.stats.ledger.squares import squares

GOLDEN = Path(__file__).parents[2] / "golden"

RESIDUALS = {
    "replicated": ("a", "b", "repeat"),
    "three": ("a", "b", "c"),
    "nested": ("a", "b", "c"),
    "missing": ("a", "b", "c"),
    "binary": ("a", "b", "c"),
}
NESTED = {"b": ("a", "b"), "b:c": ("a", "b", "c")}


def answers(name):
    frame = pd.read_csv(GOLDEN / "ledger_scores.csv")
    frame = frame[frame["design"] == name]
    codes = {facet: frame[facet].to_numpy() for facet in "abc"}
    if name == "replicated":
        codes["repeat"] = codes.pop("c")
    return frame["score"].to_numpy(), codes


def lme4(name):
    with (GOLDEN / "ledger.csv").open() as file:
        for row in csv.DictReader(file):
            if row["design"] != name:
                continue
            facets = tuple(row["effect"].split(":"))
            if row["effect"] == "Residual":
                facets = RESIDUALS[name]
            elif name == "nested":
                facets = NESTED.get(row["effect"], facets)
            yield facets, float(row["variance"])


@pytest.mark.parametrize("name", ["replicated", "three", "nested", "binary"])
def test_components_are_lme4_s(name):
    found = variance_ledger(*answers(name))
    theirs = dict(lme4(name))

    assert found.method == "ANOVA"
    assert len(found.effects) == len(theirs)
    for facets, variance in theirs.items():
        assert found.effect(*facets).variance.value == pytest.approx(variance, abs=1e-6)


def test_components_with_missing_answers_are_near_lme4_s():
    """Another estimator than REML: near it by the errors of both."""
    found = variance_ledger(*answers("missing"))

    assert found.method == "Henderson's first method"
    for facets, variance in lme4("missing"):
        assert found.effect(*facets).variance.value == pytest.approx(variance, rel=0.12)


def test_names_tell_what_is_nested():
    names = [effect.name for effect in variance_ledger(*answers("nested")).effects]

    assert names == ["a", "c", "b in a", "a × c", "b × c in a + error"]


@pytest.mark.slow
def test_components_are_statsmodels_reml():
    sm = pytest.importorskip("statsmodels.formula.api")
    codes = crossed_codes(a=6, b=15, repeat=2)
    scores = normal_scores(
        np.random.default_rng(11),
        codes,
        {("a",): 0.2, ("b",): 0.3, ("a", "b"): 0.1, (): 0.2},
    )
    rows = np.random.default_rng(12).random(len(scores)) > 0.08
    for kept, tolerance in [(slice(None), 1e-4), (rows, 0.02)]:
        frame = pd.DataFrame(some(codes, kept) | {"score": scores[kept], "one": 1})
        fit = sm.mixedlm(
            "score ~ 1",
            frame,
            groups="one",
            vc_formula={"a": "0 + C(a)", "ab": "0 + C(a):C(b)", "b": "0 + C(b)"},
        ).fit()
        found = variance_ledger(scores[kept], some(codes, kept))
        theirs = [*fit.vcomp, fit.scale]

        for facets, variance in zip(
            [["a"], ["a", "b"], ["b"], ["a", "b", "repeat"]], theirs, strict=True
        ):
            mine = found.effect(*facets).variance.value
            assert mine == pytest.approx(variance, abs=tolerance)


def dense(scores, codes, effects):
    """Henderson's first method with matrices of rows by rows."""
    n = len(scores)

    def same(facets):
        return np.all([codes[f][:, None] == codes[f] for f in facets], axis=0)

    nothing = np.full((n, n), 1 / n)
    blocks = [same(e).astype(float) for e in effects] + [np.eye(n)]
    means = [block / block.sum(1)[:, None] for block in blocks]
    forms = [mean - nothing for mean in means]
    expected = [[np.trace(form @ block) for block in blocks] for form in forms]
    return np.linalg.solve(expected, [scores @ form @ scores for form in forms])


@pytest.mark.parametrize("item", [None, 1])
def test_sums_over_groups_are_sums_over_pairs_of_answers(item):
    codes = crossed_codes(a=4, b=9, c=3)
    scores = np.random.default_rng(13).random(108)
    rows = np.random.default_rng(14).random(108) > 0.3
    scores, codes = scores[rows], some(codes, rows)
    grouped = design(scores, codes, {})
    effects = grouped.closed()[1:-1]
    found = squares(grouped, effects, item=item, balanced=False)
    theirs = dense(scores, codes, [grouped.names_of(e) for e in effects])

    assert found.components == pytest.approx(theirs, abs=1e-12)
    if item is not None:
        assert found.parts.mean(1) == pytest.approx(theirs, abs=1e-12)


def test_few_answers_of_many_levels_are_summed_alike():
    rng = np.random.default_rng(16)
    codes = {name: rng.integers(0, 40, 90) for name in "abc"}
    scores = rng.random(90)
    grouped = design(scores, codes, {})
    effects = (1, 2, 4, 3)
    found = squares(grouped, effects, item=0, balanced=False)
    theirs = dense(scores, codes, [grouped.names_of(e) for e in effects])

    assert found.components == pytest.approx(theirs, abs=1e-12)
    assert found.parts.mean(1) == pytest.approx(theirs, abs=1e-12)


def test_parts_of_items_are_mean_squares_of_each():
    """With balance, by a loop: what each item adds to its component and residual."""
    scores = np.random.default_rng(15).random((4, 25))
    grouped = design(scores.ravel(), crossed_codes(seed=4, item=25), {})
    found = squares(grouped, grouped.closed()[1:-1], item=1, balanced=True)
    inside = scores - scores.mean(1, keepdims=True)
    for i in range(25):
        common = inside[:, i].mean()
        residual = 25 / 24 * ((inside[:, i] - common) ** 2).sum() / 3

        assert list(members(found.effects[1])) == [1]
        assert found.parts[2, i] == pytest.approx(residual)
        assert found.parts[1, i] == pytest.approx(25 / 24 * common**2 - residual / 4)
