"""Does accuracy rise with training in Pythia, and is what moves at the end noise?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from page import Page, cited, data, fixed, percent, shown

from harness.stats.decisions import decision_accuracy
from harness.stats.intervals import score_interval
from harness.stats.ranks import rank_correlations
from harness.stats.signal import signal_noise

FOLDER = "pythia_evals"
TASKS = (
    "lambada_openai",
    "arc_easy",
    "piqa",
    "sciq",
    "winogrande",
    "arc_challenge",
    "logiqa",
    "wsc",
)
MMLU = "MMLU, mean of 57"
LEARNT = ("lambada_openai", "arc_easy", "piqa")
FROM = 1_000
"""Of the 27 checkpoints 11 are earlier, while nothing has been learnt."""

N_LAST = 5


def read() -> pd.DataFrame:
    """Return the rows of Pythia as they were published."""
    return pd.read_parquet(data(FOLDER, "pythia_evals.parquet"))


def curves(frame: pd.DataFrame, value: str = "value") -> dict[str, pd.DataFrame]:
    """Return v1 zero-shot accuracies by task: (deduped, parameters) by step."""
    part = frame[
        (frame["suite"] == "pythia-v1")
        & (frame["variant"] == "zero-shot")
        & (frame["metric"] == "acc")
    ]
    tables = {
        str(task): group.pivot_table(
            index=["deduped", "params"], columns="step", values=value
        )
        for task, group in part.groupby("task")
    }
    subjects = [t for name, t in tables.items() if name.startswith("hendrycksTest")]
    tables[MMLU] = sum(subjects[1:], subjects[0]) / len(subjects)
    return tables


def twice(frame: pd.DataFrame) -> pd.DataFrame:
    """Return zero-shot scores of the checkpoints that were evaluated twice."""
    part = frame[
        (frame["suite"] == "pythia-v1")
        & (frame["num_fewshot"] == 0)
        & (frame["metric"] == "acc")
        & frame["variant"].isin(["zero-shot", "baseline"])
    ]
    wide = part.pivot_table(
        index=["model", "step", "task"],
        columns="variant",
        values=["value", "stderr", "n_items"],
    ).dropna()
    gap = (wide["value", "baseline"] - wide["value", "zero-shot"]).astype(float)
    return pd.DataFrame(
        {
            "gap": gap,
            "in_se": gap / wide["stderr", "zero-shot"].astype(float),
            "n_answers": gap * wide["n_items", "zero-shot"].astype(float),
        }
    )


def sizes_of(tables: dict[str, pd.DataFrame]) -> list[str]:
    params = tables["piqa"].loc[False].index
    return [f"{p / 1e6:.0f}M" if p < 1e9 else f"{p / 1e9:g}B" for p in params]


def rho_of_learnt(tables: dict[str, pd.DataFrame], first: float) -> tuple[float, float]:
    """Return least and largest Spearman of 1B and up on what is learnt."""
    found = [
        rank_correlations(
            tables[task].loc[deduped].loc[1e9:].to_numpy(),
            method="spearman",
            steps=tables[task].columns,
            first=first,
        )
        for task in LEARNT
        for deduped in (False, True)
    ]
    return float(np.min(found)), float(np.max(found))


def study() -> Page:
    page = Page("pythia", "Pythia: what rises with training, and what is noise")
    frame = read()
    tables = curves(frame)
    errors = curves(frame, "stderr")
    sizes = sizes_of(tables)
    steps = tables["piqa"].columns.to_numpy()
    names = [*TASKS, MMLU]
    page.say(
        "Pythia is eight sizes of one architecture, each trained once on the Pile and "
        "once on its deduplication, with its checkpoints evaluated along the way.",
        "Which tasks rise with training, from which size on?",
        "Is what the last checkpoints do more than noise, and which tasks tell the "
        "sizes apart?",
    )

    page.heading("Data")
    files = frame[(frame["num_fewshot"] == 5) & (frame["num_fewshot_in_config"] == 0)]
    keys = ["suite", "model", "num_fewshot", "variant", "run_note", "step", "task"]
    copies = frame[frame.duplicated([*keys, "metric"], keep=False)]
    apart = copies.groupby([*keys, "metric"])["value"].agg(np.ptp)
    acc = frame[(frame["metric"] == "acc") & (frame["stderr"] > 0)]
    n = acc["value"] * (1 - acc["value"]) / acc["stderr"] ** 2 + 1
    per_task = n.round().groupby(acc["task"]).nunique()
    page.say(
        cited(FOLDER),
        f"{len(frame):,} rows; used here: v1, zero-shot, `acc`, {len(steps)} "
        f"checkpoints from step {steps[0]} to {steps[-1]:,}.",
        "There is one training run for each size and corpus, so nothing below is over "
        "training seeds.",
        "There are no answers to items, so the intervals that resample items "
        "(`monotonicity_interval`) cannot be had.",
    )
    page.say(
        "Three things to know before using these files.",
        f"`n = acc (1 - acc) / stderr^2 + 1` gives back the number of items: "
        f"{'the same number' if (per_task == 1).all() else 'not the same number'} in "
        f"every file of each of the {len(per_task)} tasks.",
        f"{files['path'].nunique()} five-shot files of {files['model'].nunique()} v0 "
        "models say `num_fewshot: 0` in their configuration; the folder is right.",
        f"{len(copies)} rows share their key with another: "
        f"{copies['path'].nunique()} files of {copies['model'].nunique()} v0 model, "
        f"whose values differ by {apart.max():g} at most, that is, the same evaluation "
        "run again gave the very same numbers.",
    )

    page.heading("Does accuracy rise?")
    page.say(
        "`rank_correlations` of score and step: Kendall's τ-b, and Spearman's ρ to "
        "compare, for the models trained on the Pile.",
        f"Of the {len(steps)} checkpoints {int((steps < FROM).sum())} lie before step "
        f"{FROM:,}, where every model is at or near its untrained level; the "
        f"{int((steps >= FROM).sum())} from there on are ranked too.",
        f"Without any trend τ of {len(steps)} independent scores has SD "
        f"{fixed(sd_of_tau(len(steps)), 2)}, of {int((steps >= FROM).sum())} "
        f"{fixed(sd_of_tau(int((steps >= FROM).sum())), 2)}.",
    )
    for first, words in ((0, "All checkpoints"), (FROM, f"From step {FROM:,}")):
        page.say(f"{words}, τ-b (ρ):")
        taus, rhos = (
            {
                task: rank_correlations(
                    tables[task].loc[False].to_numpy(),
                    method=method,
                    steps=steps,
                    first=first,
                )
                for task in names
            }
            for method in ("tau-b", "spearman")
        )
        page.table(
            ["task", *(f"{size} >" for size in sizes)],
            [
                [
                    task,
                    *(
                        f"{fixed(tau, 2)} ({fixed(rho, 2)})"
                        for tau, rho in zip(taus[task], rhos[task], strict=True)
                    ),
                ]
                for task in names
            ],
        )
    lambada = tables["lambada_openai"].loc[False].iloc[0]
    wsc = tables["wsc"].loc[False]
    challenge = tables["arc_challenge"].loc[False]
    low_all, high_all = rho_of_learnt(tables, 0)
    low, high = rho_of_learnt(tables, FROM)
    noisy = np.array(
        [
            rank_correlations(
                tables[task].to_numpy(), method="spearman", steps=steps, first=FROM
            )
            for task in ("logiqa", "wsc")
        ]
    )
    page.say(
        f"From step {FROM:,} on, models of 1B and up are close to monotone on "
        f"{', '.join(LEARNT)}: ρ from {fixed(low, 2)} to {fixed(high, 2)} over both "
        "corpora.",
        f"Over all checkpoints it is {fixed(low_all, 2)} to {fixed(high_all, 2)}: the "
        "untrained checkpoints are ties and noise, which is a choice of range and says "
        "nothing about the task.",
        f"70M is not monotone: on lambada_openai it stands at {fixed(lambada[43_000])} "
        f"at step 43,000 and at {fixed(lambada[143_000])} at step 143,000.",
        f"On wsc and logiqa ρ goes from {fixed(float(noisy.min()), 2)} to "
        f"{fixed(float(noisy.max()), 2)}, without any order in size.",
        "That some are large is no contradiction: neighbouring checkpoints resemble "
        "each other, and a score that wanders has a trend over any few of them.",
    )
    page.say(
        "One number looks wrong: small models fall on arc_challenge over all "
        f"checkpoints, 70M from {fixed(challenge.iloc[0, 0])} at step 0 to "
        f"{fixed(challenge.iloc[0, -1])} at the end, below the chance level of a "
        "quarter.",
        "It is so in both corpora; the set holds the questions that word co-occurrence "
        "answered wrongly (P. Clark et al., [2018](https://arxiv.org/abs/1803.05457)), "
        "and word statistics is what small models learn first.",
        f"12B ends at {fixed(challenge.iloc[-1, -1])}.",
    )

    def draw_curves(axes: Any) -> None:
        for ax, task in zip(axes, ("lambada_openai", "wsc"), strict=True):
            for i, size in enumerate(sizes):
                shade = 0.15 + 0.75 * i / (len(sizes) - 1)
                ax.plot(
                    steps / 1000,
                    tables[task].loc[False].iloc[i],
                    marker=".",
                    color=(0.9 - 0.9 * shade, 0.85 - 0.55 * shade, 0.95 - 0.3 * shade),
                    label=size,
                )
            ax.set(title=task, xlabel="step, thousands", ylabel="accuracy")
        axes[1].axhline(0.5, color="#57606a", linewidth=0.8, linestyle=":")
        axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5), reverse=True)

    page.figure(
        draw_curves,
        "curves",
        "Accuracy by step of the eight sizes: on lambada_openai all but the two "
        "smallest rise throughout; on wsc the curves wander below one half",
        columns=2,
        width=9,
    )

    page.heading("Are the last checkpoints noise?")
    ratio = {
        task: tables[task].loc[False].to_numpy()[:, -N_LAST:].std(1, ddof=1)
        / errors[task].loc[False].to_numpy()[:, -1]
        for task in TASKS
    }
    page.say(
        f"SD (ddof 1) of the last {N_LAST} checkpoints, in standard errors of one "
        "score over its items.",
        "All checkpoints answer the same items, so the sampling of items cancels: "
        "checkpoints that agree on nearly all answers give a ratio near 0, checkpoints "
        "that guess anew each time about 1, and above 1 the run itself moves.",
    )
    page.table(
        ["task", *(f"{size} >" for size in sizes)],
        [[task, *(fixed(value, 2) for value in ratio[task])] for task in TASKS],
    )
    one_evaluation = float(twice(frame)["in_se"].std()) / math.sqrt(2)
    others = np.concatenate([ratio[task] for task in TASKS if task != "lambada_openai"])
    page.say(
        f"But for lambada_openai the ratio is {fixed(float(np.median(others)), 2)} in "
        f"the median and above 1 in {int((others > 1).sum())} of {len(others)}: late "
        "checkpoints of a run differ by about half of what other items would change.",
        f"lambada_openai of 70M and 160M moves {fixed(ratio['lambada_openai'][0], 1)} "
        f"and {fixed(ratio['lambada_openai'][1], 1)} standard errors: real changes of "
        "the model, in part a trend (70M falls), which no interval over items shows.",
        f"wsc of 160M and 1B is {fixed(ratio['wsc'][1], 2)}: their last {N_LAST} "
        f"checkpoints all score {fixed(wsc.iloc[1, -1], 4)}, which is 38 of 104, the "
        "share of one of its two answers; "
        f"{int((wsc.iloc[:, -N_LAST:].round(4) == 0.3654).to_numpy().sum())} of "
        f"{N_LAST * len(sizes)} late scores are that number and "
        f"{int((wsc.iloc[:, -N_LAST:].round(4) == 0.6346).to_numpy().sum())} are "
        "66 of 104, the other answer: these models give one answer to everything.",
    )
    pairs = twice(frame)
    at_end = pairs.xs(steps[-1], level="step")
    widest = pairs["gap"].abs().idxmax()
    page.say(
        f"A second look at noise: {len(pairs)} scores (model, step, task) of the "
        "zero-shot runs stand a second time among the baselines of the paper's "
        f"intervention study, {len(at_end)} of them at step {steps[-1]:,} of "
        f"{', '.join(sorted(at_end.index.get_level_values('model').unique()))}.",
        f"{int((pairs['gap'] != 0).sum())} differ, the most by "
        f"{fixed(float(pairs['gap'].abs().max()))} ({widest[2]} of {widest[0]}: "
        f"{abs(pairs['n_answers'][widest]):.0f} answers); their SD is "
        f"{fixed(float(pairs['in_se'].std()), 2)} standard errors.",
        "The same file evaluated again is equal to the digit (above), so this is what "
        "other batch sizes, precisions or machines do to answers near a tie; the data "
        "do not say which.",
        f"One evaluation hence has an SD of {fixed(one_evaluation, 2)} standard "
        f"errors, beside {fixed(float(np.median(others)), 2)} of late checkpoints: of "
        "what looks like movement of the model, "
        f"{percent((one_evaluation / float(np.median(others))) ** 2)} of the variance "
        "may be the evaluation's (judged on other tasks, most of them MMLU's).",
    )

    page.heading("Are the two corpora two runs?")
    apart_in_se = corpora_apart(tables, errors)
    some = [0, 1, 64, 512, 1_000, 43_000, 53_000, 103_000, 143_000]
    page.say(
        "Difference between the models of the two corpora, in standard errors of a "
        "difference as if items were not shared: its root mean square over 64 tasks, "
        "by size and step.",
    )
    page.table(
        ["size", *(f"{step:,} >" for step in some)],
        [
            [size, *(fixed(value, 2) for value in row)]
            for size, row in zip(sizes, apart_in_se[some].to_numpy(), strict=True)
        ],
    )
    same = equal_scores(tables)
    page.say(
        "At steps 0 and 1 the two are the same to the digit, but for 1B, whose model "
        "of the Pile is named `bf16`: they start from one initialisation, and the "
        "evaluation repeats itself exactly.",
        "They part within a few hundred steps, as they should.",
        f"2.8B does not: at step 1,000 {percent(same.loc[2.8e9, 1_000])} of its scores "
        f"are equal ({percent(float(same[1_000].drop(2.8e9).max()))} at most in other "
        f"sizes), at step 43,000 still {percent(same.loc[2.8e9, 43_000])}, and at the "
        f"end the two are {fixed(apart_in_se.iloc[5, -1], 2)} standard errors apart, "
        f"other sizes {fixed(apart_in_se.iloc[:, -1].drop(2.8e9).min(), 2)} or more.",
        "As published, these are hardly two runs on two corpora; the files do not say "
        "why.",
        "(Issues [195](https://github.com/EleutherAI/pythia/issues/195) and "
        "[205](https://github.com/EleutherAI/pythia/issues/205) of that repository "
        "report step branches of pythia-2.8b that hold the weights of other steps; "
        "scores here do change with the step, so that is another fault, or a later "
        "one.)",
        "2.8B is left out below wherever corpora are compared.",
    )

    page.heading("Which tasks tell sizes apart?")
    signal_rows, equals = [], math.nan
    for task in names:
        found = signal_noise(
            tables[task].loc[False].to_numpy()[:, None],
            n_last=N_LAST,
            signal="rel-std",
            rng=1,
        )
        equals = found.snr_of_equals
        distinct = tables[task].drop(index=(True, 2.8e9))
        at = {
            step: decision_accuracy(
                distinct[step].to_numpy(), distinct[steps[-1]].to_numpy()
            )
            for step in (3_000, 43_000)
        }
        two = tables[task].drop(index=2.8e9, level="params")
        corpora = decision_accuracy(
            *(two.loc[flag].iloc[:, -1].to_numpy() for flag in (False, True))
        )
        signal_rows.append(
            [
                task,
                shown(found.snr, 1),
                *(shown(at[step], 2) for step in at),
                shown(corpora, 2),
            ]
        )
    page.say(
        "`signal_noise` over the eight sizes: SD over sizes at the last checkpoint "
        f"(`rel-std`) over the SD of the last {N_LAST} checkpoints of a run, both over "
        "the mean.",
        "Intervals take sizes and checkpoints as normal; sizes that were chosen on a "
        "ladder are not draws, so read them as a scale of uncertainty.",
        f"Eight equal models would show {fixed(equals, 2)} by noise alone.",
    )
    page.say(
        "`decision_accuracy`: the share of pairs of models (sizes and corpora) that an "
        "earlier checkpoint orders as the last one does; and of pairs of sizes that "
        "the two corpora order alike.",
        "Its interval is a jackknife over models.",
    )
    page.table(
        [
            "task",
            "signal / noise >",
            "order at 3,000 >",
            "order at 43,000 >",
            "two corpora >",
        ],
        signal_rows,
    )
    page.say(
        "At step 3,000 winogrande and logiqa are at chance, so the order is arbitrary.",
        "wsc's large ratio has another cause: the spread over sizes is the distance "
        "between always one answer and always the other, and runs that repeat an "
        "answer have no noise.",
    )
    kept = [i for i, size in enumerate(sizes) if size != "2.8B"]
    signs = np.array(
        [
            np.sign(
                (table.loc[False] - table.loc[True]).iloc[kept, -N_LAST:].mean(axis=1)
            )
            for name, table in tables.items()
            if name != MMLU
        ]
    )
    agrees = [
        score_interval((signs[:, i] == signs[:, -1]).astype(float))
        for i in range(len(kept) - 1)
    ]
    beyond = float((apart_by_task(tables, errors)[-1].abs() > 1.96).mean())
    page.say(
        "Small to large: is the corpus that a small model prefers the one that 12B "
        "prefers?",
        "With two corpora there is one pair for each task, which is no decision "
        f"accuracy by task; over the {len(signs)} tasks (means of the last {N_LAST} "
        "checkpoints, Wilson's interval) the small model agrees in:",
    )
    page.table(
        ["size", "share of tasks >"],
        [[sizes[i], shown(e, 2)] for i, e in zip(kept, agrees, strict=False)],
    )
    page.say(
        "No better than a coin, and no wonder: at the last step the two 12B models "
        f"differ by more than 1.96 standard errors on {percent(beyond)} of tasks; "
        "equal models would on 5 % or fewer, the items being shared.",
        "A small model cannot predict a difference that the large one does not show.",
        "57 of the tasks are subjects of MMLU near chance, and all share the same "
        "models, so these intervals are too narrow.",
    )

    page.heading("What follows")
    page.say(
        "lambada_openai, arc_easy, piqa and sciq tell these sizes apart and order them "
        "early; logiqa hardly does; wsc's large ratio is the choice of a constant "
        "answer.",
        "A large ratio of signal to noise is hence no certificate: look at the curve, "
        "and at whether the score is that of one answer.",
        "Monotonicity belongs to a task at a size and a range of steps, not to a task.",
    )
    page.heading("Limits")
    page.say(
        "One run for each size and corpus; eight sizes; five late checkpoints 10,000 "
        "steps apart, so that the noise includes what is still learnt.",
        "Intervals of rank correlations need the answers to items, which are not "
        "published.",
    )
    return page


def apart_by_task(
    tables: dict[str, pd.DataFrame], errors: dict[str, pd.DataFrame]
) -> list[pd.Series[float]]:
    """Return, by size, each task's difference of corpora at the last step, in SE."""
    rows = {
        name: (table.loc[False] - table.loc[True]).iloc[:, -1]
        / np.hypot(errors[name].loc[False], errors[name].loc[True]).iloc[:, -1]
        for name, table in tables.items()
        if name != MMLU
    }
    return [row for _, row in pd.DataFrame(rows).iterrows()]


def corpora_apart(
    tables: dict[str, pd.DataFrame], errors: dict[str, pd.DataFrame]
) -> pd.DataFrame:
    """Return how far the two corpora's models lie apart, by size and step, in SE."""
    squares = [
        (
            (table.loc[False] - table.loc[True])
            / np.hypot(errors[name].loc[False], errors[name].loc[True])
        )
        ** 2
        for name, table in tables.items()
        # lambada has no standard error while nothing is right.
        if name not in (MMLU, "lambada_openai")
    ]
    return np.sqrt(sum(squares[1:], squares[0]) / len(squares))


def equal_scores(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the share of tasks on which both corpora's models score the same."""
    equal = [
        (table.loc[False] == table.loc[True]).astype(float)
        for name, table in tables.items()
        if name != MMLU
    ]
    return sum(equal[1:], equal[0]) / len(equal)


def sd_of_tau(n: int) -> float:
    """Return the SD of Kendall's tau of n scores in random order."""
    return math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))


if __name__ == "__main__":
    study().write()
