"""Item response models: LSAT, R, girth, recovery, what is refused or told."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from harness.errors import DesignError
from harness.stats.irt.fit import fit_irt

GOLDEN = Path(__file__).parents[2] / "golden"
nan = math.nan

LSAT6 = (
    "00000:3 00001:6 00010:2 00011:11 00100:1 00101:1 00110:3 00111:4 01000:1 01001:8 "
    "01011:16 01101:3 01110:2 01111:15 10000:10 10001:29 10010:14 10011:81 10100:3 "
    "10101:28 10110:15 10111:80 11000:16 11001:56 11010:21 11011:173 11100:11 11101:61 "
    "11110:28 11111:298"
)
LSAT7 = (
    "00000:12 00001:19 00010:1 00011:7 00100:3 00101:19 00110:3 00111:17 01000:10 "
    "01001:5 01010:3 01011:7 01100:7 01101:23 01110:8 01111:28 10000:7 10001:39 "
    "10010:11 10011:34 10100:14 10101:51 10110:15 10111:90 11000:6 11001:25 11010:7 "
    "11011:35 11100:18 11101:136 11110:32 11111:308"
)
"""Counts of response patterns, 1000 respondents each: Bock and Lieberman (1970)."""


def responses_of(counts):
    pairs = (entry.split(":") for entry in counts.split())
    rows = [[float(x) for x in pattern] for pattern, n in pairs for _ in range(int(n))]
    return np.array(rows)


@pytest.fixture
def simulated():
    """Return a maker of (responses, a, b, theta), theta with mean 0 and SD 1."""

    def make(n_items, n_respondents, *, c=0.0, standardised=True, rng=0):
        rng = np.random.default_rng(rng)
        a = np.exp(rng.normal(0, 0.3, n_items))
        b = rng.normal(size=n_items)
        theta = rng.normal(size=n_respondents)
        if standardised:
            theta = (theta - theta.mean()) / theta.std()
        p = c + (1 - c) / (1 + np.exp(-a * (theta[:, None] - b)))
        return (rng.random(p.shape) < p) * 1.0, a, b, theta

    return make


def kept(fit, values):
    return values[np.array(fit.items.item_ids, dtype=int)]


def rmse(error):
    return float(np.sqrt(np.mean(error**2)))


@pytest.mark.parametrize("method", ["marginal", "girth"])
def test_2pl_of_lsat6_is_that_of_ltm(method):
    """R's ltm prints three decimals; girth reaches them too."""
    found = fit_irt(responses_of(LSAT6), method=method)

    assert found.log_likelihood == pytest.approx(-2466.653, abs=1e-3)
    assert found.items.discrimination == pytest.approx(
        [0.825, 0.723, 0.890, 0.689, 0.657], abs=1.5e-3
    )
    assert found.items.difficulty == pytest.approx(
        [-3.360, -1.370, -0.280, -1.866, -3.124], abs=2.5e-3
    )
    assert found.discrimination_se == pytest.approx(
        [0.258, 0.187, 0.233, 0.185, 0.210], abs=1e-3
    )
    assert found.difficulty_se == pytest.approx(
        [0.867, 0.307, 0.100, 0.434, 0.870], abs=2e-3
    )
    assert found.cautions == ()
    assert (found.guessing_se != found.guessing_se).all()


@pytest.mark.parametrize("method", ["marginal", "girth"])
def test_2pl_of_lsat7_is_that_of_mirt(method):
    """From mirt's own tests."""
    found = fit_irt(responses_of(LSAT7), method=method)

    a, b = found.items.discrimination, found.items.difficulty
    assert found.log_likelihood == pytest.approx(-2658.805, abs=1e-3)
    assert a == pytest.approx([0.988, 1.081, 1.706, 0.765, 0.736], abs=2e-3)
    assert -a * b == pytest.approx([1.856, 0.808, 1.804, 0.486, 1.855], abs=2e-3)


@pytest.mark.parametrize("method", ["marginal", "girth"])
@pytest.mark.parametrize(
    ("counts", "log_likelihood", "easiness", "sd"),
    [
        (LSAT6, -2466.938, [2.730, 0.999, 0.240, 1.306, 2.099], 0.755),
        (LSAT7, -2664.901, [1.868, 0.791, 1.461, 0.521, 1.993], 1.011),
    ],
)
def test_rasch_of_lsat_is_that_of_glmer(method, counts, log_likelihood, easiness, sd):
    """R's lme4 (nAGQ=21) and mirt."""
    responses = responses_of(counts)
    found = fit_irt(responses, model="rasch", method=method)
    one = fit_irt(responses, model="1pl", method=method)

    assert found.log_likelihood == pytest.approx(log_likelihood, abs=1e-3)
    assert -found.items.difficulty == pytest.approx(easiness, abs=1e-3)
    assert found.items.ability_sd == pytest.approx(sd, abs=1e-3)
    assert (found.items.discrimination == 1).all()
    # The same model in other units.
    assert one.log_likelihood == pytest.approx(found.log_likelihood, abs=1e-6)
    assert one.items.discrimination == pytest.approx(sd, abs=1e-3)
    assert one.items.difficulty * sd == pytest.approx(found.items.difficulty, abs=2e-3)
    assert one.ability * one.items.discrimination[0] == pytest.approx(found.ability)
    assert one.discrimination_se == pytest.approx(found.ability_sd_se)
    assert math.isnan(one.ability_sd_se)


def test_rasch_agrees_with_glmer_and_erm():
    """``golden/irt_rasch.R``: marginal to R's tolerance, conditional nearly."""
    with (GOLDEN / "irt_rasch.csv").open() as file:
        rows = list(csv.DictReader(file))
    known = {
        name: np.array([float(row[name]) for row in rows])
        for name in rows[0]
        if name != "item"
    }
    responses = np.loadtxt(
        GOLDEN / "irt_rasch_responses.csv", delimiter=",", skiprows=1
    )

    found = fit_irt(responses, model="rasch", item_ids=[row["item"] for row in rows])

    easiness = -found.items.difficulty
    assert easiness == pytest.approx(known["glmer_easiness"], abs=1e-4)
    assert found.difficulty_se == pytest.approx(known["glmer_se"], rel=1e-4)
    assert found.items.ability_sd == pytest.approx(
        known["glmer_ability_sd"][0], abs=1e-4
    )
    assert found.log_likelihood == pytest.approx(
        known["glmer_log_likelihood"][0], abs=1e-5
    )
    # Conditional on the sums no normal distribution is assumed: another estimator.
    assert easiness - easiness.mean() == pytest.approx(known["erm_easiness"], abs=0.03)
    assert found.items.item_ids == tuple(row["item"] for row in rows)


@pytest.mark.parametrize(
    ("n_items", "n_respondents", "method", "of_b", "of_theta"),
    [
        (100, 30, "marginal", 0.60, 0.24),
        (1_000, 200, "marginal", 0.26, 0.08),
        (1_000, 200, "joint", 0.26, 0.08),
        pytest.param(5_000, 400, "marginal", 0.2, 0.04, marks=pytest.mark.slow),
        pytest.param(5_000, 400, "joint", 0.2, 0.04, marks=pytest.mark.slow),
        pytest.param(14_000, 400, "marginal", 0.2, 0.03, marks=pytest.mark.slow),
        pytest.param(14_000, 400, "joint", 0.2, 0.03, marks=pytest.mark.slow),
    ],
)
def test_2pl_is_recovered(simulated, n_items, n_respondents, method, of_b, of_theta):
    """Without linking: the abilities' scale must not drift as items grow."""
    responses, _, b, theta = simulated(n_items, n_respondents)
    found = fit_irt(responses, method=method)

    share = kept(found, responses.mean(0))
    fair = (share > 0.05) & (share < 0.95)
    assert rmse((found.items.difficulty - kept(found, b))[fair]) < of_b
    assert rmse(found.ability - theta) < of_theta
    assert [c.code for c in found.cautions if c.code != "constant-items"][:1] == [
        "shrunken"
    ]


@pytest.mark.parametrize("method", ["marginal", "joint"])
def test_2pl_with_missing_responses_is_recovered(simulated, method):
    responses, _, b, theta = simulated(3_000, 300)
    responses[np.random.default_rng(1).random(responses.shape) < 0.3] = nan
    found = fit_irt(responses, method=method)

    share = kept(found, np.nanmean(responses, axis=0))
    fair = (share > 0.05) & (share < 0.95)
    assert rmse((found.items.difficulty - kept(found, b))[fair]) < 0.27
    assert rmse(found.ability - theta) < 0.06


def test_guessing_is_recovered(simulated):
    responses, a, b, _ = simulated(40, 4_000, c=0.2)
    found = fit_irt(responses, model="3pl")
    theta = np.linspace(-2, 2, 9)

    true = 0.2 + 0.8 / (1 + np.exp(-a * (theta[:, None] - b)))
    assert found.items.model == "3pl"
    assert rmse(found.items.probabilities(theta) - true) < 0.02
    assert rmse(found.items.guessing - 0.2) < 0.05
    assert np.corrcoef(found.items.difficulty, b)[0, 1] > 0.98
    inside = np.abs(found.items.guessing - 0.2) < 1.96 * found.guessing_se
    assert inside.mean() > 0.9


def test_the_prior_on_guessing_is_where_it_is_said():
    quarter, tenth = (
        fit_irt(responses_of(LSAT7), model="3pl", guessing=g) for g in (0.25, 0.1)
    )

    assert quarter.items.guessing.mean() == pytest.approx(0.25, abs=0.04)
    assert tenth.items.guessing.mean() == pytest.approx(0.1, abs=0.04)
    assert (quarter.guessing_se > 0.05).all()
    assert quarter.method.startswith("shrunken 3PL by marginal")


@pytest.mark.parametrize(
    ("n_items", "n_respondents", "method"),
    [
        (20, 600, "marginal"),
        (60, 100, "marginal"),
        (300, 600, "marginal"),
        (600, 100, "joint"),
    ],
)
def test_standard_errors_cover(simulated, n_items, n_respondents, method):
    """With abilities at random: that of their mean and SD belongs to the error."""
    inside = []
    for rep in range(10):
        responses, a, b, _ = simulated(
            n_items, n_respondents, standardised=False, rng=rep
        )
        found = fit_irt(responses, method=method)
        for value, se, true in (
            (found.items.discrimination, found.discrimination_se, a),
            (found.items.difficulty, found.difficulty_se, b),
        ):
            known = ~np.isnan(se)
            error = np.abs(value - kept(found, true))[known]
            inside.append((error < 1.96 * se[known]).mean())

    assert np.mean(inside[::2]) == pytest.approx(0.95, abs=0.035)
    assert np.mean(inside[1::2]) == pytest.approx(0.95, abs=0.035)


@pytest.mark.parametrize(
    ("model", "method", "n_items", "fixed"),
    [
        ("rasch", "marginal", 8, [0, 2]),
        ("1pl", "marginal", 120, [2]),
        ("2pl", "marginal", 8, [2]),
        ("2pl", "girth", 8, [2]),
        ("2pl", "joint", 600, [2]),
        ("3pl", "marginal", 8, []),
        ("3pl", "marginal", 120, []),
    ],
)
def test_the_covariance_has_the_errors_squared(
    simulated, model, method, n_items, fixed
):
    responses = simulated(n_items, 1_200, c=0.2 * (model == "3pl"), rng=3)[0]
    found = fit_irt(responses, model=model, method=method)
    errors = (found.discrimination_se, found.difficulty_se, found.guessing_se)

    own = found.covariance
    assert own.shape == (len(found.items.item_ids), 3, 3)
    assert own == pytest.approx(np.swapaxes(own, 1, 2))
    for place, se in enumerate(errors):
        if place in fixed:
            assert not own[:, place].any()
            assert np.isnan(se).all()
        else:
            known = ~np.isnan(se)
            assert known.any()
            assert own[known, place, place] == pytest.approx(se[known] ** 2)
    free = [place for place in range(3) if place not in fixed]
    assert (np.linalg.eigvalsh(own[:, free][:, :, free]) > 0).all()
    half = fit_irt(responses, model=model, method=method, n_independent=1_000)
    assert half.covariance == pytest.approx(own * 1.2)


def test_few_respondents_get_a_rasch_model(simulated):
    responses = simulated(30, 19)[0]
    few = fit_irt(responses)
    asked = fit_irt(responses, model="rasch")
    guessed = fit_irt(responses, model="3pl")

    assert few.items.model == guessed.items.model == "rasch"
    assert few.items.difficulty.tolist() == asked.items.difficulty.tolist()
    assert [c.code for c in few.cautions if c.code != "constant-items"] == [
        "too-few-for-slopes"
    ]
    assert [c.code for c in guessed.cautions if c.code != "constant-items"] == [
        "too-few-for-guessing",
        "too-few-for-slopes",
    ]


@pytest.mark.parametrize(("n", "is_shrunken"), [(499, True), (500, False)])
def test_priors_end_where_respondents_suffice(simulated, codes, n, is_shrunken):
    found = fit_irt(simulated(10, n)[0])

    assert codes(found) == ["shrunken"] * is_shrunken
    assert found.method.startswith("shrunken 2PL" if is_shrunken else "2PL")


def test_dependent_respondents_bear_less(simulated, codes):
    responses = simulated(10, 600)[0]
    free, runs, few = (fit_irt(responses, n_independent=n) for n in (None, 150, 12))

    assert (free.n_independent, runs.n_independent, few.n_independent) == (600, 150, 12)
    assert codes(free) == []
    assert codes(runs) == ["shrunken", "dependent-respondents"]
    assert codes(few) == ["too-few-for-slopes", "dependent-respondents"]
    rasch = fit_irt(responses, model="rasch")
    assert few.difficulty_se == pytest.approx(rasch.difficulty_se * math.sqrt(50))
    assert few.ability_sd_se == pytest.approx(rasch.ability_sd_se * math.sqrt(50))
    assert few.ability_se == pytest.approx(rasch.ability_se)


@pytest.mark.parametrize("method", ["marginal", "joint", "girth"])
def test_constant_items_are_dropped_and_told(simulated, method):
    responses = simulated(12, 600)[0]
    found = fit_irt(responses, method=method)
    padded = np.column_stack(
        [np.ones(600), responses, np.zeros(600), np.full(600, nan)]
    )
    names = ["all", *(f"i{i}" for i in range(12)), "none", "unasked"]
    with_more = fit_irt(padded, item_ids=names, method=method)

    assert with_more.dropped == ("all", "none", "unasked")
    assert with_more.items.item_ids == tuple(names[1:13])
    assert with_more.items.difficulty == pytest.approx(found.items.difficulty)
    told = with_more.cautions[0]
    assert told.code == "constant-items"
    assert "3 of 15" in told.text
    assert told.text.endswith("all, none, unasked")


def test_who_answered_nothing_has_no_ability(simulated, codes):
    responses = simulated(12, 600)[0]
    found = fit_irt(responses)
    gaps = np.insert(responses, [0, 0, 300, 300], nan, axis=0)
    others = fit_irt(gaps)

    assert codes(others) == ["unanswered-respondents"]
    assert others.cautions[0].text.endswith("rows 0, 1, 302, ...")
    assert np.flatnonzero(np.isnan(others.ability)).tolist() == [0, 1, 302, 303]
    assert others.n_respondents == 600
    assert others.log_likelihood == pytest.approx(found.log_likelihood)


@pytest.mark.parametrize("method", ["marginal", "joint"])
def test_a_separating_item_is_held(simulated, codes, method):
    """The most able and nobody else is right: no discrimination is steep enough."""
    responses, _, _, theta = simulated(60, 600)
    step = np.column_stack([responses, theta > np.sort(theta)[-6]])
    step[:, -1] = responses.sum(1) > np.sort(responses.sum(1))[-12]
    if method == "joint":  # priors hold it
        assert np.isfinite(fit_irt(step, method=method).difficulty_se).all()
        return
    found = fit_irt(step, method=method)

    assert codes(found) == ["parameters-on-a-bound"]
    assert found.cautions[0].text.endswith(": 60")
    assert 6 < found.items.discrimination[-1] < 8
    assert np.flatnonzero(np.isnan(found.difficulty_se)).tolist() == [60]
    assert np.flatnonzero(np.isnan(found.covariance).all((1, 2))).tolist() == [60]
    assert found.to_dict()["covariance"][60] == [[None] * 3] * 3


def test_two_items_do_not_determine_two_slopes(simulated, codes):
    """Four parameters, three free counts."""
    responses = simulated(2, 2_000)[0]

    found = fit_irt(responses)
    assert codes(found) == ["undetermined-items"]
    assert found.cautions[0].text.endswith("would: 0, 1")
    assert codes(fit_irt(responses, model="1pl")) == []


@pytest.mark.parametrize("method", ["marginal", "joint"])
def test_a_difficulty_that_is_anything_has_no_error(simulated, codes, method):
    """An item that nobody's ability bears on: b is an intercept over nearly 0."""
    responses, _, _, theta = simulated(60, 200)
    responses[np.argsort(theta), 7] = np.arange(200) % 4 == 0
    found = fit_irt(responses, method=method)

    assert "undetermined-items" in codes(found)
    (told,) = (c for c in found.cautions if c.code == "undetermined-items")
    assert "the difficulty of 1 of 60 items" in told.text
    assert told.text.endswith(": 7")
    assert np.flatnonzero(np.isnan(found.difficulty_se)).tolist() == [7]
    assert found.items.difficulty[7] > 20
    # What is asked of a curve is known all the same.
    assert np.isfinite(found.discrimination_se[7])
    assert np.isfinite(found.covariance).all()
    assert found.items.probabilities(np.array([-2.0, 0, 2]))[:, 7] == pytest.approx(
        0.25, abs=0.1
    )


def test_a_difficulty_of_few_independent_respondents_may_not_be_determined(simulated):
    responses = simulated(30, 600, rng=5)[0]
    free, few = (fit_irt(responses, n_independent=n) for n in (600, 20))

    assert np.isfinite(free.difficulty_se).all()
    gone = np.isnan(few.difficulty_se)
    assert gone.any()
    assert few.difficulty_se[~gone].max() < 3
    assert f"the difficulty of {gone.sum()} of 30" in few.cautions[-1].text


def test_a_3pl_says_that_a_prior_holds_guessing(codes):
    """Of LSAT6 it has a lower log-likelihood than the 2PL, which it nests."""
    guessed = fit_irt(responses_of(LSAT6), model="3pl", guessing=0.2)
    plain = fit_irt(responses_of(LSAT6))

    assert codes(guessed) == ["guessing-prior"]
    assert "towards 0.2 by a prior that weighs 20 answers" in guessed.cautions[0].text
    assert guessed.items.guessing == pytest.approx(0.2, abs=0.03)
    assert guessed.log_likelihood < plain.log_likelihood
    assert codes(plain) == []


def test_a_negative_discrimination_stays_one(simulated):
    responses = simulated(20, 600)[0]
    responses[:, 3] = 1 - responses[:, 3]
    found = fit_irt(responses)

    assert (found.items.discrimination < 0).tolist() == [i == 3 for i in range(20)]


def test_one_steep_item_does_not_turn_the_scale():
    """The one right answer to it is of someone who has nothing else right."""
    responses = np.column_stack([responses_of(LSAT6), np.arange(1000) == 0])
    found = fit_irt(responses)

    assert (found.items.discrimination > 0).tolist() == [True] * 5 + [False]


@pytest.mark.parametrize("method", ["marginal", "joint"])
def test_more_items_rise_with_ability_than_fall(method):
    """Though the few steep ones make the sums of right answers."""
    rng = np.random.default_rng(0)
    a = np.array([2.5] * 5 + [-0.4] * 7)
    p = 1 / (1 + np.exp(-a * rng.normal(size=(2_000, 1))))
    found = fit_irt((rng.random(p.shape) < p) * 1.0, method=method)

    assert found.items.discrimination == pytest.approx(-a, abs=0.6)


def test_a_joint_fit_of_few_items_is_told(simulated, codes):
    found = fit_irt(simulated(40, 600)[0], method="joint")

    assert codes(found) == ["few-items-for-joint"]
    assert math.isnan(found.log_likelihood)
    assert found.to_dict()["log_likelihood"] is None


def test_very_many_items_are_fitted_jointly(simulated, monkeypatch):
    monkeypatch.setattr("harness.stats.irt.fit.MANY_ITEMS", 20)
    responses = simulated(21, 600)[0]

    assert "joint" in fit_irt(responses).method
    assert "marginal" in fit_irt(responses[:, :20]).method
    assert "marginal" in fit_irt(responses, model="3pl").method


def test_a_fit_that_does_not_settle_is_told(simulated, codes, monkeypatch):
    monkeypatch.setattr("harness.stats.irt.marginal.MOST_PASSES", 3)
    monkeypatch.setattr("harness.stats.irt.joint.MOST_PASSES", 1)
    responses = simulated(600, 600)[0]

    assert "not-converged" in codes(fit_irt(responses[:, :10]))
    assert "not-converged" in codes(fit_irt(responses, method="joint"))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"model": "4pl"}, "unknown-model"),
        ({"method": "mcmc"}, "unknown-method"),
        ({"model": "3pl", "method": "joint"}, "unfit-method"),
        ({"model": "3pl", "method": "girth"}, "unfit-method"),
        ({"guessing": 0.0}, "bad-guessing"),
        ({"guessing": nan}, "bad-guessing"),
        ({"n_independent": 0}, "bad-n-independent"),
        ({"n_independent": 601}, "bad-n-independent"),
        ({"n_independent": 4}, "too-few-respondents"),
        ({"item_ids": ["one"]}, "responses-shape"),
    ],
)
def test_options_that_cannot_be_are_refused(simulated, options, code):
    with pytest.raises(DesignError) as refused:
        fit_irt(simulated(10, 600)[0], **options)

    assert refused.value.code == code


@pytest.mark.parametrize(
    ("responses", "code"),
    [
        (np.ones(5), "responses-shape"),
        (np.full((9, 3), 0.5), "responses-not-binary"),
        (np.eye(4), "too-few-respondents"),
        (np.empty((0, 3)), "too-few-respondents"),
        (np.full((9, 3), nan), "too-few-respondents"),
        (np.column_stack([np.arange(9) % 2, np.ones(9)]), "too-few-items"),
    ],
)
def test_tables_that_cannot_be_fitted_are_refused(responses, code):
    with pytest.raises(DesignError) as refused:
        fit_irt(responses)

    assert refused.value.code == code


def test_girth_is_refused_beyond_its_grid(simulated):
    """Near 1,000 items it underflows in silence; its nodes are too far apart before."""
    with pytest.raises(DesignError, match="method='marginal'") as refused:
        fit_irt(simulated(200, 600)[0], method="girth")

    assert refused.value.code == "grid-too-coarse"


def test_girth_takes_missing_responses(simulated):
    responses = simulated(10, 1_000)[0]
    responses[np.random.default_rng(1).random(responses.shape) < 0.2] = nan
    ours, theirs = (fit_irt(responses, method=m) for m in ("marginal", "girth"))

    a, b = theirs.items.discrimination, theirs.items.difficulty
    assert a == pytest.approx(ours.items.discrimination, abs=0.01)
    assert b == pytest.approx(ours.items.difficulty, abs=0.05)
    assert theirs.log_likelihood < ours.log_likelihood


def test_girth_on_its_bound_is_told(codes):
    responses = responses_of(LSAT6)
    responses = np.column_stack([responses, np.arange(1000) == 0])
    found = fit_irt(responses, method="girth")

    assert codes(found) == ["parameters-on-a-bound"]
    assert np.isnan(found.difficulty_se[-1])


def test_a_fit_is_a_table_and_plain_types(simulated):
    found = fit_irt(simulated(10, 600)[0])
    frame, plain = found.to_frame(), found.to_dict()

    assert frame["item_id"].tolist() == [str(i) for i in range(10)]
    assert frame["difficulty_se"].tolist() == found.difficulty_se.tolist()
    assert plain["n_independent"] == 600
    assert plain["guessing_se"] == [None] * 10
    assert plain["ability_sd_se"] is None
    assert plain["covariance"][0] == found.covariance[0].tolist()


def test_respondents_that_chance_alone_tells_apart_are_told_so(codes):
    """Each answers exactly half of the items: less spread than chance would give."""
    responses = np.array([np.roll([1.0, 0.0] * 10, r) for r in range(40)])

    fit = fit_irt(responses, model="rasch")

    assert "abilities-alike" in codes(fit)
    assert fit.items.ability_sd < 1e-3
