"""How much of a model's score on code is the luck of its answers?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from page import Page, cited, data, fixed, percent, shown

from harness.stats.pairs import (
    adjust_p_values,
    all_pairs,
    noise_split,
    paired_difference,
)
from harness.stats.repeats import predicted_se, repeat_components

FOLDER = "evalperf_passrate"
SHOWN = {
    "meta-llama--Meta-Llama-3-8B-Instruct_vllm_temp_1.0": "Llama-3-8B",
    "meta-llama--Llama-3.1-8B-Instruct_vllm_temp_1.0": "Llama-3.1-8B",
    "nvidia--Llama-3.1-Nemotron-70B-Instruct-HF_vllm_temp_1.0": "Nemotron-70B",
    "google--gemma-2-9b-it_vllm_temp_1.0": "gemma-2-9b",
    "deepseek-ai--deepseek-coder-6.7b-instruct_vllm_temp_1.0": "deepseek-coder-6.7b",
    "meta-llama--Llama-3.1-70B-Instruct_vllm_temp_1.0": "Llama-3.1-70B",
    "Qwen--Qwen2.5-14B-Instruct_vllm_temp_1.0": "Qwen2.5-14B",
    "gpt-4o-mini-2024-07-18_openai_temp_1.0": "gpt-4o-mini",
    "Qwen--Qwen2.5-72B-Instruct_vllm_temp_1.0": "Qwen2.5-72B",
    "claude-3-5-sonnet-20240620_bedrock_temp_1.0": "claude-3.5-sonnet",
    "deepseek-chat-v3_openai_temp_1.0": "deepseek-v3",
    "o1-mini-2024-09-12_openai_temp_1.0": "o1-mini",
}
PAIRS = (
    ("o1-mini-2024-09-12_openai_temp_1.0", "deepseek-chat-v3_openai_temp_1.0"),
    (
        "o1-mini-2024-09-12_openai_temp_1.0",
        "o1-mini-2024-09-12_openai_temp_1.0-perf-instruct",
    ),
    (
        "Qwen--Qwen2.5-72B-Instruct_vllm_temp_1.0",
        "Qwen--Qwen2.5-14B-Instruct_vllm_temp_1.0",
    ),
    (
        "meta-llama--Llama-3.1-70B-Instruct_vllm_temp_1.0",
        "nvidia--Llama-3.1-Nemotron-70B-Instruct-HF_vllm_temp_1.0",
    ),
    (
        "meta-llama--Llama-3.1-8B-Instruct_vllm_temp_1.0",
        "meta-llama--Meta-Llama-3-8B-Instruct_vllm_temp_1.0",
    ),
)
DESIGNS = ((118, 1), (118, 10), (118, 100), (500, 1), (1_000, 1))
Floats = npt.NDArray[np.float64]


def read() -> tuple[dict[str, Floats], list[str]]:
    """Return 0/1 answers (items, samples) of each model, and the items."""
    frame = pd.read_parquet(data(FOLDER, "evalperf_items.parquet"))
    right = frame.pivot_table(index="model", columns="item", values="n_correct")
    n_samples = frame.groupby("model")["n_samples"].first()
    # Only counts are published; the order of the samples changes nothing here.
    answers = {
        str(model): (np.arange(n_samples[model]) < row.to_numpy()[:, None]).astype(
            float
        )
        for model, row in right.iterrows()
    }
    return answers, [str(item) for item in right.columns]


def study() -> Page:
    page = Page("evalperf", "EvalPerf: items, samples, and which models differ")
    answers, items = read()
    parts = {model: repeat_components(table) for model, table in answers.items()}
    names = list(answers)
    n_items = len(items)
    page.say(
        "A code model that is sampled at temperature 1 solves a task sometimes.",
        "How much of the uncertainty of its score is that luck, and how much is which "
        "tasks were asked?",
        "What would more samples, or more tasks, buy?",
        "And which of the models on the board are really different?",
    )
    page.heading("Data")
    n_samples = [table.shape[1] for table in answers.values()]
    page.say(
        cited(FOLDER),
        f"{len(names)} models × {n_items} tasks ("
        f"{sum(item.startswith('HumanEval') for item in items)} of HumanEval+, "
        f"{sum(item.startswith('Mbpp') for item in items)} of MBPP+), "
        f"{max(n_samples)} samples of each ({min(n_samples)} for "
        f"{sum(n < max(n_samples) for n in n_samples)} runs), scored right or wrong.",
        "The tasks were chosen to measure the speed of solutions, not at random; two "
        "runs were asked for fast code (`perf-instruct` in their name).",
    )

    page.heading("Items or answers?")
    page.say(
        "`repeat_components`: `score[i, k] = x[i] + error[i, k]`.",
        "`item` is the variance of tasks' true pass rates, `repeat` the variance of a "
        "single answer, averaged over tasks; ICC(1) is the share of `item` in both.",
        "Intervals are over tasks (Hall's; Student's t for the ICC).",
    )
    page.table(
        ["model", "pass@1 >", "item >", "repeat >", "ICC(1) >"],
        [
            [
                SHOWN[model],
                fixed(float(answers[model].mean())),
                shown(parts[model].item),
                shown(parts[model].repeat),
                shown(parts[model].icc_single, 2),
            ]
            for model in sorted(SHOWN, key=lambda m: answers[m].mean())
        ],
    )
    icc = np.array([part.icc_single.value for part in parts.values()])
    means = np.array([table.mean() for table in answers.values()])
    page.say(
        f"Over all {len(names)} models ICC(1) is {fixed(float(np.median(icc)), 2)} in "
        f"the median, from {fixed(float(icc.min()), 2)} "
        f"({label(names[int(icc.argmin())])}) to {fixed(float(icc.max()), 2)} "
        f"({label(names[int(icc.argmax())])}).",
        "With one sample of each task about half of the variance of a weaker model's "
        "score is its own luck; strong models mostly solve a task always or never.",
    )
    odd = "google--gemma-2-9b-it_vllm_temp_1.0"
    low, high = (float((answers[odd].mean(1) == x).mean()) for x in (0, 1))
    like = "mistralai--Mistral-Small-Instruct-2409_vllm_temp_1.0"
    low2, high2 = (float((answers[like].mean(1) == x).mean()) for x in (0, 1))
    page.say(
        "gemma-2-9b stands out for its level: it solves "
        f"{percent(high)} of tasks in all samples and {percent(low)} in none, where "
        f"Mistral-Small at the same pass rate has {percent(high2)} and "
        f"{percent(low2)}.",
        "gemma-2-27b and the two gemini models are like that too: their answers at "
        "temperature 1 vary less than those of other models, so it is no fault of one "
        "file.",
    )

    page.heading("What another design would give")
    page.say(
        "`predicted_se`: `sqrt((item + repeat / K) / n)`, tasks drawn as these were.",
        "At the design that was run it is the plain standard error over tasks.",
    )
    page.table(
        ["model", *(f"{n} × {k} >" for n, k in DESIGNS)],
        [
            [
                SHOWN[model],
                *(
                    fixed(predicted_se(parts[model], n_items=n, n_repeats=k), 4)
                    for n, k in DESIGNS
                ),
            ]
            for model in sorted(SHOWN, key=lambda m: answers[m].mean())
        ],
    )
    gain = np.array(
        [
            predicted_se(part, n_items=n_items, n_repeats=100)
            / predicted_se(part, n_items=n_items, n_repeats=1)
            for part in parts.values()
        ]
    )
    ten = np.array(
        [
            predicted_se(part, n_items=n_items, n_repeats=10)
            / predicted_se(part, n_items=n_items, n_repeats=100)
            for part in parts.values()
        ]
    )
    page.say(
        f"A hundred samples instead of one bring the standard error to "
        f"{fixed(float(gain.min()), 2)} to {fixed(float(gain.max()), 2)} of what it "
        f"was, in the median {fixed(float(np.median(gain)), 2)}; ten bring it within "
        f"{percent(float(ten.max()) - 1)} of what a hundred do.",
        "Five hundred tasks with one sample each, about half of the work of "
        f"{n_items} tasks with ten, are better for every model here.",
    )

    def draw(ax: Any) -> None:
        k = np.arange(1, 101)
        for i, model in enumerate(
            (
                "meta-llama--Meta-Llama-3-8B-Instruct_vllm_temp_1.0",
                "nvidia--Llama-3.1-Nemotron-70B-Instruct-HF_vllm_temp_1.0",
                "claude-3-5-sonnet-20240620_bedrock_temp_1.0",
            )
        ):
            se = [predicted_se(parts[model], n_items=n_items, n_repeats=n) for n in k]
            ax.plot(k, se, color=f"C{i}", label=SHOWN[model])
            floor = np.sqrt(parts[model].item.value / n_items)
            ax.axhline(floor, color=f"C{i}", linestyle=":", linewidth=1)
        ax.set(
            xscale="log",
            ylim=(0, None),
            xlabel=f"samples of each of {n_items} tasks",
            ylabel="standard error of pass@1",
        )
        ax.legend()

    page.figure(
        draw,
        "design",
        "Predicted standard error by number of samples for three models: it falls to "
        "the floor that the tasks set, drawn dotted, within about ten samples",
    )

    page.heading("Which models differ?")
    rates = np.array([table.mean(1) for table in answers.values()])
    pairs = all_pairs(rates, names=names)
    upper = np.triu_indices(len(names), 1)
    adjusted = adjust_p_values(pairs.p_value)
    holm, bh = adjusted[upper], adjust_p_values(pairs.p_value, correction="bh")[upper]
    unpaired = np.hypot.outer(*[rates.std(1, ddof=1) / np.sqrt(n_items)] * 2)[upper]
    saved = (pairs.se[upper] / unpaired) ** 2
    page.say(
        "`paired_difference` over the tasks that both answered, repeats averaged first "
        "(Hall's interval), beside the standard error of unpaired tasks; and "
        "`noise_split`: how much of the variance of one task's difference, at one "
        "sample each, is the answers'.",
    )
    rows = []
    for a, b in PAIRS:
        found = paired_difference(answers[a], answers[b], bounds=(0, 1))
        split = noise_split(answers[a], answers[b])
        rows.append(
            [
                f"{label(a)} − {label(b)}",
                shown(found.difference),
                fixed(found.difference.se, 4),
                fixed(found.se_unpaired, 4),
                f"{found.p_value:.2g}",
                percent(split.prediction / split.total),
            ]
        )
    page.table(
        ["pair", "difference >", "SE >", "SE unpaired >", "p >", "answers' share >"],
        rows,
    )
    page.say(
        f"All {len(upper[0])} pairs (`all_pairs`, {pairs.test}): "
        f"{int((pairs.p_value[upper] < 0.05).sum())} differ at 5 % taken one by one, "
        f"{int((holm < 0.05).sum())} after Holm, {int((bh < 0.05).sum())} after "
        "Benjamini and Hochberg.",
        f"Pairing leaves {percent(float(np.median(saved)))} of the variance in the "
        "median pair: it is worth as much as "
        f"{fixed(1 / float(np.median(saved)), 1)} times the tasks.",
    )
    order = np.argsort(-means)
    worse = [rates[names.index(model)] for model in reversed(PAIRS[4])]
    ties = [j for j in range(1, len(order)) if adjusted[order[0], order[j]] >= 0.05]
    page.say(
        f"The model at the head, {label(names[order[0]])} with "
        f"{fixed(float(means[order[0]]))}, is not distinguishable (Holm over all "
        f"pairs) from {len(ties)} others, the furthest "
        f"{label(names[order[ties[-1]]])} with {fixed(float(means[order[ties[-1]]]))}.",
        f"Llama-3-8B's {fixed(float(means.min()))} looks low beside Llama-3.1-8B's "
        f"{fixed(float(answers[PAIRS[4][0]].mean()))}; it is lower on "
        f"{int((worse[0] < worse[1]).sum())} of {n_items} tasks and its pass rates are "
        "spread over the whole range, so it is not a few broken tasks.",
    )
    top = order[:10]
    never = (rates[top] == 0).sum(0)
    hard = np.flatnonzero(never >= 5)
    others = [i for i in range(len(names)) if i not in top]
    page.say(
        f"{len(hard)} tasks are solved in no sample by half or more of the ten best "
        f"models ({', '.join(items[i] for i in hard)}), and yet "
        f"{int((rates[np.ix_(others, hard)] > 0).any(1).sum())} of the other "
        f"{len(others)} solve at least one of them.",
        "These are the first to look at by hand: tasks that may be read in two ways, "
        "or tests that ask for something else.",
    )

    page.heading("What follows")
    page.say(
        "Beyond about ten samples only more tasks help.",
        "Scores carry a standard error near 0.03, so that the order of the first ten "
        "is not settled by them.",
    )
    page.heading("Limits")
    page.say(
        "The tasks are no random sample of any population, and were chosen with models "
        "in mind; intervals say what other tasks chosen alike would give.",
        "HumanEval+ and MBPP+ are treated as one population; only counts are "
        "published, so that samples which depend on each other cannot be seen.",
        "pass@k for k above 1 is not computed here.",
    )
    return page


def label(model: str) -> str:
    """Return a short name."""
    words = model.split("--")[-1]
    for backend in ("_openai_temp_1.0", "_vllm_temp_1.0", "_google_temp_1.0"):
        words = words.replace(backend, "")
    return SHOWN.get(model, words)


if __name__ == "__main__":
    study().write()
