"""Adaptive testing: a plain loop, recovery, coverage, stopping, edges by name."""

import json

import numpy as np
import pytest

from harness.errors import DesignError
from harness.stats.adaptive import LIMIT, adaptive_test
from harness.stats.irt.model import ItemModel

nan = np.nan


def simulate(n_respondents, n_items, *, c=0.0, ability_sd=1.0, seed=1):
    rng = np.random.default_rng(seed)
    items = ItemModel(
        model="2pl" if c == 0 else "3pl",
        item_ids=tuple(f"i{i}" for i in range(n_items)),
        discrimination=np.exp(rng.normal(0, 0.3, n_items)),
        difficulty=rng.normal(0, 1, n_items),
        guessing=np.full(n_items, c),
        ability_sd=ability_sd,
    )
    theta = rng.normal(0, ability_sd, n_respondents)
    shape = n_respondents, n_items
    return items, theta, 1.0 * (rng.random(shape) < items.probabilities(theta))


def replayed(items, answers, n_turns):
    """Fluid Benchmarking for one respondent, as its paper says it."""
    from scipy.optimize import minimize_scalar

    a, b, c = items.discrimination, items.difficulty, items.guessing
    theta, asked, path = 0.0, [], []

    def p(t):
        return c + (1 - c) / (1 + np.exp(-a * (t - b)))

    def information(t):
        return a**2 * (1 - p(t)) / p(t) * ((p(t) - c) / (1 - c)) ** 2

    def loss(t):
        y = answers[asked]
        likely = y * np.log(p(t)[asked]) + (1 - y) * np.log(1 - p(t)[asked])
        return t**2 / (2 * items.ability_sd**2) - likely.sum()

    for _ in range(n_turns):
        usable = [
            i for i in range(len(a)) if i not in asked and not np.isnan(answers[i])
        ]
        if not usable:
            break
        told = information(theta)
        asked.append(max(usable, key=lambda i: told[i]))
        limit = LIMIT * items.ability_sd
        theta = minimize_scalar(
            loss, bounds=(-limit, limit), options={"xatol": 1e-12}
        ).x
        total = information(theta)[asked].sum() + items.ability_sd**-2
        path.append((asked[-1], theta, total**-0.5))
    return path


@pytest.mark.parametrize(("c", "ability_sd"), [(0.0, 1.0), (0.0, 0.6), (0.2, 1.0)])
def test_agrees_with_a_plain_loop(c, ability_sd):
    items, _, answers = simulate(12, 40, c=c, ability_sd=ability_sd)
    answers[3, 5:30] = nan
    answers[4, :37] = nan
    result = adaptive_test(items, answers, max_items=15)
    for r, row in enumerate(answers):
        plain = replayed(items, row, 15)

        n = len(plain)
        assert result.n_items[r] == n
        assert result.item[r, :n].tolist() == [item for item, _, _ in plain]
        np.testing.assert_allclose(
            np.stack([result.ability[r, :n], result.se[r, :n]], axis=1),
            [line[1:] for line in plain],
            atol=1e-5,
        )


def test_the_first_item_is_the_most_informative_at_the_mean():
    items, _, answers = simulate(50, 200)
    result = adaptive_test(items, answers, max_items=1)

    p = items.probabilities(np.zeros(1))[0]
    assert (result.item[:, 0] == np.argmax(items.discrimination**2 * p * (1 - p))).all()
    assert len(np.unique(result.ability)) == 2


def test_fifty_items_say_more_than_fifty_at_random():
    items, theta, answers = simulate(300, 1000)
    result = adaptive_test(items, answers, max_items=50)

    full = answers.mean(1)
    random = answers[:, np.random.default_rng(2).permutation(1000)[:50]].mean(1)
    ours = np.sqrt(np.mean((result.score - full) ** 2))
    assert ours < 0.6 * np.sqrt(np.mean((random - full) ** 2))
    assert np.sqrt(np.mean((result.ability[:, -1] - theta) ** 2)) < 0.22


@pytest.mark.slow
@pytest.mark.parametrize("n_turns", [20, 50, 150])
@pytest.mark.parametrize("c", [0.0, 0.2])
def test_coverage_of_ability_and_score_is_93_to_97_percent(n_turns, c):
    items, theta, answers = simulate(1500, 500, c=c, seed=20240601)
    result = adaptive_test(items, answers, max_items=n_turns)

    ability = np.abs(result.ability[:, -1] - theta) <= 1.96 * result.se[:, -1]
    score = np.abs(result.score - answers.mean(1)) <= 1.96 * result.score_se
    assert 0.93 <= ability.mean() <= 0.97
    assert 0.93 <= score.mean() <= 0.97


def test_a_test_ends_at_its_standard_error():
    items, _, answers = simulate(40, 300)
    result = adaptive_test(items, answers, se_below=0.3)

    assert result.cautions == ()
    for r, n in enumerate(result.n_items):
        assert (result.se[r, : n - 1] > 0.3).all()
        assert result.se[r, n - 1] <= 0.3
        assert np.isnan(result.se[r, n:]).all()
        assert np.isnan(result.ability[r, n:]).all()
        assert (result.item[r, n:] == -1).all()
    assert result.item.shape[1] == result.n_items.max() < 100
    finer = adaptive_test(items, answers, se_below=0.25)
    assert (finer.n_items > result.n_items).all()


def test_a_test_that_ends_too_soon_says_so(codes):
    items, _, answers = simulate(40, 300)
    result = adaptive_test(items, answers, se_below=0.3, max_items=5)

    assert (result.n_items == 5).all()
    assert codes(result) == ["se-not-reached"]
    assert "40 of 40 tests" in result.cautions[0].text


def test_every_item_is_asked_once_and_missing_ones_never(codes):
    items, _, answers = simulate(6, 25)
    answers[0, 3:9] = nan
    answers[1] = nan
    result = adaptive_test(items, answers)

    assert result.n_items.tolist() == [19, 0, 25, 25, 25, 25]
    assert sorted(result.item[0, :19]) == [*range(3), *range(9, 25)]
    assert sorted(result.item[2]) == list(range(25))
    assert np.isnan([result.score[1], result.score_se[1]]).all()
    assert codes(result) == ["no-answers"]


def test_after_all_items_the_ability_is_that_of_the_whole_test():
    from harness.stats.irt.ability import abilities

    items, _, answers = simulate(20, 30, ability_sd=0.8)
    result = adaptive_test(items, answers)
    whole = abilities(items, answers, method="map")

    np.testing.assert_allclose(result.ability[:, -1], whole.ability, atol=1e-7)
    np.testing.assert_allclose(result.se[:, -1], whole.se, rtol=1e-6)
    # Nothing is left unseen, so nothing is left to chance.
    assert result.score_se.tolist() == [0.0] * 20


def test_abilities_stay_within_the_limit():
    items = ItemModel(
        model="2pl",
        item_ids=("easy", "hard"),
        discrimination=np.array([1.0, 1.0]),
        difficulty=np.array([-9.0, 9.0]),
        guessing=np.zeros(2),
        ability_sd=5.0,
    )
    hard = ItemModel(
        model="2pl",
        item_ids=tuple(map(str, range(400))),
        discrimination=np.ones(400),
        difficulty=np.full(400, 3.0),
        guessing=np.zeros(400),
    )

    assert (adaptive_test(hard, np.ones((1, 400))).ability <= LIMIT).all()
    assert adaptive_test(hard, np.ones((1, 400))).ability[0, -1] == LIMIT
    assert adaptive_test(items, np.ones((1, 2))).ability[0, -1] > LIMIT


def test_respondents_do_not_depend_on_their_neighbours():
    items, _, answers = simulate(30, 6000)
    together = adaptive_test(items, answers, max_items=10)
    for r in (0, 17, 29):
        alone = adaptive_test(items, answers[[r]], max_items=10)

        np.testing.assert_array_equal(alone.item[0], together.item[r])
        np.testing.assert_allclose(alone.ability[0], together.ability[r], atol=1e-9)
        assert alone.score[0] == pytest.approx(together.score[r])
        assert alone.score_se[0] == pytest.approx(together.score_se[r])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_items": 0}, "max_items is 0"),
        ({"se_below": -0.1}, "se_below is -0.1"),
        ({"se_below": nan}, "se_below is nan"),
    ],
)
def test_rules_that_cannot_stop_a_test_are_refused(options, words):
    items, _, answers = simulate(3, 5)

    with pytest.raises(DesignError, match=words) as caught:
        adaptive_test(items, answers, **options)
    assert caught.value.code == "bad-stopping-rule"


def test_responses_to_other_items_are_refused():
    items, _, answers = simulate(3, 5)

    with pytest.raises(DesignError) as caught:
        adaptive_test(items, answers[:, :4])
    assert caught.value.code == "responses-shape"


def test_paths_as_json_and_as_a_table():
    items, _, answers = simulate(4, 10)
    answers[1] = nan
    result = adaptive_test(items, answers, max_items=3)

    rows = json.loads(json.dumps(result.to_dict()))["respondents"]
    assert [len(row["items"]) for row in rows] == [3, 0, 3, 3]
    assert rows[1]["score"] is rows[1]["score_se"] is None
    frame = result.to_frame()
    assert frame["respondent"].tolist() == [0, 0, 0, 2, 2, 2, 3, 3, 3]
    assert frame["turn"].tolist() == [1, 2, 3] * 3
    assert frame["item_id"].tolist()[:3] == rows[0]["items"]
