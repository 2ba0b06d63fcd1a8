"""Which tasks follow training, checkpoint by checkpoint, and which only move?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from page import Page, cited, data, fixed, shown, within

from harness.stats.decisions import averaging_gain
from harness.stats.intervals import score_interval
from harness.stats.ranks import monotonicity, rank_correlations
from harness.stats.signal import signal_noise
from harness.stats.task_filter import filter_subtasks
from harness.stats.variation import checkpoints_needed, total_variation

FOLDER = "bigscience"
N_LAST = 10
EARLY = 14
"""Of the 29 steps that all runs have, those that are to foretell the last ones."""

LATE = 8
FALL = 0.03
"""How far below its neighbours a checkpoint lies that is said to have fallen."""

LEARNT = 0.6
"""Monotonicity above which a task is said to follow training here."""

Floats = npt.NDArray[np.float64]


def read() -> dict[str, pd.DataFrame]:
    """Return accuracy by run and step, for each task; exact match for mc_taco."""
    frame = pd.read_parquet(data(FOLDER, "tr3_tr12_checkpoints.parquet"))
    frame = frame[
        (frame["metric"] == "acc")
        | ((frame["metric"] == "em") & (frame["task"] == "mc_taco"))
    ]
    return {
        str(task): part.pivot_table(index="run", columns="step", values="value")
        for task, part in frame.groupby("task")
    }


def item_errors() -> dict[str, float]:
    """Return each task's standard error over items, mean over checkpoints."""
    frame = pd.read_parquet(data(FOLDER, "tr3_tr12_checkpoints.parquet"))
    frame = frame[frame["metric"] == "acc"]
    return {str(k): float(v) for k, v in frame.groupby("task")["stderr"].mean().items()}


def study() -> Page:
    page = Page("bigscience", "BigScience: five runs, checkpoint by checkpoint")
    tables = read()
    errors = item_errors()
    runs = list(tables["piqa"].index)
    n_steps = {run: int(tables["piqa"].loc[run].notna().sum()) for run in runs}
    shared = tables["piqa"].dropna(axis=1).columns
    page.say(
        "Five models of 1.3 billion parameters, named after their corpora, were "
        "evaluated every 1,500 steps, where nothing is missing.",
        "Which tasks follow training, which only move, and which tell the five corpora "
        "apart?",
        "Does averaging checkpoints, or choosing tasks, help?",
    )
    page.heading("Data")
    page.say(
        cited(FOLDER),
        ", ".join(f"{run} ({n})" for run, n in n_steps.items())
        + f": runs and their checkpoints, between step {min(tables['piqa'].columns):,} "
        f"and {max(tables['piqa'].columns):,}.",
        f"{len(tables)} tasks, zero-shot; accuracy, for mc_taco exact match.",
        f"{len(shared)} steps are common to all runs; what cannot have gaps uses "
        "these.",
        "One seed each: what tells corpora apart here may be seeds.",
    )

    page.heading("Rise and movement")
    page.say(
        "`monotonicity`: Kendall's τ-b of score and step, mean over runs, with the "
        "smallest and largest run.",
        "`total_variation`: movement beyond the rise, in points of accuracy a step, "
        "with Student's interval over runs, which is not cut off at 0.",
        f"`signal_noise` with `rel-std`: SD over runs at the last step over the SD of "
        f"the last {N_LAST} checkpoints, both over the mean; intervals take runs and "
        "checkpoints as normal.",
        "`spread / SE` is the same signal in standard errors of one score over items, "
        "which a ratio over checkpoints does not see.",
    )
    found = {
        task: signal_noise(
            table.to_numpy()[:, None], n_last=N_LAST, signal="rel-std", rng=1
        )
        for task, table in tables.items()
    }
    taus = {task: rank_correlations(table.to_numpy()) for task, table in tables.items()}
    mean_tau = {task: monotonicity(t.to_numpy()).value for task, t in tables.items()}
    over_items = {
        task: float(tables[task].iloc[:, -1].std(ddof=1)) / error
        for task, error in errors.items()
    }
    order = sorted(tables, key=lambda task: -mean_tau[task])
    page.table(
        [
            "task",
            "τ-b >",
            "of runs",
            "variation, points >",
            "signal / noise >",
            "spread / SE >",
            "cautions",
        ],
        [
            [
                task,
                fixed(mean_tau[task], 2),
                within(float(taus[task].min()), float(taus[task].max()), 2),
                hundredfold(total_variation(tables[task].to_numpy())),
                shown(found[task].snr, 1),
                fixed(over_items.get(task, float("nan")), 1),
                ", ".join(
                    caution.code
                    for caution in found[task].snr.cautions
                    if caution.code in ("still-moving", "signal-within-noise")
                ),
            ]
            for task in order
        ],
    )
    learnt = [task for task in order if mean_tau[task] > LEARNT]
    flat = [task for task in order if abs(mean_tau[task]) < 0.1]
    no_signal = [
        task
        for task in order
        if "signal-within-noise" in [c.code for c in found[task].snr.cautions]
    ]
    page.say(
        f"{len(learnt)} of {len(tables)} tasks have τ above {LEARNT}: "
        f"{', '.join(learnt)}.",
        f"{len(flat)} have |τ| below 0.1 ({', '.join(flat)}): nothing that 100,000 "
        "steps "
        "of training do shows in them.",
        f"In {len(no_signal)} the interval of the ratio does not leave out what five "
        f"equal models show by noise, {fixed(found['piqa'].snr_of_equals, 2)} on "
        "average.",
    )
    mrpc = tables["mrpc"].to_numpy()
    values, counts = np.unique(mrpc[~np.isnan(mrpc)].round(4), return_counts=True)
    top = int(counts.argmax())
    page.say(
        "Three ratios that look good are not.",
        f"wnli, at {fixed(found['wnli'].snr.value, 1)}, has a spread of only "
        f"{fixed(over_items['wnli'], 1)} standard errors of its few items: the runs "
        "settled on different guesses, and late checkpoints guess alike.",
        f"wsc, at {fixed(found['wsc'].snr.value, 1)}, ends above one half in "
        f"{int((tables['wsc'].iloc[:, -1] > 0.5).sum())} runs and below in "
        f"{int((tables['wsc'].iloc[:, -1] < 0.5).sum())}: which of two answers a run "
        "prefers, as in [Pythia](pythia.md).",
        f"mrpc scores {fixed(float(values[top]), 4)} at {int(counts[top])} of "
        f"{int(counts.sum())} checkpoints, the share of its more frequent label.",
        "A ratio of signal to noise takes any stable difference for signal.",
    )

    def draw_curves(axes: Any) -> None:
        for ax, task in zip(axes, ("hellaswag", "wsc"), strict=True):
            for run in runs:
                curve = tables[task].loc[run].dropna()
                ax.plot(curve.index / 1000, curve, marker=".", linewidth=1, label=run)
            ax.set(title=task, xlabel="step, thousands", ylabel="accuracy")
        axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)

    page.figure(
        draw_curves,
        "curves",
        "Accuracy by step of the five runs: hellaswag rises in all of them, wsc jumps "
        "between two levels",
        columns=2,
        width=10,
    )

    def draw_snr(ax: Any) -> None:
        by_ratio = sorted(tables, key=lambda task: found[task].snr.value)
        for i, task in enumerate(by_ratio):
            one = found[task].snr
            colour = "#0072B2" if mean_tau[task] > LEARNT else "#B34A00"
            ax.hlines(i, *one.interval, color=colour)
            ax.plot(one.value, i, "o", color=colour, markersize=4)
        ax.axvline(found["piqa"].snr_of_equals, color="#57606a", linestyle=":")
        ax.set_yticks(range(len(by_ratio)), by_ratio, fontsize=8)
        ax.set(xscale="log", xlabel="signal / noise; dotted: five equal models")
        for colour, words in (("#0072B2", "τ above 0.6"), ("#B34A00", "others")):
            ax.plot([], [], "o", color=colour, label=words)
        ax.legend(loc="lower right")

    page.figure(
        draw_snr,
        "snr",
        "Signal to noise of each task with its interval, on a logarithmic scale: tasks "
        "that follow training and tasks that do not are mixed",
        height=6,
    )

    faults = fallen(tables, learnt)
    page.say(
        f"{len(faults)} single checkpoints lie more than {fixed(100 * FALL, 0)} points "
        f"below their neighbours in the mean of the {len(learnt)} tasks that follow "
        "training, and on hellaswag's curve one sees them: "
        + "; ".join(
            f"{run} at step {step:,} ({fixed(100 * fall, 1)})"
            for (run, step), fall in faults.items()
        )
        + ".",
        "A model that loses this on all tasks and has it back one checkpoint later is "
        "more likely a fault of that file or evaluation than learning.",
        "They lie early, so that signal and noise do not see them; total variation and "
        "τ "
        "do.",
    )

    page.heading("Does averaging checkpoints help?")
    rows = {}
    for task, table in tables.items():
        scores = table[shared].to_numpy()
        rows[task] = averaging_gain(
            scores[:, None, :EARLY], scores[:, -LATE:].mean(1), n_last=5
        )
    kept = {task: g for task, g in rows.items() if task in learnt}
    gains = np.array([g.gain.value for g in rows.values()])
    gains_learnt = np.array([g.gain.value for g in kept.values()])
    every = score_interval(gains, bounds=(-1, 1))
    some = score_interval(gains_learnt, bounds=(-1, 1))
    page.say(
        "`averaging_gain`, with the end of training in place of larger models: the "
        "five "
        f"corpora at step {shared[EARLY - 1]:,}, by the last checkpoint or the mean of "
        f"the last five, against their order in the mean of the last {LATE} common "
        "steps "
        f"(from {shared[-LATE]:,}).",
    )
    page.table(
        ["tasks", "n >", "decisions, last >", "decisions, mean of 5 >", "gain >"],
        [
            [
                words,
                len(part),
                fixed(float(np.mean([g.last.value for g in part])), 2),
                fixed(float(np.mean([g.averaged.value for g in part])), 2),
                shown(gain, 2),
            ]
            for words, part, gain in (
                ("all", list(rows.values()), every),
                (f"τ above {LEARNT}", list(kept.values()), some),
            )
        ],
    )
    ten = rows["piqa"].gain
    page.say(
        "Of one task there are ten pairs of corpora, too few for an interval worth "
        f"having (piqa: {shown(ten, 2)}); the intervals above are over tasks, which "
        "share the same five runs, and so are too narrow.",
        f"With that said, averaging decides {fixed(every.value * 100, 0)} of 100 pairs "
        "more rightly over all tasks.",
        "Tasks that follow training foretell the order of the corpora hardly better "
        "than "
        "the others: that a task is learnt does not mean that these corpora differ in "
        "it.",
        "Heineman et al. ([2025](https://arxiv.org/abs/2508.13144), section 5) gained "
        "2.4 of 100 over many more models.",
    )

    page.heading("Does choosing tasks help?")
    scores = np.array([table[shared].to_numpy() for table in tables.values()])
    names = list(tables)
    chosen = filter_subtasks(scores[:, :, None], n_last=N_LAST, signal="rel-std", rng=1)
    all_ = chosen.snr_of_first[-1]
    best = chosen.snr_of_first[len(chosen.chosen) - 1]
    page.say(
        "`filter_subtasks`: tasks by their own ratio, best first, and the ratio of the "
        "mean of the first k; then the same with some runs choosing and the others "
        "measured.",
        f"The ratio of the mean of all {len(tables)} tasks is {shown(all_, 1)}, "
        f"of the best {len(chosen.chosen)} ("
        f"{', '.join(names[i] for i in chosen.chosen)}) {shown(best, 1)}.",
        f"On runs that did not choose it is {shown(chosen.gain, 2)} times that of all"
        + (
            ": no gain at all (`winners-curse`)."
            if "winners-curse" in [c.code for c in chosen.gain.cautions]
            else "."
        ),
        "Half of five runs is two, so that the interval is nearly all there is: five "
        "runs cannot choose tasks.",
        "Heineman et al. choose and measure on the same models, but on many more.",
    )

    page.heading("What follows")
    page.say(
        "Monotonicity tells tasks that are learnt from those that are not; the ratio "
        "of "
        "signal to noise, with five models, has intervals that span a factor of five, "
        "and takes a settled guess for signal.",
        f"An SD of {N_LAST} checkpoints is within a third of the truth in fewer than "
        "95 "
        f"of 100 cases ({checkpoints_needed(1 / 3)} would be needed), if checkpoints "
        "were independent, which neighbours are not.",
        "Look for tasks that follow training first, then at how they order models.",
    )
    page.heading("Limits")
    page.say(
        "Five runs, one seed each; corpora, not architectures, differ.",
        "Tasks whose last checkpoints still rise (`still-moving`) count learning as "
        "noise.",
        "tr3e was evaluated at half as many steps, so its last ten reach further back.",
        "Intervals of τ need answers to items, which are not published.",
    )
    return page


def fallen(
    tables: dict[str, pd.DataFrame], tasks: list[str]
) -> dict[tuple[str, int], float]:
    """Return the checkpoints that lie below their neighbours in all these tasks."""
    mean = sum((tables[task] for task in tasks[1:]), tables[tasks[0]]) / len(tasks)
    out = {}
    for run, row in mean.iterrows():
        curve = row.dropna()
        # The first and the last checkpoint have one neighbour.
        beside = pd.concat([curve.shift(1), curve.shift(-1)], axis=1).mean(axis=1)
        falls = curve - beside
        for step, fall in falls[falls < -FALL].items():
            out[str(run), int(step)] = float(fall)
    return out


def hundredfold(found: Any) -> str:
    """Return an estimate in points, with its interval."""
    low, high = found.interval
    return f"{fixed(found.value * 100, 2)} {within(low * 100, high * 100, 2)}"


if __name__ == "__main__":
    study().write()
