"""Signal and noise: the published example, traps, scipy, coverage, edges."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from stats.series_designs import runs, two_scales

from harness.errors import DesignError
from harness.stats.decisions import averaging_gain, decision_accuracy
from harness.stats.signal import SCALE_NAMES, SIGNAL_NAMES, signal_noise
from harness.stats.task_filter import filter_subtasks
from harness.stats.variation import (
    checkpoints_needed,
    tolerance_probability,
    total_variation,
)

MODELS = np.array([0.40, 0.46, 0.52, 0.50])[:, None, None]
RUN = np.array([0.50, 0.51, 0.49, 0.52, 0.50])[None, None]
"""Four models of one checkpoint each, and the last five of one long run."""

nan = math.nan


def codes(estimate):
    return [caution.code for caution in estimate.cautions]


def some_runs(n_models=12, n_seeds=2, n_steps=6, seed=1, **options):
    rng = np.random.default_rng(seed)
    found = [runs(n_models, n_steps, rng=rng, **options)[0] for _ in range(n_seeds)]
    apart = np.stack(found, axis=1)
    # Seeds of one model share its level.
    return apart - apart.mean(-1, keepdims=True) + apart.mean((1, 2), keepdims=True)


def test_the_worked_example():
    """.12 / .47 and sqrt(.00052 / 4) / .504, by hand."""
    found = signal_noise(MODELS, runs=RUN, rng=1)

    assert found.signal.value == pytest.approx(0.255319, abs=5e-7)
    assert found.noise.value == pytest.approx(0.0226225, abs=5e-8)
    assert found.snr.value == pytest.approx(11.286, abs=5e-4)
    assert (found.n_models, found.n_runs, found.n_last) == (4, 1, 5)


def test_the_official_code_divides_by_n():
    """Its 12.618 comes of ddof 0, where the paper has n - 1."""
    found = signal_noise(MODELS, runs=RUN, rng=1)

    assert found.snr.value * math.sqrt(5 / 4) == pytest.approx(12.618, abs=5e-4)


def test_noise_is_never_pooled_over_models():
    """The official README flattens (model, checkpoint): its noise holds the signal."""
    scores = some_runs(signal=0.1, noise=0.001)

    found = signal_noise(scores, scale="score", rng=1)

    flattened = scores[..., -5:].std(ddof=1)
    assert found.noise.value == pytest.approx(0.001, rel=0.3)
    assert flattened > 50 * found.noise.value


def test_seeds_are_averaged_before_models():
    """A model with three seeds does not count more than one with a single seed."""
    wide, narrow = np.array([0.4, 0.6, 0.4, 0.6]), np.array([0.49, 0.51, 0.49, 0.51])
    missing = np.full(4, nan)
    scores = np.array([[wide, wide, wide], [narrow, missing, missing]])

    found = signal_noise(scores, n_last=4, scale="score", rng=1)

    assert found.noise.value == pytest.approx(
        (wide.std(ddof=1) + narrow.std(ddof=1)) / 2
    )
    assert found.noise.n == 4


@pytest.mark.parametrize(
    ("signal", "value"),
    [
        ("range", 0.12),
        ("rel-std", math.sqrt(0.0084 / 3)),
        # Six pairs lie .06, .12, .10, .06, .04 and .02 apart.
        ("mean-distance", 0.4 / 6),
    ],
)
def test_each_signal_by_hand(signal, value):
    found = signal_noise(MODELS, runs=RUN, signal=signal, rng=1)

    assert found.signal.value == pytest.approx(value / 0.47)
    assert ("range-of-n-models" in codes(found.signal)) == (signal == "range")


def test_each_scale_by_hand():
    values = {
        scale: signal_noise(MODELS, runs=RUN, scale=scale, chance=0.25, rng=1)
        for scale in SCALE_NAMES
    }

    assert values["score"].signal.value == pytest.approx(0.12)
    assert values["chance"].signal.value == pytest.approx(0.12 / 0.22)
    assert values["chance"].noise.value == pytest.approx(0.0114018 / 0.254, rel=1e-5)
    assert values["score"].snr.value == pytest.approx(0.12 / 0.0114018, rel=1e-5)


def test_log_likelihoods_are_divided_by_their_magnitude():
    below = signal_noise(-MODELS, runs=-RUN, rng=1)

    assert below.snr.value == pytest.approx(11.286, abs=5e-4)
    assert below.noise.value > 0


@pytest.mark.parametrize("scale", ["score", "chance"])
def test_two_scales_do_not_move_with_a_constant(scale):
    scores = some_runs()
    one = signal_noise(scores, scale=scale, chance=0.25, rng=1)
    moved = signal_noise(scores + 1, scale=scale, chance=1.25, rng=1)
    relative = [signal_noise(scores + shift, rng=1).noise.value for shift in (0, 1)]

    assert moved.snr.value == pytest.approx(one.snr.value)
    assert moved.noise.value == pytest.approx(one.noise.value)
    assert relative[1] < 0.5 * relative[0]


def test_n_last_changes_the_noise():
    scores = some_runs(n_steps=10)
    scores[..., 0] += 0.1

    short, long = (signal_noise(scores, n_last=n, rng=1).noise.value for n in (5, 10))

    assert long > 2 * short


def test_the_interval_of_one_run_is_chi_square_s():
    from scipy.stats import chi2

    found = signal_noise(MODELS, runs=RUN, scale="score", n_resamples=200_000, rng=1)

    ends = 0.0114018 * np.sqrt(4 / chi2.ppf([0.975, 0.025], 4))
    assert found.noise.interval == pytest.approx(ends, rel=0.02)


def test_the_interval_of_the_ratio_of_sds_is_f_s():
    from scipy.stats import f

    found = signal_noise(
        MODELS, runs=RUN, signal="rel-std", scale="score", n_resamples=200_000, rng=1
    )

    # The signal's truth is the mean of SDs of 4, c4 = .921318 of the SD.
    ends = found.snr.value * 0.921318 / np.sqrt(f.ppf([0.975, 0.025], 3, 4))
    assert found.snr.interval == pytest.approx(ends, rel=0.03)


def test_equal_models_show_the_mean_range_of_noise():
    """Tippett's 2.0588 SDs for four models; less by sqrt(3) with three seeds each."""
    found = signal_noise(MODELS, runs=RUN, n_resamples=200_000, rng=1)
    with_seeds = signal_noise(np.repeat(MODELS, 3, axis=1), runs=RUN, rng=1)

    assert found.snr_of_equals == pytest.approx(2.0588, rel=0.005)
    assert with_seeds.snr_of_equals == pytest.approx(2.0588 / math.sqrt(3), rel=0.03)


def test_models_that_do_not_differ_are_told():
    same = some_runs(signal=0, n_seeds=1)
    apart = some_runs(signal=0.2, n_seeds=1)

    assert "signal-within-noise" in codes(signal_noise(same, rng=1).snr)
    assert "signal-within-noise" not in codes(signal_noise(apart, rng=1).snr)


@pytest.mark.parametrize("n_last", [5, 30])
def test_checkpoints_that_resemble_their_neighbours_are_told(n_last):
    rng = np.random.default_rng(12)
    scores = rng.normal(size=(40, 1, n_last))
    for t in range(1, n_last):
        scores[..., t] = 0.9 * scores[..., t - 1] + math.sqrt(0.19) * scores[..., t]
    # Every other run turned about, so that they do not rise or fall together.
    scores[::2] = scores[::2][..., ::-1]
    scores -= scores.mean((0, 1))
    shuffled = rng.permuted(scores, axis=-1)

    for table, told in ((scores, True), (shuffled, False)):
        found = signal_noise(table, n_last=n_last, scale="score", rng=1).noise
        assert ("carried-over" in codes(found)) == told


@pytest.mark.parametrize(
    ("n_models", "n_last", "told"), [(10, 5, True), (90, 5, False), (10, 15, False)]
)
def test_correlation_that_could_not_show_is_told(n_models, n_last, told):
    """By hand: .5 - 2 / n against three times (n - 2) / (n sqrt((n - 1) runs))."""
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(n_models, 1, n_last))
    found = signal_noise(scores, n_last=n_last, scale="score", rng=1).noise

    assert ("unseen-carry-over" in codes(found)) == told


def test_few_checkpoints_have_no_neighbours_to_resemble():
    found = signal_noise(MODELS[..., :1] + [0, 0.1], n_last=2, scale="score", rng=1)

    assert "carried-over" not in codes(found.noise)


def test_a_resampled_range_never_exceeds_the_one_at_hand():
    """Why models are not resampled: the interval would end at the estimate."""
    picks = np.random.default_rng(1).integers(4, size=(999, 4))

    assert np.ptp(MODELS[picks, 0, 0], axis=1).max() <= 0.12 + 1e-12
    found = signal_noise(MODELS, runs=RUN, rng=1).signal
    assert found.interval.low < found.value < found.interval.high


@pytest.mark.slow
@pytest.mark.parametrize("signal", SIGNAL_NAMES)
@pytest.mark.parametrize(("n_models", "n_last"), [(4, 5), (25, 5), (10, 30)])
def test_intervals_of_signal_noise_and_ratio_cover(signal, n_models, n_last):
    rng = np.random.default_rng(2)
    draws = [
        runs(n_models, n_last, rng=rng, signal=0.05, noise=0.01)[0][:, None]
        for _ in range(400)
    ]
    found = [
        signal_noise(
            x, n_last=n_last, signal=signal, scale="score", n_resamples=1000, rng=rng
        )
        for x in draws
    ]

    truth = np.mean([r.signal.value for r in found])
    for name, true in (("signal", truth), ("noise", 0.01), ("snr", truth / 0.01)):
        ends = np.array([getattr(r, name).interval for r in found])
        covered = np.mean((ends[:, 0] <= true) & (ends[:, 1] >= true))
        assert 0.92 <= covered <= 0.98, name


def test_too_few_models_checkpoints_or_no_chance():
    one_model = signal_noise(RUN, rng=1)
    one_step = signal_noise(MODELS, rng=1)
    no_chance = signal_noise(MODELS, runs=RUN, scale="chance", rng=1)
    nothing = signal_noise(np.full((2, 1, 3), nan), rng=1)

    assert codes(one_model.signal) == codes(one_model.snr) == ["one-model"]
    assert one_model.noise.value > 0
    assert codes(one_step.noise) == codes(one_step.snr) == ["one-checkpoint"]
    assert math.isnan(one_model.snr_of_equals)
    for estimate in (no_chance.signal, no_chance.noise, no_chance.snr):
        assert codes(estimate) == ["no-chance-level"]
    assert codes(nothing.signal) == ["one-model"]
    assert codes(one_model.decision_accuracy) == ["no-larger-models"]


def test_cautions_name_what_is_wrong_with_runs():
    few = signal_noise(some_runs()[..., -3:], rng=1)
    rising = signal_noise(some_runs(noise=1e-4) + np.arange(6) * 0.01, rng=1)
    falling = signal_noise(some_runs(noise=1e-4) - np.arange(6) * 0.01, rng=1)
    still = signal_noise(np.tile(MODELS, 5), rng=1)
    at_zero = signal_noise(some_runs(mean=0.0), rng=1)
    uneven = some_runs()
    uneven[0, 0, -1] = nan
    skewed = np.append(np.zeros(9), 1.0)[:, None, None] + some_runs(10, noise=0.1)

    assert "few-checkpoints" in codes(few.noise)
    assert "still-moving" in codes(rising.noise)
    assert any("fall" in c.text for c in falling.noise.cautions)
    assert codes(still.noise) == codes(still.snr) == ["constant-over-checkpoints"]
    assert still.noise.value == 0
    assert "scale-near-zero" in codes(at_zero.signal)
    in_scores = signal_noise(some_runs(mean=0.0), scale="score", rng=1).noise
    assert codes(in_scores) == ["unseen-carry-over"]
    assert codes(signal_noise(uneven, rng=1)) == ["unequal-last-steps"]
    assert "skewed-models" in codes(signal_noise(skewed, rng=1).signal)
    alike = signal_noise(np.full((9, 1, 1), 0.5), runs=RUN, rng=1)
    assert alike.signal.value == 0
    assert "skewed-models" not in codes(alike.signal)


def test_models_that_tie_have_a_signal_of_0_without_an_interval():
    alike = signal_noise(np.full((9, 1, 1), 0.5), runs=RUN, rng=1)
    at_zero = signal_noise(np.zeros((9, 1, 1)), runs=RUN, rng=1)
    in_scores = signal_noise(np.zeros((9, 1, 1)), runs=RUN, scale="score", rng=1)

    for found in (alike, in_scores):
        for estimate in (found.signal, found.snr):
            assert estimate.value == 0
            assert np.isnan(estimate.interval).all()
            assert codes(estimate)[0] == "models-tie"
        assert found.snr_of_equals == pytest.approx(2.97, abs=0.03)
    assert codes(at_zero.signal) == codes(at_zero.snr) == ["scale-near-zero"]
    assert math.isnan(at_zero.signal.value)


def test_fewer_checkpoints_than_asked_are_told():
    scores = some_runs(n_steps=8)
    found = signal_noise(scores, n_last=30, rng=1)
    exact = signal_noise(scores, n_last=8, rng=1)

    assert found.n_last == exact.n_last == 8
    assert found.noise.value == exact.noise.value
    assert found.noise.method == exact.noise.method
    assert "SD of the last 8 checkpoints" in found.noise.method
    assert "fewer-checkpoints" in codes(found.noise)
    assert "fewer-checkpoints" not in codes(exact.noise)
    (told,) = (c for c in found.noise.cautions if c.code == "fewer-checkpoints")
    assert told.text.startswith("24 of 24 runs have fewer checkpoints than the last 30")
    assert signal_noise(scores[..., :4], rng=1).n_last == 4


def test_missing_checkpoints_leave_the_last_that_are_there():
    holed = np.insert(some_runs(), 4, nan, axis=2)

    assert signal_noise(holed, rng=1) == signal_noise(some_runs(), rng=1)


def test_a_result_as_json_and_as_a_row():
    found = signal_noise(MODELS, runs=RUN, larger=np.arange(4.0), rng=1)

    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    (row,) = found.to_frame().to_dict("records")
    assert told["snr"]["value"] == row["snr"] == found.snr.value
    assert row["noise_high"] == found.noise.interval.high
    assert row["cautions"].startswith("range-of-n-models ")
    empty = signal_noise(RUN, rng=1).to_dict()
    assert empty["snr_of_equals"] is empty["snr"]["value"] is None


def test_results_depend_on_the_random_stream_alone():
    one, same, other = (signal_noise(MODELS, runs=RUN, rng=rng) for rng in (1, 1, 2))

    assert one == same
    assert one.snr.interval != other.snr.interval
    assert one.snr.interval == pytest.approx(other.snr.interval, rel=0.1)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: signal_noise(MODELS, n_last=1), "bad-n-last"),
        (lambda: signal_noise(MODELS, signal="gini"), "unknown-method"),
        (lambda: signal_noise(MODELS, scale="log"), "unknown-method"),
        (lambda: averaging_gain(MODELS, np.ones(4), n_last=1), "bad-n-last"),
        (lambda: filter_subtasks(MODELS[None]), "bad-n-last"),
        (lambda: filter_subtasks(np.full((2, 4, 1, 5), nan)), "missing-scores"),
        (lambda: decision_accuracy(np.ones(3), np.ones(4)), "unequal-lengths"),
        (lambda: tolerance_probability(1, 0.5), "bad-tolerance"),
        (lambda: checkpoints_needed(0), "bad-tolerance"),
    ],
)
def test_bad_input_is_refused(call, code):
    with pytest.raises(DesignError) as caught:
        call()

    assert caught.value.code == code


def test_decision_accuracy_by_hand():
    """Of six pairs only models 3 and 4 change places."""
    found = decision_accuracy(np.array([1, 2, 3, 4]), np.array([1, 2, 4, 3]))

    assert found.value == pytest.approx(5 / 6)
    assert codes(found) == ["few-models", "few-disagreements"]
    reverse = decision_accuracy(np.arange(8), -np.arange(8))
    assert (reverse.value, codes(reverse)) == (0, [])


@given(
    arrays(np.float64, 9, elements=st.integers(0, 10**6).map(float), unique=True),
    arrays(np.float64, 9, elements=st.integers(0, 10**6).map(float), unique=True),
)
def test_without_ties_it_is_kendall_s_tau(small, large):
    from scipy.stats import kendalltau

    found = decision_accuracy(small, large)

    assert 2 * found.value - 1 == pytest.approx(kendalltau(small, large).statistic)
    assert found.interval.low - 1e-12 <= found.value <= found.interval.high + 1e-12


def test_ties_are_wrong_at_one_scale_and_right_at_both():
    small, large = np.array([1, 1, 2, 3, 4, 5]), np.array([1, 1, 3, 3, 4, 5])

    found = decision_accuracy(small, large)

    assert found.value == pytest.approx(14 / 15)
    assert codes(found) == ["tied-pairs", "few-disagreements"]
    assert "2 of 15" in found.cautions[0].text


def test_its_jackknife_leaves_out_one_model_at_a_time():
    small, large = two_scales(8, rng=np.random.default_rng(3))

    without = [
        decision_accuracy(np.delete(small, i), np.delete(large, i)).value
        for i in range(8)
    ]

    se = math.sqrt(7 / 8 * ((without - np.mean(without)) ** 2).sum())
    assert decision_accuracy(small, large).se == pytest.approx(se)


def test_a_model_missing_at_one_scale_is_left_out():
    small, large = np.array([1, 2, 3, nan]), np.array([1, 3, 2, 4])

    assert decision_accuracy(small, large) == decision_accuracy(small[:3], large[:3])
    assert codes(decision_accuracy(small[2:], large[2:])) == ["one-model"]
    two = decision_accuracy(small[:2], large[:2])
    assert (two.value, two.interval.high) == (1, 1)
    assert two.interval.low < 0.25
    none_right = decision_accuracy(small[:2], -large[:2])
    assert none_right.interval.low == none_right.value == 0


def test_a_level_changes_the_interval_of_decisions():
    small, large = two_scales(8, rng=np.random.default_rng(3))

    wide, narrow = (
        decision_accuracy(small, large, confidence_level=c) for c in (0.95, 0.5)
    )
    assert wide.interval.low < narrow.interval.low


@pytest.mark.slow
@pytest.mark.parametrize("n_models", [8, 10, 25])
@pytest.mark.parametrize("noise", [0.005, 0.02, 0.05, 0.2])
def test_decision_accuracy_covers(n_models, noise):
    rng = np.random.default_rng(4)
    rho = 0.05**2 / (0.05**2 + noise**2)
    truth = 0.5 + math.asin(rho) / math.pi
    ends = np.array(
        [
            decision_accuracy(*two_scales(n_models, rng=rng, noise=noise)).interval
            for _ in range(1000)
        ]
    )

    covered = np.mean((ends[:, 0] <= truth) & (ends[:, 1] >= truth))
    assert 0.93 <= covered <= (0.97 if noise > 0.02 else 0.995)


def test_averaging_the_last_checkpoints_decides_better():
    rng = np.random.default_rng(5)
    scores, truth = runs(40, 8, rng=rng, signal=0.05, noise=0.05)

    found = averaging_gain(scores[:, None], truth, n_last=8)

    assert found.last.value == decision_accuracy(scores[:, -1], truth).value
    assert found.averaged.value == decision_accuracy(scores.mean(1), truth).value
    assert found.gain.value == found.averaged.value - found.last.value > 0
    assert found.gain.interval.low < found.gain.value < found.gain.interval.high
    assert averaging_gain(scores[:, None], truth, n_last=2).gain.value != (
        found.gain.value
    )
    assert found.to_dict()["gain"]["value"] == found.gain.value


def test_averaging_decides_at_the_checkpoint_that_signal_and_noise_do():
    """One model stops two steps short: all are compared where it stops."""
    rng = np.random.default_rng(7)
    scores, truth = runs(8, 9, rng=rng, signal=0.05, noise=0.05)
    scores = scores[:, None]
    scores[3, 0, -2:] = nan
    gain = averaging_gain(scores, truth)
    short = averaging_gain(scores[..., :-2], truth)
    found = signal_noise(scores, larger=truth, rng=1)

    assert gain.last == found.decision_accuracy
    assert codes(gain) == codes(found) == ["unequal-last-steps"]
    assert (gain.last, gain.averaged, gain.gain) == (
        short.last,
        short.averaged,
        short.gain,
    )
    assert codes(short) == []
    assert gain.to_dict()["cautions"][0]["code"] == "unequal-last-steps"


def test_averaging_compares_the_same_runs():
    """A run without the last checkpoint is in neither mean."""
    scores, truth = runs(8, 6, rng=np.random.default_rng(7), signal=0.05, noise=0.05)
    scores = np.stack([scores, scores + 0.01], axis=1)
    scores[0, :, 3:] = scores[1, 1, 3:] = scores[2:, 0, :3] = nan
    gain = averaging_gain(scores, truth, n_last=30)

    assert gain.last.n == gain.averaged.n == gain.gain.n == 7
    assert gain.n_last == 6
    assert codes(gain) == ["unequal-last-steps", "fewer-checkpoints"]
    assert "mean of the last 6 checkpoints" in gain.gain.method


def test_a_gain_that_cannot_be_told():
    scores = np.linspace(0.2, 0.9, 9)[:, None, None] + np.zeros(3)

    none = averaging_gain(scores[:1], np.ones(1)).gain
    steady = averaging_gain(scores, np.arange(9.0)).gain

    assert codes(none) == ["one-model"]
    assert codes(steady) == ["few-models", "constant-over-models"]
    assert steady.value == 0
    assert math.isnan(steady.interval.low)


@pytest.mark.slow
@pytest.mark.parametrize("n_models", [10, 25])
def test_the_interval_of_the_gain_covers(n_models):
    rng = np.random.default_rng(6)
    found = []
    for _ in range(600):
        scores, truth = runs(n_models, 5, rng=rng, signal=0.05, noise=0.05)
        found.append(averaging_gain(scores[:, None], truth).gain)

    true = np.mean([e.value for e in found])
    ends = np.array([e.interval for e in found])
    covered = np.mean((ends[:, 0] <= true) & (ends[:, 1] >= true))
    assert 0.91 <= covered <= 0.98


def test_total_variation_of_the_worked_example():
    """(.01 + .02 + .03 + .02) / 4, and nothing gained from first to last."""
    assert total_variation(RUN).value == pytest.approx(0.02)
    assert codes(total_variation(RUN)) == ["one-run"]


def test_total_variation_takes_off_the_rise_unless_told():
    rising = np.array([0.1, 0.2, 0.4])

    assert total_variation(rising).value == pytest.approx(0, abs=1e-15)
    assert total_variation(rising, improvement=False).value == pytest.approx(0.15)
    assert total_variation([0.1, nan, 0.2, 0.4]).value == pytest.approx(0, abs=1e-15)
    assert codes(total_variation([0.1, nan])) == ["one-checkpoint"]


def test_total_variation_over_runs_is_a_t_interval():
    from scipy.stats import t

    found = total_variation([[0.1, 0.2, 0.1], [0.1, 0.3, 0.1], [nan, nan, 0.1]])

    # (.2 + 0) / 2 and (.4 + 0) / 2 per move.
    assert found.value == pytest.approx(0.15)
    assert found.interval == pytest.approx(t.interval(0.95, 1, 0.15, 0.1 / 2))
    assert found.n == 2


def test_two_checkpoints_already_meet_the_source_s_condition():
    """Appendix A.3.2 asks for 9: P(chi2 < 4 (n - 1)) > .95 holds from n = 2."""
    assert tolerance_probability(2, 1.0) == pytest.approx(0.9545, abs=5e-5)
    assert checkpoints_needed(1.0) == 2


@pytest.mark.parametrize("tolerance", [0.05, 0.2, 0.5, 1.5])
def test_checkpoints_needed_are_the_fewest(tolerance):
    from scipy.stats import chi2

    n = checkpoints_needed(tolerance)

    def probability(n):
        ends = [max(1 - tolerance, 0) ** 2 * (n - 1), (1 + tolerance) ** 2 * (n - 1)]
        return np.diff(chi2.cdf(ends, n - 1)).item()

    assert tolerance_probability(n, tolerance) == pytest.approx(probability(n))
    assert probability(n) >= 0.95
    assert n == 2 or probability(n - 1) < 0.95
    assert checkpoints_needed(tolerance, confidence_level=0.5) <= n


def subtasks(noises, n_models=16, seed=7, signals=0.05):
    rng = np.random.default_rng(seed)
    ability = rng.normal(0.5, signals, n_models)[:, None, None]
    wobble = rng.normal(size=(len(noises), n_models, 1, 5))
    return ability + wobble * np.array(noises)[:, None, None, None]


def test_noisy_subtasks_are_filtered():
    found = filter_subtasks(subtasks([0.2, 0.01, 0.3, 0.012]), rng=1)

    assert set(found.chosen) <= {1, 3}
    assert found.chosen == found.order[: len(found.chosen)]
    ratios = [found.snr[i].value for i in found.order]
    assert ratios == sorted(ratios, reverse=True)
    assert found.gain.value > 1
    assert codes(found.gain) == []
    frame = found.to_frame()
    assert frame["is_chosen"].sum() == len(found.chosen)
    assert frame["snr"].tolist() == ratios
    assert (frame["snr_of_first_low"] < frame["snr_of_first"]).all()
    row = json.loads(json.dumps(found.to_dict()))
    assert row["chosen"] == list(found.chosen)
    assert row["snr_of_first"][-1]["high"] == found.snr_of_first[-1].interval.high


def test_the_ratio_of_the_first_k_is_that_of_their_mean():
    scores = subtasks([0.2, 0.01, 0.05])

    found = filter_subtasks(scores, signal="rel-std", rng=1)

    for k in (1, 2, 3):
        mean = scores[list(found.order[:k])].mean(0)
        assert found.snr_of_first[k - 1].value == pytest.approx(
            signal_noise(mean, signal="rel-std", rng=1).snr.value
        )
    alone = signal_noise(scores[0], signal="rel-std", rng=1).snr
    assert found.snr[0].value == pytest.approx(alone.value)
    assert found.snr[0].interval == pytest.approx(alone.interval, rel=0.05)
    for one, is_last in zip(found.snr_of_first, (False, False, True), strict=True):
        assert ("chosen-by-itself" in codes(one)) != is_last


@pytest.mark.slow
def test_ratios_of_subtasks_are_covered():
    """3 subtasks, 12 models; of the mean of all, signal over noise is .05 / sqrt(3).

    The ratio of the first is that of the largest of three draws, which its interval
    does not know.
    """
    noises = np.array([0.02, 0.03, 0.04])
    rng = np.random.default_rng(23)
    # A model's last checkpoint bears its noise too.
    truths = np.sqrt((0.05**2 + noises**2) / noises**2)
    of_all = math.sqrt(0.05**2 + (noises**2).sum() / 9) / math.sqrt(
        (noises**2).sum() / 9
    )
    held = []
    for _ in range(150):
        scores = subtasks(noises, n_models=12, seed=rng)
        found = filter_subtasks(
            scores, signal="rel-std", scale="score", n_splits=2, rng=rng
        )
        pairs = zip(
            [*found.snr, found.snr_of_first[-1]], [*truths, of_all], strict=True
        )
        held.append([e.interval.low <= t <= e.interval.high for e, t in pairs])

    assert np.mean(held, axis=0) == pytest.approx(0.95, abs=0.05)


def test_choosing_among_equals_is_the_winner_s_curse():
    """Of equally noisy subtasks the chosen look better than all, on their models."""
    found = filter_subtasks(subtasks([0.3] * 30, n_models=8), rng=1)

    ratios = [one.value for one in found.snr_of_first]
    assert max(ratios) / ratios[-1] > 1
    assert found.gain.value < max(ratios) / ratios[-1]
    assert ("winners-curse" in codes(found.gain)) == (found.gain.value <= 1)


def test_a_filter_that_helps_no_other_model_says_so():
    scores = subtasks([0.01] * 2, n_models=4, signals=0.2)

    found = filter_subtasks(np.repeat(scores[:1], 2, axis=0), rng=1)

    assert found.gain.value == pytest.approx(1)
    assert codes(found.gain) == ["winners-curse"]


def test_three_models_cannot_choose_and_be_measured():
    found = filter_subtasks(subtasks([0.1, 0.2], n_models=3), rng=1)

    assert codes(found.gain) == ["few-models"]
    assert len(found.order) == 2


def test_a_filter_says_how_many_checkpoints_it_had():
    scores = subtasks([0.1, 0.2])
    n_steps = scores.shape[-1]
    less, all_ = (filter_subtasks(scores, n_last=n, rng=1) for n in (30, n_steps))

    assert less.n_last == all_.n_last == n_steps
    assert less.gain == all_.gain
    assert (codes(less), codes(all_)) == (["fewer-checkpoints"], [])
    assert less.to_dict()["cautions"][0]["code"] == "fewer-checkpoints"


def test_options_of_the_filter_change_it():
    scores = subtasks([0.2, 0.05, 0.1])
    one = filter_subtasks(scores, rng=1)

    for options in (
        {"signal": "rel-std"},
        {"scale": "score"},
        {"scale": "chance", "chance": 0.25},
        {"n_last": 3},
    ):
        other = filter_subtasks(scores, rng=1, **options)
        assert [e.value for e in other.snr] != [e.value for e in one.snr]
    for options in ({"confidence_level": 0.5}, {"n_splits": 50}):
        other = filter_subtasks(scores, rng=1, **options).gain
        assert other.interval != one.gain.interval
    half = filter_subtasks(scores, rng=1, confidence_level=0.5)
    assert half.snr[0].interval.high < one.snr[0].interval.high


def test_a_run_that_scores_nothing_has_no_relative_noise(codes):
    scores = np.array([[[0.0, 0.0, 0.0]], [[0.1, 0.2, 0.3]]])

    found = signal_noise(scores, rng=1)

    assert math.isnan(found.noise.value)
    assert math.isnan(found.snr.value)
    assert codes(found.noise) == ["scale-near-zero"]
    assert signal_noise(scores, scale="score", rng=1).noise.value == (
        pytest.approx(0.05)
    )
