"""How far do paraphrases move scores and orders, and how few answers would show it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import syntaxgym
from page import Page, cited, data, fixed, percent, shown

from harness.stats.templates.order import TemplateOrder, template_order
from harness.stats.templates.quantiles import BudgetErrors, budget_errors
from harness.stats.templates.reliability import ReliableNumber, reliable_number
from harness.stats.templates.spread import (
    TemplateSpread,
    range_of_some,
    spread_of_means,
)

FOLDER = "multiprompt_state_of_what_art"
N_ANSWERS = {"word_not_containing": 26}
"""Answers behind each accuracy where they are not 100: its steps are 1/26."""

MARGIN = 0.02
"""By how much models must be ahead for a reversal, in FormatSpread's count."""

MODEL = "flan-t5-xl"
GRIDS = (
    "any_words_from_category",
    "less_letters",
    "movie_recommendation",
    "rhyming_word",
    "sports_understanding",
)
"""Tasks whose grid of answers is simulated from the accuracies of `MODEL`."""

DIFFICULTY_SD = 1.5
"""SD of the logits of simulated items."""

EVALUATIONS = (2, 8)
"""Budgets, in answers that one paraphrase has in full."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """One model at one task."""

    task: str
    model: str
    means: Floats
    spread: TemplateSpread
    reliable: ReliableNumber


def read() -> pd.DataFrame:
    """Return accuracies of the paraphrases that people judged correct."""
    frame = pd.read_parquet(data(FOLDER, "paraphrase_accuracies.parquet"))
    return frame[frame["manual_correct"]]


def n_answers(task: str) -> int:
    return N_ANSWERS.get(task, 100)


def cells(frame: pd.DataFrame) -> list[Cell]:
    """Return the statistics of each model at each task."""
    found = []
    for (task, model), part in frame.groupby(["task", "model"]):
        means = part.sort_values("paraphrase")["acc"].to_numpy()
        found.append(
            Cell(
                str(task),
                str(model),
                means,
                spread_of_means(means, n_answers(str(task))),
                reliable_number(means, n_subsets=200, rng=0),
            )
        )
    return found


def orders(frame: pd.DataFrame, margin: float = 0.0) -> dict[str, TemplateOrder]:
    """Return how far each task's order of models depends on the paraphrase."""
    found = {}
    for task, part in frame.groupby("task"):
        table = part.pivot_table(index="model", columns="paraphrase", values="acc")
        found[str(task)] = template_order(
            table.to_numpy(),
            names=[str(name) for name in table.index],
            margin=margin,
            n_items=n_answers(str(task)),
        )
    return found


def grid(means: Floats, n_items: int, rng: np.random.Generator) -> Floats:
    """Return simulated answers of templates whose expected accuracies are given."""
    items = rng.normal(0, DIFFICULTY_SD, n_items)
    low, high = np.full(len(means), -20.0), np.full(len(means), 20.0)
    for _ in range(60):
        middle = (low + high) / 2
        is_low = (1 / (1 + np.exp(-middle[:, None] - items))).mean(1) < means
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
    p = 1 / (1 + np.exp(-low[:, None] - items))
    return (rng.random(p.shape) < p) * 1.0


def budgets(found: list[Cell]) -> dict[str, tuple[BudgetErrors, BudgetErrors]]:
    """Return errors of quantiles with the source's prior and with one of variance 1."""
    means = {cell.task: cell.means for cell in found if cell.model == MODEL}
    errors = {}
    for number, task in enumerate(GRIDS):
        scores = grid(means[task], 100, np.random.default_rng([1, number]))
        wanted = [k * scores.shape[1] for k in EVALUATIONS]
        errors[task] = tuple(
            budget_errors(scores, wanted, prior_variance=v, n_draws=5, rng=[2, number])
            for v in (100.0, 1.0)
        )
    return errors  # type: ignore[return-value]


def networks() -> tuple[BudgetErrors, BudgetErrors]:
    """Return the same errors of a real grid: SyntaxGym's networks and its items."""
    table = syntaxgym.read()
    scores = table[syntaxgym.is_neural(table)].to_numpy()
    wanted = [k * scores.shape[1] for k in EVALUATIONS]
    first, second = (
        budget_errors(scores, wanted, prior_variance=v, rng=3) for v in (100.0, 1.0)
    )
    return first, second


def study() -> Page:
    page = Page("templates", "State of What Art: what paraphrases do to a score")
    frame = read()
    found = cells(frame)
    tasks = list(dict.fromkeys(cell.task for cell in found))
    page.say(
        "One task is put to a model in a hundred wordings that mean the same.",
        "How far apart are the scores, and how much of that is chance?",
        "How often does another wording put another model ahead?",
        "How many wordings would a reliable mean need, and how few answers show what "
        "they do on the whole?",
    )
    page.heading("Data")
    sizes = [len(cell.means) for cell in found]
    page.say(
        cited(FOLDER),
        "M. Mizrahi et al., arXiv 2401.00595 (2024).",
        f"{frame['model'].nunique()} models × {len(tasks)} tasks ({len(found)} pairs "
        f"of both), {min(sizes)} to {max(sizes)} paraphrases judged correct by people; "
        "one accuracy each, no answers of items.",
        "Each accuracy is said to be over 100 samples; those of `word_not_containing` "
        "come in steps of 1/26, so that 26 are taken here.",
    )

    page.heading("Spread")
    sd = np.array([cell.means.std(ddof=1) for cell in found])
    wide = np.array([cell.spread.spread.value for cell in found])
    equals = np.array([cell.spread.spread_of_equals for cell in found])
    true = np.array([cell.spread.corrected_sd.value for cell in found])
    variance = np.array([cell.spread.template_variance.value for cell in found])
    corrected = np.array([cell.spread.corrected_spread.value for cell in found])
    ten = np.array([range_of_some(cell.means, 10) for cell in found])
    has_sd = ~np.isnan(true)
    n_negative = int((~has_sd).sum())
    page.say(
        f"The SD over paraphrases averages {fixed(sd.mean(), 2)} over pairs, and "
        f"max − min {fixed(wide.mean(), 2)}: the figures known of these data (.10, "
        ".45).",
        "`spread_of_means` sets beside it what binomial chance alone would give were "
        "all paraphrases equally good, and takes it off.",
    )

    def line(name: str, values: Floats) -> list[object]:
        return [
            name,
            *(fixed(float(q), 3) for q in np.quantile(values, (0.25, 0.5, 0.75))),
            fixed(float(values.mean()), 3),
            len(values),
        ]

    page.table(
        ["", "lower quartile >", "median >", "upper quartile >", "mean >", "pairs >"],
        [
            line("SD over paraphrases", sd),
            line("corrected SD, 0 where it is not defined", np.nan_to_num(true)),
            line("SD over paraphrases, where the corrected is defined", sd[has_sd]),
            line("corrected SD, where it is defined", true[has_sd]),
            line("max − min", wide),
            line("max − min of equals", equals),
            line(
                "corrected max − min, 0 where it is not defined",
                np.nan_to_num(corrected),
            ),
            line("max − min, where the corrected is defined", wide[has_sd]),
            line("corrected max − min, where it is defined", corrected[has_sd]),
            line("max − min of ten paraphrases", ten),
        ],
    )
    share = float(np.median([cell.spread.template_share.value for cell in found]))
    page.say(
        f"Chance alone would make a max − min of {fixed(equals.mean(), 2)}, "
        f"{percent(equals.mean() / wide.mean())} of what is seen; in the median "
        f"{percent(share)} of the variance is the paraphrases'.",
        f"{n_negative} of {len(found)} pairs differ by less than binomial chance, "
        "and have no corrected SD.",
        "So many can only be if the same items were put to every paraphrase: what "
        "items have in common then makes no difference between paraphrases, and "
        "binomial chance is too much.",
        "A corrected figure compares only with the raw one of the same pairs: where "
        "it is defined, raw ones are larger as well.",
        "Where answers of items are stored, `template_spread` takes it from them; from "
        "accuracies alone a corrected variance is on average too small, and so is its "
        "mean over all pairs, negative ones with the others: the root of that is "
        f"{fixed(float(np.sqrt(variance.mean())), 3)}, of the raw variances' mean "
        f"{fixed(float(np.sqrt((sd**2).mean())), 3)}.",
        "Means of corrected SDs are no such bound: 0 is more than the negative "
        "variance that it stands for, and to average only those that are defined is to "
        "choose those that chance made larger.",
    )
    page.say(
        "FormatSpread (M. Sclar et al., arXiv 2310.11324) reports a median max − min "
        "of .075 over ten formats, separators and case; here ten paraphrases at random "
        f"have {fixed(float(np.median(ten)), 2)} in the median.",
        "Max − min grows with the number of templates, so that only spreads of equally "
        "many compare: of all paraphrases it is "
        f"{fixed(float(np.median(wide)), 2)}.",
    )

    def draw(ax: Any) -> None:
        order = sorted(
            tasks, key=lambda t: np.mean([c.means.std() for c in found if c.task == t])
        )
        for y, task in enumerate(order):
            part = [cell for cell in found if cell.task == task]
            seen = [cell.means.std(ddof=1) for cell in part]
            chance = [
                np.sqrt((c.means * (1 - c.means)).mean() / n_answers(task))
                for c in part
            ]
            ax.plot(seen, [y] * len(seen), "o", color="C0", alpha=0.5, markersize=4)
            ax.plot(np.mean(chance), y, "|", color="C1", markersize=12, mew=2)
        ax.set_yticks(range(len(order)), order, fontsize=7)
        ax.set(xlabel="SD over paraphrases; bar: binomial chance", xlim=(0, None))

    page.figure(
        draw,
        "spread",
        "SD over paraphrases of each model, a line of dots for each task, with a bar "
        "at the SD that binomial chance would give: most models lie above it, some "
        "below",
        height=5.0,
    )

    page.heading("Order of models")
    usual, by_margin = orders(frame), orders(frame, MARGIN)
    page.say(
        "`template_order`: of all pairs of models and of paraphrases, how often one "
        "paraphrase puts the first ahead and the other the second; how often binomial "
        "chance alone would; and Kendall's W of all paraphrases.",
        "Intervals are jackknives over paraphrases.",
    )
    page.table(
        ["task", "models >", "reversed >", "by chance >", "tau >", "W >"],
        [
            [
                task,
                o.n_models,
                shown(o.reversal),
                fixed(o.reversal_by_chance),
                fixed(o.tau.value, 2),
                shown(o.concordance, 2),
            ]
            for task, o in sorted(
                usual.items(), key=lambda item: item[1].concordance.value
            )
        ],
    )
    reversal = np.array([o.reversal.value for o in usual.values()])
    chance = np.array([o.reversal_by_chance for o in usual.values()])
    least = np.array([o.reversal.value for o in by_margin.values()])
    against = np.array([np.nanmean(o.against_mean) for o in usual.values()])
    page.say(
        "Two paraphrases disagree on a pair of models in "
        f"{percent(reversal.mean())} of cases, where chance alone would make "
        f"{percent(chance.mean())}; a single paraphrase contradicts the mean over all "
        f"in {percent(against.mean())}.",
        f"With both by at least {MARGIN} it is {percent(least.mean())}; FormatSpread "
        "has 14 % for a pair of models of one family by the same margin, over formats "
        "of other tasks: as large, though not the same quantity.",
        f"On {int((reversal < chance).sum())} tasks the order turns less often than "
        "binomial chance says, again because the items are the same.",
    )

    page.heading("How many paraphrases for a reliable mean?")
    needed = np.array([cell.reliable.n_needed for cell in found])
    analytic = np.array([cell.reliable.n_analytic for cell in found])
    n_short = int((analytic > sizes).sum())
    page.say(
        "`reliable_number`, ReliableEval's (ε, δ) = (.01, .1): the mean over so many "
        "paraphrases lies within a point of the mean over all.",
        f"The rule gives {np.median(needed):.0f} paraphrases in the median, the "
        f"analytic companion {np.median(analytic):.0f}; for "
        f"{n_short} of {len(found)} pairs the latter is more than there are.",
        "The rule cannot say so: subsets of nearly all paraphrases share their mean, "
        "and "
        f"{sum(bool(cell.reliable.cautions) for cell in found)} of {len(found)} pairs "
        "carry the caution that resamplings run out.",
    )

    page.heading("Quantiles from few answers")
    errors = budgets(found)
    page.say(
        "PromptEval (F. Maia Polo et al., arXiv 2405.17202) promises quantiles over a "
        "hundred templates for the price of two.",
        "No answers of items are published here, so the grid is simulated: each "
        f"paraphrase keeps the accuracy of {MODEL} as its expectation, over 100 items "
        f"whose logits have an SD of {DIFFICULTY_SD}, as PromptEval's own model would "
        "have it: the kindest case.",
        "Errors are roots of mean squares over five draws of which answers are bought, "
        "averaged over the quantiles .05, .25, .5, .75, .95.",
    )
    page.table(
        [
            "task",
            "paraphrases >",
            "budget >",
            "means of what is seen >",
            "PromptEval, C = 100 >",
            "prior variance 1 >",
        ],
        [
            [
                task,
                published.n_templates,
                f"{k} evaluations",
                fixed(float(published.naive_error[b].mean())),
                fixed(float(published.error[b].mean())),
                fixed(float(ours.error[b].mean())),
            ]
            for task, (published, ours) in errors.items()
            for b, k in enumerate(EVALUATIONS)
        ],
    )
    ratio = np.array(
        [
            [
                ours.error.mean(1) / published.error.mean(1),
                published.error.mean(1) / published.naive_error.mean(1),
            ]
            for published, ours in errors.values()
        ]
    ).mean(0)
    page.say(
        f"With the published prior PromptEval has {fixed(ratio[1, 0], 2)} times the "
        f"error of plain means at two evaluations, {fixed(ratio[1, 1], 2)} times at "
        "eight.",
        "With about as many answers as parameters, a prior of variance 100 is none, "
        "and the fit follows chance.",
        f"A prior of variance 1 has {fixed(ratio[0, 0], 2)} and "
        f"{fixed(ratio[0, 1], 2)} times the error of the published one: "
        "`prior_variance=1` is worth asking for with few answers.",
        "With 100 items two evaluations are one or two answers per paraphrase; the "
        "source's benchmark has many times as many.",
    )

    real, real_ours = networks()
    page.say(
        f"On answers that nobody simulated, the {real.n_templates} networks of "
        f"[SyntaxGym](syntaxgym.md) in place of templates on its {real.n_items} items, "
        "items are no Rasch model's, and differences are smaller: at two evaluations "
        f"{fixed(float(real.error[0].mean()))} with the published prior, "
        f"{fixed(float(real_ours.error[0].mean()))} with variance 1 and "
        f"{fixed(float(real.naive_error[0].mean()))} for means of what is seen; at "
        f"eight {fixed(float(real.error[1].mean()))}, "
        f"{fixed(float(real_ours.error[1].mean()))} and "
        f"{fixed(float(real.naive_error[1].mean()))}.",
    )

    page.heading("Would one believe it?")
    n_fallen = sum(
        bool(cell.means.min() < 0.02 and np.median(cell.means) > 0.2) for cell in found
    )
    page.say(
        "The known figures come out, and the corrections behave as they must: nearly "
        "nothing is taken off where paraphrases differ by a lot, and where they hardly "
        "do there is no SD to report.",
        f"{n_fallen} of {len(found)} pairs have a paraphrase that scores below .02 "
        "though the median is above .2.",
        "That looks like answers in another form, which a match of text counts as "
        "wrong, rather than like a wording that makes the task impossible: max − min "
        "shows it, and the quantiles .05 to .95 do not.",
    )
    page.heading("Limits")
    page.say(
        "Chance is binomial, and so an upper bound, for want of answers of items.",
        "Paraphrases were made by models from one another and are no random sample of "
        "what people would write; intervals say what others made alike would give.",
        "PromptEval is judged on simulated answers, and on real ones of networks "
        "instead of paraphrases.",
    )
    return page


if __name__ == "__main__":
    study().write()
