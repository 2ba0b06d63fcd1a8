"""Does p1's filter find the better system prompt? Simulated, and with a real model.

`python docs/studies/filter.py STORE` also writes the real model's rewards anew, from
the store that suites/smollm2-prompts.yaml made: `tox run -e real-prompts`.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from page import HERE, Page, fixed, percent, shown, within

from harness.stats.facets import facet_scores
from harness.stats.intervals import mean_intervals
from harness.stats.prompts.cells import Cells, Mode
from harness.stats.prompts.components import prompt_components
from harness.stats.prompts.held_out import select_discriminative
from harness.stats.prompts.search import Search, best_subset, score_matrix
from harness.stats.prompts.variance import prompt_variance
from harness.store import Store
from harness.streams import stream

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

ENTROPY = 20261125
REWARDS = HERE / "filter-smollm2.csv"
"""Of SmolLM2-135M: one row for each system prompt and question."""

N_WORLDS = 300
"""Times that each world is drawn."""

N_VARIANTS = 150
"""Times that it is drawn for filters of other sizes, which take long to search."""

N_SYSTEM = 16
"""System prompts to choose from, and as many others that the filter looks at."""

BUDGETS = (2, 8, 32)
"""Answers for each system prompt to each user prompt, were all of them asked alike."""

MIDDLE = 8
"""The budget at which everything else is varied."""

PAPER_RESPONSES = 128
"""Of each system prompt to each user prompt, in the paper's own look at variances."""

OTHERS = 10
"""Times as many new user prompts, on which a choice is judged again."""

UNDECIDED = (0.1, 0.9)
"""Mean rewards between which a user prompt is not decided whoever answers."""

GREEDY = 10_000
"""Where there are more subsets than that, the search is greedy: fours and eights."""


class Kind(NamedTuple):
    """User prompts of one kind; a reward of 1 has the logit of their sum.

    Attributes
    ----------
    n : int
        Of them among `World.n_user`.
    level, spread : float
        Mean and SD of their logits.
    common : float
        What one SD of a system prompt's quality adds to the logit.
    own : float
        SD of what each system prompt has on each of them for itself.
    """

    n: int
    level: float
    spread: float
    common: float
    own: float


class World(NamedTuple):
    """User prompts and what system prompts do to them."""

    name: str
    says: str
    kinds: tuple[Kind, ...]

    @property
    def n_user(self) -> int:
        return sum(kind.n for kind in self.kinds)


FEW, OPEN = Kind(4, 0, 0.5, 1.0, 0.3), Kind(14, 0, 0.5, 0.1, 0.1)
SOLVED, HOPELESS = Kind(14, 4, 0.5, 0.1, 0.1), Kind(14, -4, 0.5, 0.1, 0.1)
WORLDS = (
    World(
        "alike",
        "every user prompt shows the same quality (IFBench)",
        (Kind(32, 0, 1, 0.6, 0.3),),
    ),
    World(
        "mixed",
        "easy and hard ones, and on each something else counts too",
        (Kind(32, 0, 2, 0.5, 0.8),),
    ),
    World(
        "few, agreeing",
        "4 show the quality, 14 are nearly always solved, 14 never (AIME)",
        (FEW, SOLVED, HOPELESS),
    ),
    World(
        "few, own",
        "the same, but on each of the 4 mostly something of its own counts",
        (Kind(4, 0, 0.5, 0.3, 1.0), SOLVED, HOPELESS),
    ),
    World(
        "few, coins",
        "4 show the quality, 14 are solved half of the time whoever asks, 14 never",
        (FEW, OPEN, HOPELESS),
    ),
    World(
        "odd ones",
        "30 as in the first, and 2 on which only something of their own counts, a lot",
        (Kind(30, 0, 1, 0.6, 0.3), Kind(2, 0, 1, 0.0, 3.0)),
    ),
)

CHOICES = {
    "full": "all user prompts",
    "random": "2 at random",
    "p1": "p1's 2; half of the budget for the filter",
    "undecided": "all that the filter's answers leave undecided, same cost",
    "unbiased": "p1's 2, noise taken off without bias",
    "quarter": "p1's 2; a quarter for the filter",
    "reused": "p1's 2; the filter looks at the candidates, its answers count again",
    "free": "p1's 2; the filter had 128 answers a cell for nothing",
    "p1 of 4": "p1's 4",
    "p1 of 8": "p1's 8",
}
"""Ways to spend a budget, in the words of the page."""


# ---- simulated ---------------------------------------------------------------------


def user_prompts(world: World, rng: np.random.Generator, times: int = 1) -> Floats:
    """Return logits, and what quality and own parts add, shape (3, n_user)."""
    rows = np.repeat(np.array(world.kinds), [k.n * times for k in world.kinds], axis=0)
    return np.array(
        [rng.normal(rows[:, 1], rows[:, 2]), rows[:, 3], rows[:, 4]], dtype=np.float64
    )


def chances(quality: Floats, users: Floats, rng: np.random.Generator) -> Floats:
    """Return the chance of a reward of each system prompt on each user prompt."""
    level, common, own = users
    part = own * rng.standard_normal((len(quality), len(level)))
    return np.asarray(1 / (1 + np.exp(-level - common * quality[:, None] - part)))


@dataclass(frozen=True)
class Truth:
    """The variances of a world, between all system and user prompts of its kind."""

    system: float
    user: float
    interaction: float
    response: float
    top: float
    """Share of the variance between system prompts that an eighth of them has."""

    @property
    def consistency(self) -> float:
        return self.system / (self.system + self.interaction)


@cache
def truth(world: World) -> Truth:
    """Return a world's variances, of 2,000 system prompts and ten times its users."""
    rng = stream(ENTROPY, f"variances of {world.name}")
    users = user_prompts(world, rng, times=10)
    p = chances(rng.standard_normal(2_000), users, rng)
    n = p.shape[1]
    alone = p.var(0, ddof=1)
    common = (n * p.mean(1).var(ddof=1) - alone.mean()) / (n - 1)
    return Truth(
        system=float(common),
        user=float(p.mean(0).var(ddof=1)),
        interaction=float(alone.mean() - common),
        response=float((p * (1 - p)).mean()),
        top=float(np.sort(alone)[-n // 8 :].sum() / alone.sum()),
    )


def filtered(
    right: npt.NDArray[Any], n_responses: int, size: int, mode: Mode = "p1"
) -> Search:
    """Return what p1 finds by numbers of rewards of 1 among so many responses."""
    means = right / n_responses
    ddof = 1 if mode == "unbiased" else 0
    cells = Cells(
        means=means,
        within=means * (1 - means) * n_responses / (n_responses - ddof),
        counts=np.full(means.shape, float(n_responses)),
        system=np.arange(len(means)),
        user=np.arange(means.shape[1]),
    )
    return best_subset(score_matrix(cells), size, budget=GREEDY)


def of_best(scores: Floats, truths: Floats) -> Floats:
    """Return what the system prompt with the highest score has; of tied ones a mean."""
    best = scores >= scores.max() - 1e-9
    return np.asarray(truths[best].mean(0))


class Guide(NamedTuple):
    """How good a guide the rewards on some user prompts are.

    Attributes
    ----------
    noise : float
        Correlation over system prompts of scores with the truth of those asked: r₁.
    transfer : float
        Of the latter with the truth of all: r₂.
    variance, of_all : float
        Between the candidates' true means, on the user prompts asked and on all.
    promised : float
        The former as the filter saw it; ``nan`` without a filter.
    """

    noise: float
    transfer: float
    variance: float
    of_all: float
    promised: float


class Drawn(NamedTuple):
    """One draw of a world.

    Attributes
    ----------
    regrets : dict of str to ndarray, shape (2,)
        Of each choice, on the same user prompts and on others; ``any`` is that of a
        system prompt at random.
    """

    regrets: dict[str, Floats]
    guides: dict[str, Guide]


def draw(
    pilot: Floats,
    p: Floats,
    other: Floats,
    budget: int,
    rng: np.random.Generator,
    sizes: tuple[int, ...] = (),
) -> Drawn:
    """Spend a budget in every way, and return what each way's choice lacks.

    Parameters
    ----------
    pilot, p : ndarray, shape (n_system, n_user)
        Chances of the system prompts that the filter looks at, and of the candidates.
    other : ndarray, shape (n_system, n_other)
        Of the candidates on other user prompts.
    budget : int
        Answers for each cell if all were asked alike, filter included: n_user times
        as many for each candidate.
    sizes : tuple of int
        Of p1's subset, beside 2.
    """
    n_user = p.shape[1]
    truths = np.column_stack([p.mean(1), other.mean(1)])
    regrets = {"any": truths.max(0) - truths.mean(0)}
    guides = {}

    def judge(
        name: str,
        columns: Codes,
        n: int,
        right: Any = 0,
        known: int = 0,
        promised: float = np.nan,
    ) -> None:
        each, more = divmod(n, len(columns))
        counts = each + (np.arange(len(columns)) < more)
        scores = (rng.binomial(counts, p[:, columns]) + right).sum(1)
        scores = scores / (n + known * len(columns))
        regrets[name] = truths.max(0) - of_best(scores, truths)
        own, of_all = p[:, columns].mean(1), truths[:, 0]
        guides[name] = Guide(
            correlation(scores, own),
            correlation(own, of_all),
            float(own.var()),
            float(of_all.var()),
            promised,
        )

    total = n_user * budget
    # The filter's part goes to as many answers to every cell of the pilot.
    n_filter = budget * len(p) // len(pilot) // 2
    rest = total // 2
    judge("full", np.arange(n_user), total)
    judge("random", rng.permutation(n_user)[:2], total)
    seen = rng.binomial(n_filter, pilot)
    best = filtered(seen, n_filter, 2)
    judge("p1", best.columns, rest, promised=best.score)
    mean = seen.mean(0) / n_filter
    kept = np.flatnonzero((mean > UNDECIDED[0]) & (mean < UNDECIDED[1]))
    kept = rng.permutation(kept if len(kept) else n_user)
    judge("undecided", kept, rest)
    for size in sizes:
        judge(f"p1 of {size}", filtered(seen, n_filter, size).columns, rest)
    if n_filter > 2:
        unbiased = filtered(seen, n_filter, 2, "unbiased")
        judge("unbiased", unbiased.columns, rest)
        half = n_filter // 2
        fewer = filtered(rng.binomial(half, pilot), half, 2)
        judge("quarter", fewer.columns, total - rest // 2)
    answers = rng.binomial(n_filter, p)
    columns = filtered(answers, n_filter, 2).columns
    judge("reused", columns, rest, answers[:, columns], n_filter)
    seen = rng.binomial(PAPER_RESPONSES, pilot)
    judge("free", filtered(seen, PAPER_RESPONSES, 2).columns, total)
    return Drawn(regrets, guides)


def correlation(a: Floats, b: Floats) -> float:
    """Return Pearson's correlation; 0 where one is constant and says nothing."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 1e-12 else 0.0


@dataclass(frozen=True)
class Spent:
    """What became of a budget over all draws.

    Attributes
    ----------
    regrets : mapping of str to ndarray, shape (n_draws, 2)
        As in `Drawn`, in shares of what a system prompt at random lacks on average: 0
        is the best choice, 1 chance.
    to_win : ndarray, shape (2,)
        What 1 is, in rewards.
    guides : mapping of str to Guide
        Means.
    """

    regrets: Mapping[str, Floats]
    to_win: Floats
    guides: Mapping[str, Guide]

    def mean(self, name: str, where: int = 0) -> float:
        return float(self.regrets[name][:, where].mean())

    def less(
        self, name: str, than: str = "full", where: int = 0
    ) -> tuple[float, float, float]:
        """Return a mean difference of regrets and its interval; below 0 `name` wins."""
        gap = (self.regrets[name] - self.regrets[than])[:, where]
        low, high = mean_intervals(gap)
        return float(gap.mean()), float(low), float(high)


def spent(draws: list[Drawn]) -> Spent:
    stacked = {
        name: np.array([drawn.regrets[name] for drawn in draws])
        for name in draws[0].regrets
    }
    to_win = stacked.pop("any").mean(0)
    return Spent(
        {name: regrets / to_win for name, regrets in stacked.items()},
        to_win,
        {
            name: Guide(*np.mean([drawn.guides[name] for drawn in draws], axis=0))
            for name in draws[0].guides
        },
    )


@cache
def simulated(
    world: World,
    budget: int,
    n_system: int = N_SYSTEM,
    times: int = 1,
    n_draws: int = N_WORLDS,
    sizes: tuple[int, ...] = (),
) -> Spent:
    """Return what became of a budget in draws of a world of `times` its size."""
    rng = stream(ENTROPY, f"{world.name} {budget} {n_system} {times} {sizes}")
    draws = []
    for _ in range(n_draws):
        users = user_prompts(world, rng, times)
        pilot = chances(rng.standard_normal(N_SYSTEM), users, rng)
        quality = rng.standard_normal(n_system)
        p = chances(quality, users, rng)
        other = chances(quality, user_prompts(world, rng, OTHERS), rng)
        draws.append(draw(pilot, p, other, budget, rng, sizes))
    return spent(draws)


# ---- measured ----------------------------------------------------------------------

N_SPLITS = 300
"""Times that system prompts, questions and answers are split."""

ASKED = 0.8
"""Share of the questions that choose; on the others the choice is judged again."""

GROUPS = 10
"""Groups of questions that the jackknife leaves out in turn."""

SIZE = 2
"""Questions that the filter keeps."""


@dataclass(frozen=True)
class Rewards:
    """Rewards of 0 and 1, shape (n_system, n_user, n_responses), and whose they are."""

    system: tuple[str, ...]
    items: tuple[str, ...]
    scores: Floats


def write_rewards(store: str) -> None:
    """Write the rewards that a store of suites/smollm2-prompts.yaml holds."""
    (found,) = facet_scores(Store(store).responses(task="sciq_answer"))
    cells = found.tensor("template", "item")
    with REWARDS.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["template", "item_id", "rewards"])
        for template, of_items in zip(found.levels["template"], cells, strict=True):
            for item, answers in zip(found.levels["item"], of_items, strict=True):
                rows.writerow([template, item, "".join(f"{x:.0f}" for x in answers)])


def read_rewards() -> Rewards:
    with REWARDS.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    system = tuple(dict.fromkeys(row["template"] for row in rows))
    items = tuple(dict.fromkeys(row["item_id"] for row in rows))
    scores = np.array([list(row["rewards"]) for row in rows]).astype(np.float64)
    return Rewards(system, items, scores.reshape(len(system), len(items), -1))


class Turn(NamedTuple):
    """Random numbers of one split, the same whatever is left out of it."""

    system: Floats
    items: Floats
    again: Floats
    answers: Codes

    @classmethod
    def drawn(cls, scores: Floats, rng: np.random.Generator) -> Turn:
        n_system, n_user, _ = scores.shape
        return cls(
            rng.random(n_system),
            rng.random(n_user),
            rng.random(n_user),
            rng.random(scores.shape).argsort(-1),
        )


def split(scores: Floats, turn: Turn, system: Codes, items: Codes) -> dict[str, Floats]:
    """Return what each choice gains over a candidate at random, by other answers.

    The half of the system prompts that comes first is the filter's, all answers of it;
    of the others the first half of the answers chooses and the second half judges, and
    so do all answers to the questions that were not asked. ``best`` is the one that all
    answers say, the judging ones among them.

    Returns
    -------
    dict of str to ndarray, shape (2,)
        Mean held-out reward on the same questions and on others, less that of all
        candidates.
    """
    system = system[turn.system[system].argsort()]
    pilot, candidates = system[: -N_SYSTEM // 2], system[-N_SYSTEM // 2 :]
    items = items[turn.items[items].argsort()]
    n_asked = round(ASKED * len(items))
    asked, others = items[:n_asked], items[n_asked:]
    shuffled = np.take_along_axis(scores, turn.answers, -1)[candidates]
    half = shuffled.shape[-1] // 2
    by, on = shuffled[:, asked, :half], shuffled[:, asked, half:]
    judges = np.column_stack([on.mean((1, 2)), shuffled[:, others].mean((1, 2))])
    order = turn.again[asked].argsort()
    gains = {}

    def judge(name: str, means: Floats) -> None:
        gains[name] = of_best(means, judges) - judges.mean(0)

    def spread(n: int) -> Floats:
        """Mean of so many answers over the questions, one by one in random order."""
        each, more = divmod(n, n_asked)
        sums = by[:, :, :each].sum((1, 2))
        if more:
            sums = sums + by[:, order[:more], each].sum(1)
        return np.asarray(sums / n)

    judge("best", shuffled.mean((1, 2)))
    judge("all", by.mean((1, 2)))
    seen, known = scores[pilot][:, asked].sum(-1), by[:, :, : half // 2].sum(-1)
    columns = filtered(seen, scores.shape[-1], SIZE).columns
    judge("p1", by[:, columns].mean((1, 2)))
    judge("random", by[:, order[:SIZE]].mean((1, 2)))
    judge("full", spread(half * SIZE))
    # The filter's answers are half of those of all candidates, and count again.
    columns = filtered(known, half // 2, SIZE).columns
    judge("paid p1", by[:, columns].mean((1, 2)))
    judge("paid full", spread(half // 2 * (n_asked + SIZE)))
    return gains


@dataclass(frozen=True)
class HeldOut:
    """Gains of choices, shape (n_splits, 2), and the same with some prompts left out.

    Attributes
    ----------
    left_out : sequence of mapping of str to ndarray, shape (n_left_out, 2)
        Means over splits: without each system prompt, without each group of questions.
    """

    gains: Mapping[str, Floats]
    left_out: tuple[Mapping[str, Floats], ...]

    def more(
        self, name: str, than: str | None = None, where: int = 0
    ) -> tuple[float, float, float]:
        """Return a difference of gains with its interval.

        Splits of the same data are no independent draws: the interval is the
        jackknife's, over system prompts and over questions, t with the fewer degrees
        of freedom of both. What few splits add to the spread of values left out is
        left in.
        """
        from scipy import stats

        def gap(of: Mapping[str, Floats]) -> Floats:
            found = of[name][..., where]
            return np.asarray(found if than is None else found - of[than][..., where])

        value = float(gap(self.gains).mean())
        variance, df = 0.0, np.inf
        for part in self.left_out:
            without = gap(part)
            n = len(without)
            variance += (n - 1) / n * float(((without - without.mean()) ** 2).sum())
            df = min(df, n - 1)
        half = float(stats.t.ppf(0.975, df)) * np.sqrt(variance)
        return value, value - half, value + half


@cache
def measured() -> HeldOut:
    """Return what choices gain on the real model's rewards."""
    return held_out(read_rewards().scores, N_SPLITS)


def held_out(scores: Floats, n_splits: int) -> HeldOut:
    """Return what each choice gains, and what it would without some of the data."""
    rng = stream(ENTROPY, "splits")
    turns = [Turn.drawn(scores, rng) for _ in range(n_splits)]
    system, items = (np.arange(n) for n in scores.shape[:2])

    def gains(system: Codes, items: Codes) -> dict[str, Floats]:
        found = [split(scores, turn, system, items) for turn in turns]
        return {name: np.array([of[name] for of in found]) for name in found[0]}

    def left_out(samples: list[tuple[Codes, Codes]]) -> dict[str, Floats]:
        found = [gains(*sample) for sample in samples]
        return {name: np.array([of[name].mean(0) for of in found]) for name in found[0]}

    groups = rng.permutation(len(items)) % GROUPS
    return HeldOut(
        gains(system, items),
        (
            left_out([(np.delete(system, n), items) for n in system]),
            left_out([(system, items[groups != g]) for g in range(GROUPS)]),
        ),
    )


def as_truth(scores: Floats) -> Floats:
    """Return chances whose variance on each question is the one without noise.

    Means of cells, drawn towards their question's mean so far that system prompts
    differ on it by as much as they do beyond chance.
    """
    means = scores.mean(-1)
    found = prompt_variance(scores)
    seen = means.var(0)
    kept = np.divide(
        np.maximum(found.per_prompt, 0), seen, out=np.zeros_like(seen), where=seen > 0
    )
    return np.asarray(means.mean(0) + np.sqrt(kept) * (means - means.mean(0)))


@cache
def resembling(budget: int, n_draws: int = N_WORLDS) -> Spent:
    """Return what became of a budget if `as_truth` were the real model's chances."""
    p = as_truth(read_rewards().scores)
    rng = stream(ENTROPY, f"resembling {budget}")
    n_asked = round(ASKED * p.shape[1])
    draws = []
    for _ in range(n_draws):
        system, items = (rng.permutation(n) for n in p.shape)
        pilot, candidates = np.array_split(system, 2)
        asked, others = items[:n_asked], items[n_asked:]
        parts = (p[np.ix_(a, b)] for a, b in ((pilot, asked), (candidates, asked)))
        other = p[np.ix_(candidates, others)]
        draws.append(draw(*parts, other, budget, rng))
    return spent(draws)


# ---- the page ----------------------------------------------------------------------


def gap(found: tuple[float, float, float], digits: int = 2) -> str:
    value, low, high = found
    return f"{fixed(value, digits)} {within(low, high, digits)}"


def verdict(found: tuple[float, float, float]) -> str:
    """Return who wins by a difference of regrets, if the interval says."""
    _, low, high = found
    return "p1" if high < 0 else "full" if low > 0 else "–"


def study() -> Page:
    page = Page("filter", "p1's filter: does it find the better system prompt?")
    say_question(page)
    say_worlds(page)
    say_budgets(page)
    say_why(page)
    say_variants(page)
    say_measured(page)
    say_resembling(page)
    say_limits(page)
    return page


def say_question(page: Page) -> None:
    cells = [(world, budget) for world in WORLDS for budget in BUDGETS]
    counts = [
        [verdict(simulated(*cell).less("p1", where=where)) for cell in cells]
        for where in (0, 1)
    ]
    page.say(
        "*p1: Better Prompt Optimization with Fewer Prompts* (Z. Gao et al., arXiv "
        "2604.08801) keeps the few user prompts on which system prompts differ most, "
        "and optimises on these alone.",
        "[The filter](../explanation/prompts.md#the-filter) finds them; does the "
        "system prompt that wins on them win on all, and on others?",
    )
    page.say(
        "**In short.** At equal budget, the filter's answers counted, p1's two user "
        f"prompts choose better than all user prompts in {counts[0].count('p1')} of "
        f"{len(cells)} simulated cases and worse in {counts[0].count('full')}; judged "
        f"on other user prompts, in {counts[1].count('p1')} and "
        f"{counts[1].count('full')}; the rest is not settled.",
        "It wins where few user prompts carry what system prompts differ by, the "
        "others carry nothing, and these few agree with each other: p1's own AIME.",
        "It loses where all user prompts show about the same, since two of them say "
        "less than all; where each shows something of its own, since two are not the "
        "others; and by far the most where the largest differences are of no use "
        "elsewhere, since those are what it looks for.",
        "On the answers of SmolLM2-135M no difference is settled; were its rewards the "
        "truth, the filter would cost more than it gains; free, it would win on the "
        "same questions while answers are few, and not on others.",
    )
    page.heading("What is tried")
    page.say(
        f"A budget of answers is spent, of {N_SYSTEM} system prompts the one with the "
        "highest mean reward is taken, and its regret is what its true mean lacks to "
        "that of the best: on the user prompts that were there to be asked, and on "
        "others of the same kinds.",
        "The filter looks at 16 other system prompts, drawn alike, as p1's looks at "
        "those of an untrained generator; it has half of the budget, and takes noise "
        "off as published.",
        "Choices, all at the same number of answers but for what `free` has besides:",
    )
    page.table(
        ["choice", "what the answers are of"],
        [(f"`{name}`", says) for name, says in CHOICES.items()],
    )
    page.say(
        "That is a proxy.",
        "p1 trains a generator of system prompts by reinforcement; the reward on a "
        "minibatch is its signal, a step has 32 answers for each system prompt, and "
        "there are many steps, so that the filter costs little beside them: "
        "`free` is nearer to that than `p1`.",
        "A generator goes on to better and better system prompts, and may learn from "
        "two user prompts what holds for all; choosing one of 16 learns nothing.",
        "What both have in common is what is tried here: whether the reward that is "
        "followed is less noisy on few user prompts, and whether following it leads "
        "to where all user prompts, and others, would.",
    )


def say_worlds(page: Page) -> None:
    page.heading("Worlds of known variances")
    page.say(
        "A reward of 1 has the logit `level[u] + common[u] quality[n] + own[u] "
        "z[n, u]`, with quality and z standard normal.",
        "There are 32 user prompts; variances are those of the chances themselves, "
        "between all that could be drawn.",
        "The last column but one is the consistency `σ²_α / (σ²_α + σ²_γ)`; "
        "`select_discriminative` warns where its interval lies above 0.5 "
        "(`homogeneous-prompts`).",
    )
    page.table(
        [
            "world",
            "what it is",
            "σ²_α system >",
            "σ²_β user >",
            "σ²_γ both >",
            "σ²_ε response >",
            "ρ_sys >",
            "share of the top 4 >",
        ],
        [
            (
                world.name,
                world.says,
                fixed(of.system, 4),
                fixed(of.user, 3),
                fixed(of.interaction, 4),
                fixed(of.response, 3),
                fixed(of.consistency, 2),
                percent(of.top),
            )
            for world in WORLDS
            for of in [truth(world)]
        ],
    )


def say_budgets(page: Page) -> None:
    page.heading("At equal budget")
    page.say(
        "The budget is told in answers of each system prompt to each user prompt, were "
        "all asked alike; times 512 it is the number of answers.",
        "Regrets are shares of what a system prompt at random lacks: 0 is the best, 1 "
        "is chance.",
        f"Differences are paired over {N_WORLDS} draws of user prompts, system prompts "
        "and answers, each with a 95 % interval; below 0 p1 is better.",
    )
    rows = []
    for world in WORLDS:
        for budget in BUDGETS:
            found = simulated(world, budget)
            names = "full", "random", "undecided", "p1"
            others = "full", "random", "undecided"
            rows.append(
                (
                    world.name,
                    budget,
                    *(fixed(found.mean(name), 2) for name in names),
                    *(gap(found.less("p1", than)) for than in others),
                    fixed(found.mean("p1", 1), 2),
                    gap(found.less("p1", where=1)),
                )
            )
    page.table(
        [
            "world",
            "budget >",
            "full >",
            "2 at random >",
            "undecided >",
            "p1 >",
            "p1 − full >",
            "p1 − random >",
            "p1 − undecided >",
            "p1 on others >",
            "p1 − full on others >",
        ],
        rows,
    )

    def draw_gaps(axes: Any) -> None:
        titles = "on the same user prompts", "on others"
        for where, (ax, title) in enumerate(zip(axes, titles, strict=True)):
            for k, world in enumerate(WORLDS):
                gaps = np.array(
                    [simulated(world, b).less("p1", where=where) for b in BUDGETS]
                )
                at = np.array(BUDGETS) * 1.05 ** (k - 2.5)
                ax.plot(at, gaps[:, 0], "o-", markersize=3, label=world.name)
                ax.vlines(at, gaps[:, 1], gaps[:, 2], color=f"C{k}", linewidth=1)
            ax.axhline(0, color="#57606a", linewidth=0.8)
            ax.set_xscale("log", base=2)
            ax.set_xticks(BUDGETS, [str(budget) for budget in BUDGETS])
            ax.set(title=title, xlabel="answers per cell, filter included")
            ax.set_ylim(-0.3, 1.0)
        axes[0].set_ylabel("regret of p1 − regret of all")
        axes[0].legend(fontsize=8)

    page.figure(
        draw_gaps,
        "budgets",
        "Difference in regret between p1's two user prompts and all, over the budget, "
        "for six worlds, on the same user prompts and on others",
        columns=2,
        width=9,
        height=4.2,
    )
    page.say(
        "Below 0 p1 is better.",
        "Where few user prompts carry everything and agree, p1 wins at every budget, "
        "most when answers are few: all other user prompts are nothing but cost.",
        "The more there is to spend, the less it matters: the whole set gets there "
        "too, while what the subset cannot show stays.",
        "Leaving out user prompts that are solved always or never, whoever asks, does "
        "as well there with no search at all; only where many are solved half of the "
        "time for every system prompt does p1's looking at differences pay.",
    )


def say_why(page: Page) -> None:
    page.heading("Why")
    page.say(
        "Two things make a score a bad guide: it is noisy, and it is of other user "
        "prompts than those that count.",
        "With r₁ the correlation over system prompts of scores with the truth of the "
        "user prompts that were asked, and r₂ that of the latter with the truth of "
        "all, the regret of the highest of normal scores is about 1 − r₁ r₂.",
        f"At a budget of {MIDDLE}:",
    )
    rows = []
    for world in WORLDS:
        found = simulated(world, MIDDLE)
        for name in ("full", "random", "p1"):
            guide = found.guides[name]
            numbers = (
                guide.noise,
                guide.transfer,
                1 - guide.noise * guide.transfer,
                found.mean(name),
            )
            rows.append(
                (
                    world.name,
                    "2 at random" if name == "random" else name,
                    *(fixed(x, 2) for x in numbers),
                    fixed(guide.variance / guide.of_all, 1),
                )
            )
    page.table(
        [
            "world",
            "choice",
            "r₁ >",
            "r₂ >",
            "1 − r₁ r₂ >",
            "regret >",
            "true variance / that of all >",
        ],
        rows,
    )
    page.say(
        "Where most user prompts carry nothing the filter raises r₁; elsewhere r₁ is "
        "high already, and it pays with r₂ for nothing.",
        "By the heterogeneity law, system prompts differ on U user prompts by "
        "`σ²_α + σ²_γ/U`: on two user prompts half of all σ²_γ is in the score, and "
        "taking the two with the largest variance takes those with the most of it.",
        "That is worth it only where the few user prompts make up the mean over all: "
        "then their own part is part of what counts, and r₂ stays near 1.",
        "No budget raises r₂, and a better filter lowers it where the largest "
        "differences are odd ones.",
        "A larger variance is no sign that it is: p1's two have more of it in every "
        "world, truly and not by luck, also where they mislead.",
    )
    page.say(
        "Part of it is luck, though.",
        "What the filter saw as the variance on its two, over what the candidates "
        "truly differ by there:",
    )
    page.table(
        ["world", *(f"budget {budget} >" for budget in BUDGETS)],
        [
            (
                world.name,
                *(
                    fixed(guide.promised / guide.variance, 1)
                    for budget in BUDGETS
                    for guide in [simulated(world, budget).guides["p1"]]
                ),
            )
            for world in WORLDS
        ],
    )
    page.say(
        "With few answers the winner is cursed, most where there is little to find; "
        "with one answer to a cell, at a budget of 2, p1's formula takes no noise off "
        "at all.",
    )


def say_variants(page: Page) -> None:
    page.heading("Other filters")
    page.say(
        f"Difference in regret from `full` on the same user prompts at a budget of "
        f"{MIDDLE}, over {N_VARIANTS} other draws; below 0 the choice is better.",
    )
    names = [name for name in CHOICES if name not in ("full", "random")]
    found_of = {
        world: simulated(world, MIDDLE, n_draws=N_VARIANTS, sizes=(4, 8))
        for world in WORLDS
    }
    page.table(
        ["choice", *(f"{world.name} >" for world in WORLDS)],
        [
            (
                f"`{name}`",
                *(gap(found.less(name)) for found in found_of.values()),
            )
            for name in names
        ],
    )
    page.say(
        "Taking noise off without bias changes little, and so mostly does counting the "
        "filter's answers again.",
        "With a smaller share, the filter finds less surely the few among coins, and "
        "the odd ones; one that costs nothing and knows the variances well "
        "does as well or better where p1 wins, and by far the worst where odd ones "
        "are.",
        "Four and eight user prompts lose less than two where two lose.",
    )
    page.say(
        "With 64 system prompts to choose from, and with 128 user prompts, kinds in "
        "the same proportions:"
    )
    rows = []
    for world in (WORLDS[2], WORLDS[5]):
        for n_system, times in ((N_SYSTEM, 1), (64, 1), (N_SYSTEM, 4)):
            found = simulated(world, MIDDLE, n_system, times, N_VARIANTS)
            rows.append(
                (
                    world.name,
                    n_system,
                    world.n_user * times,
                    *(fixed(found.mean(name), 2) for name in ("full", "random", "p1")),
                    gap(found.less("p1")),
                    gap(found.less("p1", where=1)),
                )
            )
    page.table(
        [
            "world",
            "system prompts >",
            "user prompts >",
            "full >",
            "2 at random >",
            "p1 >",
            "p1 − full >",
            "on others >",
        ],
        rows,
    )
    page.say(
        "In larger sets with as large a share of user prompts that carry all, all of "
        "them tell enough; the odd ones mislead the more, the better they are seen.",
    )


def say_measured(page: Page) -> None:
    rewards = read_rewards()
    scores = rewards.scores
    parts, found = prompt_components(scores), prompt_variance(scores)
    choice = select_discriminative(scores, 2, rng=ENTROPY)
    means = scores.mean((1, 2))
    order = means.argsort()
    n_system, n_user, n_answers = scores.shape
    n_asked = round(ASKED * n_user)
    half = n_answers // 2
    page.heading("A real model")
    page.say(
        f"SmolLM2-135M-Instruct (in four bits) under {n_system} system prompts of a "
        "list, from none to *You translate everything into French*, on "
        f"{n_user} questions of SciQ with a short passage before each; {n_answers} "
        "answers drawn to each at temperature 0.7, with a reward of 1 where the right "
        "answer stands in the text: "
        "[the suite](../../suites/smollm2-prompts.yaml), `tox run -e real-prompts`.",
        f"Mean reward {fixed(float(means.mean()), 3)}; from "
        f"{fixed(float(means[order[0]]), 3)} (`{rewards.system[order[0]]}`) to "
        f"{fixed(float(means[order[-1]]), 3)} (`{rewards.system[order[-1]]}`).",
    )
    page.table(
        ["", "with 95 % interval >"],
        [
            ("σ²_α, system prompt", shown(parts.system, 4)),
            ("σ²_β, question", shown(parts.user, 3)),
            ("σ²_γ, both", shown(parts.interaction, 4)),
            ("σ²_ε, answer", shown(parts.response, 3)),
            ("ρ_sys", shown(parts.consistency, 2)),
            ("share of the variance of means that is no chance", shown(found.share, 2)),
            (
                "variance on p1's 2, on answers that did not choose",
                shown(choice.held_out, 4),
            ),
            ("the same less that on all questions", shown(choice.gain_over_all, 4)),
        ],
    )
    page.say(
        f"{N_SPLITS} times, half of the system prompts and {percent(ASKED)} of the "
        f"questions are drawn; the filter sees all {n_answers} answers of the other "
        "half, for nothing.",
        f"Of the {n_system // 2} candidates one is taken by {half} of their answers to "
        f"a cell, and judged by the {half} others, and by all answers to the "
        f"{n_user - n_asked} questions left.",
        "`full` is as many answers spread over all questions; for `paid` the filter "
        f"looks at {half // 2} answers of the candidates to each question, which count "
        "again, and `paid full` has as many in all.",
        "Regret, in rewards, is what the choice lacks to the candidate that all "
        "answers say is best, and hence a little too high in every row alike; "
        "differences do not know that.",
        "Splits of one table are no independent draws: intervals are the jackknife's "
        f"over system prompts and {GROUPS} groups of questions, too wide rather than "
        "too narrow: what is a cell's own is counted in both, and the luck of the "
        "splits is left in.",
    )
    splits = measured()
    few, more = half * SIZE, half // 2 * (n_asked + SIZE)
    rows = [
        ("a candidate at random", 0, None),
        ("all answers that choose", half * n_asked, "all"),
        ("`p1`, filter free", few, "p1"),
        ("`random`", few, "random"),
        ("`full`", few, "full"),
        ("`p1`, filter paid", more, "paid p1"),
        ("`full`", more, "paid full"),
    ]
    page.table(
        ["choice", "answers of each >", "regret >", "on other questions >"],
        [
            (words, n, *(gap(splits.more("best", name, w), 3) for w in (0, 1)))
            for words, n, name in rows
        ],
    )
    pairs = [
        ("`p1`, filter free, less `full`", "p1", "full"),
        ("`p1`, filter free, less `random`", "p1", "random"),
        ("`p1`, filter paid, less `full`", "paid p1", "paid full"),
    ]
    page.table(
        [
            "difference in regret, below 0 p1 is better",
            "same >",
            "on other questions >",
        ],
        [
            (words, *(gap(splits.more(other, name, w), 3) for w in (0, 1)))
            for words, name, other in pairs
        ],
    )

    def draw_differences(axes: Any) -> None:
        titles = "on the same questions", "on others"
        at = np.arange(len(pairs))[::-1]
        for where, (ax, title) in enumerate(zip(axes, titles, strict=True)):
            found = np.array(
                [splits.more(other, name, where) for _, name, other in pairs]
            )
            ax.plot(found[:, 0], at, "o", markersize=4)
            ax.hlines(at, found[:, 1], found[:, 2], linewidth=1)
            ax.axvline(0, color="#57606a", linewidth=0.8)
            ax.set_yticks(at, [words.replace("`", "") for words, *_ in pairs])
            ax.set(title=title, xlabel="difference in regret, rewards")
        axes[1].set_yticks([])

    page.figure(
        draw_differences,
        "smollm2",
        "Differences in regret between p1's questions and all or random ones, with "
        "intervals, for SmolLM2-135M on the same questions and on others",
        columns=2,
        width=9,
        height=2.0,
    )
    page.say(
        "No difference is settled: every interval holds zero.",
        f"Of the {fixed(splits.more('best')[0], 3)} rewards that there are to win, "
        "intervals leave room for a gain or a loss of about half.",
        "As far as values go, p1 is level with as many answers on all questions where "
        "its filter is free, and behind where it is paid for.",
    )


def say_resembling(page: Page) -> None:
    page.heading("If its rewards were the truth")
    page.say(
        "Eight answers to a cell cannot pay for a filter and 32 answers on two "
        "questions besides.",
        "So let the means of cells be the truth, drawn towards the mean of their "
        "question until the variance between system prompts on it is the one without "
        "noise, and draw answers from them as above: eight system prompts for the "
        "filter, eight to choose from, 32 questions asked and 8 others.",
        "Intervals are over draws of answers and of halves, and not over other system "
        "prompts or questions.",
    )
    rows = []
    for budget in BUDGETS:
        found = resembling(budget)
        for where, words in enumerate(("same", "others")):
            rows.append(
                (
                    budget,
                    words,
                    *(
                        fixed(found.mean(name, where), 2)
                        for name in ("full", "random", "undecided", "p1", "free")
                    ),
                    gap(found.less("p1", where=where)),
                    gap(found.less("p1", "random", where)),
                    gap(found.less("free", where=where)),
                )
            )
    page.table(
        [
            "budget >",
            "judged on",
            "full >",
            "2 at random >",
            "undecided >",
            "p1 >",
            "free >",
            "p1 − full >",
            "p1 − random >",
            "free − full >",
        ],
        rows,
    )
    page.say(
        "Paid for, the filter does worse than all questions at every budget on these "
        "questions, and on others where it is settled.",
        "Free and with 128 answers a cell, it wins on these questions while answers "
        "are few, and nothing of that is left on others.",
        "Whatever is asked, most of what is won on these questions is lost on others: "
        "system prompts differ here on single questions rather than on all.",
        "That truth is kind to p1: chance in the eight answers makes some questions "
        "look as if system prompts differed on them, and the filter finds these.",
    )


def say_limits(page: Page) -> None:
    page.heading("Would one believe it?")
    page.say(
        "What comes out is what p1 itself reports: on AIME, where most problems are "
        "solved always or never, two of 30 problems do better than all (62.2 % against "
        "54.6 % on AIME26 with the 4B model), and on IFBench, where system prompts "
        "differ alike, 16, 4 and 1 of 64 do worse than all (37.4, 35.7 and 35.4 % "
        "against 39.5 %).",
        "Its single problems, [23], [25] and for the smaller model [5] and [26], raise "
        "the reward in training and hardly the test, or lower it, as odd ones would.",
        "The filter cannot tell these from user prompts that agree with others, since "
        "it looks at how much system prompts differ and not at whether they differ "
        "alike; in Q, its matrix, a pair that agrees has a score above that of one "
        "that does not, but a single large variance outweighs that.",
    )
    page.heading("What to do")
    page.say(
        "- A high ρ_sys (`evalvar prompts`, or the note `homogeneous-prompts` of "
        "`evalvar select discriminative`) speaks against filtering; a low one does not "
        "speak for it, nor does a variance that holds up on other answers: `mixed` and "
        "`odd ones` have both.\n"
        "- What would speak for it is that system prompts come in the same order on "
        "the few chosen and on the others: look, on answers that did not choose.\n"
        "- Where most user prompts are always or never solved, leave those out: that "
        "does as well, and leaves no winner to be cursed.\n"
        "- If a filter, then more than two: four or eight lose less where it loses and "
        "win about as much where it wins.\n"
        "- Judge what wins on user prompts that had no part in choosing it.",
    )
    page.heading("Limits")
    page.say(
        "Worlds are logistic with normal parts, 32 user prompts and one filter of half "
        "the budget; what share of a real set is odd is not known.",
        "No generator is trained, so nothing is said of p1's gain by larger gradients, "
        "only of whether they point the right way.",
        "The real model is one small model at one task with system prompts written by "
        "hand, not by a generator.",
    )


if __name__ == "__main__":
    if sys.argv[1:]:
        write_rewards(sys.argv[1])
    study().write()
