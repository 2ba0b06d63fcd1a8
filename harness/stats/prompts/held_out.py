"""Does the chosen subset hold up on responses that did not choose it?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import (
    Caution,
    Estimate,
    Interval,
    or_none,
    undefined,
)
from harness.stats.intervals import check_level
from harness.stats.prompts.cells import MODE_NAMES, Cells, Mode, reward_cells
from harness.stats.prompts.components import prompt_components
from harness.stats.prompts.jackknife import OVER_SYSTEM, left_out_interval
from harness.stats.prompts.search import (
    BUDGET,
    SEARCH_NAMES,
    SearchMethod,
    best_subset,
    score_matrix,
)
from harness.stats.repeats import without_rounding
from harness.stats.resample import RNGLike, SeedLike

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
HoldOut = Literal["responses", "both"]
Choice = Literal[
    "discriminative", "all", "random", "raw-variance", "per-prompt", "difficulty"
]

CHOICE_NAMES: dict[Choice, str] = {
    "discriminative": "the subset on which system prompts differ most",
    "all": "all user prompts",
    "random": "user prompts at random",
    "raw-variance": "those with the largest variance between system prompts as seen",
    "per-prompt": "those with the largest variance between system prompts, noise off",
    "difficulty": "others as hard as those chosen, at random",
}
"""Each way to choose in the words the report prints."""

LEAST = 4
"""Responses to a cell of which each half can tell its noise."""

NEIGHBOURS = 5
"""Others nearest in mean reward from which one as hard is drawn."""

HOMOGENEOUS = 0.5
"""Where consistency is surely above it, most of a difference is there everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """One way to choose user prompts, judged on responses that did not choose.

    Attributes
    ----------
    choice : str
        A key of `CHOICE_NAMES`.
    n_user : int
        User prompts in the subset.
    score : Estimate
        The paper's Score(S), a variance in squared reward units: that among system
        prompts (ddof=0, noise off without bias), on held-out responses, mean over
        splits. Of subsets drawn at random the mean over them, and no jackknife's
        interval: of ``random`` it holds the central subsets, each by its mean over
        splits; of ``difficulty``, where each split draws others, the central subsets
        of single splits, whose own noise makes it wider.
    """

    choice: Choice
    n_user: int
    score: Estimate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DiscriminativeSubset:
    """The few user prompts on which system prompts differ most, and if they hold up.

    Attributes
    ----------
    user_prompts : ndarray of int, shape (size,)
        The columns of the rewards that were chosen, ascending, by all responses.
    score : Estimate
        The paper's Score(S), their variance among system prompts in squared reward
        units, by the responses that chose them: the largest of many, hence too high,
        and without an interval.
    rows : tuple of HeldOut
        The choice made again on halves of the data and judged on the others, with
        what else could have been done beside it.
    gain, gain_over_all : Estimate
        Held-out score of the choice less that of random subsets, and of all prompts.
    beats_random : float
        Share of random subsets with a smaller held-out score, ties by half; ``nan``
        where nothing could be held out.
    chosen_again : ndarray, shape (size,)
        In what share of the splits half of the data chose each of them too.
    consistency : Estimate
        ρ_sys of `harness.stats.prompts.components.prompt_components`.
    method : {"exhaustive", "greedy"}
        Whether all subsets were examined: `n_subsets` of them.
    """

    user_prompts: Codes
    score: Estimate
    rows: tuple[HeldOut, ...]
    gain: Estimate
    gain_over_all: Estimate
    beats_random: float
    chosen_again: Floats
    consistency: Estimate
    mode: Mode
    method: SearchMethod
    n_subsets: int
    n_system: int
    n_user_total: int
    hold_out: HoldOut
    n_splits: int
    n_draws: int
    confidence_level: float
    cautions: tuple[Caution, ...] = ()

    @property
    def held_out(self) -> Estimate:
        """The held-out score of the choice."""
        return self.rows[0].score

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "user_prompts": self.user_prompts.tolist(),
            "mode": self.mode,
            "method": self.method,
            "n_subsets": self.n_subsets,
            "n_system": self.n_system,
            "n_user_total": self.n_user_total,
            "hold_out": self.hold_out,
            "n_splits": self.n_splits,
            "n_draws": self.n_draws,
            "confidence_level": self.confidence_level,
            "score": self.score.to_dict(),
            "held_out": [
                {"choice": row.choice, "n_user": row.n_user, **row.score.to_dict()}
                for row in self.rows
            ],
            "gain": self.gain.to_dict(),
            "gain_over_all": self.gain_over_all.to_dict(),
            "beats_random": or_none(self.beats_random),
            "chosen_again": [or_none(share) for share in self.chosen_again.tolist()],
            "consistency": self.consistency.to_dict(),
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each way to choose, the discriminative one first.

        Columns: ``choice``, ``n_user``, and those of an estimate.
        """
        import pandas as pd

        frame = pd.concat([row.score.to_frame() for row in self.rows])
        frame.insert(0, "choice", [row.choice for row in self.rows])
        frame.insert(1, "n_user", [row.n_user for row in self.rows])
        return frame.reset_index(drop=True)


def select_discriminative(
    rewards: Floats,
    size: int = 2,
    *,
    mode: Mode = "unbiased",
    hold_out: HoldOut = "responses",
    n_splits: int = 20,
    n_draws: int = 1_000,
    budget: int = BUDGET,
    confidence_level: float = 0.95,
    rng: RNGLike | SeedLike | None = None,
) -> DiscriminativeSubset:
    """Return the user prompts on which the variance among system prompts is largest.

    p1's filter: of all subsets of `size` user prompts the one with the largest
    `among_system_prompts` of `harness.stats.prompts.variance.prompt_variance`. The
    largest of many estimates is too high, so the choice is made anew `n_splits` times
    on half of the responses to each cell, and judged on the other half by the unbiased
    estimate in either mode. Half of the responses choose worse than all: what is
    reported is rather too low for the subset that all of them chose.

    Parameters
    ----------
    rewards : ndarray, shape (n_system, n_user, n_responses)
        0 and 1 or any number; ``nan`` is missing.
    size : int
        From 1 to all user prompts; 2 in the paper.
    mode : {"unbiased", "p1"}
        How noise is taken off in choosing; ``p1`` as published.
    hold_out : {"responses", "both"}
        What those that judge had no part in choosing by: responses, or responses and
        half of the system prompts, as for an optimiser that goes on to new ones.
    n_draws : int
        Random subsets, and in each split subsets as hard as the chosen one.
    budget : int
        Where there are more subsets than that, the search is greedy.

    Returns
    -------
    DiscriminativeSubset
        It depends on `rng` alone.

    Raises
    ------
    DesignError
        ``subset-size``, ``unknown-method`` (of `mode` or `hold_out`),
        ``too-few-resamples``, ``bad-confidence-level``, and those of
        `harness.stats.prompts.cells.reward_cells`.

    Notes
    -----
    Intervals are for choices by half of such data from other system prompts, drawn as
    these were: the jackknife over system prompts of each choice as it is, and half of
    the variance between splits for choices that would be others. By simulation with 16
    system prompts they cover the expected score of such choices 90 to 100 % of the
    time, and `gain` 93 to 100 %; where there is no gain it lies above 0 in about 1 %.

    Cautions: ``homogeneous-prompts``, where all of the interval of `consistency` is
    above 0.5, so that system prompts differ mostly by what all user prompts share;
    ``no-held-out-gain``, where the choice is not surely better than random subsets, or
    than all; ``greedy-search``; ``few-responses``, where nothing can be held out; and
    those of `reward_cells`, `prompt_components` and intervals.

    References
    ----------
    Z. Gao et al., arXiv 2604.08801 (2026), algorithm 1, without holding out. D. R. Cox,
    Biometrika 62 (1975) 441: halves. J. Shao, C. F. J. Wu, Ann. Statist. 17 (1989)
    1176: the delete-half jackknife.
    """
    rng = np.random.default_rng(rng)
    check_level(confidence_level)
    cells = reward_cells(rewards, mode=mode)
    n_system, n_user = cells.means.shape
    _check(hold_out, n_system, n_splits, n_draws, confidence_level)
    search = best_subset(score_matrix(cells), size, budget=budget)
    rewards = np.asarray(rewards, dtype=np.float64)[np.ix_(cells.system, cells.user)]
    cautions = list(cells.cautions)
    if search.method == "greedy":
        text = (
            f"{math.comb(n_user, size):.3g} subsets are too many to examine; of "
            f"{search.n_subsets} examined this is the best, and may not be of all"
        )
        cautions.append(Caution("greedy-search", text))
    turns = rng.random((n_draws, n_user))
    draws = np.sort(turns.argsort(1)[:, :size])
    trials: dict[Choice, list[_Trial]] = {name: [] for name in CHOICE_NAMES}
    again = np.full(size, math.nan)
    if cells.fewest >= LEAST:
        again = np.zeros(size)
        for _ in range(n_splits):
            chooser, judge, system = _halves(rewards, hold_out, rng)
            by = reward_cells(chooser, mode=mode)
            judges = reward_cells(judge)
            choices = _choices(by, size, budget, draws, rng)
            again += np.isin(search.columns, choices["discriminative"]) / n_splits
            for name, subsets in choices.items():
                trials[name].append(_judged(judges, subsets, system, n_system))
        why = Caution(
            "few-user-prompts",
            "there are fewer others than chosen; twice as many user prompts would do",
        )
    else:
        text = (
            f"a cell has {cells.fewest} response{'s' if cells.fewest > 1 else ''}; "
            f"{LEAST} or more to each could be halved, to see whether the choice holds "
            "up on those that did not make it"
        )
        why = Caution("few-responses", text)
        cautions.append(why)
    rows = tuple(
        HeldOut(
            choice=name,
            n_user=n_user if name == "all" else size,
            score=_score(name, trials[name], n_system, n_splits, confidence_level, why),
        )
        for name in CHOICE_NAMES
    )
    ours = trials["discriminative"]
    gain = _gain("gain", ours, trials["random"], confidence_level)
    gain_over_all = _gain("gain_over_all", ours, trials["all"], confidence_level)
    consistency = _consistency(rewards, confidence_level)
    cautions += _doubts(rows, gain, gain_over_all, consistency)
    return DiscriminativeSubset(
        user_prompts=cells.user[search.columns],
        score=Estimate(
            quantity="among_system_prompts",
            value=search.score,
            n=n_system,
            confidence_level=confidence_level,
            method=f"{MODE_NAMES[mode]}; {SEARCH_NAMES[search.method]}",
            cautions=(_in_sample(search.n_subsets),),
        ),
        rows=rows,
        gain=gain,
        gain_over_all=gain_over_all,
        beats_random=_beaten(trials),
        chosen_again=again,
        consistency=consistency,
        mode=mode,
        method=search.method,
        n_subsets=search.n_subsets,
        n_system=n_system,
        n_user_total=n_user,
        hold_out=hold_out,
        n_splits=n_splits,
        n_draws=n_draws,
        confidence_level=confidence_level,
        cautions=tuple(dict.fromkeys(cautions)),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Trial:
    """Scores of the subsets that one half chose, on the other.

    Attributes
    ----------
    scores : ndarray, shape (n_subsets,)
    seen : float
        Variance of means with its noise, mean over subsets.
    left_out : ndarray, shape (n_system,)
        The mean score without each system prompt.
    """

    scores: Floats
    seen: float
    left_out: Floats


def _check(
    hold_out: HoldOut,
    n_system: int,
    n_splits: int,
    n_draws: int,
    confidence_level: float,
) -> None:
    if hold_out not in get_args(HoldOut):
        raise DesignError(
            f"{hold_out!r} cannot be held out; choose 'responses' or 'both'",
            code="unknown-method",
        )
    if hold_out == "both" and n_system < 4:
        raise DesignError(
            f"{n_system} system prompts cannot be halved; hold_out='both' needs 4 or "
            "more, hold_out='responses' 2",
            code="too-few-replicates",
        )
    needed = math.ceil(round(10 / (1 - confidence_level), 6))
    if n_splits < 2 or n_draws < needed:
        raise DesignError(
            f"{n_splits} splits and {n_draws} random subsets were asked for; 2 splits "
            f"or more and {needed} subsets make a {confidence_level:.4g} interval",
            code="too-few-resamples",
        )


def _halves(
    rewards: Floats, hold_out: HoldOut, rng: np.random.Generator
) -> tuple[Floats, Floats, Codes]:
    """Return rewards that choose, rewards that judge, and the rows of the latter."""
    turn = rng.random(rewards.shape)
    # What is missing comes last, so that both halves get their share of the rest.
    turn[np.isnan(rewards)] = 2
    shuffled = np.take_along_axis(rewards, turn.argsort(-1), -1)
    by, on = shuffled[..., 0::2], shuffled[..., 1::2]
    system = np.arange(len(rewards))
    if hold_out == "responses":
        return by, on, system
    system = rng.permutation(system)
    half = len(system) // 2
    return by[system[:half]], on[system[half:]], system[half:]


def _choices(
    cells: Cells, size: int, budget: int, draws: Codes, rng: np.random.Generator
) -> dict[Choice, Codes]:
    """Return the subsets that each way chooses by these responses, one a row."""
    q = score_matrix(cells)
    best = best_subset(q, size, budget=budget).columns
    choices: dict[Choice, Codes] = {
        "discriminative": best[None],
        "all": np.arange(len(q))[None],
        "random": draws,
        "raw-variance": _top(cells.means.var(0), size),
        "per-prompt": _top(q.diagonal(), size),
    }
    if len(q) >= 2 * size:
        as_hard = _as_hard(cells.means.mean(0), best, len(draws), rng)
        choices["difficulty"] = as_hard
    return choices


def _top(values: Floats, size: int) -> Codes:
    return np.sort(np.argsort(-values, kind="stable")[:size])[None]


def _as_hard(
    difficulty: Floats, chosen: Codes, n_draws: int, rng: np.random.Generator
) -> Codes:
    """Return subsets of others, each drawn from those nearest to one of the chosen."""
    size = len(chosen)
    others = np.setdiff1d(np.arange(len(difficulty)), chosen)
    drawn = np.full((n_draws, size), -1)
    for k, target in enumerate(difficulty[chosen]):
        distance = np.abs(difficulty[others] - target)
        near = others[np.argsort(distance, kind="stable")[: NEIGHBOURS + size]]
        is_free = ~(drawn[:, :, None] == near).any(1)
        is_free &= is_free.cumsum(1) <= NEIGHBOURS
        turn = np.where(is_free, rng.random(is_free.shape), -1)
        drawn[:, k] = near[turn.argmax(1)]
    return drawn


def _judged(cells: Cells, subsets: Codes, system: Codes, n_system: int) -> _Trial:
    """Return the scores of subsets, as of all the system prompts there are."""
    n, size = len(system), subsets.shape[1]
    scale = (n_system - 1) / n_system
    means = cells.means[:, subsets].mean(-1)
    noise = cells.noise[:, subsets].mean(-1) / size
    squares = (means - means.mean(0)) ** 2
    seen = scale * squares.sum(0) / (n - 1)
    scores = seen - scale * noise.mean(0)
    left_out = np.full((n_system, len(subsets)), np.nan)
    left_out[:] = scores
    left = n - 2 if n > 2 else math.nan
    left_out[system] = scale * (
        (squares.sum(0) - n / (n - 1) * squares) / left
        - (noise.sum(0) - noise) / (n - 1)
    )
    return _Trial(scores=scores, seen=float(seen.mean()), left_out=left_out.mean(1))


def _score(
    choice: Choice,
    trials: list[_Trial],
    n_system: int,
    n_splits: int,
    confidence_level: float,
    why: Caution,
) -> Estimate:
    name = "among_system_prompts"
    method = f"{CHOICE_NAMES[choice]}; mean over {n_splits} splits"
    if not trials:
        return undefined(name, n=n_system, method=method, code=why.code, text=why.text)
    scores = np.array([trial.scores for trial in trials])
    estimate = Estimate(
        quantity=name,
        value=float(scores.mean()),
        n=n_system,
        confidence_level=confidence_level,
        method=method,
    )
    if choice in ("random", "difficulty"):
        tail = (1 - confidence_level) / 2
        # The same subsets are judged in all splits, those as hard are others in each.
        is_same = choice == "random"
        spread = scores.mean(0) if is_same else scores
        low, high = np.quantile(spread, [tail, 1 - tail])
        of = "draws by their mean over splits" if is_same else "draws of single splits"
        return replace(
            estimate,
            interval=Interval(float(low), float(high)),
            method=f"{method}; central of {scores.shape[1]} {of}",
        )
    return left_out_interval(
        replace(estimate, method=f"{method}; {OVER_SYSTEM}"),
        [_left_out(trials)],
        offset=_seen(trials) - estimate.value,
        besides=_between_splits(scores.mean(1)),
    )


def _gain(
    quantity: str, ours: list[_Trial], theirs: list[_Trial], confidence_level: float
) -> Estimate:
    method = f"difference of held-out scores; {OVER_SYSTEM}"
    if not ours:
        text = f"{LEAST} responses or more to each cell would do"
        return undefined(quantity, n=0, method=method, code="few-responses", text=text)
    mine, others = (
        np.array([trial.scores.mean() for trial in some]) for some in (ours, theirs)
    )
    size = float(np.abs(mine).max())
    # Differences of equal scores are those of rounding.
    gains = without_rounding(mine - others, size)
    estimate = Estimate(
        quantity=quantity,
        value=float(gains.mean()),
        n=len(ours[0].left_out),
        confidence_level=confidence_level,
        method=method,
    )
    left_out = without_rounding(_left_out(ours) - _left_out(theirs), size)
    return left_out_interval(
        estimate,
        [left_out],
        offset=_seen(ours) - estimate.value,
        besides=_between_splits(gains),
    )


def _between_splits(scores: Floats) -> float:
    """Return what the choice of other data may change, which no judge shows.

    All of the variance between splits would be the delete-half jackknife's of the
    responses, of which the judging half's noise is in the spread of system prompts
    already; half of it covers by simulation.
    """
    return float(scores.var(ddof=1) / 2)


def _seen(trials: list[_Trial]) -> float:
    return float(np.mean([trial.seen for trial in trials]))


def _left_out(trials: list[_Trial]) -> Floats:
    return np.asarray(np.mean([trial.left_out for trial in trials], axis=0))


def _beaten(trials: dict[Choice, list[_Trial]]) -> float:
    """Return the share of random subsets with a smaller held-out score."""
    if not trials["random"]:
        return math.nan
    ours = np.mean([trial.scores for trial in trials["discriminative"]])
    theirs = np.mean([trial.scores for trial in trials["random"]], axis=0)
    return float(((theirs < ours).mean() + (theirs <= ours).mean()) / 2)


def _consistency(rewards: Floats, confidence_level: float) -> Estimate:
    if rewards.shape[1] > 1:
        found = prompt_components(rewards, confidence_level=confidence_level)
        return found.consistency
    return undefined(
        "consistency",
        n=len(rewards),
        method="system / (system + interaction)",
        code="few-user-prompts",
        text="one user prompt cannot tell whether system prompts differ alike on "
        "others; 2 would",
    )


def _in_sample(n_subsets: int) -> Caution:
    text = (
        f"the largest of {n_subsets} by the responses that chose it, hence too high; "
        "the held-out score is not"
    )
    return Caution("in-sample", text)


def _doubts(
    rows: tuple[HeldOut, ...], gain: Estimate, over_all: Estimate, consistency: Estimate
) -> list[Caution]:
    """Return why the chosen subset may be no better than others."""
    cautions = []
    low, high = consistency.interval
    if low > HOMOGENEOUS:
        text = (
            f"most of how system prompts differ is common to all user prompts "
            f"(consistency {consistency.value:.2g} [{low:.2g}, {high:.2g}]), so that "
            "averaging over all hides little; few of them show less of what else there "
            "is to win"
        )
        cautions.append(Caution("homogeneous-prompts", text))
    doubted = [
        name
        for name, estimate in (("random ones", gain), ("all", over_all))
        if not math.isnan(estimate.value) and not estimate.interval.low > 0
    ]
    if doubted:
        text = (
            f"on responses that did not choose them the {rows[0].n_user} chosen user "
            "prompts do not surely tell system prompts apart better than "
            f"{' or '.join(doubted)}"
        )
        cautions.append(Caution("no-held-out-gain", text))
    return cautions
